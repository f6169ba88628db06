"""Runs that an earlier life of this process left unfinished: they hold their deployment's slot."""

from collections.abc import Iterable

import structlog
from prefect.client.schemas.objects import StateType

from tasks.deployments import open_runs, settle_gone

log = structlog.get_logger(__name__)

BEGUN = frozenset({StateType.PENDING, StateType.RUNNING, StateType.CANCELLING})


async def settle_left(flows: Iterable[str]) -> int:
    """End every run of these flows that had begun; returns how many there were.

    For the one process that runs these flows, before it takes any: what has begun then was begun
    by a process that is gone. A deployment that allows one run at a time would refuse every other
    until the dead one's slot lapses, minutes later.

    Parameters
    ----------
    flows
        Names of flows that no other process runs.
    """
    left = [
        run
        for runs in (await open_runs(flows)).values()
        for run in runs
        if run.state is not None and run.state.type in BEGUN
    ]
    if left:
        log.warning("runs_of_dead_process_ended", count=len(left))
        await settle_gone(left, "The process that ran it is gone.")
    return len(left)
