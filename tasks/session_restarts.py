"""Sessions that replace one that died or failed: counted, held back ever longer, then paused."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from models.agents import AgentStatus
from models.errors import FloorError, LeaseLost, NotReady, StoreUnavailable, VenueError
from store import agents, leases
from store.database import Database
from store.urls import urls
from tasks.run_events import SessionEvent, tell_event
from tasks.supervision import over_budget

if TYPE_CHECKING:
    from tasks.session import TradingSession

log = structlog.get_logger(__name__)

AWAY = (StoreUnavailable, VenueError, NotReady, LeaseLost)
"""Errors of a session that are no fault of its agent: they don't count as restarts."""


async def back_off(session: "TradingSession") -> str:
    """Wait as long as the agent's restarts demand; returns why it must not trade, if so.

    The session holds the lease meanwhile, its heart beats, and a halt ends the wait.
    """
    database, name = session.database, session.spec.name
    reason = "its session died"
    if session.keeper.predecessor_died:
        await agents.record_restart(database, name, reason)
    elif fault := await _failed_by(database, name):
        reason = fault
    else:
        return ""
    seen = await agents.restarts(database, name)
    if seen.last_hour > session.settings.max_restarts_per_hour:
        return await _pause(session, over_budget(name, seen.last_hour))
    wait_s = agents.back_off_s(seen.in_a_row)
    log.info("restarted", agent=name, reason=reason, row=seen.in_a_row, back_off_s=wait_s)
    tell_event(
        SessionEvent.RESTARTED, name, reason=reason, restart=seen.in_a_row, back_off_s=wait_s
    )
    session.waiting = f"{wait_s:g} s before restart {seen.in_a_row} in a row: {reason}"
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            await session.halt.wait()
    session.waiting = ""
    return "halted while it waited to restart" if session.halt.is_set() else ""


async def _failed_by(database: Database, agent: str) -> str:
    """What the agent's last session failed by; empty where it ended in good order."""
    row = await database.fetch_one(
        "SELECT status_reason FROM agents WHERE name = %s AND status = 'failed'", (agent,)
    )
    return "" if row is None else str(row["status_reason"])


async def _pause(session: "TradingSession", reason: str) -> str:
    name = session.spec.name
    if await agents.pause(session.database, name, reason):
        session.alerts.post("breaker", f"{name} is paused: {reason}", agent=name)
        tell_event(SessionEvent.PAUSED, name, reason=reason)
    return reason


async def note_failure(session: "TradingSession", error: BaseException) -> bool:
    """Count a session that failed by itself as a restart; whether it is one.

    Errors of what is away are nobody's fault; and a successor that can't even start while its
    predecessor trades on has interrupted nothing.
    """
    if isinstance(error, AWAY) or not isinstance(error, Exception):
        return False
    name = session.spec.name
    reason = f"its session failed: {type(error).__name__}: {error}"
    log.error("session_failed", agent=name, reason=reason)
    with suppress(FloorError):
        # What it opened may be closed, or not have been opened yet.
        async with Database(urls(session.settings).database, max_size=1) as database:
            if hasattr(session, "lease"):
                await agents.record_restart(database, name, reason)
                return True
            held = await leases.holder(database, name)
            if held is None or not held.live:
                await agents.record_restart(database, name, reason)
                await agents.set_status(database, name, AgentStatus.FAILED, reason)
                return True
    return False
