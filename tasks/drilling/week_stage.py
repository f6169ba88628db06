"""The stage of a simulated week: its own Postgres, an exchange and sessions, one clock for all."""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from models.agents import AgentSpec
from models.errors import ConfigError, NotReady
from models.settings import Settings
from models.units import SECOND_NS
from risk.limits import Limits
from store import agents
from store.database import Database
from store.embedded import Program, prepare_postgres
from store.schema import upgrade
from store.urls import Urls, ensure_databases, urls
from tasks.drilling import week_exchange, week_session
from tasks.drilling.week_clock import SharedClock
from tasks.drilling.week_process import Died, Process, context
from tasks.drilling.week_words import Done, SessionSpec, State, TakeOver, Tick
from venue.wallet import signing_key

CONTEXT = context("tasks.drilling.week_preload")
PR_SET_PDEATHSIG = 1
BOOK_EVERY_S = 5
STEP_S = 30.0
"""Ordinary step of the clock."""
SILENCE_S = 2.5 * STEP_S
"""The venue's patience with a silent agent, as many steps as it has real heartbeats."""
UP_S = 60.0
"""How long Postgres may take to start."""


class Defect(Exception):
    """A session failed in a way that none of its errors explains; its trace is the text."""


class Postgres:
    """An embedded Postgres that can be stopped and started again."""

    def __init__(self, home: Path) -> None:
        settings = Settings(
            _env_file=None, database_url=None, redis_url=None, floor_home=home,
            postgres_port=_free_port(),
        )  # fmt: skip
        self._home = home
        self._port = settings.postgres_port
        self._urls: Urls = urls(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._spent_s = 0.0
        self.start()
        upgrade(self.url)

    @property
    def url(self) -> str:
        return self._urls.database

    @property
    def away(self) -> bool:
        return self._process is None

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = prepare_postgres(self._home, self._port)
        self._program = program
        with (self._home / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                program.argv, env=dict(program.env), cwd=program.cwd, stdout=log, stderr=log,
                preexec_fn=_end_with_parent(program),
            )  # fmt: skip
        give_up = time.monotonic() + UP_S
        while True:
            try:
                return ensure_databases(self._urls)
            except NotReady:
                if time.monotonic() > give_up or self._process.poll() is not None:
                    raise ConfigError(
                        f"Postgres in {self._home} does not start; see {self._home}/postgres.log"
                    ) from None
                time.sleep(0.05)

    def cpu_s(self) -> float:
        """Processor time of this server and of those before it."""
        if self._process is None:
            return self._spent_s
        server = psutil.Process(self._process.pid)
        backends = (_cpu_s(one.pid) for one in server.children(recursive=True))
        return self._spent_s + _cpu_s(server.pid) + sum(backends)

    def stop(self) -> None:
        """Shut it down; whoever is connected is cut off."""
        self._spent_s = self.cpu_s()
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(self._program.stop_signal)
            process.wait(UP_S)


def _end_with_parent(program: Program) -> Any:
    def ask_for_it() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(program.stop_signal))

    return ask_for_it


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Life:
    """One session: its process and what it last said."""

    process: Process
    last: Done | None = None
    began_ns: int = 0

    @property
    def state(self) -> State:
        return self.last.state if self.last is not None else State.PREPARING


@dataclass
class Actor:
    """One agent: the session that trades, and the one that is about to."""

    spec: AgentSpec
    limits: Limits
    running: Life | None = None
    coming: Life | None = None
    back_ns: int = 0
    """When a dead session is replaced."""
    number: int = 0
    lives: int = 0
    deaths: int = 0
    said: str = ""
    """Why the last session that failed did."""

    @property
    def trading(self) -> bool:
        return self.running is not None and self.running.state is State.TRADING


