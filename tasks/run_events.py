"""What happens to agents' sessions, as Prefect's UI shows it: events, run names and tags.

Nothing here is needed for trading: every call is bounded and none of them raises.
"""

import asyncio
import os
import time
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.events import emit_event
from prefect.runtime import flow_run

from models.agents import AgentSpec
from models.settings import TradingMode

log = structlog.get_logger(__name__)

ANSWER_S = 10.0
"""Prefect's client goes on trying for minutes while its server is away."""


class SessionEvent(StrEnum):
    """What is told of a session: a few a session, never one a tick or an order."""

    STARTED = "floor.session.started"
    ENDED = "floor.session.ended"
    RESTARTED = "floor.session.restarted"
    """It replaces one that died; the payload says why and how many there were."""
    PAUSED = "floor.session.paused"
    """No session will start until a person resumes the agent."""
    SUSPENDED = "floor.session.suspended"
    """It runs, but sends nothing until what the reason names is back."""
    RESUMED = "floor.session.resumed"


def tell_event(
    kind: SessionEvent, agent: str, *, window: str = "", reason: str = "", **detail: Any
) -> bool:
    """Emit an event about an agent's session; False where there is no Prefect to hear it.

    It never waits: a thread of Prefect's sends it, and keeps it while the server is away. Within a
    flow run the event also names the run, its deployment and its tags.

    Parameters
    ----------
    window
        Slug of the market window the session is in.
    reason
        Why, for people.
    **detail
        More of the payload; anything JSON can hold.
    """
    # Outside of a run, and without an address, Prefect would start a server of its own.
    if FlowRunContext.get() is None and not os.environ.get("PREFECT_API_URL"):
        return False
    try:
        emit_event(
            event=kind.value,
            resource={
                "prefect.resource.id": f"floor.agent.{agent}",
                "prefect.resource.name": agent,
                "floor.agent": agent,
                "floor.window": window,
            },
            payload={"agent": agent, "window": window, "reason": reason, **detail},
        )
    except Exception as error:  # what people see of a session must never end it
        log.warning("event_not_told", event_kind=kind.value, agent=agent, reason=repr(error))
        return False
    return True


def session_run_name() -> str:
    """Name a run ``agent, month-day hour:minute``; keep a name the supervisor gave it.

    For ``@flow(flow_run_name=session_run_name)``: a template of a flow replaces whatever name a
    run was started with.
    """
    agent = str(flow_run.parameters.get("agent", "session"))
    given = str(flow_run.name or "")
    if given.startswith(f"{agent} "):
        return given
    return f"{agent} {time.strftime('%m-%d %H:%M', time.gmtime())}"


async def tag_run(spec: AgentSpec, mode: TradingMode) -> None:
    """Add what this session trades to the tags of its run: strategy, mode, markets."""
    run = FlowRunContext.get()
    if run is None or run.flow_run is None:
        return
    tags = {
        *run.flow_run.tags,
        f"agent:{spec.name}",
        f"strategy:{spec.strategy}",
        f"mode:{mode.value}",
        *(f"market:{each.asset}-{each.timeframe}".lower() for each in spec.markets),
    }
    if tags == set(run.flow_run.tags):
        return
    await _bounded("run_not_tagged", run.flow_run.id, sorted(tags))


async def _bounded(failure: str, run_id: UUID, tags: list[str]) -> None:
    try:
        async with asyncio.timeout(ANSWER_S), get_client() as client:
            await client.update_flow_run(run_id, tags=tags)
    except Exception as error:
        log.warning(failure, run=str(run_id), reason=repr(error))
