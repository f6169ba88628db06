"""What tests of sessions share."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from strategies import library
from strategies.base import Strategy
from tests.tasks.eager import Eager, Quoter
from tests.tasks.session_kit import LONG_S, Stage, open_stage


def play(monkeypatch: pytest.MonkeyPatch, kind: type[Strategy]) -> None:
    """Let every agent trade by `kind`."""
    monkeypatch.setattr(library, "create", lambda name, parameters: kind(kind.Params()))


@pytest.fixture
async def stage(
    clean_postgres_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    """One floor without Prefect, on which the agent trades eagerly."""
    play(monkeypatch, Eager)
    async with open_stage(clean_postgres_url, redis_url, tmp_path) as stage:
        yield stage


@pytest.fixture
async def long_stage(
    clean_postgres_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    """The same with a quoter, and windows so long that a test takes place within one."""
    play(monkeypatch, Quoter)
    async with open_stage(clean_postgres_url, redis_url, tmp_path, LONG_S) as stage:
        while time.time() % LONG_S > LONG_S - 200:  # one test in seventy has to wait
            await asyncio.sleep(1)
        yield stage
