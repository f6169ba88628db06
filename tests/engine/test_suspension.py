"""Suspended trading: nothing rests, nothing leaves, everything else goes on; then it resumes."""

import asyncio
from dataclasses import replace as changed

import pytest
from traders.world import START_S, Scripted, World, make_market

from engine.suspension import COMPARING
from models.errors import Suspended, VenueUnknown
from models.execution import Algo
from models.markets import Outcome, Side
from models.orders import OrderState, TimeInForce
from models.units import SECOND_NS, SHARE, USD
from strategies.base import Execute, Place, Protect, Quote

BOTH = Quote(4800, 20 * SHARE, 5100, 20 * SHARE)
BUY_UP = Place(Outcome.UP, Side.BUY, budget_e6=10 * USD)
REST = Place(Outcome.UP, Side.BUY, 4500, 10 * SHARE, tif=TimeInForce.GTC, post_only=True)


def once(*intents):
    left = [list(intents)]
    return lambda *_: left.pop() if left else None


async def suspended(world: World, cause: str = "lease", reason: str = "Postgres is away") -> None:
    """Suspend, with as much of the clock's time as that takes."""
    task = world.spawn(world.trader.suspend(cause, reason))
    for _ in range(12):
        await world.clock.drain()
        if task.done():
            break
        await world.clock.advance(0.1)
    await task


def kinds(world: World) -> list[str]:
    return [kind for kind, _ in world.store.events]


async def test_everything_is_cancelled_at_once_and_nothing_new_leaves():
    world = World(Scripted(on_tick=lambda view: [BOTH, BUY_UP]))
    await world.open()
    await world.run(3)
    assert len(world.resting()) == 2
    sent, asked_ns = len(world.venue.submitted), world.clock.now_ns()
    calls = len(world.trader._strategy.calls)
    await suspended(world)
    assert world.clock.now_ns() - asked_ns < SECOND_NS
    assert world.resting() == []
    assert world.trader.facts()["suspended"] == "Postgres is away"
    await world.run(20)
    assert len(world.venue.submitted) == sent
    assert len(world.trader._strategy.calls) == calls, "the strategy is not asked"
    assert world.trader.last_loop_ns == world.clock.now_ns(), "the window's heart beats on"
    assert not world.window.done()
    world.trader.resume("lease")
    await world.run(2)
    assert world.trader.facts()["suspended"] == ""
    assert len(world.resting()) == 2
    assert kinds(world).count("trading_suspended") == kinds(world).count("trading_resumed") == 1
    world.assert_books_agree()
    await world.close()


async def test_nothing_leaves_from_the_very_call_on():
    """An order that is being committed at that moment is withdrawn, not sent."""
    world = World(Scripted(on_tick=once(BUY_UP)))
    committing, go_on = asyncio.Event(), asyncio.Event()
    signed = world.journal.order_signed

    async def slowly(order, market):
        await signed(order, market)
        committing.set()
        await go_on.wait()

    world.journal.order_signed = slowly
    await world.open()
    assert committing.is_set()
    task = world.spawn(world.trader.suspend("lease", "in doubt"))
    await asyncio.sleep(0)
    go_on.set()
    await world.clock.advance(1.5)
    assert task.done()
    assert world.venue.submitted == []
    (order,) = world.store.orders.values()
    assert order.state is OrderState.REJECTED
    assert "not sent" in order.note
    assert world.trader.portfolio.cash_e6 == world.trader.orders.free_cash_e6()
    await world.close()


async def test_trading_goes_on_only_when_the_last_cause_is_gone():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    await suspended(world, "lease", "Postgres is away")
    await suspended(world, "clock", "the clock jumped")
    await suspended(world, "clock", "the clock jumped by 7 s")
    assert world.trader.facts()["suspended"] == "Postgres is away; the clock jumped by 7 s"
    world.trader.resume("lease")
    world.trader.resume("lease")
    world.trader.resume("never heard of")
    await world.run(5)
    assert world.resting() == []
    world.trader.resume("clock")
    await world.run(2)
    assert len(world.resting()) == 2
    await world.close()


async def test_before_it_goes_on_the_books_are_compared_with_the_venue():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    bid = next(o for o in world.trader.orders.open_orders() if o.request.price_e4 == 4800)
    await world.run(2)
    sink, world.venue._sink = world.venue._sink, None
    world.venue.take(world.market, world.market.up_token, Side.SELL, 4800, 120 * SHARE)
    world.venue._sink = sink
    open_orders, answers = world.venue.open_orders, []

    async def away(*_):
        answers.append("away")
        raise VenueUnknown("no answer")

    world.venue.open_orders = away
    await suspended(world)
    world.trader.resume("lease")
    await world.run(3)
    assert len(answers) >= 2
    assert world.trader.facts()["suspended"] == COMPARING
    assert world.resting() == []
    world.venue.open_orders = open_orders
    await world.run(3)
    assert world.trader.facts()["suspended"] == ""
    assert world.trader.orders.order(bid.order_id).filled_e6 == 20 * SHARE
    world.assert_books_agree()
    await world.close()


