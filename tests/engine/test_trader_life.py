"""A trader's life: starting, failing, settling, restarting, stopping."""

import asyncio
import json

import pytest
from fakes.journal import FakeJournal
from fakes.wire import Fault
from traders.world import CASH_E6, START_S, Scripted, World, make_market

from engine.trader import TraderSettings
from models.errors import LeaseLost, VenueUnavailable
from models.events import Channel, FeedState, SpotSource
from models.markets import Outcome, Settlement, Side
from models.orders import TimeInForce
from models.units import SECOND_NS, SHARE, SPOT_USD, USD
from strategies.base import Place, Quote

BUY_UP = Place(Outcome.UP, Side.BUY, budget_e6=10 * USD)
BOTH = Quote(4800, 20 * SHARE, 5100, 20 * SHARE)
REST = Place(Outcome.UP, Side.BUY, 4500, 10 * SHARE, tif=TimeInForce.GTC, post_only=True)


def once(*intents):
    left = [list(intents)]
    return lambda *_: left.pop() if left else None


def boom(*_):
    raise RuntimeError("no idea")


def endless(*_):
    while True:
        yield BUY_UP


# --- settling -------------------------------------------------------------------------------


def short(number: int = 0):
    """A window of one minute; the next one begins where it ends."""
    start_ns = (START_S + 60 * number) * SECOND_NS
    return make_market(number, start_ns=start_ns, end_ns=start_ns + 60 * SECOND_NS)


async def traded_to_the_end(world: World) -> "asyncio.Task":
    await world.open()
    await world.run(60)
    assert world.window.done()
    return world.spawn(world.trader.settle(world.market))


async def test_settling_books_the_exact_result_once_and_tells_everybody():
    strategy = Scripted(on_tick=once(BUY_UP))
    world = World(strategy, short())
    settling = await traded_to_the_end(world)
    held = world.trader.portfolio.shares_e6(world.market.up_token)
    world.venue.resolve(world.market, Outcome.UP)
    await world.run(5)
    result = await settling
    assert (result.winner, result.payout_e6, result.fills) == ("Up", held, 1)
    assert result.pnl_e6 == world.venue.exchange.balance("ours").cash_e6 - CASH_E6
    assert world.trader.portfolio.cash_e6 == world.venue.exchange.balance("ours").cash_e6
    assert world.store.results == {world.market.condition_id: result}
    assert [hook for hook, _, _ in strategy.calls][-1] == "on_resolution"
    assert world.posts.kinds()[-1] == "window_settled"
    again = world.spawn(world.trader.settle(world.market))
    await world.clock.drain()
    assert again.result() is result
    assert world.venue.watched == set()
    await world.close()


async def test_a_missed_resolution_is_asked_for_ever_more_slowly():
    world = World(Scripted(on_tick=once(BUY_UP)), short())
    world.venue.tell_resolution = False
    settling = await traded_to_the_end(world)
    await world.run(300)
    assert 10 <= world.venue.resolutions_asked <= 20
    assert not settling.done()
    world.venue.resolve(world.market, Outcome.DOWN)
    await world.run(45)
    assert settling.result().winner == "Down"
    assert settling.result().payout_e6 == 0
    await world.close()


async def test_the_next_window_starts_while_the_last_one_waits_for_its_resolution():
    strategy = Scripted(on_tick=lambda view: [BOTH])
    world = World(strategy, short(0), short(1))
    settling = await traded_to_the_end(world)
    world.quote(4900, 5000, world.markets[1])
    second = world.spawn(world.trader.run_window(world.markets[1]))
    await world.run(10)
    assert not settling.done()
    assert len(world.resting()) == 2
    world.venue.resolve(world.market, Outcome.UP)
    await world.run(5)
    assert settling.done()
    assert not second.done()
    world.assert_books_agree()
    await world.close()


