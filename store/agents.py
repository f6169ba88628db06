"""The agents table: what is desired, what is known, and who was restarted how often."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.agents import AgentSpec, AgentStatus, Lifecycle
from store.database import Database


@dataclass(frozen=True, slots=True)
class AgentOverview:
    """One agent at a glance; cash in e6."""

    name: str
    strategy: str
    status: AgentStatus
    lifecycle: Lifecycle
    desired: bool
    """Whether a session of it should be running: enabled, not paused, not retired."""
    reason: str
    """Why it is paused or failed; else empty."""
    capital_e6: int
    pnl_today_e6: int
    """Result of the windows settled this UTC day."""
    pnl_total_e6: int
    open_orders: int
    position_cost_e6: int
    """What the shares still held cost, fees left out."""
    heartbeat_age_s: float | None
    restarts_last_hour: int
    window_slug: str
    lease_holder: str
    lease_live: bool


async def sync_agents(db: Database, specs: Sequence[AgentSpec]) -> None:
    """Make the table agree with the agent files; without its file an agent is disabled, kept."""
    raise NotImplementedError


async def agent_overview(db: Database) -> list[AgentOverview]:
    """Return every agent that is not retired, by name."""
    raise NotImplementedError


async def load_spec(db: Database, agent: str) -> AgentSpec:
    """Return an agent's spec. Raises `BadValue` if there is no such agent."""
    raise NotImplementedError


async def set_status(db: Database, agent: str, status: AgentStatus, reason: str = "") -> bool:
    """Record what an agent does now; False (and no change) where it is paused.

    PAUSED needs a reason. Only `resume` ends a pause, so that a session that stops can't undo it.
    """
    raise NotImplementedError


async def pause(db: Database, agent: str, reason: str) -> None:
    """Hold an agent until `resume`; its session sees it and winds down."""
    raise NotImplementedError


async def resume(db: Database, agent: str) -> None:
    """End a pause: the agent becomes STOPPED and desired again."""
    raise NotImplementedError


async def record_restart(db: Database, agent: str, reason: str) -> int:
    """Note a restart; returns how many the last hour had, this one included."""
    raise NotImplementedError


async def restarts_last_hour(db: Database, agent: str) -> int:
    raise NotImplementedError
