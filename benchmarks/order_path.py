"""How long from a decision to its order on the wire: risk, reserve, sign, persist, write.

    python benchmarks/order_path.py [orders]

A whole trader with the real adapter, the journal on an embedded Postgres and the simulated venue
as a process of its own. The clock starts when the strategy returns its intent and stops when the
order's bytes are given to the socket; in between the desk checks the risk, the order manager
reserves the money, the order is signed (coincurve) and its row is committed (the server's
``synchronous_commit`` and fsync are on). Its parts are timed beside the whole, and beside them
what the disk takes for any commit.
"""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from asyncio import selector_events
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import structlog

from benchmarks.decision import Instant, snapshot
from engine.clock import SystemClock
from engine.trader import Trader
from models.agents import AgentSpec, MarketSelector
from models.errors import FloorError
from models.events import BookSnapshot, Channel, FeedState, FeedStatus, SpotSource, SpotTick
from models.markets import Market, Outcome
from models.orders import TimeInForce
from models.settings import Settings
from models.units import SECOND_NS, SHARE, SPOT_USD, USD
from risk.limits import Limits
from store import agents, leases
from store.database import Database
from store.embedded import prepare_postgres
from store.journal import PostgresJournal
from store.schema import upgrade
from store.urls import Urls, ensure_databases, urls
from strategies.base import Intents, Strategy, View
from strategies.intents import Buy
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.discovery import GammaDiscovery

ROOT = Path(__file__).parents[1]
AGENT = "bench"
EVERY_S = 0.04
"""Below the venue's 40 orders a second."""
OPEN_MOST = 25
POST = b"POST /clob/order "


class Times:
    """When things happened, in ns of the performance counter, and how long parts took."""

    def __init__(self) -> None:
        self.decided_ns = 0
        self.decided_cpu_ns = 0
        self.whole: list[int] = []
        self.cpu: list[int] = []
        self.parts: dict[str, list[int]] = defaultdict(list)

    def watch_sockets(self) -> None:
        """Note the first byte of an order given to a socket."""
        transport: Any = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
        write = transport.write

        def noting(this: Any, data: Any) -> None:
            write(this, data)
            if self.decided_ns and bytes(data[: len(POST)]) == POST:
                self.whole.append(time.perf_counter_ns() - self.decided_ns)
                self.cpu.append(time.thread_time_ns() - self.decided_cpu_ns)
                self.decided_ns = 0

        transport.write = noting

    def timed(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def run(*args: Any, **options: Any) -> Any:
            begin = time.perf_counter_ns()
            try:
                return await call(*args, **options)
            finally:
                self.parts[name].append(time.perf_counter_ns() - begin)

        return run


class Steady(Strategy):
    """Wants one resting order on every tick."""

    name = "steady"
    cadence_ms = 0

    def __init__(self, times: Times) -> None:
        super().__init__(self.Params())
        self._times = times

    def on_tick(self, view: View) -> Intents:
        intent = Buy(
            Outcome.UP, price_e4=200, size_e6=5 * SHARE, tif=TimeInForce.GTC, post_only=True
        )
        self._times.decided_cpu_ns = time.thread_time_ns()
        self._times.decided_ns = time.perf_counter_ns()
        return intent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, 15)


@contextmanager
def servers(home: Path) -> Iterator[tuple[Settings, Urls]]:
    """Postgres, migrated, and the simulator, each a process of its own."""
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url=None, redis_url=None, floor_home=home, postgres_port=free_port(),
        redis_port=free_port(), sim_port=free_port(),
    )  # fmt: skip
    where = urls(settings)
    postgres = prepare_postgres(home, urlsplit(where.database).port or 0)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    env = os.environ | {
        "FLOOR_HOME": str(home), "SIM_PORT": str(settings.sim_port), "SIM_LIQUIDITY": "model",
        "TRADING_MODE": "sim",
    }  # fmt: skip
    started = [
        subprocess.Popen(
            postgres.argv, env=dict(postgres.env), cwd=postgres.cwd, preexec_fn=die_with_parent,
            **quiet,  # type: ignore[call-overload]
        ),
        subprocess.Popen(
            [sys.executable, "-m", "venue.simulator"], env=env, cwd=ROOT,
            preexec_fn=die_with_parent, **quiet,  # type: ignore[call-overload]
        ),
    ]  # fmt: skip
    try:
        patiently(lambda: ensure_databases(where))
        upgrade(where.database)
        patiently(lambda: httpx.get(f"http://127.0.0.1:{settings.sim_port}/clob/ok"))
        yield settings, where
    finally:
        for process, how in zip(started, (postgres.stop_signal, signal.SIGTERM), strict=True):
            process.send_signal(how)
            process.wait(30)


