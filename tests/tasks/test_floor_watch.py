"""The floor watch beside real processes that hold leases and die, hang, freeze or are orphaned."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from models.settings import ROOT, Settings
from store import agents, leases, state
from store.bus import Bus
from store.database import Database
from store.events import recent_events
from store.session_halts import session_halt
from tasks import signs
from tasks.agent_files import find_agent
from tasks.floor_watch import FloorWatch
from tasks.session_processes import HOME_MARK, PROGRAM_MARK, RUN_MARK
from tasks.signs import Kind, Sign
from tests.tasks.risk_stage import settings_of

AGENT = "market-maker-btc-15m"
RUN = "a-run"
WORKER = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"


@dataclass
class Stage:
    """Postgres, Redis, a watch that may look at them, and what it called for."""

    settings: Settings
    database: Database
    watch: FloorWatch
    called: list[str] = field(default_factory=list)

    @contextmanager
    def session(self, worker: bool = False) -> Iterator["subprocess.Popen[str]"]:
        """A process that holds the agent's lease; with `worker` a child of one that is marked."""
        settings = self.settings
        assert settings.database_url is not None and settings.redis_url is not None
        marks = {HOME_MARK: str(settings.floor_home), PROGRAM_MARK: "traders"} if worker else {}
        command = [sys.executable, "-m", "tests.tasks.lease_holder", AGENT, RUN]
        if worker:
            # The mark of its run is the session's alone.
            command = [sys.executable, "-c", WORKER, "env", f"{RUN_MARK}={RUN}", *command]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={
                **os.environ,
                **marks,
                "DATABASE_URL": settings.database_url.get_secret_value(),
                "REDIS_URL": settings.redis_url.get_secret_value(),
                "FLOOR_HOME": str(settings.floor_home),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        session = None
        try:
            holder = process.stdout.readline().strip()
            assert holder, "it did not get the lease"
            session = psutil.Process(int(holder.split(":")[1]))
            yield process
        finally:
            for each in (process, session):
                if each is not None:
                    try:
                        each.kill()
                    except psutil.NoSuchProcess:
                        continue
            process.wait()
            process.stdin.close()
            process.stdout.close()

    async def until(self, kind: Kind, seconds: float = 60) -> tuple[float, Sign]:
        """Look until this is amiss, as a watch does; returns after how long, and the sign."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            for sign in await self.watch.look():
                if sign.kind is kind:
                    return time.monotonic() - began, sign
            await asyncio.sleep(0.2)
        raise AssertionError(f"not found {kind} within {seconds} s")

    async def quiet_for(self, seconds: float) -> None:
        """Look until the session's heart was heard, and for so long after."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert await self.watch.look() == []
            await asyncio.sleep(0.2)

    async def ended(self) -> list[str]:
        """What the watch's own endings were about, as the floor's events tell."""
        found = await recent_events(self.database, kind="session_ended_from_outside")
        return [event.detail["kind"] for event in found]


@pytest.fixture
async def stage(
    clean_postgres_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    # The lean session beats every half second and lives by a lease of four.
    monkeypatch.setattr(signs, "SETTLE_S", 1.0)
    monkeypatch.setattr(signs, "HEAD_START_S", 0.5)
    settings = settings_of(tmp_path, 9, clean_postgres_url, redis_url)
    settings = settings.model_copy(update={"heartbeat_interval": 1})
    called: list[str] = []

    async def call(why: str) -> None:
        called.append(why)

    async with (
        Database(clean_postgres_url, max_size=2) as database,
        FloorWatch(settings, call) as watch,
    ):
        await agents.sync_agents(database, [find_agent(AGENT)])
        yield Stage(settings, database, watch, called)


async def test_a_dead_session_is_found_while_its_lease_lives(stage: Stage) -> None:
    with stage.session() as process:
        await stage.quiet_for(1)
        process.kill()
        process.wait()
        after_s, sign = await stage.until(Kind.DEAD)
    assert after_s < 20 and sign.text == "its process died"
    assert stage.called == [f"{AGENT}: its process died"]
    assert await stage.ended() == []


async def test_a_hung_session_is_ended_though_it_renews_its_lease(stage: Stage) -> None:
    with stage.session() as process:
        await stage.quiet_for(2)
        assert process.stdin is not None
        process.stdin.write("silent\n")
        process.stdin.flush()
        after_s, sign = await stage.until(Kind.HUNG)
        assert process.wait(60) == -signal.SIGKILL
    assert after_s < 20 and sign.end
    assert await stage.ended() == ["hung"]
    await stage.until(Kind.DEAD)
    assert stage.called


async def test_a_frozen_process_is_ended_once_its_lease_lapsed(stage: Stage) -> None:
    with stage.session() as process:
        await stage.quiet_for(1.5)
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        while time.monotonic() - began < 60 and process.poll() is None:
            await stage.watch.look()
            await asyncio.sleep(0.2)
        assert process.wait(60) == -signal.SIGKILL
        # Four seconds of lease, or three heartbeats if those were missed first.
        assert time.monotonic() - began < 20
    assert await stage.ended() in (["lapsed"], ["hung"])
    await stage.until(Kind.DEAD)


async def test_a_session_whose_worker_was_killed_is_ended(stage: Stage) -> None:
    with stage.session(worker=True) as worker:
        await stage.quiet_for(1)
        lease = await leases.holder(stage.database, AGENT)
        assert lease is not None
        session = psutil.Process(int(lease.holder.split(":")[1]))
        assert session.ppid() == worker.pid
        worker.kill()
        after_s, _ = await stage.until(Kind.ORPHAN)
        assert after_s < 20
        await stage.until(Kind.DEAD)
    assert await stage.ended() == ["orphan"]


async def test_a_hung_session_of_another_host_is_asked_to_end(stage: Stage) -> None:
    lease = await leases.acquire(stage.database, AGENT, "elsewhere:1:1", 600, RUN)
    assert lease is not None and stage.settings.redis_url is not None
    async with Bus(stage.settings.redis_url.get_secret_value()) as bus:
        bus.heartbeat(AGENT, {"token": lease.token}, ttl_s=60)
        await asyncio.sleep(0.2)
        await stage.quiet_for(1)
        _, sign = await stage.until(Kind.HUNG)
    assert not sign.end
    assert "no heartbeat" in await session_halt(stage.database, RUN)


async def test_nothing_is_started_while_the_floor_is_halted(stage: Stage) -> None:
    await state.set_halt(stage.database, "a drill")
    with stage.session() as process:
        await stage.quiet_for(1)
        process.kill()
        process.wait()
        _, sign = await stage.until(Kind.DEAD)
    assert not sign.start
    assert stage.called == []


async def test_a_prefect_that_is_away_is_told_of_once_and_called_once_when_it_is_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    away = True

    async def call(why: str) -> None:
        tried.append(why)
        if away:
            raise OSError("no Prefect")

    monkeypatch.setattr(stage.watch, "_call", call)
    with stage.session() as process:
        process.kill()
        process.wait()
        with capture_logs() as logs:
            await stage.until(Kind.DEAD)
            for _ in range(4):
                await stage.watch.look()
            away = False
            assert len(tried) == 5
            for _ in range(4):
                await stage.watch.look()
    assert len(tried) == 6
    told = [entry["event"] for entry in logs if "supervise" in entry["event"]]
    assert told == ["supervise_not_called", "supervise_called_again"]


async def test_without_postgres_it_goes_on_looking(tmp_path: Path, redis_url: str) -> None:
    settings = settings_of(tmp_path, 9, redis=redis_url)
    async with FloorWatch(settings) as watch:
        with capture_logs() as logs:
            assert await watch.look() == []
    assert [entry["event"] for entry in logs] == ["floor_watch_without_postgres"]
