"""A Prefect worker that runs flows inside its own process.

A minutely flow on a process worker pays about five CPU-seconds for a new interpreter; here it
pays a fifth of one. The price is isolation, so only the floor's own short, async flows run here
and each must carry a `timeout_seconds`.
"""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import run_flow_async
from prefect.flows import Flow
from prefect.settings import get_current_settings
from prefect.workers.base import (
    BaseJobConfiguration,
    BaseVariables,
    BaseWorker,
    BaseWorkerResult,
)

from tasks.patience import OnceOnly, Patient


def local_storage() -> Path:
    """Return the folder Prefect keeps results in where it was told of no other."""
    return Path(get_current_settings().results.local_storage_path)


class InProcessResult(BaseWorkerResult):
    """What a finished run tells the worker; the run's own state says the rest."""


class InProcessWorker(
    OnceOnly, Patient, BaseWorker[BaseJobConfiguration, BaseVariables, InProcessResult]
):
    """Runs every flow of its pool as a task of its own event loop."""

    type = "in-process"
    job_configuration = BaseJobConfiguration
    job_configuration_variables = BaseVariables
    _description = "Runs short async flows inside the worker's own process."

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,
        task_status: Any = None,
    ) -> InProcessResult:
        """Run one flow run to its end. A failing flow is a state, never an exception here."""
        flow = await self._flow(flow_run)
        if task_status is not None:
            task_status.started(os.getpid())
        await run_flow_async(
            flow=flow, flow_run=flow_run, parameters=flow_run.parameters, return_type="state"
        )
        return InProcessResult(status_code=0, identifier=f"{os.getpid()}:{flow_run.id}")

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: Any, grace_seconds: int = 30
    ) -> None:
        """Do nothing: a run here ends by its own time-out."""

    async def _flow(self, flow_run: FlowRun) -> Flow[..., Any]:
        if flow_run.deployment_id is None:
            raise ValueError(f"flow run {flow_run.name!r} belongs to no deployment")
        deployment = await self.client.read_deployment(flow_run.deployment_id)
        # With a storage named, Prefect need not ask its server for one: it would do so without
        # yielding, and block the whole process while the server hangs.
        return load_entrypoint(deployment.entrypoint or "").with_options(
            result_storage=local_storage(), persist_result=False
        )


def load_entrypoint(entrypoint: str) -> Flow[..., Any]:
    """Import the flow of a module path such as ``flows.supervise.supervise``.

    Raises
    ------
    ValueError
        The entrypoint is no module path, or names no flow.
    """
    module, _, name = entrypoint.rpartition(".")
    if not module or ":" in entrypoint:
        raise ValueError(f"entrypoint {entrypoint!r} is not like 'flows.name.function'")
    flow = getattr(importlib.import_module(module), name, None)
    if not isinstance(flow, Flow):
        raise ValueError(f"entrypoint {entrypoint!r} names no flow")
    return flow


async def serve_pool(pool: str, name: str, preload: Sequence[str] = ()) -> None:
    """Run an in-process worker for `pool` until cancelled; `preload` imports flows up front."""
    for entrypoint in preload:
        load_entrypoint(entrypoint)
    # A run fetched ahead of its time would hold the deployment's one slot while it waits.
    await InProcessWorker(work_pool_name=pool, name=name, prefetch_seconds=0).start()
