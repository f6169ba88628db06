"""The background work on a real event loop and a real clock, with short times."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from fakes.floor import Floor
from fakes.wire import Fault
from fakes.words import SHARE, asks, now, place

from engine.clock import SystemClock
from engine.orders import OrderSettings
from models.errors import LeaseLost
from models.orders import OrderState, TimeInForce

S = OrderState
QUICK = OrderSettings(
    settle_s=0.3,
    ask_first_s=0.02,
    ask_most_s=0.1,
    heartbeat_s=0.05,
    reconcile_s=0.5,
    store_retry_s=0.02,
)


def real_floor(settings: OrderSettings = QUICK) -> Floor:
    return Floor(settings=settings, clock=SystemClock())


@asynccontextmanager
async def running(floor: Floor) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(floor.orders.run())
    await asyncio.sleep(0)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something holds; the time only bounds a failure."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.005)


async def test_news_reach_books_and_journal_without_anybody_waiting() -> None:
    floor = real_floor()
    async with running(floor):
        order = await place(floor)
        floor.venue.hit(order.order_id, 10 * SHARE)
        floor.deliver()
        await until(lambda: now(floor, order).state is S.FILLED)
        await until(lambda: floor.store.orders[order.order_id].state is S.FILLED)
    floor.assert_agreed()


async def test_unanswered_orders_are_resolved() -> None:
    floor = real_floor(replace(QUICK, reconcile_s=100))
    floor.wire.fail("submit", Fault.TIMEOUT, Fault.LOST)
    async with running(floor):
        found, lost = await place(floor, "i1"), await place(floor, "i2")
        assert (found.state, lost.state) == (S.UNKNOWN, S.UNKNOWN)
        await until(lambda: now(floor, found).state is S.LIVE)
        await until(lambda: now(floor, lost).state is S.REJECTED)
        await until(lambda: floor.store.orders[lost.order_id].state is S.REJECTED)
    floor.assert_agreed()


async def test_lost_news_are_found_by_the_periodic_reconciliation() -> None:
    floor = real_floor()
    async with running(floor):
        order = await place(floor)
        floor.venue.hit(order.order_id, 4 * SHARE)
        floor.venue.news.clear()
        await until(lambda: now(floor, order).filled_e6 == 4 * SHARE)


async def test_taker_order_without_news_is_filled_by_asking_soon() -> None:
    floor = real_floor(OrderSettings(ask_first_s=0.02, reconcile_s=100))
    asks(floor, 4000)
    async with running(floor):
        order = await place(floor, tif=TimeInForce.FAK)
        assert order.state is S.PARTIAL
        await until(lambda: now(floor, order).state is S.FILLED)


async def test_heartbeats_flow_while_an_order_is_open() -> None:
    floor = real_floor()
    async with running(floor):
        await asyncio.sleep(0.15)
        assert "heartbeat" not in floor.wire.calls
        await place(floor)
        await until(lambda: floor.wire.calls.count("heartbeat") >= 3)
        floor.wire.fail("heartbeat", Fault.LOST)
        before = floor.wire.calls.count("heartbeat")
        await until(lambda: floor.wire.calls.count("heartbeat") >= before + 3)


async def test_slow_journal_holds_nobody_up() -> None:
    floor = real_floor()
    floor.wire.fail("order_changed", *[Fault.STORE_LOST] * 5)
    async with running(floor):
        order = await place(floor)
        assert order.state is S.LIVE
        await until(lambda: floor.store.orders[order.order_id].state is S.LIVE)
    states = floor.store.states[order.order_id]
    assert states == [S.SIGNED, S.SENT, S.LIVE]


async def test_what_is_unwritten_is_written_when_the_run_ends() -> None:
    floor = real_floor()
    async with running(floor) as run:
        order = await place(floor)
        await floor.orders.cancel([order.order_id])
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert floor.store.orders[order.order_id].state is S.CANCELLED
    floor.assert_agreed()


async def test_lost_lease_ends_the_run_and_everything_after_it() -> None:
    floor = real_floor()
    async with running(floor) as run:
        order = await place(floor)
        await until(lambda: floor.store.orders[order.order_id].state is S.LIVE)
        floor.store.token += 1
        floor.venue.hit(order.order_id, 10 * SHARE)
        floor.deliver()
        with pytest.raises(LeaseLost):
            await asyncio.wait_for(run, 10)
    calls = len(floor.wire.calls)
    with pytest.raises(LeaseLost):
        await place(floor, "i2")
    assert len(floor.wire.calls) == calls


async def test_defect_in_a_loop_is_raised_and_ends_the_others() -> None:
    floor = real_floor()
    floor.wire.fail("heartbeat", Fault.BUG)
    async with running(floor) as run:
        await place(floor)
        with pytest.raises(KeyError):
            await asyncio.wait_for(run, 10)


async def test_heavy_trading_under_faults_ends_in_agreement() -> None:
    floor = real_floor()
    faults = [Fault.TIMEOUT, Fault.LOST, Fault.UNAVAILABLE]
    async with running(floor):
        for number in range(60):
            if number % 7 == 0:
                floor.wire.fail("submit", faults[number % 2])
                floor.wire.fail("cancel", faults[number % 3])
            order = await place(floor, f"i{number}")
            if number % 3 == 0 and order.order_id in floor.venue.orders:
                floor.venue.hit(order.order_id, (1 + number % 10) * SHARE)
            if number % 2:
                await floor.orders.cancel([order.order_id])
            if number % 5:
                floor.deliver()
        await floor.orders.cancel_all()
        await until(lambda: not floor.orders.open_orders())
        floor.deliver()
        await floor.orders.reconcile()
        await until(lambda: not floor.orders.open_orders())
        await floor.orders.flush()
        floor.assert_agreed()
