"""A crew on a Dask cluster: by its address, or the cluster of the Prefect flow that runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client
from prefect.context import FlowRunContext
from prefect_dask.utils import get_dask_client

from models.errors import ConfigError
from tasks.sweeping.crew import Crew, Dask
from tasks.sweeping.trial import Asked

CONNECT_S = 10


@contextmanager
def dask_crew(address: str, stopped: Asked) -> Iterator[Crew]:
    """Connect to a scheduler. Raises `ConfigError` when it does not answer."""
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise _silent(address, error) from None
    with client:
        _workers(client, address)
        yield Dask(client, stopped)


@contextmanager
def flow_crew(stopped: Asked) -> Iterator[Crew]:
    """Use the cluster of the running flow's `DaskTaskRunner`. Raises as `dask_crew`."""
    context = FlowRunContext.get()
    runner: Any = None if context is None else context.task_runner
    try:
        _workers(runner.client, runner.address)
    except (OSError, ValueError) as error:
        raise _silent(runner.address, error) from None
    # Its signature calls every keyword of the client a dictionary.
    plain: Any = {"asynchronous": False}
    with get_dask_client(**plain) as client:
        yield Dask(client, stopped)


def _workers(client: Any, address: str) -> None:
    if not client.scheduler_info()["workers"]:
        raise ConfigError(f"dask {address}: the scheduler has no workers; start some")


def _silent(address: str, error: Exception) -> ConfigError:
    return ConfigError(f"dask {address}: no scheduler answers ({type(error).__name__})")
