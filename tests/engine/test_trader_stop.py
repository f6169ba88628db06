"""Stopping a trader: whatever happens meanwhile, no order stays behind unnoticed."""

import asyncio

import pytest
from traders.world import Scripted, World

from models.errors import VenueUnknown
from models.units import SHARE
from strategies.base import Quote

BOTH = Quote(4800, 20 * SHARE, 5100, 20 * SHARE)


def boom(*_):
    raise RuntimeError("no idea")


async def test_a_stop_whose_caller_is_cancelled_goes_on_to_its_end():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    stopping = asyncio.ensure_future(world.trader.stop("cancelled run"))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    await world.run(2)
    assert world.resting() == []
    await world.trader.stop("again")
    assert [kind for kind, _ in world.store.events].count("trader_stopped") == 1
    assert world.trader._tasks == set()
    await world.close()


async def test_a_stop_waits_until_refused_cancels_went_through():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    world.trader.wind_down()
    cancel, cancel_all = world.venue.cancel, world.venue.cancel_all

    async def lost(*_):
        raise VenueUnknown("no answer")

    world.venue.cancel = world.venue.cancel_all = lost
    await world.clock.drain()
    assert world.window.done()
    assert len(world.resting()) == 2
    stopping = world.spawn(world.trader.stop("session over"))
    await world.run(1)
    assert not stopping.done()
    world.venue.cancel, world.venue.cancel_all = cancel, cancel_all
    # The order manager sleeps by the machine's clock, up to a second at a time.
    for _ in range(30):
        await asyncio.sleep(0.05)
        await world.clock.advance(0.1)
    assert stopping.done()
    assert world.resting() == []
    await world.close()


async def test_a_failing_checkpoint_does_not_keep_a_stop_from_its_end():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    world.trader.checkpoint = boom
    await world.close()
    assert world.resting() == []
    assert world.trader._tasks == set()
    assert [kind for kind, _ in world.store.events][-1] == "trader_stopped"


async def test_a_stop_interrupts_the_pause_after_a_failure():
    world = World(Scripted(on_tick=boom))
    await world.open()
    assert world.window.done()
    again = world.spawn(world.trader.run_window(world.market))
    await world.clock.drain()
    assert not again.done()
    world.trader.wind_down()
    await world.clock.drain()
    assert again.done()
    await world.close()


async def test_a_window_that_was_about_to_begin_does_not_begin_after_the_stop():
    strategy = Scripted(on_tick=lambda view: [BOTH])
    world = World(strategy)
    feed, subscribed = world.trader._feed, asyncio.Event()
    watch = feed.watch

    async def slowly(market):
        await subscribed.wait()
        await watch(market)

    feed.watch = slowly
    await world.open()
    assert not world.window.done()
    await world.trader.stop("halted")
    subscribed.set()
    await world.clock.drain()
    assert world.window.done()
    assert (world.trader.active, strategy.calls) == (0, [])
    await world.close()


async def test_a_market_whose_orders_ended_unfilled_needs_no_settling():
    world = World(Scripted(on_tick=lambda view: [BOTH]))
    await world.open()
    await world.close()
    assert world.store.orders
    world.boot(Scripted())
    await world.start()
    assert [m.slug for m in world.trader._brought] == [world.market.slug]
    assert world.trader.unsettled() == ()
    await world.close()
