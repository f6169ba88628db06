"""Clocks that wait: the manual one rings in order, each alarm at its own time."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from engine.clock import ManualClock, SystemClock, wait_for
from models.units import SECOND_NS


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(0, 60))
def test_alarms_ring_in_order_each_at_its_own_time(delays, until):
    async def run():
        clock, rung = ManualClock(1_000), []
        for delay in delays:
            clock.call_at(1_000 + delay, lambda: rung.append(clock.now_ns()))
        await clock.advance_to(1_000 + until)
        return rung, clock.now_ns()

    rung, now = asyncio.run(run())
    assert rung == sorted(1_000 + delay for delay in delays if delay <= until)
    assert now == 1_000 + until


async def test_sleepers_wake_when_time_passes_and_cancelled_alarms_do_not_ring():
    clock, woken = ManualClock(0), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.now_ns()))

    tasks = [asyncio.create_task(sleeper(s)) for s in (2, 1, 0)]
    clock.call_at(SECOND_NS, lambda: woken.append("cancelled")).cancel()
    await clock.advance(1.5)
    assert woken == [(0, 0), (1, SECOND_NS)]
    await clock.advance(1)
    assert woken[-1] == (2, 2 * SECOND_NS)
    await asyncio.gather(*tasks)


async def test_waiting_for_an_event_ends_with_it_or_with_patience():
    clock, event = ManualClock(0), asyncio.Event()
    late = asyncio.create_task(wait_for(clock, event, 5))
    await clock.advance(4.9)
    assert not late.done()
    await clock.advance(0.2)
    assert await late is False
    soon = asyncio.create_task(wait_for(clock, event, 5))
    await clock.drain()
    event.set()
    assert await soon is True
    assert await wait_for(clock, event, 0) is True


async def test_the_machines_clock_rings_and_moves():
    clock, event = SystemClock(), asyncio.Event()
    before = clock.now_ns()
    clock.call_at(before + 10_000_000, event.set)
    await asyncio.wait_for(event.wait(), 5)
    await clock.sleep(-1)
    assert clock.now_ns() > before
