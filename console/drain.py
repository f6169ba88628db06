"""Winding the sessions down, so that no order is left at the venue when processes are stopped."""

import asyncio
import time
from collections.abc import Callable

import psutil

from console.records import read_launch
from console.waits import postgres_ready
from models.errors import FloorError, NotReady
from models.settings import Settings
from store import leases, state
from store.database import Database
from store.urls import urls

STOPPING = "the floor is being stopped"
"""Reason of the halt that stopping sets; the next start clears it, and no other halt."""
DRAIN_SECONDS = 12.0
UNLEASED_SECONDS = 6.0
"""Processes without a lease (just starting, or collecting) can't have orders: less patience."""
POLL_S = 0.2


def wind_down(settings: Settings, say: Callable[[str], None]) -> bool:
    """Ask every session to end and wait, bounded, until they have; False where some have not.

    The worker's own way to stop would kill them on the spot. Without a database there is nobody
    to ask, and their leases lapse by themselves.
    """
    if worker_process(settings) is None:
        return True
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
    address = urls(settings).database
    if not postgres_ready(address):
        raise NotReady("Postgres does not answer")
    async with Database(address, max_size=1, timeout_s=3.0) as database:
        if await state.halted(database) is None:
            await state.set_halt(database, reason)
        began = time.monotonic()
        said = (-1, -1)
        while (left := await _left(database, settings)) != (0, 0):
            leases_held, processes = left
            waited = time.monotonic() - began
            if leases_held == 0 and waited > min(UNLEASED_SECONDS, seconds):
                return True
            if waited > seconds:
                say(f"{leases_held} sessions still hold their lease after {seconds:.0f} s")
                return False
            if left != said:
                say(f"winding down: {leases_held} sessions trading, {processes} processes")
                said = left
            await asyncio.sleep(POLL_S)
        return True


async def _left(database: Database, settings: Settings) -> tuple[int, int]:
    """Count the live leases and the worker's flow runs."""
    held = sum(lease.live for lease in await leases.all(database))
    return held, _flow_processes(settings)


def _flow_processes(settings: Settings) -> int:
    worker = worker_process(settings)
    try:
        return len(worker.children()) if worker is not None else 0
    except psutil.Error:
        return 0


def worker_process(settings: Settings) -> psutil.Process | None:
    """Return the process that runs the sessions, None while none can be running."""
    record = read_launch(settings.floor_home, "traders")
    return record.identity.process() if record is not None and record.state == "running" else None
