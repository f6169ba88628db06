"""Winding the sessions down, so that no order is left at the venue when processes are stopped."""

import asyncio
import time
from collections.abc import Callable

import psutil

from console.records import read_launch
from console.steps import STOPPING
from models.errors import FloorError
from models.settings import Settings
from store import leases, state
from store.database import Database
from store.urls import urls

DRAIN_SECONDS = 12.0
POLL_S = 0.2


def wind_down(settings: Settings, say: Callable[[str], None]) -> bool:
    """Ask every session to end and wait, bounded, until they have; False where some have not.

    The worker's own way to stop would kill them on the spot. Without a database there is nobody
    to ask, and their leases lapse by themselves.
    """
    try:
        return asyncio.run(_wind_down(settings, say, STOPPING, DRAIN_SECONDS))
    except FloorError as error:
        say(f"sessions could not be asked to wind down: {error}")
        return False


def halt(settings: Settings, reason: str, seconds: float, say: Callable[[str], None]) -> bool:
    """Halt the floor until `resume` lifts it; True once no session holds a lease any more."""
    return asyncio.run(_wind_down(settings, say, reason, seconds))


async def _wind_down(
    settings: Settings, say: Callable[[str], None], reason: str, seconds: float
) -> bool:
    async with Database(urls(settings).database, max_size=1, timeout_s=3.0) as database:
        if await state.halted(database) is None:
            await state.set_halt(database, reason)
        deadline = time.monotonic() + seconds
        said = -1
        while True:
            left = await _sessions(database, settings)
            if not left:
                return True
            if left != said:
                say(f"waiting for {left} session{'s' * (left > 1)} to wind down")
                said = left
            if time.monotonic() > deadline:
                say(f"{left} did not wind down in {seconds:.0f} s")
                return False
            await asyncio.sleep(POLL_S)


async def _sessions(database: Database, settings: Settings) -> int:
    """Count the sessions that live: by their leases, or as processes of the worker."""
    held = sum(lease.live for lease in await leases.all(database))
    return max(held, _children(settings))


def _children(settings: Settings) -> int:
    record = read_launch(settings.floor_home, "traders")
    worker = record.identity.process() if record is not None else None
    if worker is None or record is None or record.state != "running":
        return 0
    try:
        return len(worker.children())
    except psutil.Error:
        return 0
