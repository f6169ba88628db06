"""Bars from a tape: what a strategy without latency would see every so many seconds, compiled."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from engine.spot import MAX_GAP_NS
from engine.sweep.screen import Bars
from models.errors import BadValue
from models.markets import Market
from models.tape import DTYPES, Row, Tape
from models.units import PRICE_ONE, SECOND_NS

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

SLOTS = 32
"""Books that can be open at once; more is a tape of another kind."""
BLOCK = 1 << 20
_UNWANTED, _WAITING = -2, -1
_GRID, _SPOT, _SPOT_TS, _SPOT_RECV = range(4)
_CLEAR, _LEVEL, _SPOT_ROW, _DARK = int(Row.CLEAR), int(Row.LEVEL), int(Row.SPOT), int(Row.DARK)


def bars_of(
    tape: Tape,
    asset: str,
    timeframe: str,
    every_s: float = 1.0,
    *,
    start_ns: int | None = None,
    end_ns: int | None = None,
    quit_before_end_s: float = 3.0,
    max_book_age_s: float = 30.0,
    max_spot_age_s: float = 6.0,
) -> Bars:
    """Sample an asset's windows of one length.

    A bar shows the rows received until its moment. Moments are multiples of `every_s` since the
    epoch. A book that is dark, crossed or too old, or a spot price that is too old, leaves a
    bar's prices NaN, as the engine would refuse to trade on them. Spot is whole e8.

    Parameters
    ----------
    start_ns, end_ns
        Bars from the first up to but without the second; None: the tape's.
    quit_before_end_s
        How long before its end a window is over for the strategy.
    max_book_age_s, max_spot_age_s
        As in `engine.backtest.BacktestConfig`.

    Raises
    ------
    BadValue
        The tape has no such window, windows overlap, or too many books are open at once.
    """
    if not every_s > 0:
        raise BadValue(f"bars: every_s={every_s:g} must be above zero")
    index, markets = _windows(tape, asset, timeframe, start_ns, end_ns)
    every_ns = round(every_s * SECOND_NS)
    first_ns = max(int(tape.recv_ns[0]), start_ns or 0)
    last_ns = min(int(tape.recv_ns[-1]) + 1, end_ns or 1 << 62)
    times = np.arange(-(-first_ns // every_ns) * every_ns, last_ns, every_ns, dtype=np.int64)
    starts = np.array([market.start_ns for market in markets], np.int64)
    ends = np.array([market.end_ns for market in markets], np.int64)
    window = np.searchsorted(starts, times, side="right") - 1
    quit_ns = ends[window] - round(quit_before_end_s * SECOND_NS)
    left_s = np.where(window >= 0, (ends[window] - times) / SECOND_NS, 0.0)
    window = np.where((window >= 0) & (times < quit_ns), window, -1).astype(np.int64)
    ages = round(max_book_age_s * SECOND_NS), round(max_spot_age_s * SECOND_NS)
    spot, bid, ask = _sample(tape, asset, index, ends, times, window, ages)
    return Bars(
        every_s=every_ns / SECOND_NS,
        spot=spot,
        up_bid=bid,
        up_ask=ask,
        window=window,
        left_s=left_s,
        fee_up=_fees(ask, window, markets),
        fee_down=_fees(1.0 - bid, window, markets),
        up_won=_winners(tape, index),
    )


def _windows(
    tape: Tape, asset: str, timeframe: str, start_ns: int | None, end_ns: int | None
) -> tuple[Whole, list[Market]]:
    """Indices of the wanted markets by their start, and the markets."""
    found = sorted(
        (market.start_ns, number)
        for number, market in enumerate(tape.markets)
        if (market.asset, market.timeframe) == (asset, timeframe)
        and (start_ns is None or market.start_ns >= start_ns)
        and (end_ns is None or market.start_ns < end_ns)
    )
    if not found or not len(tape) or asset not in tape.assets:
        raise BadValue(f"bars: the tape has no {asset} {timeframe} window in that time")
    markets = [tape.markets[number] for _, number in found]
    for before, after in itertools.pairwise(markets):
        if after.start_ns < before.end_ns:
            raise BadValue(f"bars: {after.slug} begins before {before.slug} ends")
    return np.array([number for _, number in found], np.int64), markets


def _sample(
    tape: Tape, asset: str, index: Whole, ends: Whole, times: Whole, window: Whole,
    ages: tuple[int, int],
) -> tuple[Floats, Floats, Floats]:  # fmt: skip
    """Spot e8, and Up's best bid and ask in dollars, at every moment."""
    slot_of = np.full(max(1, len(tape.markets)), _UNWANTED, np.int64)
    slot_of[index] = _WAITING
    last = np.zeros(max(1, len(tape.markets)), np.int64)
    last[index] = ends
    out = np.full((3, len(times)), np.nan)
    sizes = np.zeros((SLOTS, 2, PRICE_ONE + 1), np.int64)
    # By slot: owner, best bid, best ask, last received, whether it is known, and the lowest and
    # highest price a level was told at since it was empty.
    books = np.zeros((SLOTS, 7), np.int64)
    books[:, 0] = -1
    state = np.zeros(4, np.int64)
    columns = [_plain(tape, name) for name in DTYPES]
    limits = np.array([*ages, MAX_GAP_NS], np.int64)
    asset_number = tape.assets.index(asset)
    for first in range(0, len(tape), BLOCK):
        stop = min(first + BLOCK, len(tape))
        full = _ROWS(
            first, stop, *columns, asset_number, slot_of, last, index, times, window, limits,
            sizes, books, state, out,
        )  # fmt: skip
        if full >= 0:
            raise BadValue(f"bars: more than {SLOTS} books are open at once at row {full}")
        tape.release(first)
    _EMIT(1 << 62, slot_of, index, times, window, limits, books, state, out)
    return out[0], out[1], out[2]


