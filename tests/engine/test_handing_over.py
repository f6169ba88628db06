"""Orders that stay in the book from one session to the next, and what goes on with them."""

import json
from dataclasses import replace

import pytest
from fakes.journal import FakeJournal
from traders.world import Scripted, World, make_market

from engine.trader import TraderSettings
from models.errors import VenueUnknown
from models.execution import Algo
from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.units import SECOND_NS, SHARE, USD
from strategies import library
from strategies.base import Execute, Place, Protect, Quote, Target

BOTH = Quote(4800, 20 * SHARE, 5100, 20 * SHARE)
REST = Place(Outcome.UP, Side.BUY, 4500, 10 * SHARE, tif=TimeInForce.GTC, post_only=True)
BUY_UP = Place(Outcome.UP, Side.BUY, budget_e6=10 * USD)


def once(*intents):
    left = [list(intents)]
    return lambda *_: left.pop() if left else None


async def hand_over(world: World, successor, gap_s: float = 0.0) -> None:
    """Stop with orders kept, and start the next session in the middle of the window."""
    stopping = world.spawn(world.trader.stop("handed over", keep_orders=True))
    await world.clock.drain()
    assert stopping.done(), "there is nothing to wait for"
    assert world.window.done()
    world.store.checkpoint = json.loads(json.dumps(world.store.checkpoint))
    await world.clock.advance(gap_s)
    world.boot(successor)
    await world.trader.start(keep_orders=True)
    world.window = world.spawn(world.trader.run_window(world.market))
    await world.clock.drain()


async def test_quotes_stand_through_a_hand_over_and_are_not_doubled():
    first = Scripted(on_tick=lambda view: [BOTH])
    world = World(first)
    await world.open()
    await world.run(10)
    ids = {s.order.order_id for s in world.venue.exchange.open_orders("ours")}
    sent = len(world.venue.submitted)
    second = Scripted(on_tick=lambda view: [BOTH])
    await hand_over(world, second, gap_s=1.0)
    await world.run(10)
    assert {s.order.order_id for s in world.venue.exchange.open_orders("ours")} == ids
    assert len(world.venue.submitted) == sent
    assert first.times("on_stop") == [], "the window is not over for the strategy"
    assert second.times("on_start") == [11.0]
    assert "orders_adopted" in [kind for kind, _ in world.store.events]
    world.assert_books_agree()
    await world.close()
    assert world.resting() == []


async def test_the_market_maker_goes_on_with_its_quotes():
    world = World(library.create("market-maker", {}))
    await world.open()
    await world.run(30)
    before = world.resting()
    assert len(before) == 2
    sent = len(world.venue.submitted)
    await hand_over(world, library.create("market-maker", {}), gap_s=0.7)
    await world.run(5)
    assert world.resting() == before
    assert len(world.venue.submitted) == sent
    await world.close()


async def test_orders_wait_for_the_first_book_instead_of_being_pulled_for_stale_data():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    await world.run(10)
    snapshot, late = world.venue.snapshot, []
    world.venue.snapshot = late.append
    await hand_over(world, Scripted(on_tick=lambda view: [BOTH]))
    await world.run(1.5, step=0.5)
    assert len(world.resting()) == 2
    assert not world.trader._strategy.times("on_start"), "nobody is asked without a book"
    world.venue.snapshot = snapshot
    snapshot(world.market)
    await world.run(2)
    assert len(world.resting()) == 2
    assert world.trader._strategy.times("on_start") == [11.5]
    await world.close()


@pytest.mark.parametrize(("gap_s", "stand_s"), [(0.5, 5.0), (2.5, 3.5), (5.75, 0.25)])
async def test_orders_nobody_can_judge_go_after_five_seconds_or_with_the_last_price(gap_s, stand_s):
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    await world.run(10)
    world.venue.snapshot = lambda market: None
    await hand_over(world, Scripted(on_tick=lambda view: [BOTH]), gap_s)
    await world.clock.advance(stand_s - 0.1)
    assert len(world.resting()) == 2
    await world.clock.advance(0.2)
    assert world.resting() == []
    await world.close()


async def test_orders_of_markets_nobody_trades_any_more_are_cancelled():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    await world.run(5)
    world.spawn(world.trader.stop("handed over", keep_orders=True))
    await world.clock.drain()
    world.boot(Scripted())
    await world.trader.start(keep_orders=True)
    await world.run(9)
    assert len(world.resting()) == 2
    await world.run(2)
    assert world.resting() == []
    await world.close()


