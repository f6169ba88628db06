"""How long from a market message to the strategy's intents, at a live feed's rate.

    python benchmarks/decision.py [messages per second] [seconds] [agent|floor]

One trader with the market maker, woken on every message, over a synthetic book of which every
twentieth message moves the price. Messages are the venue's own frames. Venue and journal answer
at once, so that the figures are ours alone: frame in, decoded, ladder, wake-up, view, strategy,
intents out. Beside the time on the wall stands the time this thread had the processor: on an idle
core the two are the same, on a busy machine the first also counts other programs.

Then from the intents to the first signature: the plan of the quote, the pre-trade check with all
its facts, and the reservation, which costs nothing here (`order_path.py` measures what comes after,
`gate.py` the check alone). With ``agent`` as third word only the agent's own limits are checked,
with ``floor``, the default, all policies of deployments/risk.yaml.
"""

import asyncio
import logging
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from engine.clearing import LoneFloor
from engine.clock import SystemClock
from engine.ports import Sink
from engine.trader import Trader
from models.agents import AgentSpec, MarketSelector
from models.events import (
    BookSnapshot,
    Channel,
    FeedState,
    FeedStatus,
    SpotSource,
    SpotTick,
)
from models.journal import JournalState
from models.markets import FeeSchedule, Market
from models.orders import CancelReport, Order, OrderRequest, OrderState, SignedOrder, SubmitAck
from models.units import SECOND_NS, SHARE, SPOT_USD, USD
from risk.facts import FloorFacts
from risk.limits import Limits
from risk.policies import load
from strategies.base import Intents, View
from strategies.market_maker import MarketMaker
from venue.polymarket import market_wire
from venue.polymarket.market_wire import (
    WireBook,
    WirePriceChange,
    book_changes,
    decode_frame,
)

DEPTH = 20
LIMITS = Limits(500 * USD, 20 * USD, 100 * USD, 200 * USD, 3)
POLICIES = Path(__file__).parent.parent / "deployments" / "risk.yaml"


class Timed(MarketMaker):
    """The market maker on every event; notes when its intents are ready."""

    cadence_ms = 0
    waiting_ns = 0
    """When the oldest message came that no decision has seen yet."""

    def __init__(self) -> None:
        super().__init__(self.Params())
        self.waiting_cpu_ns = 0
        self.latencies_ns: list[int] = []
        self.cpu_ns: list[int] = []
        self.desk_ns: list[int] = []
        self.desk_cpu_ns: list[int] = []
        self.decided_ns = 0
        self.decided_cpu_ns = 0

    def arrived(self) -> None:
        """A message is here; it waits unless an older one does."""
        if not self.waiting_ns:
            self.waiting_cpu_ns = time.thread_time_ns()
            self.waiting_ns = time.perf_counter_ns()

    def on_tick(self, view: View) -> Intents:
        intents = super().on_tick(view)
        if self.waiting_ns:
            self.latencies_ns.append(time.perf_counter_ns() - self.waiting_ns)
            self.cpu_ns.append(time.thread_time_ns() - self.waiting_cpu_ns)
            self.waiting_ns = 0
        self.decided_ns, self.decided_cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
        return intents

    def signs(self) -> None:
        """The first order of a decision has passed every check."""
        if self.decided_ns:
            self.desk_ns.append(time.perf_counter_ns() - self.decided_ns)
            self.desk_cpu_ns.append(time.thread_time_ns() - self.decided_cpu_ns)
            self.decided_ns = 0


class Instant:
    """Venue, feed, discovery, journal and notices that answer at once."""

    def __init__(self) -> None:
        self.sink: Sink
        self.on_sign: Callable[[], None] = lambda: None
        self._count = 0

    async def sign(self, request: OrderRequest, market: Market) -> SignedOrder:
        self.on_sign()
        self._count += 1
        return SignedOrder(f"0x{self._count}", request, 0, 0, {})

    async def submit(self, order: SignedOrder) -> SubmitAck:
        return SubmitAck(order.order_id, OrderState.LIVE)

    async def cancel(self, order_ids: Sequence[str]) -> CancelReport:
        return CancelReport(tuple(order_ids))

    async def cancel_all(self) -> CancelReport:
        return CancelReport()

    async def order(self, order_id: str) -> None:
        return None

    async def open_orders(self, condition_id: str | None = None) -> list[Any]:
        return []

    async def trades(self, **_: Any) -> list[Any]:
        return []

    async def heartbeat(self) -> None: ...

    async def start(self, sink: Sink) -> None:
        self.sink = sink

    async def watch(self, market: Market) -> None: ...

    async def unwatch(self, market: Market) -> None: ...

    async def close(self) -> None: ...

    async def market(self, asset: str, timeframe: str, start_s: int) -> None:
        return None

    async def load(self) -> JournalState:
        return JournalState((), (), (), 0, 0, None)

    async def order_signed(self, order: Order, market: Market) -> None: ...

    async def order_changed(self, order: Order) -> None: ...

    async def checkpoint(self, state: object) -> None: ...

    def signal(self, *_: object) -> None: ...

    def event(self, *_: object) -> None: ...

    def post(self, *_: object, **__: object) -> None: ...


def make_market() -> Market:
    start = time.time_ns() - 60 * SECOND_NS
    return Market(
        "0xm", "btc-updown-15m", "?", "BTC", "15m", "up", "down", start, start + 900 * SECOND_NS,
        100, 5 * SHARE, FeeSchedule(70_000), strike_e8=68_000 * SPOT_USD,
    )  # fmt: skip


