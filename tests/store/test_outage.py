"""Postgres is killed in the middle of everything, comes back, and nothing is lost or doubled."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from models.errors import StoreUnavailable
from models.events import SpotSource, SpotTick
from models.orders import OrderState
from models.settings import Settings
from store import agents, leases, portfolio, state
from store.database import Database
from store.embedded import prepare_postgres
from store.events import recent_events
from store.journal import PostgresJournal
from store.marketdata import MarketDataWriter
from store.schema import check, upgrade
from store.urls import ensure_databases, urls


class Server:
    """An embedded Postgres of this test's own, to be killed."""

    def __init__(self, home: Path, programs: SimpleNamespace) -> None:
        self.home = home
        self.log = home / "postgres.log"
        self._programs = programs
        self._port = programs.free_port()
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            database_url=None,
            floor_home=home,
            postgres_port=self._port,
        )
        self.urls = urls(settings)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.program = prepare_postgres(self.home, self._port)
        self.process = self._programs.run(self.program, self.log)
        self._programs.wait_for("Postgres", self._ready, self.log)

    def _ready(self) -> None:
        """Start it again when it gave up because the dead one's children still ran."""
        if self.process is None or self.process.poll() is not None:
            self.process = self._programs.run(self.program, self.log)
        ensure_databases(self.urls)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None:
            self._programs.stop(self.process, self.program)


@pytest.fixture
async def server(
    tmp_path_factory: pytest.TempPathFactory, programs: SimpleNamespace
) -> AsyncIterator[Server]:
    server = Server(tmp_path_factory.mktemp("outage"), programs)
    try:
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(upgrade, server.urls.database)
        yield server
    finally:
        await asyncio.to_thread(server.stop)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


async def test_killed_while_writing(server: Server, make: Any, tmp_path: Path) -> None:
    async with Database(server.urls.database, timeout_s=1) as db:
        await agents.sync_agents(db, [make.spec()])
        lease = await leases.acquire(db, "alpha", "one", 3600)
        assert lease is not None
        stop = asyncio.Event()
        booked: list[Any] = []
        noted = 0
        signed: list[Any] = []
        unsure: list[Any] = []

        async with (
            PostgresJournal(db, "alpha", lease, spool_dir=tmp_path) as journal,
            MarketDataWriter(db, tmp_path, flush_s=0.02) as writer,
        ):

            async def trade() -> None:
                n = 0
                while not stop.is_set():
                    n += 1
                    order = make.order(n)
                    try:
                        await journal.order_signed(order, make.market())
                    except StoreUnavailable:
                        unsure.append(order)
                        continue
                    signed.append(order)
                    fill = make.fill(order, f"t{n}", 1_000_000, n, 1)
                    await journal.fill(fill)
                    booked.append(fill)
                    await journal.order_changed(order.to(OrderState.FILLED))

            async def watch() -> None:
                nonlocal noted
                while not stop.is_set():
                    journal.event("tick", {"n": noted})
                    writer.spot(SpotTick(noted * 1_000, 0, "BTC", SpotSource.BINANCE, 1 + noted))
                    noted += 1
                    await asyncio.sleep(0.001)

            workers = [asyncio.create_task(trade()), asyncio.create_task(watch())]
            for _ in range(2):
                goal = len(booked) + 20
                await until(lambda goal=goal: len(booked) >= goal)  # type: ignore[misc]
                await asyncio.to_thread(server.kill)
                ticks = noted + 200
                await until(lambda ticks=ticks: noted >= ticks)  # type: ignore[misc]
                await asyncio.to_thread(server.start)
            goal = len(booked) + 20
            await until(lambda: len(booked) >= goal)
            stop.set()
            await asyncio.gather(*workers)

        state_ = await journal.load()
        assert set(state_.fills) == set(booked)
        kept = {order.order_id for order in (*state_.orders, *state_.ended)}
        assert {order.order_id for order in signed} <= kept
        assert kept <= {order.order_id for order in (*signed, *unsure)}
        (position,) = await portfolio.positions(db)
        assert position.size_e6 == sum(fill.size_e6 for fill in booked)
        assert position.bought_cash_e6 == sum(fill.cash_e6 for fill in booked)
        events = await recent_events(db, limit=10**6)
        assert sorted(event.detail["n"] for event in events) == list(range(noted))
        spots = await db.fetch_one("SELECT count(*) AS n FROM spot_prices")
        assert spots == {"n": noted}
        assert writer.written == noted
        assert writer.dropped == 0
    assert check(server.urls.database) == []


async def test_an_order_that_cannot_be_kept_is_refused_soon(
    server: Server, make: Any, tmp_path: Path
) -> None:
    async with Database(server.urls.database, timeout_s=0.5) as db:
        await agents.sync_agents(db, [make.spec()])
        lease = await leases.acquire(db, "alpha", "one", 3600)
        assert lease is not None
        async with PostgresJournal(db, "alpha", lease, spool_dir=tmp_path) as journal:
            await asyncio.to_thread(server.kill)
            async with asyncio.timeout(10):
                with pytest.raises(StoreUnavailable):
                    await journal.order_signed(make.order(), make.market())
            await asyncio.to_thread(server.start)
            await journal.order_signed(make.order(), make.market())
            assert len((await journal.load()).orders) == 1


async def test_a_stopped_and_started_server_is_found_again(server: Server) -> None:
    async with Database(server.urls.database, timeout_s=0.5) as db:
        await state.set_halt(db, "kept over the restart")
        await asyncio.to_thread(server.stop)
        with pytest.raises(StoreUnavailable):
            await state.halted(db)
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(15):
            while True:
                try:
                    halt = await state.halted(db)
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.05)
        assert halt is not None
        assert halt.reason == "kept over the restart"


async def test_a_pid_file_whose_number_now_is_somebody_elses_does_not_stop_the_start(
    server: Server,
) -> None:
    await asyncio.to_thread(server.kill)
    pid_file = server.home / "postgres" / "data" / "postmaster.pid"

    def borrow_a_living_pid() -> None:
        lines = pid_file.read_text().splitlines()
        lines[0] = str(os.getpid())
        pid_file.write_text("\n".join(lines) + "\n")

    await asyncio.to_thread(borrow_a_living_pid)
    await asyncio.to_thread(server.start)
    with psycopg.connect(server.urls.database) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