async def test_orders_of_a_market_that_is_over_are_cancelled_at_once():
    market = make_market(end_ns=make_market().start_ns + 60 * SECOND_NS)
    world = World(Scripted(on_tick=lambda view: [BOTH]), market)
    await world.open()
    await world.run(50)
    world.spawn(world.trader.stop("handed over", keep_orders=True))
    await world.clock.drain()
    assert len(world.resting()) == 2
    await world.clock.advance(30)
    world.boot(Scripted())
    await world.trader.start(keep_orders=True)
    assert world.resting() == []
    await world.close()


@pytest.mark.parametrize("trouble", ["away", "stranger"])
async def test_where_the_books_are_not_certain_everything_is_cancelled(trouble):
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    await world.run(5)
    world.spawn(world.trader.stop("handed over", keep_orders=True))
    await world.clock.drain()
    if trouble == "stranger":
        for order_id in list(world.store.orders)[:1]:
            del world.store.orders[order_id]
        world.boot(Scripted())
        await world.trader.start(keep_orders=True)
    else:
        world.boot(Scripted())
        asked, open_orders = [], world.venue.open_orders

        async def away(*_):
            asked.append(1)
            raise VenueUnknown("no answer")

        world.venue.open_orders = away
        await world.trader.start(keep_orders=True)
        world.venue.open_orders = open_orders
        assert asked
    assert world.resting() == []
    await world.close()


async def test_a_start_that_is_not_told_to_keep_cancels():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    world.spawn(world.trader.stop("handed over", keep_orders=True))
    await world.clock.drain()
    assert len(world.resting()) == 2
    world.boot(Scripted())
    await world.trader.start()
    assert world.resting() == []
    await world.close()


async def test_guards_executions_and_targets_go_on_with_what_stands():
    berg = Execute(Algo.ICEBERG, Outcome.DOWN, Side.BUY, 40 * SHARE, 2500, show_e6=10 * SHARE)
    first = Scripted(on_tick=once(BUY_UP, Protect(Outcome.UP, trail_bps=2000), berg))
    world = World(first)
    await world.open()
    await world.run(3)
    world.quote(6900, 7000)
    await world.run(3)
    assert world.resting() == [("Down", "BUY", 2500, 10)]
    sent = len(world.venue.submitted)
    await hand_over(world, Scripted(), gap_s=0.5)
    world.venue.spot(68_000.0)
    await world.run(5)
    assert world.resting() == [("Down", "BUY", 2500, 10)], "one slice, the same"
    assert len(world.venue.submitted) == sent
    world.venue.take(world.market, world.market.down_token, Side.SELL, 2500, 10 * SHARE)
    await world.run(3)
    assert world.resting() == [("Down", "BUY", 2500, 10)], "the next slice"
    world.quote(5400, 5500)
    await world.run(3)
    up = world.market.up_token
    assert world.trader.portfolio.shares_e6(up) == 0, "a fifth below the high seen before"
    world.assert_books_agree()
    await world.close()


async def test_a_target_is_not_bought_twice():
    aim = Target(Outcome.UP, 20 * SHARE, price_e4=4700, tif=TimeInForce.GTC)
    world = World(Scripted(on_tick=lambda view: [aim]))
    await world.open()
    await world.run(5)
    before, sent = world.resting(), len(world.venue.submitted)
    assert before
    await hand_over(world, Scripted(on_tick=lambda view: [aim]), gap_s=0.5)
    await world.run(5)
    assert world.resting() == before
    assert len(world.venue.submitted) == sent
    await world.close()


async def test_a_fill_while_nobody_was_there_is_found_and_made_up_for():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    await world.run(5)
    world.spawn(world.trader.stop("handed over", keep_orders=True))
    await world.clock.drain()
    world.venue.take(world.market, world.market.up_token, Side.SELL, 4800, 110 * SHARE)
    await world.clock.advance(1)
    world.boot(Scripted(on_tick=lambda view: [BOTH]))
    await world.trader.start(keep_orders=True)
    assert world.trader.portfolio.shares_e6(world.market.up_token) == 10 * SHARE
    world.spawn(world.trader.run_window(world.market))
    world.venue.spot(68_000.0)
    world.quote(4900, 5000)
    await world.run(3)
    sizes = {price: size for _, _, price, size in world.resting()}
    assert sum(size for _, _, price, size in world.resting() if price == 4800) == 20, sizes
    world.assert_books_agree()
    await world.close()


