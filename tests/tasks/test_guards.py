"""What watches over a session: halts, and windows that stand still."""

import asyncio

import pytest

from models.agents import AgentStatus
from models.errors import BadValue
from store import agents, state
from store.database import Database
from tasks import guards
from tasks.agent_files import find_agent
from tasks.guards import Progress, halt_reason, watch_for_halt

AGENT = "momentum-btc-15m"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("status = 'running'", ""),
        ("status = 'paused', status_reason = 'too hot'", "is paused: too hot"),
        ("enabled = false", "is disabled"),
        ("lifecycle = 'retired'", "is retired"),
    ],
)
async def test_why_an_agent_must_not_trade(
    clean_postgres_url: str, change: str, reason: str
) -> None:
    async with Database(clean_postgres_url, max_size=1) as database:
        assert "not among the agents" in await halt_reason(database, AGENT)
        await agents.sync_agents(database, [find_agent(AGENT)])
        await database.execute(f"UPDATE agents SET {change}")
        found = await halt_reason(database, AGENT)
        assert (reason in found) if reason else not found
        assert await halt_reason(database) == ""
        await state.set_halt(database, "stop all")
        assert await halt_reason(database, AGENT) == "the floor is halted: stop all"


async def test_the_halt_watch_survives_whatever_goes_wrong(
    clean_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "HALT_POLL_S", 0.02)
    calls = 0
    real = guards.halt_reason

    async def failing(database: Database, agent: str | None = None) -> str:
        nonlocal calls
        calls += 1
        if calls < 4:
            raise BadValue("a table that can't be read")
        return await real(database, agent)

    monkeypatch.setattr(guards, "halt_reason", failing)
    halt = asyncio.Event()
    async with Database(clean_postgres_url, max_size=1) as database:
        await agents.sync_agents(database, [find_agent(AGENT)])
        await agents.pause(database, AGENT, "a test")
        async with watch_for_halt(database, halt, AGENT), asyncio.timeout(10):
            await halt.wait()
        await agents.resume(database, AGENT)
        assert await agents.set_status(database, AGENT, AgentStatus.RUNNING)


def test_windows_that_turn_are_never_stuck() -> None:
    progress = Progress(patience_s=10)
    assert not any(progress.stuck(100.0 + s, 2, 1_000 + s) for s in range(100))


def test_windows_that_stand_still_are_stuck_once_patience_is_over() -> None:
    progress = Progress(patience_s=10)
    seen = [progress.stuck(100.0 + s, 1, 7) for s in range(13)]
    assert seen == [False] * 11 + [True] * 2
    assert not progress.stuck(113.0, 1, 8)


def test_without_a_window_nothing_is_stuck_and_the_next_one_begins_afresh() -> None:
    progress = Progress(patience_s=10)
    assert not progress.stuck(100.0, 1, 7)
    assert not progress.stuck(500.0, 0, 7)
    # The last turn was long ago, but of an earlier window.
    assert not progress.stuck(505.0, 1, 7)
    assert progress.stuck(511.0, 1, 7)
