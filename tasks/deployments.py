"""What Prefect knows of our deployments' runs, and how the floor corrects and adds to it."""

from collections.abc import Iterable
from datetime import datetime

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments.flow_runs import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled

OPEN_STATES = [
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.CANCELLING,
]
GONE = "ProcessGone"
"""Name of the state of a run whose process is gone. Prefect's own name for it, Crashed, would fire
the deployment's trigger, whose run would then meet the one the supervisor starts."""
MOST_RUNS = 200


def deployment_name(agent: str) -> str:
    return f"trade/{agent}"


async def open_runs(flows: Iterable[str]) -> dict[str, list[FlowRun]]:
    """Return the runs that are not finished, by ``flow/deployment``, of every deployment there is.

    Parameters
    ----------
    flows
        Names of the flows whose deployments are meant.
    """
    of_flows = FlowFilter(name=FlowFilterName(any_=list(flows)))
    async with get_client() as client:
        deployed = await client.read_deployments(flow_filter=of_flows)
        named = {flow.id: flow.name for flow in await client.read_flows(flow_filter=of_flows)}
        names = {one.id: f"{named.get(one.flow_id, '')}/{one.name}" for one in deployed}
        found: dict[str, list[FlowRun]] = {name: [] for name in names.values()}
        for state in OPEN_STATES:
            # One by one: runs that are only scheduled must not crowd out those that run.
            for run in await client.read_flow_runs(
                flow_filter=of_flows,
                flow_run_filter=FlowRunFilter(
                    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[state]))
                ),
                limit=MOST_RUNS,
            ):
                if run.deployment_id in names:
                    found[names[run.deployment_id]].append(run)
        return found


async def crashed_since(deployment: str, since: datetime) -> list[FlowRun]:
    """Return the runs of ``flow/deployment`` that began after `since` and crashed, newest first."""
    async with get_client() as client:
        try:
            found = await client.read_deployment_by_name(deployment)
        except ObjectNotFound:
            return []
        return await client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[found.id])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED])),
                start_time=FlowRunFilterStartTime(after_=since),
            ),
            sort=FlowRunSort.START_TIME_DESC,
            limit=MOST_RUNS,
        )


async def settle_gone(runs: Iterable[FlowRun], why: str) -> None:
    """Note of each run that its process is gone: nobody else will."""
    async with get_client() as client:
        for run in runs:
            state: State[None] = State(type=StateType.CRASHED, name=GONE, message=why)
            await client.set_flow_run_state(run.id, state, force=True)


async def settle_cancelled(runs: Iterable[FlowRun]) -> None:
    """Note of each run that it was cancelled: its process is gone, its worker can't say so."""
    async with get_client() as client:
        for run in runs:
            state: State[None] = Cancelled(
                message="The session ended; its worker could not report it."
            )
            await client.set_flow_run_state(run.id, state, force=True)


async def start_run(
    deployment: str, key: str, name: str | None = None, tags: Iterable[str] = ()
) -> str:
    """Start a run of ``flow/deployment``; the same `key` never starts a second one.

    Returns
    -------
    str
        The run's id.
    """
    run = await arun_deployment(
        name=deployment,
        timeout=0,
        as_subflow=False,
        idempotency_key=key,
        flow_run_name=name,
        tags=list(tags),
    )
    return str(run.id)