class Counts(Scripted):
    """Counts its fills, and remembers how many there were."""

    def on_fill(self, view, fill):
        self.memory["shares"] = self.memory.get("shares", 0) + fill.size_e6 // SHARE
        return super().on_fill(view, fill)


@pytest.mark.parametrize("kept", ["before", "after"])
async def test_every_fill_is_told_once_whenever_the_session_died(kept):
    """Filled before the checkpoint, after it, and while nobody was there."""
    world = World(Counts(on_tick=once(REST)))
    await world.open()
    await world.run(2)

    def take(shares: int) -> None:
        world.venue.take(world.market, world.market.up_token, Side.SELL, 4500, shares * SHARE)

    take(103)
    await world.run(2)
    checkpoint = json.loads(json.dumps(world.trader.checkpoint()))
    assert checkpoint["strategy"] == {"shares": 3}
    take(2)
    await world.run(2)
    if kept == "after":
        checkpoint = json.loads(json.dumps(world.trader.checkpoint()))
    before = world.trader
    before.wind_down(keep_orders=True)
    await world.clock.drain()
    world.venue._sink = None
    take(1)
    world.store.checkpoint = checkpoint
    world.boot(Counts())
    await world.trader.start(keep_orders=True)
    world.spawn(world.trader.run_window(world.market))
    world.venue.spot(68_000.0)
    await world.run(2)
    assert world.trader._strategy.memory["shares"] == 6
    assert len(world.trader._strategy.times("on_fill")) == (1 if kept == "after" else 2)
    await before._end_tasks()
    await world.close()


async def test_news_nobody_had_heard_are_told_before_the_hand_over():
    strategy = Scripted(on_tick=once(REST))
    world = World(strategy)
    await world.open()
    await world.run(2)
    world.venue.take(world.market, world.market.up_token, Side.SELL, 4500, 105 * SHARE)
    await world.trader.orders.work_off()
    stopping = world.spawn(world.trader.stop("handed over", keep_orders=True))
    await world.clock.drain()
    assert stopping.done()
    assert len(strategy.times("on_fill")) == 1
    await world.clock.advance(1)
    await world.close()


async def test_a_lost_lease_keeps_nothing_back():
    """Fenced off in the middle of a hand-over: the successor has the orders, this one is silent."""
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    await world.run(3)
    FakeJournal(world.store, world.wire)
    stopping = world.spawn(world.trader.stop("handed over", keep_orders=True))
    await world.run(1)
    assert stopping.done()
    assert len(world.resting()) == 2
    await world.close()


async def test_a_checkpoint_hands_on_what_was_brought_and_never_opened():
    """A session that dies before its first window must not lose what it was given."""
    world = World(library.create("mean-reversion", {}))
    await world.open()
    await world.run(20)
    world.spawn(world.trader.stop("handed over", keep_orders=True))
    await world.clock.drain()
    first = json.loads(json.dumps(world.store.checkpoint))
    assert first["windows"]["0xm0"]
    world.boot(library.create("mean-reversion", {}))
    await world.trader.start(keep_orders=True)
    again = json.loads(json.dumps(world.trader.checkpoint()))
    for part in ("windows", "strikes", "prices", "strategy", "desk"):
        assert again[part] == first[part], part
    assert again["indicators"] == first["indicators"]
    await world.clock.advance(901)
    assert world.trader.checkpoint()["windows"] == {}, "windows that are over are let go"
    await world.close()


