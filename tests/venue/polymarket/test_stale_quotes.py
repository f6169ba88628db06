"""On a whole venue in real time: sockets freeze and prices stall, and the quotes are gone."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.backtest.recorder import Recorder, RunJournal
from engine.clock import SystemClock
from engine.steady import STEADY
from engine.trader import Trader
from models.agents import AgentSpec, MarketSelector
from models.events import Channel, FeedEvent, FeedState, FeedStatus, SpotSource, SpotTick
from models.settings import Liquidity, Settings
from models.units import SECOND_NS, SHARE, USD
from risk.limits import Limits
from strategies.base import Quote, Strategy
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.feed import PolymarketFeed
from venue.simulator.config import SimulatorConfig
from venue.simulator.server import start_simulator

PATIENCE_S = 60


class Far(Strategy):
    """Rests far from the market on both sides, so that nothing fills."""

    name = "far"

    def on_tick(self, view):
        if not view.fresh:
            return Quote(None, 0, None, 0)
        tick = view.market.tick_e4
        return Quote(5 * tick, 10 * SHARE, 10_000 - 5 * tick, 10 * SHARE)


@dataclass
class Seen:
    """What the trader heard and sent, with the times."""

    states: list[FeedStatus] = field(default_factory=list)
    spot_ns: int = 0
    cancels_ns: list[int] = field(default_factory=list)

    def hear(self, event: FeedEvent) -> None:
        if isinstance(event, FeedStatus):
            self.states.append(event)
        elif isinstance(event, SpotTick) and event.source is SpotSource.CHAINLINK:
            self.spot_ns = event.recv_ns


@dataclass
class Floor:
    trader: Trader
    venue: PolymarketVenue
    seen: Seen
    url: str

    async def fault(self, name: str, on: bool) -> None:
        async with httpx.AsyncClient() as client:
            address = f"{self.url}/admin/faults"
            if on:
                answer = await client.post(address, json={"name": name})
            else:
                answer = await client.delete(f"{address}/{name}")
            answer.raise_for_status()

    async def until(self, what: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not what():
                await asyncio.sleep(0.02)

    async def quoting(self) -> None:
        await self.until(lambda: len(self.trader.orders.open_orders()) == 2)
        await self.until(lambda: all(o.state == "live" for o in self.trader.orders.open_orders()))
        self.seen.cancels_ns.clear()
        self.seen.states.clear()


def length_s() -> int:
    """Length of windows of which the present one has hardly begun, whatever the time is."""
    return min(range(600, 1_200, 7), key=lambda length: time.time() % length)


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    length = length_s()
    sim = await start_simulator(
        SimulatorConfig(
            home=tmp_path / "sim",
            port=0,
            liquidity=Liquidity.MODEL,
            seed=3,
            window_seconds=length,
        )
    )
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        floor_home=tmp_path,
        sim_port=sim.port,
        sim_window_seconds=length,
    )
    venue = await PolymarketVenue.connect(settings, 1, "far")
    discovery = GammaDiscovery(settings)
    seen = Seen()
    feed = PolymarketFeed(settings, venue)
    start = feed.start

    async def heard(sink: Any) -> None:
        def both(event: FeedEvent) -> None:
            seen.hear(event)
            sink(event)

        await start(both)

    cancel = venue.cancel

    async def noting(order_ids: Any) -> Any:
        seen.cancels_ns.append(STEADY.now_ns())
        return await cancel(order_ids)

    feed.start, venue.cancel = heard, noting  # type: ignore[method-assign]
    start_s = discovery.window_start_s("15m", STEADY.now_ns() // SECOND_NS)
    market = None
    async with asyncio.timeout(PATIENCE_S):
        while market is None:
            market = await discovery.market("BTC", "15m", start_s)
    journal = RunJournal(0, Recorder({market.condition_id: 0}), STEADY.now_ns)
    limits = Limits(500 * USD, 20 * USD, 100 * USD, 200 * USD, 3)
    trader = Trader(
        spec=AgentSpec(
            name="far", strategy="far", capital_usd=Decimal(500),
            markets=(MarketSelector(asset="BTC", timeframe="15m"),),
        ),
        strategy=Far(Far.Params()), venue=venue, feed=feed, discovery=discovery, journal=journal,
        notices=journal, clock=SystemClock(), limits=limits,
    )  # fmt: skip
    await trader.start()
    window = asyncio.create_task(trader.run_window(market))
    yield Floor(trader, venue, seen, sim.url)
    await trader.stop("test over")
    await window
    await venue.close()
    await discovery.close()
    await sim.close()


async def test_quotes_are_gone_within_a_second_of_their_data(floor: Floor) -> None:
    await floor.quoting()
    told_ns = await floor.venue.server_time_ns()
    assert abs(told_ns - STEADY.now_ns()) < 2 * SECOND_NS, "the venue tells its time"
    await floor.fault("rtds-stall", True)
    await floor.until(lambda: floor.seen.cancels_ns)
    stale_ns = floor.seen.spot_ns + 6 * SECOND_NS
    assert 0 < floor.seen.cancels_ns[0] - stale_ns < SECOND_NS
    await floor.until(lambda: not floor.trader.orders.open_orders())
    assert await floor.venue.open_orders() == []
    await floor.fault("rtds-stall", False)

    await floor.quoting()
    frozen_ns = STEADY.now_ns()
    await floor.fault("ws-freeze", True)
    await floor.until(lambda: floor.seen.cancels_ns)
    told_ns = next(
        one.recv_ns
        for one in floor.seen.states
        if one.channel is Channel.MARKET and one.state is not FeedState.UP
    )
    assert floor.seen.cancels_ns[0] - told_ns < SECOND_NS
    print(f"frozen to cancelled: {(floor.seen.cancels_ns[0] - frozen_ns) / SECOND_NS:.1f} s")
    await floor.until(lambda: not floor.trader.orders.open_orders())
    assert await floor.venue.open_orders() == []
    await floor.fault("ws-freeze", False)
    await floor.quoting()