async def test_a_window_without_fills_settles_without_a_row():
    world = World(Scripted(), short())
    settling = await traded_to_the_end(world)
    world.venue.resolve(world.market, Outcome.UP)
    await world.run(3)
    assert settling.result().pnl_e6 == 0
    assert world.store.results == {}
    assert "window_settled" not in world.posts.kinds()
    await world.close()


async def test_settling_waits_for_the_store():
    world = World(Scripted(on_tick=once(BUY_UP)), short())
    settling = await traded_to_the_end(world)
    world.wire.fail("settled", Fault.STORE_LOST, Fault.STORE_LATE)
    world.venue.resolve(world.market, Outcome.UP)
    await world.run(3)
    assert not settling.done()
    await world.run(10)
    assert settling.done()
    assert len(world.store.results) == 1
    await world.close()


# --- failing --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hook", "action", "text"),
    [
        ("on_start", boom, "on_start raised RuntimeError: no idea"),
        ("on_tick", boom, "on_tick raised RuntimeError: no idea"),
        ("on_timer", boom, "on_timer raised"),
        ("on_fill", boom, "on_fill raised"),
        ("on_stop", boom, "on_stop raised"),
        ("on_timer", endless, "more than 100 intents"),
        ("on_timer", lambda view: 7, "on_timer raised TypeError"),
    ],
)
async def test_a_strategy_that_raises_ends_its_window_alone(hook, action, text):
    strategy = Scripted(on_tick=once(REST, BUY_UP))
    strategy.hooks[hook] = action
    world = World(strategy, short())
    await world.open()
    await world.run(60 if hook == "on_stop" else 3)
    assert world.window.done()
    assert world.window.exception() is None
    failure = world.trader.failures[world.market.condition_id]
    assert text in failure.error
    assert "Error" in failure.traceback
    assert world.resting() == []
    assert world.posts.kinds()[-1] == "error"
    assert "strategy_failed" in [kind for kind, _ in world.store.events]
    world.assert_books_agree()
    await world.close()


async def test_other_windows_trade_on_while_one_fails():
    other = make_market(0, condition_id="0xother", up_token="o-up", down_token="o-down")

    def tick(view):
        if view.market.condition_id == "0xother":
            return [BOTH]
        raise RuntimeError("only here")

    world = World(Scripted(on_tick=tick), make_market(0), other)
    await world.open()
    world.quote(4900, 5000, other)
    second = world.spawn(world.trader.run_window(other))
    await world.run(5)
    assert world.window.done()
    assert not second.done()
    assert len(world.resting()) == 2
    await world.close()


async def test_after_failures_the_next_windows_wait_longer_each_time():
    markets = [
        make_market(0, condition_id=f"0x{n}", up_token=f"{n}u", down_token=f"{n}d")
        for n in range(4)
    ]
    strategy = Scripted(on_start=boom)
    world = World(strategy, *markets, settings=TraderSettings(failure_backoff_s=5))
    await world.open()
    for market in markets[1:]:
        task = world.spawn(world.trader.run_window(market))
        for _ in range(40):
            await world.run(1)
            if task.done():
                break
    assert strategy.times("on_start") == [0.0, 5.0, 15.0, 35.0]
    assert len(world.trader.failures) == 4
    await world.close()


@pytest.mark.parametrize(
    "snapshot", [boom, lambda: {"seen": {1, 2}}, lambda: {"mean": float("nan")}]
)
async def test_a_snapshot_that_fails_does_not_cost_the_checkpoint(snapshot):
    strategy = Scripted()
    strategy.snapshot = snapshot
    world = World(strategy)
    await world.open()
    assert "strategy" not in world.trader.checkpoint()
    json.dumps(world.trader.checkpoint(), allow_nan=False)
    await world.close()
    assert world.store.checkpoint["at_ns"] > 0


# --- the venue and the store in trouble -----------------------------------------------------


