"""What tests of sessions share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from strategies import library
from strategies.base import Strategy
from tests.tasks.eager import Eager
from tests.tasks.session_kit import Stage, open_stage


def play(monkeypatch: pytest.MonkeyPatch, kind: type[Strategy]) -> None:
    """Let every agent trade by `kind`."""
    monkeypatch.setattr(library, "create", lambda name, parameters: kind(kind.Params()))


@pytest.fixture
async def stage(
    clean_postgres_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    """One floor without Prefect, on which the agent trades eagerly."""
    play(monkeypatch, Eager)
    async for stage in open_stage(clean_postgres_url, redis_url, tmp_path):
        yield stage
