"""A crew on a Dask cluster: by its address, or the cluster of the Prefect flow that runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client
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
        raise ConfigError(
            f"dask {address}: no scheduler answers ({type(error).__name__})"
        ) from None
    with client:
        if not client.scheduler_info()["workers"]:
            raise ConfigError(f"dask {address}: the scheduler has no workers; start some")
        yield Dask(client, stopped)


@contextmanager
def flow_crew(stopped: Asked) -> Iterator[Crew]:
    """Use the cluster of the running flow's `DaskTaskRunner`."""
    # Its signature calls every keyword of the client a dictionary.
    plain: Any = {"asynchronous": False}
    with get_dask_client(**plain) as client:
        yield Dask(client, stopped)
