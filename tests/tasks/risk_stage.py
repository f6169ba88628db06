"""A floor's servers for tests of the kill switch and the risk watch, and orders at the venue."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from models.markets import Market, Outcome, Side
from models.orders import OrderRequest, TimeInForce
from models.settings import Liquidity, Settings
from models.units import SHARE
from tasks.api_keys import api_nonce
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.limits import TokenBucket
from venue.simulator.config import SimulatorConfig
from venue.simulator.server import RunningSimulator, start_simulator

AGENTS = ("market-maker-btc-15m", "momentum-btc-15m")
NOWHERE = "postgresql://floor:x@127.0.0.1:1/floor"
NO_REDIS = "redis://:x@127.0.0.1:1/0"


def settings_of(home: Path, port: int, database: str = NOWHERE, redis: str = NO_REDIS) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url=database,
        redis_url=redis,
        floor_home=home,
        sim_port=port,
    )


@dataclass
class Exchange:
    """A simulator and lines of two agents of one wallet."""

    simulator: RunningSimulator
    settings: Settings
    lines: tuple[PolymarketVenue, ...]
    market: Market
    pace: TokenBucket = field(
        default_factory=lambda: TokenBucket("orders", 38, 55, patience_s=60, clock=time.monotonic)
    )
    """All agents sign with one key, by which the venue counts."""

    async def rest(self, line: PolymarketVenue, count: int) -> list[str]:
        """Let so many orders rest far from the market; the venue's own limits hold."""
        ids = []
        for number in range(count):
            outcome = Outcome.UP if number % 2 else Outcome.DOWN
            request = OrderRequest(
                f"i{number}", line.agent, self.market.condition_id, self.market.token(outcome),
                outcome, Side.BUY, 100 * (1 + number % 2), 5 * SHARE, TimeInForce.GTC,
                post_only=True,
            )  # fmt: skip
            signed = await line.sign(request, self.market)
            await self.pace.take()
            await line.submit(signed)
            ids.append(signed.order_id)
        return ids

    async def open(self) -> set[str]:
        return {order.order_id for order in await self.lines[0].open_orders()}


@asynccontextmanager
async def exchange(settings: Settings, port: int) -> AsyncIterator[Exchange]:
    """A real simulator with 15-minute windows on the wall clock."""
    simulator = await start_simulator(
        SimulatorConfig(liquidity=Liquidity.MODEL, taker_delay_ms=0, port=port, window_seconds=900)
    )
    lines: list[PolymarketVenue] = []
    try:
        for agent in AGENTS:
            lines.append(
                await PolymarketVenue.connect(settings, nonce=api_nonce(agent), agent=agent)
            )
        async with GammaDiscovery(settings) as discovery:
            market = None
            while market is None:
                # The next window: it neither ends nor makes up its mind while a test runs.
                start_s = discovery.window_start_s("15m", int(time.time())) + 900
                market = await discovery.market("BTC", "15m", start_s)
                await asyncio.sleep(0 if market else 0.1)
        yield Exchange(simulator, settings, tuple(lines), market)
    finally:
        for line in lines:
            await line.close()
        await simulator.close()
