"""A whole floor of its own: free ports, a folder of its own, shortened windows."""

import os
from collections.abc import Iterator

import pytest

from models.settings import Settings
from tests.system.harness import Floor, free_ports

WINDOW_S = 60


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    yield from make_floor(tmp_path_factory)


def make_floor(
    tmp_path_factory: pytest.TempPathFactory, *words: str, **extra: str
) -> Iterator[Floor]:
    """Start a floor by ``floor up`` with more `words` and variables, and stop it in the end."""
    home = tmp_path_factory.mktemp("floor")
    postgres, redis, prefect, simulator = free_ports(4)
    wanted = {
        "FLOOR_HOME": str(home),
        "POSTGRES_PORT": str(postgres),
        "REDIS_PORT": str(redis),
        "PREFECT_PORT": str(prefect),
        "SIM_PORT": str(simulator),
        "SIM_WINDOW_SECONDS": str(WINDOW_S),
        "SIM_LIQUIDITY": "replay",
        "TRADING_MODE": "sim",
        "ENVIRONMENT": "test",
        # Windows played fifteen times too fast lose money fifteen times as fast.
        "MAX_DAILY_LOSS": "100000",
        **extra,
    }
    environment = {**os.environ, **wanted}
    settings = Settings(_env_file=None, **{key.lower(): value for key, value in wanted.items()})
    floor = Floor(home, environment, settings)
    started = floor.command("up", *words)
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        yield floor
    finally:
        floor.command("down", "--now")
        print("\n".join(floor.log))
