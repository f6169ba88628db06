"""A first look at thousands of parameter sets: the momentum rule over bars, compiled.

A screen answers one question cheaply: which parameter sets deserve a real backtest? It knows the
entries of `strategies.momentum.Momentum` exactly, as long as the strategy would have been woken at
these bars, and their results at the prices shown. It does not know queues, latency, displayed
size or the account's limits; whatever it likes goes through the backtester afterwards.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from models.errors import BadValue
from strategies.momentum import MomentumParams

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

SCREENED = ("lookback_s", "threshold_pct", "min_time_left_s", "max_price", "max_spread")
"""Parameters the screen heeds. It enters once a window."""


@dataclass(frozen=True, slots=True)
class Bars:
    """One asset's market windows, sampled every `every_s` seconds; rows in order of time.

    `spot` has every bar, as whole e8, so that its ratios are those the strategy sees. Prices are
    Up's best in dollars, NaN where a side is empty or no window is open. `window` counts the
    windows from 0 and is -1 where none is open. `fee_up` and `fee_down` are the taker's fee per
    share in dollars, for buying at the prices shown.
    """

    every_s: float
    spot: Floats
    up_bid: Floats
    up_ask: Floats
    window: Whole
    left_s: Floats
    fee_up: Floats
    fee_down: Floats
    up_won: npt.NDArray[np.int8]
    """Per window: 1 when Up won, 0 when Down, -1 when nobody knows: then no result counts."""

    def __post_init__(self) -> None:
        for name in ("up_bid", "up_ask", "window", "left_s", "fee_up", "fee_down"):
            if len(getattr(self, name)) != len(self.spot):
                raise BadValue(f"bars: {name} has {len(getattr(self, name))} rows, "
                               f"spot has {len(self.spot)}")  # fmt: skip
        if self.every_s <= 0:
            raise BadValue(f"bars: every_s={self.every_s:g} must be above zero")
        if len(self.window) and int(self.window.max()) >= len(self.up_won):
            raise BadValue(f"bars: window {int(self.window.max())} has no entry in up_won")


@dataclass(frozen=True, slots=True)
class Screened:
    """Results by parameter set; a budget of one dollar an entry, so `pnl` is per dollar staked.

    ``sharpe`` is the mean over the standard deviation of results per entry, not annualised;
    NaN with fewer than two entries or no spread.
    """

    entries: Whole
    wins: Whole
    pnl: Floats
    sharpe: Floats
    max_drawdown: Floats

    def best(self, count: int) -> Whole:
        """Indices of the `count` best by `pnl`, best first; ties in their order."""
        order: Whole = np.argsort(-self.pnl, kind="stable")[:count]
        return order


def screen_momentum(
    bars: Bars, sets: Sequence[MomentumParams], threads: int | None = None
) -> Screened:
    """Run the rule for every parameter set over all bars.

    Parameters
    ----------
    threads
        How many at once; default one a core. The result does not depend on it.

    Raises
    ------
    BadValue
        A lookback is not a whole number of bars.
    """
    table = np.array([_row(bars, params) for params in sets], np.float64).reshape(-1, 5)
    entries = np.zeros(len(sets), np.int64)
    wins = np.zeros(len(sets), np.int64)
    moments = np.zeros((len(sets), 3))
    workers = max(1, min(threads or os.cpu_count() or 1, len(sets)))

    def work(first: int) -> None:
        _run(
            bars.spot, bars.up_bid, bars.up_ask, bars.window, bars.left_s,
            bars.fee_up, bars.fee_down, bars.up_won, table, first, workers,
            entries, wins, moments,
        )  # fmt: skip

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    pnl = moments[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = pnl / entries
        spread = np.sqrt((moments[:, 1] - entries * mean**2) / (entries - 1))
        sharpe = np.where((entries > 1) & (spread > 1e-12), mean / spread, np.nan)
    return Screened(entries, wins, pnl, sharpe, moments[:, 2])


def _row(bars: Bars, params: MomentumParams) -> tuple[float, ...]:
    back = params.lookback_s / bars.every_s
    if abs(back - round(back)) > 1e-9 or back < 1:
        raise BadValue(
            f"lookback_s={params.lookback_s:g} is not a whole number of bars of "
            f"{bars.every_s:g} s; screen with finer bars"
        )
    return (
        round(back), params.threshold_pct, params.min_time_left_s, params.max_price,
        params.max_spread,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _run(
    spot: Floats, up_bid: Floats, up_ask: Floats, window: Whole, left_s: Floats,
    fee_up: Floats, fee_down: Floats, up_won: npt.NDArray[np.int8],
    table: Floats, first: int, stride: int, entries: Whole, wins: Whole, moments: Floats,
) -> None:  # fmt: skip
    """Every `stride`-th parameter set from `first`."""
    rows = len(spot)
    for number in range(first, len(table), stride):
        back = int(table[number, 0])
        threshold, least_s = table[number, 1], table[number, 2]
        most, widest = table[number, 3], table[number, 4]
        total = squares = peak = worst = 0.0
        count = won = 0
        entered = -1
        for row in range(back, rows):
            # Division and percent as the strategy writes them: equal to the last bit.
            move = spot[row] / spot[row - back] - 1.0
            if abs(move) * 100 < threshold:
                continue
            at = window[row]
            if at < 0 or at == entered or left_s[row] < least_s:
                continue
            bid, ask = up_bid[row], up_ask[row]
            if not ask - bid <= widest + 1e-12:
                continue
            up = move > 0
            price = ask if up else 1.0 - bid
            if not price <= most + 1e-12:
                continue
            entered = at
            winner = up_won[at]
            if winner < 0:
                continue
            paid = price + (fee_up[row] if up else fee_down[row])
            hit = (winner == 1) == up
            result = (1.0 if hit else 0.0) / paid - 1.0
            count += 1
            won += 1 if hit else 0
            total += result
            squares += result * result
            peak = max(peak, total)
            worst = max(worst, peak - total)
        entries[number], wins[number] = count, won
        moments[number, 0], moments[number, 1], moments[number, 2] = total, squares, worst
