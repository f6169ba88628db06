"""What the floor boss decides, as a pure function of what it sees."""

from dataclasses import dataclass
from enum import StrEnum

from models.agents import AgentStatus
from store.agents import AgentOverview

STARTUP_S = 60.0
"""A run that was started this recently may still be on its way to the lease."""


class Step(StrEnum):
    NONE = "none"
    START = "start"
    PAUSE = "pause"
    FAILED = "failed"
    """Nothing could be done about it; the reason says why."""


@dataclass(frozen=True, slots=True)
class Decision:
    agent: str
    step: Step
    reason: str = ""


def decide(agent: AgentOverview, *, runs_on_their_way: int, max_restarts: int) -> Decision:
    """Compare what is desired of an agent with what it does.

    Parameters
    ----------
    agent
        The agent as the database sees it; its lease is what says whether it is traded.
    runs_on_their_way
        Flow runs of its deployment that are due, late or younger than `STARTUP_S`.
    max_restarts
        Restarts an hour after which a person must look.
    """
    if not agent.desired or agent.lease_live:
        return Decision(agent.name, Step.NONE)
    crashed = bool(agent.lease_holder) or agent.status is AgentStatus.RUNNING
    # A session that ended in good order and whose successor is coming is no restart.
    if agent.restarts_last_hour >= max_restarts and (crashed or not runs_on_their_way):
        return Decision(agent.name, Step.PAUSE, over_budget(agent.name, agent.restarts_last_hour))
    if runs_on_their_way:
        return Decision(agent.name, Step.NONE, "a run is on its way")
    return Decision(agent.name, Step.START, "its session died" if crashed else "it is not running")


def over_budget(agent: str, restarts: int) -> str:
    return (
        f"{restarts} restarts within an hour; look at its log, "
        f"then `floor agents resume {agent}` starts it again"
    )