def make_trader(strategy: Timed, world: Instant, floor: LoneFloor | None) -> Trader:
    ports: Any = world
    world.on_sign = strategy.signs
    return Trader(
        spec=AgentSpec(
            name="bench",
            strategy=strategy.name,
            markets=(MarketSelector(asset="BTC", timeframe="15m"),),
            capital_usd=500,
        ),
        strategy=strategy,
        venue=ports,
        feed=ports,
        discovery=ports,
        journal=ports,
        notices=ports,
        clock=SystemClock(),
        limits=LIMITS,
        floor=floor,
    )


async def feed(strategy: Timed, world: Instant, rate: int, seconds: float) -> int:
    """Send messages at their times; return how many."""
    rng, mid, sent = random.Random(7), 5000, 0
    begin = time.perf_counter()
    while (now := time.perf_counter() - begin) < seconds:
        while sent < now * rate:
            sent += 1
            ns = time.time_ns()
            if sent % 20 == 0:
                mid = min(max(mid + rng.choice((-100, 100)), 2000), 8000)
                frame = book_frame(mid)
            else:
                price = mid - 100 * rng.randint(1, DEPTH)
                frame = change_frame(price, rng.randint(1, 500))
            strategy.arrived()
            deliver(world, frame, ns)
            if sent % rate == 0:
                spot = 68_000 * SPOT_USD + rng.randint(-10, 10) * SPOT_USD
                world.sink(SpotTick(ns, ns, "BTC", SpotSource.CHAINLINK, spot))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    return sent


def deliver(world: Instant, frame: bytes, ns: int) -> None:
    """Decode a frame and hand its events on, as the market channel does."""
    messages, _ = decode_frame(frame)
    for message in messages:
        if isinstance(message, WireBook):
            world.sink(market_wire.snapshot(message, ns))
        elif isinstance(message, WirePriceChange):
            for change in book_changes(message, ns):
                world.sink(change)


def book_frame(mid: int) -> bytes:
    book = snapshot(mid, 0)
    sides = {
        name: [
            {"price": f"{price / 10_000:g}", "size": f"{size / SHARE:g}"} for price, size in side
        ]
        for name, side in (("bids", book.bids[::-1]), ("asks", book.asks[::-1]))
    }
    head = {"event_type": "book", "market": "0xm", "asset_id": "up"}
    return msgspec.json.encode(head | sides | {"timestamp": str(time.time_ns() // 1_000_000)})


def change_frame(price: int, shares: int) -> bytes:
    change = {
        "asset_id": "up", "price": f"{price / 10_000:g}", "side": "BUY", "size": str(shares),
        "hash": "0" * 40, "best_bid": "0.5", "best_ask": "0.52",
    }  # fmt: skip
    head = {"event_type": "price_change", "market": "0xm", "price_changes": [change]}
    return msgspec.json.encode(head | {"timestamp": str(time.time_ns() // 1_000_000)})


def snapshot(mid: int, ns: int) -> BookSnapshot:
    bids = tuple((mid - 100 * n, 100 * SHARE) for n in range(1, DEPTH + 1))
    asks = tuple(
        (mid + 100 * n, 100 * SHARE) for n in range(1, DEPTH + 1) if mid + 100 * n < 10_000
    )
    return BookSnapshot(ns, ns, "0xm", "up", bids, asks)


def make_floor() -> LoneFloor:
    """All shipped policies; the order rate alone is left out, which would end the measurement."""
    file = load(POLICIES.read_text(encoding="utf-8"), POLICIES.name, 1000 * USD)
    kept = tuple(policy for policy in file.policies if policy.type != "OrderRate")
    floor = LoneFloor(LIMITS, file.model_copy(update={"policies": kept, "capital_usd": 1000}))
    greeks = {"BTC": (1.0, 0.1, 3.0)}
    floor.facts = FloorFacts(var_e6=USD, greeks=greeks, up_greeks={"0xm": (0.01, 0.1, 0.2)})
    return floor


async def measure(rate: int, seconds: float, floor: LoneFloor | None) -> None:
    strategy, world = Timed(), Instant()
    trader = make_trader(strategy, world, floor)
    await trader.start()
    for channel in Channel:
        world.sink(FeedStatus(0, 0, channel, FeedState.UP))
    ns = time.time_ns()
    for age in range(300, 0, -1):
        spot = 68_000 * SPOT_USD + age * SPOT_USD // 10
        world.sink(SpotTick(ns - age * SECOND_NS, ns, "BTC", SpotSource.CHAINLINK, spot))
    window = asyncio.create_task(trader.run_window(make_market()))
    await asyncio.sleep(0.05)
    world.sink(snapshot(5000, time.time_ns()))
    await asyncio.sleep(0.05)
    strategy.latencies_ns.clear()
    strategy.cpu_ns.clear()
    strategy.desk_ns.clear()
    strategy.desk_cpu_ns.clear()
    sent = await feed(strategy, world, rate, seconds)
    await trader.stop("measured")
    await window
    placed = trader.facts()["orders_placed"]
    decided = len(strategy.latencies_ns)
    print(f"{sent} messages in {seconds:g} s: {decided} decisions, {placed} orders; microseconds")
    print("  message to intents     p50       p90       p99       max")
    for name, values in (
        ("wall", strategy.latencies_ns), ("thread", strategy.cpu_ns),
        ("to sign, wall", strategy.desk_ns), ("to sign, thread", strategy.desk_cpu_ns),
    ):  # fmt: skip
        ordered = sorted(values) or [0]
        last = len(ordered) - 1
        cells = [ordered[min(last, int(len(ordered) * part))] for part in (0.5, 0.9, 0.99, 1.0)]
        print(f"  {name:16}" + "".join(f"{ns / 1000:10.1f}" for ns in cells))


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    rate = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    alone = len(sys.argv) > 3 and sys.argv[3] == "agent"
    asyncio.run(measure(rate, seconds, None if alone else make_floor()))


if __name__ == "__main__":
    main()
