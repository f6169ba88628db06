"""Stages on an embedded Postgres: simulator and sessions are processes of their own."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.orders_model.rig import Stage

_numbers = itertools.count(1)

OpenStage = Callable[..., Stage]


@pytest.fixture
def open_stage(postgres_url: str, tmp_path: Path) -> Iterator[OpenStage]:
    """Open a stage of an agent of its own; ``taker_delay_ms`` and ``seed`` can be given."""
    stages: list[Stage] = []

    def make(**changes: float) -> Stage:
        agent = f"agent-{next(_numbers)}"
        stage = Stage(agent, postgres_url, tmp_path / agent, **changes)  # type: ignore[arg-type]
        stages.append(stage)
        return stage

    yield make
    for stage in stages:
        stage.close()
