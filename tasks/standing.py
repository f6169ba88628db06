"""Where a flow run of an agent stands: trading, on its way to it, or only said to be.

Prefect believes what a run last reported. A run whose worker was killed with it reports nothing any
more and stays Pending or Running for ever; here its lease and its process decide.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from prefect.client.schemas.objects import FlowRun, State, StateType

from tasks.session_processes import Here

STARTUP_S = 60.0
"""A run of another host that was started this recently may still be on its way to the lease."""
SPAWN_S = 60.0
"""How long a worker needs at most from taking a run to starting its process."""
REPORT_S = 3.0
"""How long Prefect may need to hear of a process that ended by itself."""
ORPHAN_S = 120.0
"""A process that holds no lease after this will not come to it any more."""
CANCEL_S = 15.0
"""How long cancelling is left to Prefect, whose runner forgets how once the server was away."""
CANCEL_HALT_S = 45.0
"""How long a session that was asked to end may take before its process is ended."""


class Standing(StrEnum):
    HOLDS = "holds"
    """It has its agent's lease, or gave it back so lately that it may still be ending."""
    COMING = "coming"
    """It is due, late, or on its way to the lease; a second one would only be in its way."""
    LATER = "later"
    """It is due at a later time."""
    GONE = "gone"
    """Its process is gone, whatever it last reported."""
    STRAY = "stray"
    """It lives without a lease, or is said to, for longer than any start takes."""
    CANCELLING = "cancelling"
    """Somebody cancelled it, and nobody has carried that out."""


@dataclass(frozen=True, slots=True)
class Holder:
    """What an agent's lease says of its holder."""

    run_id: str = ""
    """The flow run that holds the lease, or gave it back a moment ago."""
    dead: bool = False
    """Whether its process was of this host and is gone."""
    live: bool = False
    """Whether the lease is held and not expired."""
    successor: str = ""
    """The run that has announced itself as its successor."""


def standing(
    run: FlowRun,
    holder: Holder,
    here: Here,
    worker: str,
    now: datetime,
    startup_s: float = STARTUP_S,
) -> Standing:
    """Judge one run that is not finished.

    Parameters
    ----------
    run
        As Prefect tells it.
    holder
        Of the agent's lease.
    here
        What runs on this host.
    worker
        Name of this host's worker: what it started runs here or nowhere.
    now
        By the clock Prefect's stamps come from.
    startup_s
        How long a run of another host is believed to be on its way.
    """
    run_id, state = str(run.id), run.state
    if state is None:
        return Standing.LATER
    age_s = (now - state.timestamp).total_seconds()
    if state.type is StateType.CANCELLING:
        return Standing.CANCELLING
    if run_id == holder.run_id:
        return Standing.GONE if holder.dead else Standing.HOLDS
    if state.type is StateType.SCHEDULED:
        due = run.next_scheduled_start_time or now
        return Standing.COMING if due <= now + timedelta(seconds=STARTUP_S) else Standing.LATER
    if run_id == holder.successor or run_id in here.sessions:
        waits = run_id == holder.successor or age_s < ORPHAN_S
        return Standing.COMING if waits else Standing.STRAY
    if started_by(run) == worker:
        return Standing.COMING if _starting(run, state, here, age_s) else Standing.GONE
    return Standing.COMING if age_s < startup_s else Standing.STRAY


def started_by(run: FlowRun) -> str:
    """Name of the worker that took the run; empty before one has."""
    return str(run.labels.get("prefect.worker.name", ""))


def _starting(run: FlowRun, state: State, here: Here, age_s: float) -> bool:
    """Whether a run that this host's worker took, and has no process here, may yet get one."""
    if state.type is StateType.RUNNING or run.infrastructure_pid is not None:
        return age_s < REPORT_S  # it had one
    since = here.worker_since
    kept = since is not None and since < state.timestamp.timestamp()
    return kept and age_s < SPAWN_S
