"""How long from a market message to the strategy's intents, at a live feed's rate.

    python benchmarks/decision.py [messages per second] [seconds]

One trader with the market maker, woken on every message, over a synthetic book of which every
twentieth message moves the price. Venue and journal answer at once, so that the figures are the
engine's own: message in, ladder, wake-up, view, strategy, intents out.
"""

import asyncio
import logging
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import structlog

from engine.clock import SystemClock
from engine.ports import Sink
from engine.trader import Trader
from models.agents import AgentSpec, MarketSelector
from models.events import (
    BookChange,
    BookSnapshot,
    Channel,
    FeedState,
    FeedStatus,
    SpotSource,
    SpotTick,
)
from models.journal import JournalState
from models.markets import FeeSchedule, Market, Side
from models.orders import CancelReport, Order, OrderRequest, OrderState, SignedOrder, SubmitAck
from models.units import SECOND_NS, SHARE, SPOT_USD, USD
from risk.limits import Limits
from strategies.base import Intents, View
from strategies.market_maker import MarketMaker

DEPTH = 20


class Timed(MarketMaker):
    """The market maker on every event; notes when its intents are ready."""

    cadence_ms = 0
    waiting_ns = 0
    """When the oldest message came that no decision has seen yet."""

    def __init__(self) -> None:
        super().__init__(self.Params())
        self.latencies_ns: list[int] = []

    def on_tick(self, view: View) -> Intents:
        intents = super().on_tick(view)
        if self.waiting_ns:
            self.latencies_ns.append(time.perf_counter_ns() - self.waiting_ns)
            self.waiting_ns = 0
        return intents


class Instant:
    """Venue, feed, discovery, journal and notices that answer at once."""

    def __init__(self) -> None:
        self.sink: Sink
        self._count = 0

    async def sign(self, request: OrderRequest, market: Market) -> SignedOrder:
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


def make_trader(strategy: Timed, world: Instant) -> Trader:
    ports: Any = world
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
        limits=Limits(500 * USD, 20 * USD, 100 * USD, 200 * USD, 3),
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
                event: Any = snapshot(mid, ns)
            else:
                price = mid - 100 * rng.randint(1, DEPTH)
                size = rng.randint(1, 500) * SHARE
                event = BookChange(ns, ns, "0xm", "up", ((Side.BUY, price, size),))
            strategy.waiting_ns = strategy.waiting_ns or time.perf_counter_ns()
            world.sink(event)
            if sent % rate == 0:
                spot = 68_000 * SPOT_USD + rng.randint(-10, 10) * SPOT_USD
                world.sink(SpotTick(ns, ns, "BTC", SpotSource.CHAINLINK, spot))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    return sent


def snapshot(mid: int, ns: int) -> BookSnapshot:
    bids = tuple((mid - 100 * n, 100 * SHARE) for n in range(1, DEPTH + 1))
    asks = tuple(
        (mid + 100 * n, 100 * SHARE) for n in range(1, DEPTH + 1) if mid + 100 * n < 10_000
    )
    return BookSnapshot(ns, ns, "0xm", "up", bids, asks)


async def measure(rate: int, seconds: float) -> None:
    strategy, world = Timed(), Instant()
    trader = make_trader(strategy, world)
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
    sent = await feed(strategy, world, rate, seconds)
    await trader.stop("measured")
    await window
    ordered = sorted(strategy.latencies_ns)
    placed = trader.facts()["orders_placed"]
    print(f"{sent} messages in {seconds:g} s: {len(ordered)} decisions, {placed} orders")
    for name, part in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)):
        at = ordered[min(len(ordered) - 1, int(len(ordered) * part))]
        print(f"  message to intents {name}: {at / 1000:8.1f} us")


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    rate = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    asyncio.run(measure(rate, seconds))


if __name__ == "__main__":
    main()
