"""Clocks: the wall's, and one that only moves when told.

Everything that waits asks the clock to wait, so that a test or a replay decides how fast time
goes and two runs over the same events are the same.
"""

import asyncio
import heapq
import time
from typing import Protocol

from models.units import SECOND_NS

DRAIN_TURNS = 50
"""Turns of the event loop after which everything that one moment set off has come to rest."""


class WaitingClock(Protocol):
    """A `engine.ports.Clock` that can also wait."""

    def now_ns(self) -> int: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that stands still until `advance_to` moves it.

    Sleepers wake in the order of their times, each seeing exactly its own time as now.
    """

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._count = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        return self._now_ns

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        self._count += 1
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due_ns = self._now_ns + round(seconds * SECOND_NS)
        heapq.heappush(self._sleepers, (due_ns, self._count, wake))
        await wake

    async def advance_to(self, now_ns: int) -> None:
        """Move to `now_ns`, waking every sleeper on the way. Never goes back."""
        await self.drain()
        while self._sleepers and self._sleepers[0][0] <= now_ns:
            due_ns, _, wake = heapq.heappop(self._sleepers)
            if wake.done():
                continue
            self._now_ns = max(self._now_ns, due_ns)
            wake.set_result(None)
            await self.drain()
        self._now_ns = max(self._now_ns, now_ns)

    async def advance(self, seconds: float) -> None:
        await self.advance_to(self._now_ns + round(seconds * SECOND_NS))

    async def drain(self) -> None:
        """Let everything run that needs no time to pass."""
        for _ in range(DRAIN_TURNS):
            await asyncio.sleep(0)
