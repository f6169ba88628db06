"""Restarts are counted, wait ever longer, and end in a pause that people hear of once."""

import asyncio
import time
from typing import Any

import pytest

from models.agents import AgentStatus
from models.errors import BadValue
from store import agents, leases, state
from strategies import library
from tasks.agent_files import find_agent
from tasks.holders import process_name
from tests.tasks.eager import AGENT
from tests.tasks.session_kit import Stage, chat_room, run

pytestmark = pytest.mark.timeout(600)


async def leave_a_dead_holder(stage: Stage) -> None:
    """Leave a lease behind as a process does that was killed."""
    await agents.sync_agents(stage.database, [find_agent(AGENT)])
    place, pid, birth = process_name().split(":")
    dead = f"{place}:{pid}:{int(birth) + 1}"
    assert await leases.acquire(stage.database, AGENT, dead, 60, "dead-run") is not None


async def test_too_many_restarts_pause_the_agent_and_people_hear_of_it_once(stage: Stage) -> None:
    await leave_a_dead_holder(stage)
    for _ in range(3):
        await agents.record_restart(stage.database, AGENT, "it died")
    async with chat_room() as chat:
        changes = {"max_restarts_per_hour": 3, "slack_webhook_url": chat.url}
        reason = await run(stage.session(**changes))
        assert "4 restarts within an hour" in reason
        assert f"floor agents resume {AGENT}" in reason
        assert f"{AGENT} is paused" in await run(stage.session(**changes))
    assert chat.told == [f"{AGENT} is paused: {reason}"]
    await agents.resume(stage.database, AGENT)
    assert await agents.restarts_last_hour(stage.database, AGENT) == 0
    assert await stage.orders() == []


async def test_the_third_restart_in_a_row_waits_four_seconds_with_its_heart_beating(
    stage: Stage,
) -> None:
    await leave_a_dead_holder(stage)
    for _ in range(2):
        await agents.record_restart(stage.database, AGENT, "it died")
    session = stage.session(heartbeat_interval=1)
    began = time.monotonic()
    opening = asyncio.create_task(session.open())
    await stage.until("it holds the lease", lambda: stage.held_by("a-run"))
    seen: list[dict[str, Any]] = []

    async def waits() -> bool:
        seen.append(session.facts())
        return "4 s before restart 3 in a row: its session died" in session.waiting

    await stage.until("it says that it waits", waits)
    assert seen[-1]["waiting"] == session.waiting
    assert not opening.done()
    assert await opening == ""
    assert time.monotonic() - began >= 4.0
    async with session:
        pass
    # One that ended in good order is followed without a wait.
    again = stage.session()
    assert await again.open() == ""
    assert again.waiting == ""
    async with again:
        pass
    assert await agents.restarts_last_hour(stage.database, AGENT) == 3


async def test_a_halt_ends_the_wait(stage: Stage) -> None:
    await leave_a_dead_holder(stage)
    for _ in range(7):
        await agents.record_restart(stage.database, AGENT, "it died")
    session = stage.session()
    opening = asyncio.create_task(session.open())

    async def waits() -> bool:
        return session.waiting != ""

    await stage.until("it waits", waits)
    assert "128 s before restart 8 in a row" in session.waiting
    await state.set_halt(stage.database, "a test")
    async with asyncio.timeout(60):
        assert "halted" in await opening
    lease = await stage.lease()
    assert lease is not None and not lease.holder


async def test_a_session_that_fails_by_itself_is_a_restart_and_is_backed_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await agents.sync_agents(stage.database, [find_agent(AGENT)])
    real = library.create
    failing = stage.session()
    monkeypatch.setattr(library, "create", lambda name, parameters: [][0])
    with pytest.raises(IndexError):
        await failing.open()
    assert await agents.restarts_last_hour(stage.database, AGENT) == 1
    status = "SELECT status FROM agents WHERE name = %s"
    assert await stage.one(status, AGENT) == AgentStatus.FAILED.value
    monkeypatch.setattr(library, "create", real)
    session = stage.session()
    began = time.monotonic()
    assert await session.open() == ""
    assert time.monotonic() - began >= 1.0
    with pytest.raises(BadValue, match="spoilt"):
        async with session:
            raise BadValue("spoilt")
    assert await agents.restarts_last_hour(stage.database, AGENT) == 2
    assert await stage.one(status, AGENT) == AgentStatus.FAILED.value


async def test_a_successor_that_cannot_start_interrupts_nothing_and_is_no_restart(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = asyncio.create_task(run(stage.session("first")))
    await stage.until("it holds the lease", lambda: stage.held_by("first"))
    failing = stage.session("second")
    monkeypatch.setattr(library, "create", lambda name, parameters: [][0])
    with pytest.raises(IndexError):
        await failing.open()
    assert not running.done()
    assert await agents.restarts_last_hour(stage.database, AGENT) == 0
    await state.set_halt(stage.database, "test over")
    assert await running == ""
