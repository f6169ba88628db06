"""The collector against a real simulator, Postgres and Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from models.agents import MarketSelector
from models.settings import Liquidity, Settings
from models.units import SECOND_NS
from store import markets, state
from store.bus import Bus
from store.database import Database
from store.marketdata import MarketDataWriter
from tasks import collector as collecting
from tasks.collector import STATE_KEY, Collector
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.feed import PublicFeed
from venue.simulator.config import SimulatorConfig
from venue.simulator.server import start_simulator

WINDOW_S = 10
BTC = MarketSelector(asset="BTC", timeframe="15m")
ETH = MarketSelector(asset="ETH", timeframe="15m")


@dataclass
class Bench:
    database: Database
    discovery: GammaDiscovery
    make: Callable[[], Awaitable[Collector]]

    async def rows(self, table: str) -> int:
        row = await self.database.fetch_one(f"SELECT count(*) AS n FROM {table}")
        return 0 if row is None else int(row["n"])

    async def until(self, what: str, is_so: Callable[[], Awaitable[object]]) -> None:
        began = time.monotonic()
        while time.monotonic() - began < 25:
            if await is_so():
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"not within 25 s: {what}")


@pytest.fixture
async def bench(
    clean_postgres_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    monkeypatch.setattr(collecting, "DISCOVER_S", 0.2)
    simulator = await start_simulator(
        SimulatorConfig(liquidity=Liquidity.MODEL, window_seconds=WINDOW_S, resolve_lag_ms=300)
    )
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        floor_home=tmp_path,
        sim_port=simulator.port,
    ).model_copy(update={"sim_window_seconds": WINDOW_S})
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(clean_postgres_url))
        bus = await stack.enter_async_context(Bus(redis_url))
        discovery = await stack.enter_async_context(GammaDiscovery(settings))

        async def make() -> Collector:
            writer = MarketDataWriter(database, tmp_path / "spool")
            await stack.enter_async_context(writer)
            feed = PublicFeed(settings)
            return Collector([BTC, ETH], feed, discovery, database, writer, bus)

        yield Bench(database, discovery, make)
    await simulator.close()


async def test_books_prices_strikes_and_winners_are_kept(bench: Bench) -> None:
    collector = await bench.make()
    halt = asyncio.Event()
    running = asyncio.create_task(collector.run(600, halt))

    async def kept() -> bool:
        row = await bench.database.fetch_one(
            "SELECT count(winner) AS winners, count(strike) AS strikes FROM markets"
        )
        assert row is not None
        many = [await bench.rows(table) > 5 for table in ("market_data", "spot_prices")]
        return bool(row["winners"] and row["strikes"] and all(many))

    await bench.until("a window resolves, with books and prices", kept)
    noted = await state.get(bench.database, STATE_KEY)
    assert noted["watching"] and noted["events"] > 0
    halt.set()
    await running
    # What ended is let go of: two assets, each with the current window and the next one.
    assert len(collector.watching) <= 6


async def test_of_two_collectors_the_earlier_one_ends(bench: Bench) -> None:
    halt = asyncio.Event()
    first = await bench.make()
    early = asyncio.create_task(first.run(600, halt))
    await asyncio.sleep(0.5)
    second = await bench.make()
    late = asyncio.create_task(second.run(600, halt))
    async with asyncio.timeout(10):
        await early
    assert first.superseded
    await asyncio.sleep(0.5)
    assert not late.done()
    assert not second.superseded
    halt.set()
    await late


async def test_a_collector_past_its_time_goes_on_until_its_successor_is_at_work(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "OVERLAP_S", 1.5)
    monkeypatch.setattr(collecting, "CALL_AGAIN_S", 0.3)
    halt = asyncio.Event()
    calls: list[int] = []

    async def call(attempt: int) -> None:
        calls.append(attempt)

    first = await bench.make()
    early = asyncio.create_task(first.run(0.5, halt, call))

    async def called_again() -> bool:
        return len(calls) >= 2

    await bench.until("a successor that does not come is called again", called_again)
    assert not early.done()
    second = await bench.make()
    late = asyncio.create_task(second.run(600, halt))

    async def superseded() -> bool:
        return first.superseded

    await bench.until("the successor says that it is at work", superseded)
    # It has heard something by then, and both listen for a while.
    assert second.events > 0 and not early.done()
    began = time.monotonic()
    async with asyncio.timeout(30):
        await early
    assert time.monotonic() - began > 1.0
    halt.set()
    await late


async def test_a_market_that_contradicts_the_books_holds_up_no_other(bench: Bench) -> None:
    start_s = bench.discovery.window_start_s("15m", int(time.time()))
    for at_s in (start_s, start_s + WINDOW_S):
        found = await bench.discovery.market("BTC", "15m", at_s)
        assert found is not None
        moved = replace(found, end_ns=found.end_ns + SECOND_NS)
        await markets.upsert_market(bench.database, moved)
    collector = await bench.make()
    halt = asyncio.Event()
    running = asyncio.create_task(collector.run(600, halt))

    async def watches_eth() -> bool:
        return any(slug.startswith("eth") for slug in collector.watching)

    await bench.until("the other asset is watched", watches_eth)
    assert not running.done()
    assert (await state.get(bench.database, STATE_KEY)) is not None
    halt.set()
    await running
