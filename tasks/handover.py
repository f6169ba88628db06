"""Starting runs of our own deployments: the next session, or one that should be there."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from prefect.deployments.flow_runs import arun_deployment
from prefect.runtime import deployment, flow_run

log = structlog.get_logger(__name__)

SCHEDULE_S = 10.0


def successor_of_this_run() -> Callable[[int], Awaitable[bool]] | None:
    """Return what starts the next session of this run's deployment.

    None for a run started by hand, without a deployment: nobody follows it.
    """
    return schedule_successor if deployment.id is not None else None


async def schedule_successor(attempt: int = 1) -> bool:
    """Start the next session of the deployment this flow run belongs to, once per `attempt`.

    Returns
    -------
    bool
        Whether Prefect has taken it. Where it does not answer nothing is raised: who calls goes
        on, and tries again.
    """
    if deployment.id is None:
        return False
    try:
        async with asyncio.timeout(SCHEDULE_S):
            await arun_deployment(
                name=deployment.id,
                timeout=0,
                as_subflow=False,
                idempotency_key=f"after-{flow_run.id}-{attempt}",
            )
    except Exception as error:
        log.warning("successor_not_scheduled", attempt=attempt, reason=repr(error))
        return False
    return True


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
