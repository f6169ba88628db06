"""One window: when hooks are called, what becomes of intents, how it ends."""

import pytest
from traders.world import Scripted, World, make_market

from engine.trader import TraderSettings
from models.events import Channel, FeedState
from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.units import SHARE, USD
from strategies.base import Cancel, Place, Quote

BUY_UP = Place(Outcome.UP, Side.BUY, budget_e6=10 * USD, reason="test")
BID = Place(Outcome.UP, Side.BUY, 4500, 10 * SHARE, tif=TimeInForce.GTC, post_only=True)
BOTH = Quote(4800, 20 * SHARE, 5100, 20 * SHARE)


def once(*intents):
    """A hook that wants something the first time only."""
    left = [list(intents)]
    return lambda *_: left.pop() if left else None


async def test_hooks_come_in_order_and_the_tick_keeps_its_cadence():
    strategy = Scripted()
    world = World(strategy)
    await world.open()
    for _ in range(10):
        await world.run(0.5, step=0.25)
    assert strategy.calls[0][0] == "on_start"
    assert strategy.times("on_tick") == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert strategy.times("on_timer") == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert world.trader.ticks == 6
    await world.close()


async def test_cadence_zero_ticks_on_every_event_and_rests_without_any():
    strategy = Scripted()
    strategy.cadence_ms = 0
    world = World(strategy)
    await world.open()
    before = world.trader.ticks
    for price in (68_001.0, 68_002.0, 68_003.0):
        world.venue.spot(price)
        await world.clock.drain()
    assert world.trader.ticks == before + 3
    await world.clock.advance(0.9)
    assert world.trader.ticks == before + 3
    await world.close()


async def test_a_window_waits_for_its_start():
    strategy = Scripted()
    world = World(strategy, make_market(1), at_s=895)
    await world.open()
    await world.run(4.5)
    assert strategy.calls == []
    await world.run(1)
    assert strategy.times("on_start") == [900.0]
    await world.close()


async def test_a_crossing_buy_fills_within_its_budget_and_is_told():
    strategy = Scripted(on_tick=once(BUY_UP))
    world = World(strategy)
    await world.open()
    await world.run(1)
    world.assert_books_agree()
    held = world.trader.portfolio.shares_e6(world.market.up_token)
    spent = world.limits.capital_e6 - world.trader.portfolio.cash_e6
    assert held > 18 * SHARE
    assert 9_300_000 < spent <= 10 * USD
    (intent,) = world.signals("intent")
    assert intent["reason"] == "test"
    assert intent["up_ask"] == 0.5
    (fill,) = [news for hook, _, news in strategy.calls if hook == "on_fill"]
    assert fill.size_e6 == held
    assert world.posts.kinds() == ["trade_executed"]
    assert world.posts.posts[0][2]["cash_e6"] == fill.cash_e6
    await world.close()


async def test_a_quote_is_kept_moved_and_pulled_with_as_few_orders_as_can_be():
    wanted = [BOTH]
    world = World(Scripted(on_tick=lambda view: list(wanted)))
    await world.open()
    assert world.resting() == [("Down", "BUY", 4900, 20), ("Up", "BUY", 4800, 20)]
    await world.run(5)
    assert len(world.venue.submitted) == 2, "orders that fit stay"
    wanted[0] = Quote(4800, 20 * SHARE, 5200, 20 * SHARE)
    await world.run(1)
    assert world.resting() == [("Down", "BUY", 4800, 20), ("Up", "BUY", 4800, 20)]
    assert len(world.venue.submitted) == 3
    wanted[0] = Quote(None, 0, None, 0)
    await world.run(1)
    assert world.resting() == []
    world.assert_books_agree()
    await world.close()


async def test_shares_bought_by_the_bid_are_sold_by_the_ask_once_they_are_on_the_chain():
    wanted = [BOTH]
    world = World(Scripted(on_tick=lambda view: list(wanted)))
    await world.open()
    world.venue.take(world.market, world.market.up_token, Side.SELL, 4800, 120 * SHARE)
    await world.clock.drain()
    assert world.trader.portfolio.shares_e6(world.market.up_token) == 20 * SHARE
    world.quote(4900, 5000)
    await world.run(8)
    assert ("Down", "BUY", 4900, 20) in world.resting(), "the ask in place keeps its place"
    world.venue.take(world.market, world.market.up_token, Side.BUY, 5100, 120 * SHARE)
    world.quote(4900, 5000)
    await world.run(8)
    assert ("Up", "SELL", 5100, 20) in world.resting()
    wanted[0] = Quote(4700, 20 * SHARE, 5100, 20 * SHARE)
    await world.run(1)
    assert world.resting() == [("Down", "SELL", 5300, 20), ("Up", "SELL", 5100, 20)]
    world.assert_books_agree()
    await world.close()


