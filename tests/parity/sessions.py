"""Live sessions on the simulator, recorded: real server, real adapter, real trader, real time."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.clock import SystemClock
from engine.indicators import Indicators
from engine.markets import MarketData
from engine.memory import pack
from engine.recording import Recorder
from engine.recording.rehearsal import strategy_of
from engine.trader import Trader, TraderSettings
from models.agents import AgentSpec
from models.conditional import Condition
from models.errors import VenueError
from models.events import SpotSource, SpotTick
from models.execution import Execution
from models.journal import JournalState, WindowResult
from models.markets import Market
from models.orders import Fill, Order
from models.settings import Liquidity, Settings
from models.units import SECOND_NS, SPOT_USD
from risk.limits import Limits
from store.recording import RecordingFile
from strategies.base import Strategy
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.feed import PolymarketFeed
from venue.simulator.config import RECORDING, Series, SimulatorConfig
from venue.simulator.liquidity import SEEN_LEVELS
from venue.simulator.server import RunningSimulator, start_simulator

WINDOW_S = 24
LEAST = {"momentum": 2, "market-maker": 10, "mean-reversion": 2}
"""Orders over recorded books that must have filled before a session ends."""
MOST_S = 160.0
"""Longest session."""
SERIES = Series("BTC", "15m")

PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    # Windows last seconds: whatever is counted in seconds is too.
    "momentum": {
        "lookback_s": 5, "threshold_pct": 0.0002, "budget_usd": 5, "min_time_left_s": 4,
        "entries_per_window": 4, "cooldown_s": 3, "max_price": 0.97, "max_spread": 0.3,
    },
    "market-maker": {
        "half_spread_ticks": 0.5, "size_shares": 10, "min_time_left_s": 4, "join_best": True,
        "edge_price": 0.0, "move_weight": 0.0, "max_inventory_shares": 60,
    },
    "mean-reversion": {
        "window_s": 10, "entry_z": 0.2, "exit_z": 0.1, "min_edge": 0.0, "volatility_s": 30,
        "budget_usd": 4, "most_held_s": 3, "min_time_left_s": 4, "max_spread": 0.3,
        "entries_per_window": 20,
    },
}  # fmt: skip
"""Parameters with which each strategy of the library really trades within a few windows."""


def warmed(strategy: Strategy, now_ns: int) -> JournalState:
    """What a session before would have left: a minute of spot prices in the indicators."""
    data = MarketData(None, None, 30.0, 6.0, Indicators(strategy.indicators()))  # type: ignore[arg-type]
    for ago in range(60, 0, -1):
        at_ns = now_ns - ago * SECOND_NS
        price = round((66_000 + 400 * math.sin(ago)) * SPOT_USD)
        data.spot(SpotTick(at_ns, at_ns, SERIES.asset, SpotSource.CHAINLINK, price))
    return JournalState((), (), (), 0, 0, pack(strategy, data, now_ns))


@dataclass
class Place:
    """A running simulator and the settings that lead to it."""

    name: str
    sim: RunningSimulator
    settings: Settings
    door: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def conditions(self) -> dict[str, Any]:
        """What a recording says about the venue it was made at."""
        config = self.sim.world.config
        return {
            "liquidity": self.name,
            "fill_model": config.fill_model.value,
            "taker_delay_ms": config.taker_delay_ms,
            "levels": SEEN_LEVELS if self.name == Liquidity.REPLAY else None,
        }


class MemoryJournal:
    """A journal that keeps nothing but takes its time, as a database would."""

    def __init__(self, state: JournalState | None = None) -> None:
        self.state = state or JournalState((), (), (), 0, 0, None)
        self.filled: set[str] = set()
        self.results: list[WindowResult] = []
        self.checkpoints: list[Mapping[str, Any]] = []

    async def load(self) -> JournalState:
        return self.state

    async def order_signed(self, order: Order, market: Market) -> None:
        await asyncio.sleep(0.002)

    async def order_changed(self, order: Order) -> None:
        await asyncio.sleep(0)

    async def fill(self, fill: Fill) -> None:
        self.filled.add(fill.order_id)
        await asyncio.sleep(0)

    async def conditions_changed(self, changed: Sequence[Condition], market: Market) -> None:
        await asyncio.sleep(0.002)

    async def execution_changed(self, execution: Execution, market: Market) -> None:
        await asyncio.sleep(0.002)

    async def settled(self, result: WindowResult) -> None:
        await asyncio.sleep(0.002)
        self.results.append(result)

    async def checkpoint(self, state: Mapping[str, Any]) -> None:
        self.checkpoints.append(state)

    def signal(self, condition_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        return None

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        return None

    def post(self, kind: str, text: str, **fields: Any) -> None:
        return None


@asynccontextmanager
async def simulator(name: str, home: Path, liquidity: Liquidity) -> AsyncIterator[Place]:
    """A simulator on a free port with short windows, on the machine's clock."""
    recording = Settings().floor_data_dir / RECORDING if liquidity is Liquidity.REPLAY else None
    config = SimulatorConfig(
        home=home / name, recording=recording, liquidity=liquidity, window_seconds=WINDOW_S,
        series=(SERIES,), taker_delay_ms=20,
    )  # fmt: skip
    sim = await start_simulator(config)
    settings = Settings(
        _env_file=None, floor_home=home / name, sim_port=sim.port, sim_window_seconds=WINDOW_S
    )
    try:
        yield Place(name, sim, settings)
    finally:
        await sim.close()


