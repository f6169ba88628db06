"""Books kept while rows go by, in compiled code: what is quoted at a row, and where it crosses."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit  # type: ignore[import-untyped]

from models.tape import Row, Tape
from models.units import PRICE_ONE
from store.tape.columns import Columns

_CLEAR, _LEVEL, _DARK = int(Row.CLEAR), int(Row.LEVEL), int(Row.DARK)
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Books:
    """Books of all markets of a tape; only markets alive at the same time have room of their own.

    Parameters
    ----------
    slots
        Market to its place in `sizes`; places are used again once a market has no more rows.
    sizes
        Sizes (e6) by place, side and price (e4).
    best
        Best bid and ask by place; 0 and `PRICE_ONE` where a side is empty.
    known
        Whether the place's book was told since the tape began or went dark.
    """

    slots: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    best: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]


def lives(tape: Tape) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and last book row of every market, -1 for markets without one."""
    first = np.full(len(tape.markets), -1, np.int64)
    last = first.copy()
    for start in range(0, len(tape), _BLOCK):
        stop = start + _BLOCK
        _note_lives(tape.kind[start:stop], tape.market[start:stop], start, first, last)
        tape.release(start)
    return first, last


def empty_books(tape: Tape) -> Books:
    first, last = lives(tape)
    slots = np.full(len(first), -1, np.int64)
    free: list[int] = []
    ending: list[tuple[int, int]] = []
    count = 0
    for market in np.argsort(first, kind="stable"):
        if first[market] < 0:
            continue
        still = [(row, slot) for row, slot in ending if row >= first[market]]
        free += [slot for row, slot in ending if row < first[market]]
        ending = still
        if not free:
            free.append(count)
            count += 1
        slots[market] = free.pop()
        ending.append((int(last[market]), int(slots[market])))
    return Books(
        slots,
        np.zeros((count, 2, PRICE_ONE + 1), np.int64),
        np.tile(np.array([0, PRICE_ONE], np.int64), (count, 1)),
        np.zeros(count, np.bool_),
    )


def play(books: Books, owners: npt.NDArray[np.int64], columns: Columns) -> npt.NDArray[np.int64]:
    """Bring books up to the end of some rows; return the rows whose message left a book crossed.

    Parameters
    ----------
    owners
        The market whose book each place holds, -1 for none; changed here. A place that another
        market takes over is emptied first.
    """
    crossed = np.empty(len(columns["ts_ns"]), np.int64)
    count = _play(
        columns["ts_ns"], columns["recv_ns"], columns["kind"], columns["side"],
        columns["market"], columns["price"], columns["size"],
        books.slots, owners, books.sizes, books.best, books.known, crossed,
    )  # fmt: skip
    return crossed[:count]


def owners_of(books: Books) -> npt.NDArray[np.int64]:
    return np.full(len(books.known), -1, np.int64)


def levels_of(books: Books, place: int, side: int) -> list[tuple[int, int]]:
    """Levels of one side, best first."""
    prices = np.flatnonzero(books.sizes[place, side])
    if side == 0:
        prices = prices[::-1]
    return [(int(price), int(books.sizes[place, side, price])) for price in prices]


@njit(cache=True)
def _note_lives(kind: Any, market: Any, start: int, first: Any, last: Any) -> None:
    for i in range(len(kind)):
        if kind[i] == _CLEAR or kind[i] == _LEVEL:
            m = market[i]
            if first[m] < 0:
                first[m] = start + i
            last[m] = start + i


@njit(cache=True)
def _wipe(sizes: Any, best: Any, s: int) -> None:
    # Only as much as was used: bids lie at or below the best one, asks at or above.
    for p in range(best[s, 0] + 1):
        sizes[s, 0, p] = 0
    for p in range(best[s, 1], sizes.shape[2]):
        sizes[s, 1, p] = 0
    best[s, 0], best[s, 1] = 0, sizes.shape[2] - 1


@njit(cache=True)
def _set(sizes: Any, best: Any, s: int, side: int, price: int, size: int) -> None:
    sizes[s, side, price] = size
    one = sizes.shape[2] - 1
    if side == 0:
        if size > 0:
            best[s, 0] = max(best[s, 0], price)
        elif price == best[s, 0]:
            while price > 0 and sizes[s, 0, price] == 0:
                price -= 1
            best[s, 0] = price
    elif size > 0:
        best[s, 1] = min(best[s, 1], price)
    elif price == best[s, 1]:
        while price < one and sizes[s, 1, price] == 0:
            price += 1
        best[s, 1] = price


@njit(cache=True)
def _play(
    ts: Any, recv: Any, kind: Any, side: Any, market: Any, price: Any, size: Any,
    slots: Any, owners: Any, sizes: Any, best: Any, known: Any, crossed: Any,
) -> int:  # fmt: skip
    count = 0
    rows = len(ts)
    one = sizes.shape[2] - 1
    for i in range(rows):
        k = kind[i]
        if k == _DARK:
            for s in range(len(known)):
                known[s] = False
                _wipe(sizes, best, s)
            continue
        if k != _CLEAR and k != _LEVEL:
            continue
        s = slots[market[i]]
        if owners[s] != market[i]:
            owners[s] = market[i]
            known[s] = False
            _wipe(sizes, best, s)
        if k == _CLEAR:
            known[s] = True
            _wipe(sizes, best, s)
        elif 0 < price[i] < one:
            _set(sizes, best, s, side[i], price[i], size[i])
        goes_on = (
            i + 1 < rows
            and kind[i + 1] == _LEVEL
            and market[i + 1] == market[i]
            and ts[i + 1] == ts[i]
            and recv[i + 1] == recv[i]
        )
        if not goes_on and 0 < best[s, 0] and best[s, 0] >= best[s, 1]:
            crossed[count] = i
            count += 1
    return count