def _plain(tape: Tape, name: str) -> Any:
    view = getattr(tape, name).view()
    view.flags.writeable = False
    return view


def _winners(tape: Tape, index: Whole) -> npt.NDArray[np.int8]:
    won = np.full(max(1, len(tape.markets)), -1, np.int8)
    for first in range(0, len(tape), BLOCK):
        rows = np.flatnonzero(tape.kind[first : first + BLOCK] == Row.RESOLVED) + first
        won[tape.market[rows]] = 1 - tape.side[rows].astype(np.int8)
    return won[index]


def _fees(price: Floats, window: Whole, markets: list[Market]) -> Floats:
    """Taker's fee of one share in dollars, unrounded (`models.markets.taker_fee_e6`)."""
    rate = np.array([market.fee.rate_ppm / 1e6 for market in markets])[window]
    power = np.array([float(market.fee.exponent) for market in markets])[window]
    notional = np.array([market.fee.of_notional for market in markets])[window]
    fee = rate * (price * (1.0 - price)) ** power
    paid: Floats = np.where(notional, fee * price, fee)
    return paid


@njit(cache=True, nogil=True)
def _emit(
    until_ns: int, slot_of: Whole, index: Whole, times: Whole, window: Whole, limits: Whole,
    books: Whole, state: Whole, out: Floats,
) -> None:  # fmt: skip
    """Write down every moment before `until_ns` that is not written yet."""
    at = state[_GRID]
    while at < len(times) and times[at] < until_ns:
        now = times[at]
        if state[_SPOT] > 0 and now - state[_SPOT_TS] <= limits[2]:
            out[0, at] = state[_SPOT]
        if window[at] >= 0 and now - state[_SPOT_RECV] <= limits[1]:
            slot = slot_of[index[window[at]]]
            if slot >= 0 and books[slot, 4] == 1 and now - books[slot, 3] <= limits[0]:
                bid, ask = books[slot, 1], books[slot, 2]
                if bid == 0 or ask == 0 or bid < ask:
                    if bid > 0:
                        out[1, at] = bid / 10_000
                    if ask > 0:
                        out[2, at] = ask / 10_000
        at += 1
    state[_GRID] = at


@njit(cache=True, nogil=True)
def _rows(
    first: int, stop: int, ts_ns: Whole, recv_ns: Whole, kind: Any, side: Any, market: Any,
    price: Any, size: Whole, asset: int, slot_of: Whole, last: Whole, index: Whole, times: Whole,
    window: Whole, limits: Whole, sizes: Any, books: Whole, state: Whole, out: Floats,
) -> int:  # fmt: skip
    """Play rows; return the row at which no slot was free, -1 when all went well."""
    for row in range(first, stop):
        if state[_GRID] < len(times) and times[state[_GRID]] < recv_ns[row]:
            _emit(recv_ns[row], slot_of, index, times, window, limits, books, state, out)
        what = kind[row]
        if what == _SPOT_ROW:
            if market[row] == asset and side[row] == 0 and ts_ns[row] >= state[_SPOT_TS]:
                state[_SPOT], state[_SPOT_TS] = size[row], ts_ns[row]
                state[_SPOT_RECV] = recv_ns[row]
            continue
        if what == _DARK:
            books[:, 4] = 0
            continue
        if (what != _CLEAR and what != _LEVEL) or slot_of[market[row]] == -2:
            continue
        slot = slot_of[market[row]]
        if slot == -1:
            for free in range(len(books)):
                owner = books[free, 0]
                if owner < 0 or last[owner] < ts_ns[row]:
                    slot = free
                    if owner >= 0:
                        slot_of[owner] = -2
                    break
            if slot == -1:
                return row
            slot_of[market[row]] = slot
            sizes[slot] = 0
            books[slot] = 0
            books[slot, 0] = market[row]
        books[slot, 3] = recv_ns[row]
        if what == _CLEAR:
            if books[slot, 6]:
                sizes[slot, :, books[slot, 5] : books[slot, 6] + 1] = 0
            books[slot, 1] = books[slot, 2] = books[slot, 5] = books[slot, 6] = 0
            books[slot, 4] = 1
            continue
        _level(sizes, books, slot, side[row], price[row], size[row])
    return -1


@njit(cache=True, nogil=True)
def _level(sizes: Any, books: Whole, slot: int, side: int, price: int, size: int) -> None:
    """Set one level, and the best of its side; 0 where a side is empty."""
    sizes[slot, side, price] = size
    if books[slot, 6] == 0 or price < books[slot, 5]:
        books[slot, 5] = price
    books[slot, 6] = max(books[slot, 6], price)
    best = books[slot, 1 + side]
    if size > 0:
        if best == 0 or (side == 0 and price > best) or (side == 1 and price < best):
            books[slot, 1 + side] = price
        return
    if price != best:
        return
    step = -1 if side == 0 else 1
    while 0 < best < 10_000 and sizes[slot, side, best] == 0:
        best += step
    books[slot, 1 + side] = best if 0 < best < 10_000 else 0


_ROWS: Any = _rows
_EMIT: Any = _emit
