"""How fast points go into a feature window and through the indicators, beside their peers.

    python benchmarks/features.py [points]

Peers for windows: a `collections.deque` with a length, and a numpy array that is rolled to make
room. Peers for indicators: TA-Lib called anew over its window for each sample, which is what one
writes without an incremental form. Best of five, on one core.
"""

import sys
import time
from collections import deque
from collections.abc import Callable

import numpy as np
import talib

from engine.indicators import Indicators
from models.units import MILLISECOND_NS, SECOND_NS
from strategies.features import (
    Atr,
    Bollinger,
    Ema,
    Feature,
    FeatureWindow,
    History,
    Macd,
    OrderFlowImbalance,
    RealisedVolatility,
    Rsi,
    Sma,
    Source,
    VolumeSpike,
    ZScore,
)

CAPACITY = 4096
BATCH = 1024
TARGET = 35e6
ROUNDS = 5


def best(work: Callable[[], int]) -> float:
    """Items a second of the best round; `work` returns how many it did."""
    fastest = 0.0
    for _ in range(ROUNDS):
        start = time.perf_counter()
        done = work()
        fastest = max(fastest, done / (time.perf_counter() - start))
    return fastest


def windows(points: int) -> None:
    times = np.arange(points, dtype=np.int64) * SECOND_NS
    values = np.random.default_rng(1).normal(size=points)
    pairs = list(zip(times[:points].tolist(), values.tolist(), strict=True))

    def ring_batches() -> int:
        ring = FeatureWindow(CAPACITY, np.float64)
        for at in range(0, points, BATCH):
            ring.append_batch(times[at : at + BATCH], values[at : at + BATCH])
        return points

    def ring_singles() -> int:
        ring = FeatureWindow(CAPACITY, np.float64)
        append = ring.append
        for ts, value in pairs:
            append(ts, value)
        return points

    def deque_batches() -> int:
        kept: deque[tuple[int, float]] = deque(maxlen=CAPACITY)
        for at in range(0, points, BATCH):
            kept.extend(pairs[at : at + BATCH])
        return points

    def deque_singles() -> int:
        kept: deque[tuple[int, float]] = deque(maxlen=CAPACITY)
        append = kept.append
        for pair in pairs:
            append(pair)
        return points

    def roll_batches() -> int:
        kept_times, kept = np.zeros(CAPACITY, dtype=np.int64), np.zeros(CAPACITY)
        for at in range(0, points, BATCH):
            new = values[at : at + BATCH]
            kept_times = np.roll(kept_times, -len(new))
            kept = np.roll(kept, -len(new))
            kept_times[-len(new) :] = times[at : at + BATCH]
            kept[-len(new) :] = new
        return points

    def roll_singles() -> int:
        kept = np.zeros(CAPACITY)
        some = values[: points // 100].tolist()
        for value in some:
            kept = np.roll(kept, -1)
            kept[-1] = value
        return len(some)

    batch = best(ring_batches)
    print(f"window of {CAPACITY}, batches of {BATCH}, million points a second")
    print(f"  ring (time and value)   {batch / 1e6:10.1f}")
    print(f"  deque (time and value)  {best(deque_batches) / 1e6:10.1f}")
    print(f"  numpy roll              {best(roll_batches) / 1e6:10.1f}")
    print("one point at a time, million points a second")
    print(f"  ring (time and value)   {best(ring_singles) / 1e6:10.2f}")
    print(f"  deque (time and value)  {best(deque_singles) / 1e6:10.2f}")
    print(f"  numpy roll              {best(roll_singles) / 1e6:10.2f}")
    queries(times, values, pairs)
    verdict = "met" if batch >= TARGET else "MISSED"
    print(f"target {TARGET / 1e6:.0f} million points a second in batches: {verdict}")


def queries(
    times: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    values: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    pairs: list[tuple[int, float]],
) -> None:
    """The mean of the last 300 seconds, asked again and again."""
    ring = FeatureWindow(CAPACITY, np.float64)
    ring.append_batch(times[:CAPACITY], values[:CAPACITY])
    kept = deque(pairs[:CAPACITY], maxlen=CAPACITY)
    end = int(times[CAPACITY - 1])
    since = end - 299 * SECOND_NS

    def of_ring() -> int:
        for _ in range(2000):
            ring.between(since, end)[1].mean()
        return 2000

    def of_deque() -> int:
        for _ in range(50):
            near = [value for ts, value in kept if since <= ts <= end]
            sum(near) / len(near)
        return 50

    print("mean of the last 300 s, thousand queries a second")
    print(f"  ring                    {best(of_ring) / 1e3:10.1f}")
    print(f"  deque                   {best(of_deque) / 1e3:10.1f}")


def indicators(points: int) -> None:
    rng = np.random.default_rng(2)
    prices = 100 + rng.normal(size=points).cumsum() / 10 + 1000
    values = prices.tolist()
    bars = [(value + 1, value - 1, value) for value in values]
    tops = [(value, 100.0, value + 1, 100.0) for value in values]
    volumes = rng.exponential(10, size=points).tolist()
    cases = [
        ("Sma(300)", Sma(300), None, lambda x: talib.SMA(x[-300:], 300), 300),
        ("Ema(300)", Ema(300), None, lambda x: talib.EMA(x[-300:], 300), 300),
        ("Rsi(14)", Rsi(14), None, lambda x: talib.RSI(x[-100:], 14), 100),
        ("Macd()", Macd(), None, lambda x: talib.MACD(x[-100:]), 100),
        ("Bollinger(300)", Bollinger(300), None, lambda x: talib.BBANDS(x[-300:], 300), 300),
        ("ZScore(300)", ZScore(300), None, None, 0),
        ("RealisedVolatility(300)", RealisedVolatility(300), None, None, 0),
        ("Atr(14)", Atr(14), bars, None, 0),
        ("OrderFlowImbalance(300)", OrderFlowImbalance(300), tops, None, 0),
        ("VolumeSpike(300)", VolumeSpike(300), [(volume,) for volume in volumes], None, 0),
    ]
    print("indicators, microseconds an update (TA-Lib over its window in brackets)")
    for name, one, samples, peer, least in cases:
        rows = samples or [(value,) for value in values]

        def updates(update: Callable[..., object] = one.update, rows: list = rows) -> int:
            for row in rows:
                update(*row)
            return len(rows)

        mine = 1e6 / best(updates)
        if peer is None:
            print(f"  {name:24}{mine:8.2f}")
            continue

        def anew(peer: Callable[..., object] = peer, least: int = least) -> int:
            for at in range(least, least + 1000):
                peer(prices[:at])
            return 1000

        print(f"  {name:24}{mine:8.2f}  ({1e6 / best(anew):.2f})")


def feeding(events: int) -> None:
    """What a market's messages cost a strategy that declares something; half change the top."""
    declared = {
        "pushed": Feature(ZScore(60), Source.MICRO, 1),
        "flow": Feature(OrderFlowImbalance(30), Source.BOOK, 1),
        "mids": Feature(History(600), Source.MID, 1),
    }
    sizes = np.random.default_rng(3).integers(1, 10**9, size=events).tolist()
    start = 1_800_000_000 * SECOND_NS
    print("feeding declared indicators at 100 messages a second, microseconds a message")
    for wanted in (("pushed",), ("pushed", "flow", "mids")):

        def work(wanted: tuple[str, ...] = wanted) -> int:
            market = Indicators({name: declared[name] for name in wanted}).market("m", "BTC")
            for number in range(events):
                ts_ns = start + number * 10 * MILLISECOND_NS
                market.on_book(ts_ns, 4900, sizes[number // 2], 5000, 10**6)
            return events

        print(f"  {', '.join(wanted):24}{1e6 / best(work):8.2f}")


def main() -> None:
    points = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    windows(points)
    indicators(min(points, 100_000))
    feeding(min(points, 100_000))


if __name__ == "__main__":
    main()
