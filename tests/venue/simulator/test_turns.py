"""One commit and one write for a whole turn of the event loop."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from models.settings import Liquidity
from venue.simulator.config import SimulatorConfig
from venue.simulator.server import RunningSimulator, start_simulator
from venue.simulator.sockets import framed


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[RunningSimulator]:
    running = await start_simulator(SimulatorConfig(home=tmp_path, liquidity=Liquidity.MODEL))
    yield running
    await running.close()


async def test_everybody_of_a_turn_shares_one_transaction(sim: RunningSimulator) -> None:
    world = sim.world
    statements: list[str] = []
    world.journal._db.set_trace_callback(statements.append)

    async def act(number: int) -> bytes | None:
        world.journal.meta(f"note-{number}", b"here")
        await world.committed()
        return world.journal.read_meta(f"note-{number}")

    found = await asyncio.gather(*(act(number) for number in range(20)))
    assert found == [b"here"] * 20
    assert len([s for s in statements if s.startswith("INSERT") and "meta" in s]) >= 20
    assert statements.count("COMMIT") == 1
    assert not world.unwritten


async def test_a_commit_that_fails_fails_for_everybody_who_waits(
    sim: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(sim.world.journal, "commit", full)
        both = await asyncio.gather(
            sim.world.committed(), sim.world.committed(), return_exceptions=True
        )
    assert [str(error) for error in both] == ["disk full"] * 2
    await sim.world.committed()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
def test_frames_are_those_of_the_standard(size: int) -> None:
    payload = b"x" * size
    assert framed(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


@given(st.text(max_size=300))
def test_any_text_is_framed(text: str) -> None:
    payload = text.encode()
    assert framed(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)
