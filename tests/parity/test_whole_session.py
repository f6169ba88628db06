"""A whole session of the floor records itself; killed or not, it can be played again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from models.agents import AgentSpec
from models.recording import Loaded
from store import state
from store.recording import read_recording
from strategies.base import Strategy
from tasks.parity import faults, parity_of
from tests.tasks.eager import AGENT, Eager
from tests.tasks.session_kit import Stage, open_stage

pytestmark = pytest.mark.timeout(600)

LEASE_S = 120
"""Long enough that no watchdog ends these tests on a machine that is busy with others."""


@pytest.fixture
async def stage(postgres_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(postgres_url, redis_url, tmp_path) as one:
        yield one


def eager(spec: AgentSpec) -> Strategy:
    return Eager(Eager.Params())


def recordings(floor_home: Path) -> list[Path]:
    return sorted((floor_home / "recordings" / AGENT).glob("*.rec"))


async def test_a_killed_session_and_its_successor_decide_the_same_again(stage: Stage) -> None:
    """The one leaves a torn file, the other begins with orders, fills and a checkpoint."""
    words = {"RECORD_SESSIONS": "true", "LEASE_SECONDS": str(LEASE_S)}
    first = stage.process(**words)
    try:

        async def trades() -> bool:
            return await stage.fills() >= 4 and len(await stage.resting()) > 0

        await stage.until("the first session trades", trades)
    finally:
        first.kill()
        first.wait()
    count = await stage.fills()
    second = stage.process(EAGER_RUN="next-run", **words)
    try:

        async def goes_on() -> bool:
            return await stage.fills() >= count + 4

        async def is_over() -> bool:
            return second.poll() is not None

        await stage.until("the second session trades", goes_on)
        await state.set_halt(stage.database, "test over")
        await stage.until("the second session ends", is_over)
        assert second.returncode == 0
    finally:
        second.kill()
        second.wait()
    files = recordings(stage.settings.floor_home)
    assert len(files) == 2
    loaded = [one for one in read_recording(files[1]) if isinstance(one, Loaded)]
    assert loaded[0].state.orders
    assert loaded[0].state.fills
    for path in files:
        one = await asyncio.to_thread(parity_of, path, eager)
        assert one.exactness.orders.live > 0
        assert one.exactness.exact, "\n".join(faults(one))


async def test_no_session_is_recorded_unless_asked(stage: Stage) -> None:
    session = stage.session(lease_seconds=LEASE_S)
    assert await session.open() == ""
    async with session:
        assert session.trader.fatal is None
    assert recordings(stage.settings.floor_home) == []


async def test_a_session_trades_though_it_cannot_be_recorded(stage: Stage) -> None:
    (stage.settings.floor_home / "recordings").write_text("a file where the folder would be")
    session = stage.session(record_sessions=True, lease_seconds=LEASE_S)
    assert await session.open() == ""
    async with session:
        assert session.trader.fatal is None
