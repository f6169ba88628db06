"""Starting runs of our own deployments: the next session, or one that should be there."""

import asyncio

import structlog
from prefect.deployments.flow_runs import arun_deployment
from prefect.runtime import deployment, flow_run

log = structlog.get_logger(__name__)

SCHEDULE_S = 10.0


async def schedule_successor() -> None:
    """Start the next session of the deployment this flow run belongs to, once.

    A run started by hand, without a deployment, has no successor. Where Prefect does not answer
    nothing is raised: the supervisor starts what is missing.
    """
    if deployment.id is None:
        return
    try:
        async with asyncio.timeout(SCHEDULE_S):
            await arun_deployment(
                name=deployment.id,
                timeout=0,
                as_subflow=False,
                idempotency_key=f"after-{flow_run.id}",
            )
    except Exception as error:
        log.warning("successor_not_scheduled", reason=repr(error))


async def start_run(deployment_name: str, key: str) -> str:
    """Start a run of ``flow/deployment``; the same `key` never starts a second one.

    Returns
    -------
    str
        The run's id.
    """
    run = await arun_deployment(
        name=deployment_name, timeout=0, as_subflow=False, idempotency_key=key
    )
    return str(run.id)
