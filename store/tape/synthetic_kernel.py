"""Compiled part of the synthetic tapes: one message after another into arrays."""

from typing import Any

import numpy as np
from numba import njit

GRID = 101
"""Prices of a book: 0 to 100 cents; the ends stand for an empty side."""

_LEVEL, _CLEAR, _TRADE, _SPOT, _RESOLVED = 1, 0, 2, 3, 5
_MULTIPLIER = np.uint64(0x2545F4914F6CDD1D)
_12, _25, _27, _11 = np.uint64(12), np.uint64(25), np.uint64(27), np.uint64(11)
_SPOT_SHARE = 0.02
_TRADE_SHARE = 0.04
_REMOVALS = 0.35
_WIDE = 4
"""Cents between the best prices from which on quotes come in around the fair value."""
_VOLATILITY = 5e-5
"""Of log spot, per square root of a second."""


@njit(cache=True)
def _uniform(random: Any) -> float:
    """Draw from [0, 1) by xorshift64* (Vigna 2016): the same numbers on every machine."""
    x = random[0]
    x ^= x >> _12
    x ^= x << _25
    x ^= x >> _27
    random[0] = x
    return float((x * _MULTIPLIER) >> _11) / 9007199254740992.0


@njit(cache=True)
def _size(random: Any) -> int:
    """Shares in e6: whole hundredths, most of them small."""
    return int(1 - 150.0 * np.log(1.0 - _uniform(random)) * 100.0) * 10_000


@njit(cache=True)
def open_books(
    columns: Any,
    random: Any, books: Any, best: Any, first: int, at_ns: int,
) -> int:  # fmt: skip
    """Tell every market's book of nine levels a side around one half; return the rows."""
    ts, kind, side, market, price, size = columns
    n = 0
    for m in range(books.shape[0]):
        ts[n], kind[n], side[n], market[n], price[n], size[n] = at_ns, _CLEAR, 0, first + m, 0, 0
        n += 1
        for s in range(2):
            for d in range(1, 10):
                p = 50 - d if s == 0 else 50 + d
                books[m, s, p] = _size(random)
                ts[n], kind[n], side[n], market[n] = at_ns, _LEVEL, s, first + m
                price[n], size[n] = p * 100, books[m, s, p]
                n += 1
        best[m, 0], best[m, 1] = 49, 51
    return n


@njit(cache=True)
def _worse(books: Any, best: Any, m: int, s: int) -> None:
    """Move a side's best to its next level, or to the end of the grid."""
    p = best[m, s]
    if s == 0:
        while p > 0 and books[m, 0, p] == 0:
            p -= 1
    else:
        while p < 100 and books[m, 1, p] == 0:
            p += 1
    best[m, s] = p


@njit(cache=True)
def _fair(spot: float, strike: float, left_s: float) -> float:
    """Roughly the chance of Up: a logistic in place of the normal distribution."""
    x = np.log(spot / strike) / (_VOLATILITY * np.sqrt(max(left_s, 1.0)))
    return float(1.0 / (1.0 + np.exp(-1.702 * x)))


@njit(cache=True)
def _change(random: Any, books: Any, best: Any, m: int, fair: float) -> tuple[int, int, int]:
    """Change one level, never across the other side: (side, cents, new size)."""
    middle = (best[m, 0] + best[m, 1]) / 2.0
    s = 0 if _uniform(random) < 0.5 else 1
    removes = _uniform(random) < _REMOVALS
    pulled = (s == 0) == (fair * 100.0 < middle)
    away = int(-3.0 * np.log(1.0 - _uniform(random)))
    towards = 1 if not pulled and _uniform(random) < 0.5 else 0
    if best[m, 1] - best[m, 0] > _WIDE:
        removes = pulled = False
        towards = int(fair * 100.0) + s - best[m, s]
        towards = towards if s == 0 else -towards
    if s == 0:
        p = min(best[m, 0] - away + towards, best[m, 1] - 1, 99)
        p = max(p, 1)
        if p >= best[m, 1]:
            return -1, 0, 0
    else:
        p = max(best[m, 1] + away - towards, best[m, 0] + 1, 1)
        p = min(p, 99)
        if p <= best[m, 0]:
            return -1, 0, 0
    if removes or (pulled and away == 0):
        if books[m, s, p] == 0:
            return -1, 0, 0
        books[m, s, p] = 0
        if p == best[m, s]:
            _worse(books, best, m, s)
        return s, p, 0
    books[m, s, p] = _size(random)
    if s == 0:
        best[m, 0] = max(best[m, 0], p)
    else:
        best[m, 1] = min(best[m, 1], p)
    return s, p, books[m, s, p]


@njit(cache=True)
def fill(
    columns: Any,
    random: Any, books: Any, best: Any, spot: Any, strikes: Any,
    first: int, at_ns: int, end_ns: int, gap_ns: float, most: int,
) -> tuple[int, int]:  # fmt: skip
    """Make messages until the window ends or `most` rows are there; return rows and the time."""
    ts, kind, side, market, price, size = columns
    n = 0
    markets = books.shape[0]
    spot_step = _VOLATILITY * np.sqrt(gap_ns * 1e-9 * markets / _SPOT_SHARE)
    waited = False
    while n < most:
        # A draw that changes nothing is made again at the same time: the rate stays true.
        if not waited:
            at_ns += 1 + int(-gap_ns * np.log(1.0 - _uniform(random)))
            waited = True
        if at_ns >= end_ns:
            at_ns = end_ns
            break
        m = min(int(_uniform(random) * markets), markets - 1)
        draw = _uniform(random)
        if draw < _SPOT_SHARE:
            normal = np.sqrt(-2.0 * np.log(1.0 - _uniform(random)))
            normal *= np.cos(2.0 * np.pi * _uniform(random))
            spot[m] *= np.exp(spot_step * normal)
            ts[n], kind[n], side[n], market[n], price[n] = at_ns, _SPOT, 0, m, 0
            size[n] = int(spot[m] * 1e8 + 0.5)
            n += 1
            waited = False
            continue
        fair = _fair(spot[m], strikes[m], (end_ns - at_ns) * 1e-9)
        if draw < _SPOT_SHARE + _TRADE_SHARE:
            buys = (fair * 200.0 > best[m, 0] + best[m, 1]) == (_uniform(random) < 0.7)
            s = 1 if buys else 0
            p = best[m, s]
            if p == 0 or p == 100:
                continue
            part = min(books[m, s, p], _size(random))
            books[m, s, p] -= part
            left = books[m, s, p]
            if left == 0:
                _worse(books, best, m, s)
            ts[n], kind[n], side[n], market[n] = at_ns, _TRADE, 1 - s, first + m
            price[n], size[n] = p * 100, part
            n += 1
        else:
            s, p, left = _change(random, books, best, m, fair)
            if s < 0:
                continue
        ts[n], kind[n], side[n], market[n] = at_ns, _LEVEL, s, first + m
        price[n], size[n] = p * 100, left
        n += 1
        waited = False
    return n, at_ns


@njit(cache=True)
def resolve(
    columns: Any,
    spot: Any, strikes: Any, first: int, at_ns: int,
) -> int:  # fmt: skip
    """Resolve a window's markets by their last spot prices; a tie is Up."""
    ts, kind, side, market, price, size = columns
    for m in range(len(spot)):
        up = int(spot[m] * 1e8 + 0.5) >= int(strikes[m] * 1e8 + 0.5)
        ts[m], kind[m], side[m], market[m] = at_ns, _RESOLVED, 0 if up else 1, first + m
        price[m], size[m] = 0, 0
    return len(spot)