async def test_placing_pauses_as_long_as_the_venue_asks_for():
    world = World(Scripted(on_timer=lambda view: [BUY_UP]), max_position_e6=10_000 * USD)
    await world.open()
    world.venue.unavailable = [VenueUnavailable("engine restarting", "restarting", 10.0)]
    await world.run(1)
    assert world.venue.submitted == []
    assert world.trader.facts()["paused"] == "engine restarting"
    await world.run(9)
    assert world.venue.submitted == []
    await world.run(2)
    assert len(world.venue.submitted) >= 1
    assert world.trader.facts()["paused"] == ""
    assert "placing_paused" in [kind for kind, _ in world.store.events]
    world.assert_books_agree()
    await world.close()


async def test_in_post_only_mode_quotes_go_on_and_takers_wait():
    world = World(Scripted(on_timer=lambda view: [BUY_UP], on_tick=lambda view: [BOTH]))
    await world.start()
    world.quote(4900, 5000)
    world.venue.spot(68_000.0)
    world.spawn(world.trader.run_window(world.market))
    await world.clock.drain()
    world.venue.unavailable = [VenueUnavailable("post-only mode", "post_only", 30.0)]
    await world.run(2)
    world.trader._strategy.hooks["on_tick"] = lambda view: [
        Quote(4700, 20 * SHARE, 5200, 20 * SHARE)
    ]
    await world.run(10)
    assert ("Up", "BUY", 4700, 20) in world.resting()
    assert all(request.post_only for request in world.venue.submitted)
    await world.close()


async def test_a_store_that_is_away_stops_placing_and_nothing_else():
    world = World(Scripted(on_timer=lambda view: [BUY_UP]))
    await world.open()
    world.wire.fail("order_signed", Fault.STORE_LOST, Fault.STORE_LOST)
    await world.run(2)
    assert world.venue.submitted == []
    await world.run(8)
    assert len(world.venue.submitted) >= 1
    assert not world.window.done()
    world.assert_books_agree()
    await world.close()


async def test_order_after_order_refused_holds_the_market_for_a_while():
    """A post-only order that would cross is refused by the venue every time."""
    crossing = Place(Outcome.UP, Side.BUY, 5000, 10 * SHARE, tif=TimeInForce.GTC, post_only=True)
    world = World(Scripted(on_timer=lambda view: [crossing]))
    await world.open()
    await world.run(60)
    assert 5 <= len(world.venue.submitted) <= 30
    assert "rejected" in world.refusals()
    await world.close()


async def test_a_lost_lease_ends_the_windows_and_sends_nothing_more():
    world = World(Scripted(on_timer=lambda view: [BUY_UP]))
    await world.open()
    FakeJournal(world.store, world.wire)  # another session takes the lease
    await world.run(2)
    assert world.venue.submitted == []
    with pytest.raises(LeaseLost):
        await world.window
    with pytest.raises(LeaseLost):
        await world.trader.run_window(world.market)
    await world.close()


async def test_after_the_user_channel_comes_back_the_books_are_reconciled():
    world = World(Scripted(on_tick=once(REST)))
    await world.open()
    (order,) = world.trader.orders.open_orders()
    sink, world.venue._sink = world.venue._sink, None
    world.venue.take(world.market, world.market.up_token, Side.SELL, 4500, 200 * SHARE)
    world.venue._sink = sink
    assert world.trader.portfolio.shares_e6(world.market.up_token) == 0
    world.venue.status(Channel.USER, FeedState.UP)
    await world.run(1)
    assert world.trader.portfolio.shares_e6(world.market.up_token) == 10 * SHARE
    assert world.trader.orders.order(order.order_id).open_e6 == 0
    world.assert_books_agree()
    await world.close()


# --- limits over several markets ------------------------------------------------------------