@pytest.mark.parametrize(
    ("channel", "state"),
    [(Channel.MARKET, FeedState.DOWN), (Channel.SPOT, FeedState.STALE)],
)
async def test_a_channel_that_fails_pulls_quotes_until_it_is_back(channel, state):
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    assert len(world.resting()) == 2
    world.venue.status(channel, state)
    await world.run(1)
    assert world.resting() == []
    assert not world.trader.facts()["open_orders"]
    world.venue.snapshot(world.market)
    world.venue.status(channel, FeedState.UP)
    await world.run(1)
    assert len(world.resting()) == 2
    await world.close()


async def test_silence_of_the_spot_feed_pulls_quotes_though_nothing_happens():
    world = World(Scripted(on_tick=lambda view: [BOTH]), settings=TraderSettings(max_spot_age_s=3))
    await world.open()
    await world.run(3, spot=None)
    assert len(world.resting()) == 2
    await world.run(2, spot=None)
    assert world.resting() == []
    await world.run(2)
    assert len(world.resting()) == 2
    await world.close()


async def test_nothing_is_placed_on_stale_data():
    world = World(Scripted(on_timer=lambda view: [BUY_UP]))
    await world.start()
    world.spawn(world.trader.run_window(world.market))
    await world.run(3, spot=None)
    assert world.venue.submitted == []
    assert world.refusals() == ["stale"]
    await world.close()


async def test_the_window_ends_before_its_market_and_leaves_no_order():
    strategy = Scripted(on_tick=lambda view: [BOTH], on_stop=lambda view: [BUY_UP])
    world = World(strategy, at_s=880)
    await world.open()
    await world.run(16)
    assert len(world.resting()) == 2
    await world.run(1.5, step=0.5)
    assert world.window.done()
    assert world.window.exception() is None
    assert strategy.times("on_stop") == [897.0]
    assert world.resting() == []
    assert len(world.signals("intent")) == 1, "a last single order is allowed"
    world.assert_books_agree()
    await world.close()


async def test_cancel_ends_one_order_or_all_and_refuses_strangers():
    world = World(Scripted(on_tick=once(BID, Place(Outcome.DOWN, Side.BUY, 4500, 10 * SHARE,
                                                   tif=TimeInForce.GTC)),
                           on_timer=once(Cancel("0xnobody"))))  # fmt: skip
    await world.open()
    first, _second = world.trader.orders.open_orders()
    await world.run(1)
    assert world.refusals() == ["invalid"]
    world.trader._strategy.hooks["on_tick"] = once(Cancel(first.order_id))
    await world.run(1)
    assert world.resting() == [("Down", "BUY", 4500, 10)]
    assert [n.order_id for h, _, n in world.trader._strategy.calls if h == "on_cancel"] == [
        first.order_id
    ]
    world.trader._strategy.hooks["on_tick"] = once(Cancel())
    await world.run(1)
    assert world.resting() == []
    await world.close()


async def test_a_refused_wish_is_noted_once_with_value_and_limit():
    dear = Place(Outcome.UP, Side.BUY, 4900, 50 * SHARE, tif=TimeInForce.GTC)
    world = World(Scripted(on_timer=lambda view: [dear]))
    await world.open()
    await world.run(10)
    assert world.venue.submitted == []
    (refused,) = world.signals("refused")
    assert refused["policy"] == "risk_per_trade"
    assert "limit $20.00" in refused["reason"]
    await world.run(30)
    assert len(world.signals("refused")) == 2, "and again half a minute later"
    await world.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        Place(Outcome.UP, Side.BUY, budget_e6=float("nan")),
        Place(Outcome.UP, Side.BUY, budget_e6="20"),
        Place(Outcome.UP, Side.BUY, "0.5", 5 * SHARE),
        Place("Up", "BUY", 5000, 5 * SHARE),
        Place(None, Side.BUY, 5000, 5 * SHARE),
        Quote("0.5", SHARE, None, 0),
        Quote(4800, None, 5100, 20 * SHARE),
        "BUY",
    ],
)
async def test_nonsense_is_refused_and_the_window_goes_on(nonsense):
    world = World(Scripted(on_tick=once(nonsense)))
    await world.open()
    await world.run(2)
    assert world.refusals() in (["invalid"], ["quote"])
    assert world.venue.submitted == []
    assert not world.window.done()
    await world.close()


async def test_public_trades_reach_the_strategy():
    strategy = Scripted()
    world = World(strategy)
    await world.open()
    world.venue.take(world.market, world.market.up_token, Side.BUY, 5000, 7 * SHARE)
    await world.clock.drain()
    (trade,) = [news for hook, _, news in strategy.calls if hook == "on_trade"]
    assert (trade.side, trade.price_e4, trade.size_e6) == (Side.BUY, 5000, 7 * SHARE)
    await world.close()


async def test_a_finer_tick_is_known_at_once():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    world.quote(9700, 9800)
    await world.clock.drain()
    state = world.trader._data.states[world.market.condition_id]
    assert state.view.market.tick_e4 == 10
    await world.close()
