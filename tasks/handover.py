"""Starting runs of our own deployments: the next session, or one that should be there."""

from prefect.deployments.flow_runs import arun_deployment
from prefect.runtime import deployment, flow_run


async def schedule_successor() -> None:
    """Start the next session of the deployment this flow run belongs to, once.

    A run started by hand, without a deployment, has no successor.
    """
    if deployment.id is not None:
        await arun_deployment(
            name=deployment.id,
            timeout=0,
            as_subflow=False,
            idempotency_key=f"after-{flow_run.id}",
        )


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
