"""Postgres goes away in the middle of everything, comes back, and nothing is lost or doubled."""

import asyncio
import math
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql

from models.errors import StoreUnavailable
from models.events import SpotSource, SpotTick
from models.orders import OrderState
from models.settings import Settings
from models.tables import metadata
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
        self._thread = ThreadPoolExecutor(1)
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

    async def do(self, work: Callable[[], None]) -> None:
        """Call one of these while the event loop turns, always from the same thread.

        A server ends with the thread that started it.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def first_start(self) -> None:
        self._thread.submit(self.start).result()

    def close(self) -> None:
        self._thread.submit(self.stop).result()
        self._thread.shutdown()

    def freeze(self) -> None:
        for process in self._processes():
            process.suspend()

    def thaw(self) -> None:
        for process in self._processes():
            process.resume()

    def _processes(self) -> list[psutil.Process]:
        assert self.process is not None
        postmaster = psutil.Process(self.process.pid)
        return [postmaster, *postmaster.children(recursive=True)]


@pytest.fixture(scope="module")
def one_server(
    tmp_path_factory: pytest.TempPathFactory, programs: SimpleNamespace
) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("outage"), programs)
    try:
        server.first_start()
        upgrade(server.urls.database)
        yield server
    finally:
        server.close()


@pytest.fixture
def server(one_server: Server) -> Server:
    """The server, running, its tables empty."""
    with psycopg.connect(one_server.urls.database, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in metadata.tables:
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    return one_server


PATIENCE_S = 100.0
"""How long a busy machine may take."""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.timeout(400)
async def test_orders_and_fills_of_an_outage_are_there_afterwards_once_and_in_order(
    server: Server, make: Any, tmp_path: Path
) -> None:
    """Killed, frozen, shut down: one session signs, fills and ends orders all along."""
    market = make.market()
    async with Database(server.urls.database, timeout_s=1) as db:
        await agents.sync_agents(db, [make.spec()])
        lease = await leases.acquire(db, "alpha", "one", 3600)
        assert lease is not None
        stop, going = asyncio.Event(), asyncio.Event()
        going.set()
        booked: list[Any] = []
        journal = PostgresJournal(
            db, "alpha", lease, spool_dir=tmp_path, patience_s=0.5,
            may_trade_until=lambda: math.inf, new_risk_s=math.inf,
        )  # fmt: skip

        async def trade() -> None:
            while not stop.is_set():
                order = make.order(len(booked) + 1, market)
                await journal.order_signed(order, market)
                fill = make.fill(order, f"t{len(booked)}", 1_000_000, len(booked), 1)
                await journal.fill(fill)
                await journal.order_changed(order.to(OrderState.FILLED))
                booked.append(fill)
                await asyncio.sleep(0.02)
                await going.wait()

        async def trade_on(orders: int) -> None:
            goal = len(booked) + orders
            await until(lambda: len(booked) >= goal or trading.done())

        async with journal:
            trading = asyncio.create_task(trade())
            for leave, come_back in (
                (server.kill, server.start),
                (server.freeze, server.thaw),
                (server.stop, server.start),
            ):
                await trade_on(10)
                await server.do(leave)
                await trade_on(60)
                assert journal.away_s > 0
                assert journal.behind > 0
                await server.do(come_back)
                going.clear()
                await until(lambda: journal.behind == 0)
                going.set()
                await trade_on(10)
            stop.set()
            await trading
            assert await journal.drained(PATIENCE_S)
            assert journal.away_s == 0.0
            assert journal.damaged == []
            kept = await journal.load()
        assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []
        assert kept.orders == ()
        assert {order.order_id for order in kept.ended} == {fill.order_id for fill in booked}
        assert set(kept.fills) == set(booked)
        (position,) = await portfolio.positions(db)
        assert position.size_e6 == sum(fill.size_e6 for fill in booked)
        assert position.bought_cash_e6 == sum(fill.cash_e6 for fill in booked)
        steps = await db.fetch("SELECT order_id, state FROM order_transitions ORDER BY id")
        assert [(row["order_id"], row["state"]) for row in steps] == [
            (fill.order_id, state) for fill in booked for state in ("intended", "signed", "filled")
        ]
        for table, rows in (("orders", len(booked)), ("fills", len(booked))):
            assert await db.fetch_one(f"SELECT count(*) AS n FROM {table}") == {"n": rows}
    assert check(server.urls.database) == []


async def test_what_is_noted_and_seen_during_an_outage_arrives_once(
    server: Server, make: Any, tmp_path: Path
) -> None:
    async with Database(server.urls.database, timeout_s=1) as db:
        await agents.sync_agents(db, [make.spec()])
        lease = await leases.acquire(db, "alpha", "one", 3600)
        assert lease is not None
        noted = 0
        async with (
            PostgresJournal(db, "alpha", lease, spool_dir=tmp_path) as journal,
            MarketDataWriter(db, tmp_path, flush_s=0.02) as writer,
        ):

            async def note(ticks: int) -> None:
                nonlocal noted
                for _ in range(ticks):
                    journal.event("tick", {"n": noted})
                    writer.spot(SpotTick(noted * 1_000, 0, "BTC", SpotSource.BINANCE, 1 + noted))
                    noted += 1
                    await asyncio.sleep(0.001)

            for _ in range(2):
                await note(100)
                await server.do(server.kill)
                await note(200)
                await server.do(server.start)
            await note(100)
            await until(lambda: writer.written == noted)
        events = await recent_events(db, limit=10**6)
        assert sorted(event.detail["n"] for event in events) == list(range(noted))
        spots = await db.fetch_one("SELECT count(*) AS n FROM spot_prices")
        assert spots == {"n": noted}
        assert (writer.dropped, writer.damaged) == (0, [])


async def test_an_order_that_cannot_be_kept_is_refused_soon(
    server: Server, make: Any, tmp_path: Path
) -> None:
    async with Database(server.urls.database, timeout_s=0.5) as db:
        await agents.sync_agents(db, [make.spec()])
        lease = await leases.acquire(db, "alpha", "one", 3600)
        assert lease is not None
        async with PostgresJournal(db, "alpha", lease, spool_dir=tmp_path) as journal:
            await server.do(server.kill)
            async with asyncio.timeout(10):
                with pytest.raises(StoreUnavailable):
                    await journal.order_signed(make.order(), make.market())
            await server.do(server.start)
            assert await journal.drained(PATIENCE_S)
            await journal.order_signed(make.order(2), make.market())
            kept = await journal.load()
            assert kept.orders == (make.order(2),)
            assert [order.state for order in kept.ended] in ([], [OrderState.REJECTED])


async def test_a_stopped_and_started_server_is_found_again(server: Server) -> None:
    async with Database(server.urls.database, timeout_s=0.5) as db:
        await state.set_halt(db, "kept over the restart")
        await server.do(server.stop)
        with pytest.raises(StoreUnavailable):
            await state.halted(db)
        await server.do(server.start)
        async with asyncio.timeout(PATIENCE_S):
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
    await server.do(server.kill)
    pid_file = server.home / "postgres" / "data" / "postmaster.pid"

    def borrow_a_living_pid() -> None:
        lines = pid_file.read_text().splitlines()
        lines[0] = str(os.getpid())
        pid_file.write_text("\n".join(lines) + "\n")

    await asyncio.to_thread(borrow_a_living_pid)
    await server.do(server.start)
    with psycopg.connect(server.urls.database) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
