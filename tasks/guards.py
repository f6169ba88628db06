"""What watches over a session while it runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from models.agents import AgentStatus, Lifecycle
from models.errors import StoreUnavailable
from store import risk, state
from store.database import Database
from store.session_halts import session_halt

log = structlog.get_logger(__name__)

HALT_POLL_S = 1.0


async def halt_reason(database: Database, agent: str | None = None) -> str:
    """Return why the floor, or this agent, must not trade now; empty when it may.

    Kill switch and breakers stop agents, not what watches over them: without an agent only a halt
    counts.
    """
    halt = await state.halted(database)
    if halt is not None:
        return f"the floor is halted: {halt.reason}"
    if agent is not None:
        if reason := await risk.stop_reason(database, agent):
            return reason
        row = await database.fetch_one(
            "SELECT status, status_reason, enabled, lifecycle FROM agents WHERE name = %s", [agent]
        )
        if row is None:
            return f"{agent} is not among the agents"
        if row["status"] == AgentStatus.PAUSED.value:
            return f"{agent} is paused: {row['status_reason']}"
        if row["lifecycle"] == Lifecycle.RETIRED.value:
            return f"{agent} is retired"
        if not row["enabled"]:
            return f"{agent} is disabled in its file, or has none"
    return ""


def _kill_file_reason(home: Path | None) -> str:
    kill = risk.read_kill_file(home) if home is not None else None
    return "" if kill is None else str(kill)


class Progress:
    """Notices windows that hang although the event loop turns.

    Parameters
    ----------
    patience_s
        Longest time, in seconds, in which no window of a trader that has some need turn.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._turned_ns = 0
        self._since = 0.0

    def stuck(self, now: float, windows: int, turned_ns: int) -> bool:
        """Say whether `windows` stand still; `turned_ns` is when one of them last turned.

        `now` is in monotonic seconds.
        """
        if windows == 0 or turned_ns != self._turned_ns or self._since == 0.0:
            self._turned_ns, self._since = turned_ns, now
        return now - self._since > self._patience_s


@asynccontextmanager
async def watch_for_halt(
    database: Database,
    halt: asyncio.Event,
    agent: str | None = None,
    home: Path | None = None,
    flow_run_id: str = "",
) -> AsyncIterator[None]:
    """Set `halt` within about a second of the floor being halted or the agent paused.

    With `home` the kill switch's file there counts too: it works while Postgres is away. With
    `flow_run_id` a wish that this very run should end counts as well.

    Prefect's own cancellation stops working for a run that lived through a server outage, so a
    session must not rely on it alone.
    """

    async def poll() -> None:
        while not halt.is_set():
            try:
                reason = _kill_file_reason(home) or await halt_reason(database, agent)
                reason = reason or await session_halt(database, flow_run_id)
            except StoreUnavailable:
                reason = ""
            except Exception as error:  # whatever it is, the next look must still come
                log.error("halt_not_readable", reason=str(error))
                reason = ""
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
