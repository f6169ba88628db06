"""Books kept while rows go by, in compiled code: what is quoted at a row, and where it crosses."""

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from models.tape import DTYPES, Row, Tape
from models.units import PRICE_ONE
from store.tape.columns import Columns

_CLEAR, _LEVEL, _DARK = int(Row.CLEAR), int(Row.LEVEL), int(Row.DARK)
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Books:
    """Books of all markets of a tape; only markets alive at the same time have room of their own.

    Parameters
    ----------
    step
        Prices (e4) are kept as multiples of it.
    last
        Last book row of every market, -1 for none.
    slots
        Market to its place in `sizes`; places are used again once a market has no more rows.
    owners
        The market whose book each place holds, -1 for none.
    sizes
        Sizes (e6) by place, side and price.
    best
        Best bid and ask by place; 0 and 1 pUSD where a side is empty.
    worst
        Lowest bid and highest ask by place that were set since the book was last emptied.
    known
        Whether the place's book was told since the tape began or went dark.
    """

    step: int
    last: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    best: npt.NDArray[np.int64]
    worst: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]


def lives(tape: Tape) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """First and last book row of every market, -1 for none, and what divides all their prices."""
    first = np.full(len(tape.markets), -1, np.int64)
    last = first.copy()
    step = PRICE_ONE
    for start in range(0, len(tape), _BLOCK):
        rows = slice(start, start + _BLOCK)
        step = _note_lives(
            tape.kind[rows], tape.market[rows], tape.price[rows], start, first, last, step
        )
        tape.release(start)
    return first, last, step


def empty_books(tape: Tape) -> Books:
    first, last, step = lives(tape)
    slots = np.full(len(first), -1, np.int64)
    free: list[int] = []
    ending: list[tuple[int, int]] = []
    count = 0
    for market in np.argsort(first, kind="stable").tolist():
        if first[market] < 0:
            continue
        while ending and ending[0][0] < first[market]:
            free.append(heappop(ending)[1])
        if not free:
            free.append(count)
            count += 1
        slots[market] = free.pop()
        heappush(ending, (int(last[market]), int(slots[market])))
    one = PRICE_ONE // step
    return Books(
        step,
        last,
        slots,
        np.full(count, -1, np.int64),
        np.zeros((count, 2, one + 1), np.int64),
        np.tile(np.array([0, one], np.int64), (count, 1)),
        np.tile(np.array([one, 0], np.int64), (count, 1)),
        np.zeros(count, np.bool_),
    )


def play(books: Books, columns: Columns, first_only: bool = False) -> npt.NDArray[np.int64]:
    """Bring books up to the end of some rows; return the rows whose message left a book crossed.

    Parameters
    ----------
    first_only
        Stop after the first such message.
    """
    crossed = np.empty(len(columns["ts_ns"]), np.int64)
    count = _play(
        tuple(columns[name] for name in DTYPES), books.step, books.slots, books.owners,
        books.sizes, books.best, books.worst, books.known, crossed, first_only,
    )  # fmt: skip
    return crossed[:count]


def levels_of(books: Books, market: int, side: int) -> list[tuple[int, int]]:
    """Levels of one side of a market's book as (price e4, size e6), best first."""
    sizes = books.sizes[books.slots[market], side]
    prices = np.flatnonzero(sizes)
    if side == 0:
        prices = prices[::-1]
    return [(int(price) * books.step, int(sizes[price])) for price in prices]


@njit(cache=True)
def _note_lives(
    kind: Any, market: Any, price: Any, start: int, first: Any, last: Any, step: int
) -> int:
    for i in range(len(kind)):
        if kind[i] == _CLEAR or kind[i] == _LEVEL:
            m = market[i]
            if first[m] < 0:
                first[m] = start + i
            last[m] = start + i
            rest = abs(int(price[i]))
            while rest:
                step, rest = rest, step % rest
    return step


@njit(cache=True)
def _wipe(sizes: Any, best: Any, worst: Any, s: int) -> None:
    # Only what was used: most of a place's memory is never touched, so never taken.
    one = sizes.shape[2] - 1
    for p in range(worst[s, 0], best[s, 0] + 1):
        sizes[s, 0, p] = 0
    for p in range(best[s, 1], worst[s, 1] + 1):
        sizes[s, 1, p] = 0
    best[s, 0], best[s, 1] = 0, one
    worst[s, 0], worst[s, 1] = one, 0


@njit(cache=True)
def _set(sizes: Any, best: Any, worst: Any, s: int, side: int, price: int, size: int) -> None:
    sizes[s, side, price] = size
    one = sizes.shape[2] - 1
    if side == 0:
        if size > 0:
            best[s, 0] = max(best[s, 0], price)
            worst[s, 0] = min(worst[s, 0], price)
        elif price == best[s, 0]:
            while price > 0 and sizes[s, 0, price] == 0:
                price -= 1
            best[s, 0] = price
    elif size > 0:
        best[s, 1] = min(best[s, 1], price)
        worst[s, 1] = max(worst[s, 1], price)
    elif price == best[s, 1]:
        while price < one and sizes[s, 1, price] == 0:
            price += 1
        best[s, 1] = price


@njit(cache=True)
def _play(
    columns: Any, step: int, slots: Any, owners: Any, sizes: Any, best: Any, worst: Any,
    known: Any, crossed: Any, first_only: bool,
) -> int:  # fmt: skip
    ts, recv, kind, side, market, price, size = columns
    count = 0
    rows = len(ts)
    one = sizes.shape[2] - 1
    for i in range(rows):
        k = kind[i]
        if k == _DARK:
            for s in range(len(known)):
                known[s] = False
                _wipe(sizes, best, worst, s)
            continue
        if k != _CLEAR and k != _LEVEL:
            continue
        s = slots[market[i]]
        if owners[s] != market[i]:
            owners[s] = market[i]
            known[s] = False
            _wipe(sizes, best, worst, s)
        if k == _CLEAR:
            known[s] = True
            _wipe(sizes, best, worst, s)
        elif 0 < price[i] < one * step:
            _set(sizes, best, worst, s, side[i], price[i] // step, size[i])
        goes_on = (
            i + 1 < rows
            and kind[i + 1] == _LEVEL
            and market[i + 1] == market[i]
            and ts[i + 1] == ts[i]
            and recv[i + 1] == recv[i]
        )
        if not goes_on and best[s, 0] > 0 and best[s, 0] >= best[s, 1]:
            crossed[count] = i
            count += 1
            if first_only:
                break
    return count
