"""The floor's work pools: what kind of place a session runs in, and the template of one."""

import json
import warnings
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.workers.process import ProcessWorker

from models.errors import ConfigError
from models.settings import ROOT, Settings
from tasks.inprocess import InProcessWorker

TRADERS = "traders"
OPS = "ops"


def pools(settings: Settings) -> list[WorkPoolCreate]:
    """Return the pools these settings mean.

    Raises
    ------
    ConfigError
        The template of a Docker or Kubernetes pool is missing or is no JSON.
    """
    kind = settings.traders_pool
    return [
        WorkPoolCreate(name=TRADERS, type=kind, base_job_template=template(kind)),
        WorkPoolCreate(
            name=OPS,
            type=InProcessWorker.type,
            base_job_template=InProcessWorker.get_default_base_job_template(),
        ),
    ]


def template(kind: str) -> dict[str, Any]:
    """Return what a session's process, container or pod is made from; yours to edit."""
    if kind == "process":
        return ProcessWorker.get_default_base_job_template()
    path = ROOT / "deployments" / kind / "pool.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path.relative_to(ROOT)}: can't be read: {error}") from None
    return found


async def create_pools(client: PrefectClient, settings: Settings) -> None:
    """Create the pools where missing and bring their templates up to date.

    Raises
    ------
    ConfigError
        A pool is there already and of another type, which Prefect can't change.
    """
    for pool in pools(settings):
        with warnings.catch_warnings():
            # Prefect only warns of another type; the error below says how to mend it.
            warnings.simplefilter("ignore", UserWarning)
            made = await client.create_work_pool(pool, overwrite=True)
        if made.type != pool.type:
            raise ConfigError(
                f"the work pool {pool.name} is of type {made.type}, TRADERS_POOL={pool.type}; stop "
                f"its workers and remove it (`prefect work-pool delete {pool.name}`), then start "
                "the floor again"
            )