async def test_no_more_markets_at_once_than_allowed():
    others = [
        make_market(0, condition_id=f"0x{n}", up_token=f"{n}u", down_token=f"{n}d")
        for n in range(3)
    ]
    world = World(Scripted(on_tick=lambda view: [BOTH]), *others, max_concurrent_trades=2)
    await world.start()
    world.venue.spot(68_000.0)
    for market in others:
        world.quote(4900, 5000, market)
        world.spawn(world.trader.run_window(market))
    await world.run(5)
    busy = {s.order.condition_id for s in world.venue.exchange.open_orders("ours")}
    assert len(busy) == 2
    await world.close()


async def test_after_the_daily_loss_only_selling_goes_on():
    sell = Place(Outcome.UP, Side.SELL, size_e6=10 * SHARE)
    world = World(Scripted(on_tick=once(BUY_UP)), max_daily_loss_e6=5 * USD)
    await world.open()
    world.quote(500, 600)
    await world.run(6)
    assert world.trader.standing.day_pnl_e6() < -5 * USD
    world.trader._strategy.hooks["on_tick"] = once(BUY_UP, sell)
    await world.run(2)
    assert [r.side for r in world.venue.submitted] == [Side.BUY, Side.SELL]
    assert world.refusals() == ["max_daily_loss"]
    assert "limit $5.00" in world.signals("refused")[0]["reason"]
    told = [text for kind, text, _ in world.posts.posts if kind == "breaker"]
    assert len(told) == 1, "people hear of it once a day"
    assert "max_daily_loss" in told[0]
    await world.close()


async def test_a_new_day_starts_from_nothing_lost():
    world = World(Scripted())
    await world.start()
    world.trader.portfolio.settled_e6 = -50 * USD
    assert world.trader.standing.day_pnl_e6() == -50 * USD
    await world.clock.advance(86_400)
    assert world.trader.standing.day_pnl_e6() == 0
    await world.close()


# --- strikes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settlement", "source", "other"),
    [
        (Settlement.BOUNDARY, SpotSource.CHAINLINK, SpotSource.TWAP_60),
        (Settlement.TWAP_60, SpotSource.TWAP_60, SpotSource.CHAINLINK),
    ],
)
async def test_the_strike_is_seen_in_the_settlement_feed_at_the_start(settlement, source, other):
    world = World(Scripted(), make_market(0, settlement=settlement), at_s=-5)
    await world.start()
    world.spawn(world.trader.run_window(world.market))
    for second in range(8):
        world.venue.spot(68_000.0 + second, source)
        world.venue.spot(1.0, other)
        await world.clock.advance(1)
    view = world.trader._data.states[world.market.condition_id].view
    assert view.strike == 68_005.0, "the tick at the start second"
    assert world.signals("strike") == [{"strike_e8": 68_005 * SPOT_USD, "source": "feed"}]
    await world.close()


async def test_the_venues_strike_wins_once_it_is_known():
    world = World(Scripted())
    await world.open()
    assert world.trader._data.states["0xm0"].view.strike == 68_000.0
    world.venue.strikes["0xm0"] = 68_123 * SPOT_USD
    await world.run(6)
    assert world.trader._data.states["0xm0"].view.strike == 68_123.0
    assert [s["source"] for s in world.signals("strike")] == ["feed", "venue"]
    await world.close()


# --- restarting -----------------------------------------------------------------------------


async def test_a_successor_goes_on_where_the_last_session_was_killed():
    first = Scripted(on_tick=once(BUY_UP, REST))
    first.memory = {"entered": 3}
    world = World(first)
    await world.open()
    await world.run(30, spot=68_010.0)
    json.dumps(world.trader.checkpoint())
    await world.journal.checkpoint(world.trader.checkpoint())
    held = world.trader.portfolio.shares_e6(world.market.up_token)
    assert world.resting() == [("Up", "BUY", 4500, 10)]
    # Killed: its tasks just end, nothing is cancelled at the venue.
    world.venue._sink = None
    before = world.trader
    second = Scripted()
    world.boot(second)
    await world.start()
    assert world.resting() == [], "orders nobody wants any more are cancelled"
    assert second.memory == {"entered": 3}
    assert world.trader.portfolio.shares_e6(world.market.up_token) == held
    assert [m.condition_id for m in world.trader.unsettled()] == ["0xm0"]
    world.assert_books_agree()
    world.spawn(world.trader.run_window(world.market))
    world.venue.spot(68_010.0)
    await world.run(3, spot=68_010.0)
    view = world.trader._data.states["0xm0"].view
    assert view.strike == 68_000.0, "seen by the session before"
    assert view.spot_return(30) == 0.0
    assert view.spot_return(33) == pytest.approx(10 / 68_000), "every price is there"
    await before._end_tasks()
    await world.close()


