"""What the floor boss decides, as a pure function of what it sees."""

from dataclasses import dataclass
from enum import StrEnum

from models.agents import AgentStatus
from store.agents import AgentOverview


class Step(StrEnum):
    NONE = "none"
    START = "start"
    PAUSE = "pause"
    SETTLE = "settle"
    """It must not trade; a session books what its last windows brought."""
    FAILED = "failed"
    """Nothing could be done about it; the reason says why."""


@dataclass(frozen=True, slots=True)
class Decision:
    agent: str
    step: Step
    reason: str = ""


def decide(
    agent: AgentOverview,
    *,
    coming: int,
    max_restarts: int,
    dead: bool = False,
    crashes: int = 0,
    unsure: bool = False,
) -> Decision:
    """Compare what is desired of an agent with what it does.

    Parameters
    ----------
    agent
        The agent as the database sees it; its lease is what says whether it is traded.
    coming
        Flow runs of its deployment that are on their way to the lease.
    max_restarts
        Restarts an hour after which a person must look.
    dead
        Whether the holder of its lease is known to be gone, however long the lease still lasts.
    crashes
        Runs that crashed since anybody last held its lease: they never came to trade.
    unsure
        Whether Postgres is back so lately that a session which lives may not have renewed yet.
    """
    if not agent.desired or (agent.lease_live and not dead):
        return Decision(agent.name, Step.NONE)
    if unsure and agent.lease_holder and not dead:
        return Decision(agent.name, Step.NONE, "its session may renew its lease yet")
    failed = agent.restarts_last_hour + crashes
    crashed = bool(agent.lease_holder) or agent.status is AgentStatus.RUNNING or crashes > 0
    # A session that ended in good order and whose successor is coming is no restart.
    if failed >= max_restarts and (crashed or not coming):
        return Decision(agent.name, Step.PAUSE, over_budget(agent.name, failed))
    if coming:
        return Decision(agent.name, Step.NONE, "a run is on its way")
    return Decision(agent.name, Step.START, _why(agent, dead, crashes))


def _why(agent: AgentOverview, dead: bool, crashes: int) -> str:
    if crashes:
        return "its run crashed before it could trade"
    if dead:
        return "its session died"
    if agent.lease_holder:
        return "its lease ran out"
    return "its session died" if agent.status is AgentStatus.RUNNING else "it is not running"


def over_budget(agent: str, restarts: int) -> str:
    return (
        f"{restarts} restarts within an hour; look at its log, "
        f"then `floor agents resume {agent}` starts it again"
    )
