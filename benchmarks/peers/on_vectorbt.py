"""vectorbt, vectorised: see feed.py for the rule, `sweep` for the momentum of 1,000 sets.

It has no book and no event loop: the best prices at every event are worked out for it beforehand,
and it works out all signals before it fills them. The sweep runs half its sets in each of two
processes, a chunk of columns at a time; with one chunk it would need tens of gigabytes.
"""

import multiprocessing
from pathlib import Path

import feed
import numpy as np
import pandas as pd
import vectorbt as vbt

CHUNK = 5
"""Columns at a time; fewer or more were slower."""
WORKERS = 2


def one_pass(folder: Path, rows: int) -> None:
    _fill(feed.columns(folder, 10_000))  # compiles
    data = {name: np.array(values) for name, values in feed.columns(folder, rows).items()}
    watch = feed.Stopwatch()
    orders = _fill(data)
    feed.tell(watch.read(), events=len(data["bid"]), orders=orders, fills=orders)


def _fill(data: dict[str, np.ndarray]) -> int:
    """Signals at the first event of every step, alternating; then the portfolio."""
    bid, ask = data["bid"] / 100.0, data["ask"] / 100.0
    step = data["recv_ns"] // (feed.EVERY_S * feed.SECOND_NS)
    due = np.flatnonzero(np.diff(step, prepend=step[0] - 1))
    due = due[(data["bid"][due] > 0) & (data["ask"][due] < 100)]
    entries, exits = np.zeros(len(bid), bool), np.zeros(len(bid), bool)
    entries[due[::2]] = True
    exits[due[1::2]] = True
    folio = vbt.Portfolio.from_signals(
        pd.Series((bid + ask) / 2),
        entries,
        exits,
        price=np.where(entries, ask, bid),
        size=feed.SHARES,
        init_cash=10_000,
        max_orders=len(due) + 1,
        freq="1ms",
    )
    return int(folio.orders.count())


def sweep(folder: Path) -> None:
    spot = np.load(folder / "spot.npy")
    sets = [(back, percent) for back in feed.LOOKBACKS for percent in feed.THRESHOLDS]
    halves = [(spot, sets[number::WORKERS]) for number in range(WORKERS)]
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        pool.starmap(_momentum, [(spot, sets[:CHUNK])] * WORKERS, chunksize=1)  # compiles
        began = sum(pool.starmap(_cpu_s, [()] * WORKERS, chunksize=1))
        watch = feed.Stopwatch()
        entries = sum(pool.starmap(_momentum, halves, chunksize=1))
        times = watch.read()
        times["cpu_s"] += sum(pool.starmap(_cpu_s, [()] * WORKERS, chunksize=1)) - began
        peak = sum(pool.starmap(feed.peak_mb, [()] * WORKERS, chunksize=1))
    feed.tell(times, events=len(spot) * len(sets), orders=entries, peak_mb=peak)


def _momentum(spot: np.ndarray, sets: list[tuple[int, float]]) -> int:
    """Enter long or short once a window, out at its end; number of entries."""
    close = pd.Series(spot)
    last = np.arange(len(spot)) % feed.WINDOW == feed.WINDOW - 1
    entries = 0
    for first in range(0, len(sets), CHUNK):
        chunk = sets[first : first + CHUNK]
        move = np.full((len(spot), len(chunk)), np.nan)
        for column, (back, _) in enumerate(chunk):
            move[back:, column] = spot[back:] / spot[:-back] - 1.0
        moved = (np.abs(move) * 100 >= np.array([percent for _, percent in chunk])) & ~last[:, None]
        folio = vbt.Portfolio.from_signals(
            close,
            moved & (move > 0),
            last[:, None],
            moved & (move <= 0),
            last[:, None],
            upon_opposite_entry="ignore",
            init_cash=10_000,
            size=1 / 60_000,
            max_orders=(2 * len(spot) // feed.WINDOW + 1) * len(chunk),
            freq="1min",
        )
        folio.trades.pnl.sum()
        entries += int(folio.trades.count().sum())
    return entries


def _cpu_s() -> float:
    return feed.cpu_s()


def main() -> None:
    case, folder, rows = feed.arguments()
    if case == "sweep":
        sweep(folder)
    else:
        one_pass(folder, rows)


if __name__ == "__main__":
    main()
