"""What an order manager does all the time, in loops that wake when there is something to do."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from engine.order_doubts import Doubts
from engine.order_pulse import Pulse
from engine.ports import Clock
from models.errors import StoreUnavailable
from models.units import SECOND_NS

log = structlog.get_logger(__name__)

_IDLE_S = 1.0
"""Longest sleep of the loop that tends to doubts and reconciliations."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What wakes the loops: news came, rows wait, an order changed, an order is being sent."""

    heard: asyncio.Event = field(default_factory=asyncio.Event)
    write: asyncio.Event = field(default_factory=asyncio.Event)
    tend: asyncio.Event = field(default_factory=asyncio.Event)
    beat: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class OrderLoops:
    """Four loops, apart from each other so that a slow venue or store holds up only its own."""

    signals: Signals
    pulse: Pulse
    doubts: Doubts
    clock: Clock
    store_retry_s: float

    async def run(
        self,
        *,
        absorb: Callable[[], None],
        flush: Callable[[], Awaitable[None]],
        tend: Callable[[], Awaitable[None]],
        wants_beat: Callable[[], bool],
    ) -> None:
        """Run until cancelled, or until one loop fails: its error is raised."""
        await _until_one_fails(
            [self._hear(absorb), self._write(flush), self._tend(tend), self._beat(wants_beat)]
        )

    async def _hear(self, absorb: Callable[[], None]) -> None:
        while True:
            await self.signals.heard.wait()
            self.signals.heard.clear()
            absorb()
            self.signals.write.set()
            self.signals.tend.set()

    async def _write(self, flush: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await flush()
            except StoreUnavailable as error:
                log.warning("journal_waits", error=str(error))
                await asyncio.sleep(self.store_retry_s)
                continue
            await self.signals.write.wait()
            self.signals.write.clear()

    async def _tend(self, tend: Callable[[], Awaitable[None]]) -> None:
        while True:
            await tend()
            self.signals.write.set()
            due_ns = self.doubts.next_ns
            wait_s = _IDLE_S
            if due_ns is not None:
                wait_s = (due_ns - self.clock.now_ns()) / SECOND_NS
            await _wait(self.signals.tend, min(_IDLE_S, max(0.01, wait_s)))

    async def _beat(self, wants_beat: Callable[[], bool]) -> None:
        every_s = self.pulse.every_s
        while True:
            if not wants_beat():
                await _wait(self.signals.beat, every_s)
            elif (wait_s := self.pulse.due_in_s()) > 0:
                await asyncio.sleep(wait_s)
            elif not await self.pulse.beat():
                await asyncio.sleep(min(1.0, every_s / 5))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but not longer than that.

    Not with `asyncio.wait_for`: in Python 3.11 it forgets a cancel that comes with the event.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()


async def _until_one_fails(loops: Sequence[Coroutine[Any, Any, None]]) -> None:
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