def agent(name: str, strategy: str, parameters: Mapping[str, Any] | None = None) -> AgentSpec:
    """An agent with parameters of its own, or those with which its strategy trades here."""
    return AgentSpec.model_validate(
        {
            "name": name,
            "strategy": strategy,
            "markets": [{"asset": SERIES.asset, "timeframe": SERIES.timeframe}],
            "parameters": dict(PARAMETERS[strategy] if parameters is None else parameters),
            "capital_usd": 200,
        }
    )


LIMITS = Limits(200_000_000, 50_000_000, 150_000_000, 150_000_000, 5)


async def trade(
    place: Place, spec: AgentSpec, nonce: int, path: Path, seconds: float,
    build: Callable[[AgentSpec], Strategy] = strategy_of, least: int = 0,
) -> Path:  # fmt: skip
    """Trade window after window for a while; return the recording of it.

    It goes on, at most to `MOST_S`, until `least` orders have filled: how many do in a given time
    depends on how busy the machine is.
    """
    file = RecordingFile(path)
    recorder = Recorder(file.write, SystemClock())
    strategy = build(spec)
    journal = MemoryJournal(warmed(strategy, time.time_ns()))
    async with AsyncExitStack() as stack:
        stack.callback(file.close)
        venue = await _connect(place, nonce, spec.name)
        stack.push_async_callback(venue.close)
        discovery = await stack.enter_async_context(GammaDiscovery(place.settings))
        recorder.open(spec, LIMITS, TraderSettings(), place.conditions)
        trader = Trader(
            spec=spec,
            strategy=recorder.strategy(strategy),
            venue=recorder.venue(venue),
            feed=recorder.feed(PolymarketFeed(place.settings, venue)),
            discovery=recorder.discovery(discovery),
            journal=recorder.journal(journal),
            notices=journal,
            clock=recorder.clock,
            limits=LIMITS,
        )
        await trader.start()
        settling = await _follow(trader, discovery, seconds, lambda: len(journal.filled) >= least)
        await trader.stop("over")
        for task in settling:
            task.cancel()
        await asyncio.gather(*settling, return_exceptions=True)
    return path


async def _connect(place: Place, nonce: int, agent: str) -> PolymarketVenue:
    """Connect one agent after the other; a machine that is busy may need more than one try."""
    async with place.door:
        for _ in range(5):
            try:
                return await PolymarketVenue.connect(place.settings, nonce, agent, timeout_s=30)
            except VenueError as error:
                fault = error
        raise fault


async def _follow(
    trader: Trader, discovery: GammaDiscovery, seconds: float, enough: Callable[[], bool]
) -> list[Any]:
    """Trade the windows there are until the time is over, settling beside."""
    began, after_ns, settling = time.monotonic(), 0, []

    def over() -> bool:
        took = time.monotonic() - began
        return took >= MOST_S or (took >= seconds and enough())

    while not over():
        at_s = max(int(time.time()) + 1, after_ns // SECOND_NS)
        start_s = discovery.window_start_s(SERIES.timeframe, at_s)
        market = None
        if start_s <= time.time():
            market = await discovery.market(SERIES.asset, SERIES.timeframe, start_s)
        if market is None:
            await asyncio.sleep(0.2)
            continue
        after_ns = market.end_ns
        window = asyncio.create_task(trader.run_window(market))
        while not window.done() and not over():
            await asyncio.wait({window}, timeout=0.5)
        if not window.done():
            trader.wind_down()
        await window
        settling.append(asyncio.create_task(trader.settle(market)))
    return settling