async def test_cancels_are_sent_again_until_the_venue_confirms_them():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    cancel, cancel_all = world.venue.cancel, world.venue.cancel_all

    async def lost(*_):
        raise VenueUnknown("no answer")

    world.venue.cancel = world.venue.cancel_all = lost
    began_ns = world.clock.now_ns()
    await suspended(world)
    assert 0.9 * SECOND_NS <= world.clock.now_ns() - began_ns <= 1.1 * SECOND_NS
    assert len(world.resting()) == 2
    world.venue.cancel, world.venue.cancel_all = cancel, cancel_all
    await world.run(1)
    assert world.resting() == []
    await world.close()


async def test_fills_are_taken_and_the_strategy_hears_of_them_afterwards():
    strategy = Scripted(on_tick=once(REST))
    world = World(strategy)
    await world.open()
    await world.run(2)
    cancel, cancel_all = world.venue.cancel, world.venue.cancel_all

    async def lost(*_):
        raise VenueUnknown("no answer")

    world.venue.cancel = world.venue.cancel_all = lost
    await suspended(world)
    world.venue.take(world.market, world.market.up_token, Side.SELL, 4500, 105 * SHARE)
    world.venue.cancel, world.venue.cancel_all = cancel, cancel_all
    await world.run(5)
    assert world.trader.portfolio.shares_e6(world.market.up_token) > 0
    assert world.store.fills
    assert strategy.times("on_fill") == []
    heard = len(strategy.times("on_trade"))
    world.trader.resume("lease")
    await world.run(3)
    assert len(strategy.times("on_fill")) == 1
    assert len(strategy.times("on_trade")) == heard, "public trades of that time are not told"
    world.assert_books_agree()
    await world.close()


async def test_guards_and_executions_stand_still_and_act_afterwards():
    strategy = Scripted(
        on_tick=once(
            BUY_UP,
            Protect(Outcome.UP, stop_loss_e4=3000),
            Execute(Algo.ICEBERG, Outcome.DOWN, Side.BUY, 40 * SHARE, 4000, show_e6=10 * SHARE),
        )
    )
    world = World(strategy)
    await world.open()
    await world.run(3)
    held = world.trader.portfolio.shares_e6(world.market.up_token)
    assert held > 0
    sent = len(world.venue.submitted)
    await suspended(world)
    world.quote(2500, 2600)
    await world.run(15)
    assert len(world.venue.submitted) == sent
    assert [c.state.value for c in world.store.conditions.values()] == ["armed"]
    assert world.resting() == []
    assert len(world.trader._desk.executions.working("0xm0")) == 1
    world.trader.resume("lease")
    await world.run(5)
    assert world.trader.portfolio.shares_e6(world.market.up_token) == 0, "the stop-loss sold"
    assert world.resting() == [("Down", "BUY", 4000, 10)], "the next slice of the iceberg"
    await world.close()


async def test_windows_end_and_begin_while_nothing_is_traded():
    def short(number):
        start_ns = (START_S + 60 * number) * SECOND_NS
        return make_market(number, start_ns=start_ns, end_ns=start_ns + 60 * SECOND_NS)

    strategy = Scripted(on_tick=lambda view: [BOTH])
    world = World(strategy, short(0), short(1))
    await world.open()
    await world.run(10)
    await suspended(world)
    await world.run(51)
    assert world.window.done()
    assert strategy.times("on_stop") == []
    world.quote(4900, 5000, world.markets[1])
    second = world.spawn(world.trader.run_window(world.markets[1]))
    await world.run(10)
    assert len(strategy.times("on_start")) == 1
    world.trader.resume("lease")
    await world.run(3)
    assert len(strategy.times("on_start")) == 2
    assert len(world.resting()) == 2
    assert not second.done()
    await world.close()


async def test_a_trader_that_is_suspended_before_it_starts_starts_suspended():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.trader.suspend("clock", "the clock is wrong")
    await world.open()
    await world.run(5)
    assert world.venue.submitted == []
    world.trader.resume("clock")
    await world.run(2)
    assert len(world.resting()) == 2
    await world.close()


async def test_a_cause_that_comes_and_goes_before_the_start_leaves_nothing():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.trader.suspend("clock", "the clock is wrong")
    world.trader.resume("clock")
    assert kinds(world)[-1] == "trading_resumed"
    await world.open()
    await world.run(1)
    assert len(world.resting()) == 2
    await world.close()


async def test_a_suspended_trader_stops_and_keeps_no_orders():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    await suspended(world)
    stopping = world.spawn(world.trader.stop("handed over", keep_orders=True))
    await world.run(2)
    assert stopping.done()
    await suspended(world, "lease", "again")
    world.trader.resume("lease")
    await world.run(2)
    assert world.resting() == []
    assert world.trader._tasks == set()


async def test_suspending_while_it_goes_on_again_holds():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    await suspended(world)
    world.trader.resume("lease")
    await suspended(world, "clock", "jumped")
    await world.run(5)
    assert world.resting() == []
    assert world.trader.facts()["suspended"] == "jumped"
    await world.close()


@pytest.mark.parametrize("replace", [False, True])
async def test_the_order_manager_itself_refuses(replace):
    world = World(Scripted(on_tick=once(REST)))
    await world.open()
    (order,) = world.trader.orders.open_orders()
    orders = world.trader.orders
    orders.hold("no reason")
    wish = changed(order.request, intent_id="anna-2")
    with pytest.raises(Suspended, match="no reason"):
        if replace:
            await orders.replace(order.order_id, wish, world.market)
        else:
            await orders.place(wish, world.market)
    assert len(world.venue.submitted) == 1
    assert len(world.resting()) == 1
    await world.close()