async def test_a_window_that_ended_while_nobody_was_there_is_settled_without_watching_it():
    world = World(Scripted(on_tick=once(BUY_UP)), short())
    await world.open()
    await world.run(10)
    await world.close()
    world.venue.watched.clear()
    await world.clock.advance(120)
    world.venue.resolve(world.market, Outcome.DOWN)
    world.boot(Scripted())
    await world.start()
    (brought,) = world.trader.unsettled()
    settling = world.spawn(world.trader.settle(brought))
    await world.run(10)
    assert settling.result().winner == "Down"
    assert world.trader.unsettled() == ()
    assert world.venue.watched == set()
    assert world.trader.portfolio.cash_e6 == world.venue.exchange.balance("ours").cash_e6
    await world.close()


async def test_a_checkpoint_that_can_not_be_read_is_left_behind_and_told():
    world = World(Scripted())
    world.store.checkpoint = {"strategy": {"a": 1}, "prices": ["nonsense"], "desk": {"count": 1}}
    world.trader._strategy.restore = boom
    await world.open()
    kinds = [kind for kind, _ in world.store.events]
    assert "checkpoint_not_restored" in kinds
    await world.run(2)
    assert not world.window.done()
    await world.close()


async def test_stopping_cancels_checkpoints_and_may_be_asked_twice():
    strategy = Scripted(on_tick=lambda view: [BOTH])
    strategy.memory = {"kept": True}
    world = World(strategy)
    await world.open()
    assert len(world.resting()) == 2
    await world.close()
    assert world.resting() == []
    assert world.window.done()
    assert strategy.calls[-1][0] == "on_stop"
    assert world.store.checkpoint["strategy"] == {"kept": True}
    assert world.store.checkpoint["prices"][0][:2] == ["BTC", "chainlink"]
    await world.trader.stop("again")
    assert [kind for kind, _ in world.store.events].count("trader_stopped") == 1
    await world.trader.run_window(world.market)
    assert world.resting() == []


async def test_winding_down_ends_windows_before_their_time():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    world.trader.wind_down()
    await world.clock.drain()
    assert world.window.done()
    assert world.resting() == []
    await world.close()


async def test_a_start_that_fails_leaves_nothing_running():
    world = World(Scripted())

    async def refuse(sink):
        raise VenueUnavailable("no feed", "disabled")

    world.trader._feed.start = refuse
    with pytest.raises(VenueUnavailable):
        await world.start()
    assert world.trader._tasks == set()


async def test_facts_tell_health_and_standing():
    world = World(Scripted(on_tick=once(BUY_UP)))
    await world.open()
    await world.run(5)
    facts = world.trader.facts()
    json.dumps(facts)
    assert facts["last_loop_ns"] == (START_S + 5) * SECOND_NS
    assert facts["ticks"] == world.trader.ticks >= 5
    assert facts["decisions"] == 1
    assert facts["orders_placed"] == 1
    assert facts["windows"] == [world.market.slug]
    assert facts["equity_e6"] == CASH_E6 + facts["day_pnl_e6"]
    await world.close()


async def test_two_windows_of_one_market_at_once_are_refused():
    world = World(Scripted())
    await world.open()
    with pytest.raises(ValueError, match="being traded already"):
        await world.trader.run_window(world.market)
    await world.close()
