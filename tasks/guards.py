"""What watches over a session while it runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from models.agents import AgentStatus
from models.errors import StoreUnavailable
from store import state
from store.database import Database

log = structlog.get_logger(__name__)

HALT_POLL_S = 1.0


async def halt_reason(database: Database, agent: str | None = None) -> str:
    """Return why the floor, or this agent, must not trade now; empty when it may."""
    halt = await state.halted(database)
    if halt is not None:
        return f"the floor is halted: {halt.reason}"
    if agent is not None:
        row = await database.fetch_one(
            "SELECT status, status_reason FROM agents WHERE name = %s", [agent]
        )
        if row is not None and row["status"] == AgentStatus.PAUSED.value:
            return f"{agent} is paused: {row['status_reason']}"
    return ""


@asynccontextmanager
async def watch_for_halt(
    database: Database, halt: asyncio.Event, agent: str | None = None
) -> AsyncIterator[None]:
    """Set `halt` within about a second of the floor being halted or the agent paused.

    Prefect's own cancellation stops working for a run that lived through a server outage, so a
    session must not rely on it alone.
    """

    async def poll() -> None:
        while not halt.is_set():
            with suppress(StoreUnavailable):
                reason = await halt_reason(database, agent)
                if reason:
                    log.info("halting", reason=reason)
                    halt.set()
            await asyncio.sleep(HALT_POLL_S)

    task = asyncio.create_task(poll(), name="halt-watch")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