@dataclass
class Stage:
    """Everything that runs. `open` it, `step` it, `close` it."""

    home: Path
    start_ns: int
    seed: int
    actors: Sequence[Actor]
    keep_orders: bool = True
    memory: int = 0
    """Of the exchange, in bytes."""
    cpu_s: float = 0.0
    """Processor time of what has ended so far."""
    ended: list[Done] = field(default_factory=list)
    """The last words of sessions that ended in good order."""

    def open(self) -> None:
        self.postgres = Postgres(self.home)
        asyncio.run(self._enter_agents())
        self.clock = SharedClock(self.home / "clock", self.start_ns)
        self.http = httpx.Client(timeout=120, trust_env=False)
        self.diary = self.home / "deaths.jsonl"
        self.diary.touch()
        self.port = 0
        self.start_exchange()
        settings = Settings(_env_file=None, floor_home=self.home, sim_port=self.port)
        self.key = signing_key(settings).get_secret_value()

    async def _enter_agents(self) -> None:
        async with Database(self.postgres.url, max_size=1) as database:
            await agents.sync_agents(database, [actor.spec for actor in self.actors])

    def close(self) -> None:
        for actor in self.actors:
            for life in (actor.running, actor.coming):
                if life is not None:
                    life.process.kill()
        if hasattr(self, "venue"):
            self.venue.kill()
        if hasattr(self, "http"):
            self.http.close()
        if hasattr(self, "postgres"):
            self.postgres.stop()

    # --- the venue ------------------------------------------------------------------------------

    def start_exchange(self) -> None:
        spec = week_exchange.ExchangeSpec(
            self.home, self.home / "clock", self.port, 150, self.seed, history_windows=40,
            capital_e6=sum(actor.spec.capital_e6 for actor in self.actors),
            silence_s=SILENCE_S, book_every_s=BOOK_EVERY_S,
        )  # fmt: skip
        self.venue = Process.start(CONTEXT, week_exchange.main, spec)
        self.port = self.venue.hear()

    def kill_exchange(self) -> None:
        """SIGKILL; what it acknowledged is in its SQLite, and faults are forgotten."""
        self.cpu_s += _cpu_s(self.venue.child.pid)
        self.venue.kill()
        self.start_exchange()

    def fault(self, name: str, **params: Any) -> None:
        body = {"name": name} | params
        self.http.post(f"{self._admin}/faults", json=body).raise_for_status()

    def clear_faults(self) -> None:
        self.http.delete(f"{self._admin}/faults").raise_for_status()

    def ledger(self, address: str, limit: int) -> dict[str, Any]:
        reply = self.http.get(f"{self._admin}/ledger/{address}", params={"limit": limit})
        body: dict[str, Any] = reply.raise_for_status().json()
        return body

    @property
    def _admin(self) -> str:
        return f"http://127.0.0.1:{self.port}/admin"

    # --- sessions -------------------------------------------------------------------------------

    def begin(self, actor: Actor) -> Life:
        """Start a session that prepares and then waits to take over."""
        actor.number += 1
        spec = SessionSpec(
            actor.spec, actor.limits, actor.number, self.postgres.url, self.home,
            self.home / "clock", self.port, self.diary, SILENCE_S, self.keep_orders,
        )  # fmt: skip
        return Life(Process.start(CONTEXT, week_session.main, spec))

    def replace(self, actor: Actor) -> None:
        """Start a session in place of a dead one."""
        actor.running, actor.coming = actor.coming or self.begin(actor), None
        self.take_over(actor, died=True)

    def take_over(self, actor: Actor, *, died: bool) -> None:
        life = actor.running
        assert life is not None
        life.began_ns = self.clock.now_ns()
        actor.lives += 1
        self.tell(actor, life, TakeOver(died))

    def tell(self, actor: Actor, life: Life, what: Any) -> None:
        try:
            life.process.tell(what)
        except Died:
            self.bury(actor, life)

    def bury(self, actor: Actor, life: Life) -> None:
        """Note a death."""
        life.process.pipe.close()
        actor.deaths += 1
        self.cpu_s += life.last.cpu_s if life.last is not None else 0.0
        if actor.coming is life:
            actor.coming = None
        elif actor.running is life:
            actor.running = None

    # --- time -----------------------------------------------------------------------------------

    def step(self, to_ns: int) -> None:
        """Move the clock, let the exchange do what is due, then everybody else."""
        self.clock.set(max(to_ns, self.clock.now_ns()))
        self.memory = self.venue.ask(week_exchange.Advance())
        ticked = list(self._lives())
        for actor, life in ticked:
            self.tell(actor, life, Tick())
        for actor, life in ticked:
            if life in (actor.running, actor.coming):
                self._hear(actor, life)

    def _lives(self) -> Iterator[tuple[Actor, Life]]:
        for actor in self.actors:
            for life in (actor.running, actor.coming):
                if life is not None:
                    yield actor, life

    def _hear(self, actor: Actor, life: Life) -> None:
        try:
            done = life.process.hear()
        except Died:
            self.bury(actor, life)
            return
        assert isinstance(done, Done), done
        life.last = done
        if done.state is State.DEFECT:
            raise Defect(f"{actor.spec.name}: {done.text}")
        if done.state is State.FAILED:
            # It ends, as a session does; others follow.
            actor.said = done.text
            life.process.kill()
            self.bury(actor, life)

    def processor_s(self) -> float:
        """Processor time of exchange, sessions and Postgres so far, in seconds."""
        lives = [life.last.cpu_s for _, life in self._lives() if life.last is not None]
        return self.cpu_s + sum(lives) + _cpu_s(self.venue.child.pid) + self.postgres.cpu_s()

    def now(self) -> str:
        """The simulated time since the beginning, for people."""
        seconds = (self.clock.now_ns() - self.start_ns) / SECOND_NS
        days, rest = divmod(int(seconds), 86_400)
        return f"day {days + 1} {rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"


def _cpu_s(pid: int | None) -> float:
    """Processor time of a process and of its children that have ended."""
    try:
        return sum(psutil.Process(pid).cpu_times()[:4])
    except psutil.Error:
        return 0.0


def kill(life: Life) -> None:
    """SIGKILL from outside, wherever it is."""
    pid = life.process.child.pid
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