def patiently(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            ready()
        except (FloorError, httpx.TransportError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


async def open_market(discovery: GammaDiscovery) -> Market:
    """A market with enough time left for the measurement."""
    while True:
        now_s = int(time.time())
        for timeframe in ("15m", "5m"):
            start_s = discovery.window_start_s(timeframe, now_s)
            market = await discovery.market("BTC", timeframe, start_s)
            if market is not None and market.end_ns - time.time_ns() > 60 * SECOND_NS:
                return market
        await asyncio.sleep(1)


def books(market: Market) -> BookSnapshot:
    ns = time.time_ns()
    book = snapshot(5_000, ns)
    return BookSnapshot(ns, ns, market.condition_id, market.up_token, book.bids, book.asks)


async def measure(settings: Settings, where: Urls, orders: int, times: Times) -> None:
    spec = AgentSpec(
        name=AGENT, strategy="momentum", capital_usd=Decimal(900),
        markets=(MarketSelector(asset="BTC", timeframe="15m"),),
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = await enter(Database(where.database))
        await agents.sync_agents(database, [spec])
        lease = await leases.acquire(database, AGENT, "benchmark", 600)
        assert lease is not None
        spool = settings.floor_home / "spool"
        journal = await enter(PostgresJournal(database, AGENT, lease, spool_dir=spool))
        discovery = await enter(GammaDiscovery(settings))
        venue = await PolymarketVenue.connect(settings, 1, AGENT)
        stack.push_async_callback(venue.close)
        feed = Instant()
        ports: Any = feed
        trader = Trader(
            spec=spec, strategy=Steady(times), venue=venue, feed=ports, discovery=discovery,
            journal=journal, notices=ports, clock=SystemClock(),
            limits=Limits(900 * USD, 900 * USD, 900 * USD, 900 * USD, 3),
        )  # fmt: skip
        venue.sign = times.timed("sign", venue.sign)  # type: ignore[method-assign]
        journal.order_signed = times.timed("persist", journal.order_signed)  # type: ignore[method-assign]
        await trader.start()
        market = await open_market(discovery)
        window = asyncio.create_task(trader.run_window(market))
        await trade(trader, feed, market, times, orders)
        await trader.stop("measured")
        await window


async def trade(trader: Trader, feed: Instant, market: Market, times: Times, orders: int) -> None:
    """Wake the strategy at a steady pace until so many of its orders were sent."""
    ns = time.time_ns()
    for channel in Channel:
        feed.sink(FeedStatus(ns, ns, channel, FeedState.UP))
    while len(times.whole) < orders:
        ns = time.time_ns()
        feed.sink(SpotTick(ns, ns, "BTC", SpotSource.CHAINLINK, 68_000 * SPOT_USD))
        feed.sink(books(market))
        await asyncio.sleep(EVERY_S)
        if len(trader.orders.open_orders()) >= OPEN_MOST:
            await trader.orders.cancel_all(market.condition_id)


def bare_commits(url: str, count: int) -> Iterator[int]:
    """What this machine's disk takes for a row of nothing, committed alone."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bare (n bigint)")
        for n in range(count):
            begin = time.perf_counter_ns()
            connection.execute("INSERT INTO bare VALUES (%s)", (n,))
            yield time.perf_counter_ns() - begin
            time.sleep(EVERY_S / 4)


def tell(name: str, values: list[int]) -> None:
    ordered = sorted(values[len(values) // 10 :])
    cells = (ordered[min(len(ordered) - 1, int(len(ordered) * q))] / 1e6 for q in (0.5, 0.9, 0.99))
    print(f"  {name:30}" + "".join(f"{cell:10.2f}" for cell in cells))


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.disable(logging.WARNING)
    orders = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    times = Times()
    times.watch_sockets()
    with tempfile.TemporaryDirectory() as home, servers(Path(home)) as (settings, where):
        asyncio.run(measure(settings, where, orders, times))
        bare = list(bare_commits(where.database, orders))
    print(
        f"{orders} orders, the first tenth left out; milliseconds         p50       p90       p99"
    )
    tell("decision to order on the wire", times.whole)
    tell("  processor time of ours in it", times.cpu)
    tell("  of which signing", times.parts["sign"])
    tell("  of which the committed row", times.parts["persist"])
    tell("for comparison, a bare commit", bare)


if __name__ == "__main__":
    main()
