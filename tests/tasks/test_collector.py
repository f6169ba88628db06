"""The collector against a real simulator, a real Postgres and a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.agents import MarketSelector
from models.settings import Liquidity, Settings
from store import state
from store.bus import Bus
from store.database import Database
from store.marketdata import MarketDataWriter
from tasks.collector import STATE_KEY, Collector
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.feed import PublicFeed
from venue.simulator.config import SimulatorConfig
from venue.simulator.server import RunningSimulator, start_simulator

WINDOW_S = 20


@dataclass
class Stage:
    simulator: RunningSimulator
    database: Database
    bus: Bus
    collector: Collector

    async def count(self, table: str, where: str = "true") -> int:
        row = await self.database.fetch_one(f"SELECT count(*) AS n FROM {table} WHERE {where}")
        assert row is not None
        return int(row["n"])

    async def until(self, is_so: Callable[[], Any], seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while not await is_so():
                await asyncio.sleep(0.1)


@pytest.fixture
async def stage(clean_postgres_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    simulator = await start_simulator(
        SimulatorConfig(port=0, window_seconds=WINDOW_S, liquidity=Liquidity.MODEL, home=None)
    )
    settings = Settings(
        _env_file=None,
        sim_port=simulator.port,
        sim_window_seconds=WINDOW_S,
        floor_home=tmp_path,
    )
    async with (
        Database(clean_postgres_url, max_size=4) as database,
        Bus(redis_url) as bus,
        MarketDataWriter(database, tmp_path / "spool", flush_s=0.1) as writer,
        GammaDiscovery(settings) as discovery,
    ):
        selectors = [MarketSelector(asset="BTC", timeframe="15m")] * 2
        collector = Collector(selectors, PublicFeed(settings), discovery, database, writer, bus)
        running = asyncio.create_task(collector.run(600))
        try:
            yield Stage(simulator, database, bus, collector)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await simulator.close()


async def test_what_the_venue_says_is_kept_published_and_survives_a_cut(stage: Stage) -> None:
    followed: list[Any] = []

    async def follow() -> None:
        async for event in stage.bus.follow("BTC", "0"):
            followed.append(event)

    listener = asyncio.create_task(follow())
    await stage.until(lambda: has(stage, "market_data", "kind = 'top'"))
    await stage.until(lambda: has(stage, "spot_prices", "asset = 'BTC'"))
    await stage.until(lambda: has(stage, "markets", "strike IS NOT NULL"))
    assert len(stage.collector.watching) == 2, "the current window and the next, once each"

    async with httpx.AsyncClient(trust_env=False) as client:
        reply = await client.post(f"{stage.simulator.url}/admin/faults", json={"name": "ws-drop"})
    assert reply.status_code == 200
    tops = await stage.count("market_data")
    spots = await stage.count("spot_prices")
    await stage.until(lambda: more(stage, "market_data", tops))
    await stage.until(lambda: more(stage, "spot_prices", spots))

    await stage.until(lambda: has(stage, "markets", "winner IS NOT NULL"))
    noted = await state.get(stage.database, STATE_KEY)
    assert noted["written"] > 0
    assert noted["dropped"] == 0
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    assert followed, "spot prices reached Redis"


async def has(stage: Stage, table: str, where: str) -> bool:
    return await stage.count(table, where) > 0


async def more(stage: Stage, table: str, than: int) -> bool:
    return await stage.count(table) > than
