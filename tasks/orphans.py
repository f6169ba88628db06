"""Ending processes of this host that outlived their worker or their run."""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

import structlog
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.types._datetime import now

from tasks.holders import kill_process
from tasks.session_processes import SessionProcess
from tasks.standing import ORPHAN_S

log = structlog.get_logger(__name__)

OURS = frozenset({"trader", "collect"})
"""Tags of runs that go on for ever: nobody waits for their end, and the floor restarts them."""


async def end_orphans(processes: Iterable[SessionProcess], trading: Collection[str]) -> list[str]:
    """End what nobody can stop any more; returns what was done, for people.

    Parameters
    ----------
    processes
        Those of this host that carry out flow runs.
    trading
        Flow runs that hold a live lease.
    """
    done: list[str] = []
    doubtful = [one for one in processes if one.orphan or one.run_id not in trading]
    if not doubtful:
        return done
    async with get_client() as client:
        for process in doubtful:
            try:
                run = await client.read_flow_run(UUID(process.run_id))
            except (ObjectNotFound, ValueError):
                continue  # of another Prefect: not ours to judge
            why = orphaned(process, run, now("UTC"))
            if why and kill_process(process.pid, process.birth):
                log.warning("orphan_ended", run=process.run_id, pid=process.pid, reason=why)
                done.append(f"{run.name}: process {process.pid} ended: {why}")
    return done


def orphaned(process: SessionProcess, run: FlowRun, at: datetime) -> str:
    """Why this process must end; empty where it may go on."""
    if not OURS & set(run.tags) or run.state is None:
        return ""
    if process.orphan:
        return "the worker that started it is gone"
    ended_s = (at - run.state.timestamp).total_seconds()
    if run.state.is_final() and ended_s >= ORPHAN_S:
        return f"its run ended {ended_s:.0f} s ago as {run.state.name}"
    return ""