async def test_prices_others_saw_meanwhile_fill_the_gap():
    world = World(library.create("mean-reversion", {}))
    await world.open()
    await world.run(20)
    await world.close()
    last_ns = world.trader._data.history("BTC", "chainlink").last_ns
    await world.clock.advance(120)
    rows = [("BTC", "chainlink", last_ns + s * SECOND_NS, 68_000_00000000 + s) for s in range(121)]
    rows += [("BTC", "unheard-of", last_ns, 1), ("ETH", "twap60", last_ns, 2)]
    world.boot(library.create("mean-reversion", {}))
    load = world.journal.load

    async def with_prices():
        return replace(await load(), spot=tuple(rows))

    world.journal.load = with_prices
    await world.trader.start()
    data = world.trader._data
    history = data.history("BTC", "chainlink")
    assert history.last_e8 == 68_000_00000120
    assert history.change(world.clock.now_ns(), 60) is not None
    assert data.spot_heard_ns()["BTC"] <= last_ns, "old prices make nothing fresh"
    assert len(data.history("ETH", "twap60")) == 0, "an asset it does not trade"
    await world.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        {"windows": {"0xm0": {"next_tick_ns": "soon"}}},
        {"windows": {"0xm0": 7}},
        {"windows": 7},
        {"prices": [["BTC", "chainlink", {"rows": 2}]]},
        {"prices": [["BTC", "nobody", {"rows": 0}]]},
        {"spot_heard_ns": {"BTC": None}},
        {"indicators": [1]},
        {"at_ns": "now"},
        {"strategy": [1]},
        {"desk": 7},
    ],
    ids=repr,
)
async def test_nonsense_in_a_checkpoint_is_told_and_trading_begins(nonsense):
    world = World(library.create("mean-reversion", {}))
    world.store.checkpoint = nonsense
    await world.open()
    await world.run(2)
    assert not world.window.done()
    assert "checkpoint_not_restored" in [kind for kind, _ in world.store.events]
    await world.close()


@pytest.mark.parametrize("part", ["count", "sender", "guards", "sent_ns"])
async def test_a_spoilt_desk_in_a_checkpoint_is_told_and_costs_nothing_else(part):
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    await world.close()
    world.store.checkpoint["desk"].pop(part)
    world.boot(Scripted(on_tick=lambda view: [BOTH]))
    world.spawn(world.trader.start())
    await world.clock.drain()
    told = [detail for kind, detail in world.store.events if kind == "checkpoint_not_restored"]
    assert "desk" in told[-1]["reason"]
    await world.close()


async def test_the_revision_grows_with_everything_that_matters():
    world = World(Scripted(), settings=TraderSettings(quit_before_end_s=0.5))
    seen = [world.trader.revision]

    def grew() -> bool:
        seen.append(world.trader.revision)
        return seen[-1] > seen[-2]

    await world.open()
    assert grew(), "a window began"
    await world.run(5)
    assert not grew(), "nothing happened"
    world.trader._strategy.hooks["on_tick"] = once(REST)
    await world.run(2)
    assert grew(), "a decision"
    world.venue.take(world.market, world.market.up_token, Side.SELL, 4500, 104 * SHARE)
    await world.run(2)
    assert grew(), "a fill"
    await world.trader.orders.cancel_all()
    await world.run(1)
    assert grew(), "an order ended"
    world.spawn(world.trader.suspend("lease", "in doubt"))
    await world.clock.drain()
    assert grew(), "suspended"
    world.trader.resume("lease")
    assert grew(), "resumed"
    await world.run(2)
    world.trader.wind_down()
    await world.clock.drain()
    assert grew(), "a window ended"
    await world.close()


class BuysOnce(Scripted):
    """Remembers that it has bought, as momentum and mean reversion do."""

    def on_tick(self, view):
        if view.fresh and not self.memory.get("bought"):
            self.memory["bought"] = True
            return BUY_UP
        return None


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_decision_that_was_carried_out_is_not_made_again(keeps):
    """Killed right after its order left, with no checkpoint since but the decision's own."""
    world = World(BuysOnce())

    def keep() -> None:
        world.store.checkpoint = json.loads(json.dumps(world.trader.checkpoint()))
        assert world.venue.submitted == [], "kept before anything leaves"

    if keeps:
        world.trader._on_decision = keep
    await world.open()
    assert len(world.venue.submitted) == 1
    world.venue._sink = None
    before = world.trader
    before.wind_down(keep_orders=True)
    await world.clock.drain()
    world.boot(BuysOnce())
    await world.trader.start(keep_orders=True)
    world.spawn(world.trader.run_window(world.market))
    await world.run(3)
    assert len(world.venue.submitted) == (1 if keeps else 2)
    await before._end_tasks()
    await world.close()


async def test_quotes_need_no_checkpoint_of_their_own():
    world, kept = World(Scripted(on_tick=lambda view: [BOTH])), []
    world.trader._on_decision = lambda: kept.append(1)
    await world.open()
    await world.run(5)
    assert len(world.resting()) == 2
    assert kept == []
    await world.close()
