"""Keeping Prefect's deployments in step with the agents there are."""

from datetime import timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed
from prefect.types._datetime import now

from tasks.supervision import STARTUP_S

OPEN_STATES = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]


def deployment_name(agent: str) -> str:
    return f"trade/{agent}"


async def open_runs(deployment: str) -> list[FlowRun] | None:
    """Return the runs of ``flow/deployment`` that are not finished; None without a deployment."""
    async with get_client() as client:
        try:
            found = await client.read_deployment_by_name(deployment)
        except ObjectNotFound:
            return None
        return await client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[found.id])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN_STATES))
            ),
        )


def on_their_way(runs: list[FlowRun], lease_run: str) -> list[FlowRun]:
    """Keep the runs that are due soon or began so recently that they may lack their lease yet.

    A run that is late is still coming: more of them would all start once the worker is back.
    """
    soon = now("UTC") + timedelta(seconds=STARTUP_S)
    recent = now("UTC") - timedelta(seconds=STARTUP_S)
    return [
        run
        for run in runs
        if str(run.id) != lease_run
        and run.state is not None
        and (
            (run.next_scheduled_start_time or soon) <= soon
            if run.state.type is StateType.SCHEDULED
            else run.state.timestamp >= recent
        )
    ]


async def end_stale_runs(runs: list[FlowRun], lease_run: str) -> int:
    """Mark runs Crashed that claim to run although another, or nobody, holds the lease."""
    recent = now("UTC") - timedelta(seconds=STARTUP_S)
    stale = [
        run
        for run in runs
        if str(run.id) != lease_run
        and run.state is not None
        and run.state.type in (StateType.RUNNING, StateType.PENDING)
        and run.state.timestamp < recent
    ]
    if not stale:
        return 0
    async with get_client() as client:
        for run in stale:
            await client.set_flow_run_state(
                run.id,
                Crashed(message="Its process no longer holds the agent's lease."),
                force=True,
            )
    return len(stale)
