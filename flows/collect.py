"""Collect market data: discover windows, stream books, trades and spot, keep them all."""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from prefect import flow
from prefect.exceptions import TerminationSignal
from prefect.settings import get_current_settings

from models.settings import Settings, load_settings
from store.bus import Bus
from store.database import Database
from store.marketdata import MarketDataWriter
from store.urls import urls
from tasks.agent_files import read_agents
from tasks.alerts import Alerts
from tasks.collector import Collector
from tasks.guards import watch_for_halt
from tasks.handover import successor_of_this_run
from tasks.logs import configure_logs
from tasks.session_signals import SigTerm
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.feed import PublicFeed


# Why a storage is named although nothing is kept in it: see `flows.trade`.
@flow(
    name="collect",
    flow_run_name="collect",
    result_storage=Path(get_current_settings().results.local_storage_path),
    persist_result=False,
)
async def collect() -> str:
    """Collect for one session, and until the next one is at work."""
    settings = load_settings()
    configure_logs(settings.log_level)
    addresses = urls(settings)
    selectors = [selector for spec in read_agents()[0].values() for selector in spec.markets]
    halt = asyncio.Event()
    sigterm = SigTerm(halt.set)
    async with AsyncExitStack() as stack:
        sigterm.take_over()
        stack.callback(sigterm.give_back)
        database = await stack.enter_async_context(Database(addresses.database))
        bus = await stack.enter_async_context(Bus(addresses.redis))
        writer = await stack.enter_async_context(
            MarketDataWriter(database, settings.floor_home / "spool" / "collect")
        )
        discovery = await stack.enter_async_context(GammaDiscovery(settings))
        await stack.enter_async_context(watch_for_halt(database, halt))
        collector = Collector(selectors, PublicFeed(settings), discovery, database, writer, bus)
        await collector.run(settings.session_seconds, halt, successor_of_this_run())
        written, dropped = writer.written, writer.dropped
    if writer.damaged:
        await tell(settings, writer.damaged)
    if sigterm.came:
        raise TerminationSignal(signal.SIGTERM)
    return f"{collector.events} events heard, {written} rows kept, {dropped} lost"


async def tell(settings: Settings, damaged: list[str]) -> None:
    """Tell people which local files of market data were damaged and set aside."""
    async with Alerts(settings) as alerts:
        names = ", ".join(damaged)
        alerts.post("error", f"the collector set damaged files aside: {names}")
