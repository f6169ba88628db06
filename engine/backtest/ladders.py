"""The compiled ladders: sizes by price, and bits that say which prices have any.

A side's bits are of two steps: one for every price, and one for every word of those. So the next
level is a few instructions away, however far it lies and whatever grid prices are on.
"""

from typing import Any

from numba.cpython.unsafe import numbers

from engine.backtest.compiled import compiled, inlined
from engine.backtest.layout import (
    BEST_ASK,
    BEST_BID,
    BID,
    BIDS,
    EMPTIED,
    HEADS,
    NO_ASK,
    NO_BID,
    WORDS,
)

Ints = Any

# Processor instructions; a type checker takes them for functions of the compiler's own.
leading_zeros: Any = numbers.leading_zeros
trailing_zeros: Any = numbers.trailing_zeros


@inlined
def mark(sizes: Ints, slot: int, side: int, price: int) -> None:
    """Note that a level has size."""
    word = price >> 6
    sizes[slot, side, WORDS + word] |= 1 << (price & 63)
    sizes[slot, side, HEADS + (word >> 6)] |= 1 << (word & 63)


@inlined
def unmark(sizes: Ints, slot: int, side: int, price: int) -> None:
    """Note that a level has no size any more."""
    word = price >> 6
    left = sizes[slot, side, WORDS + word] & ~(1 << (price & 63))
    sizes[slot, side, WORDS + word] = left
    if left == 0:
        sizes[slot, side, HEADS + (word >> 6)] &= ~(1 << (word & 63))


@inlined
def next_level(sizes: Ints, slot: int, side: int, price: int) -> int:
    """Price of the next worse level that has size; call it only while one is left."""
    word = price >> 6
    if side == BID:
        bits = sizes[slot, 0, WORDS + word] & ((1 << (price & 63)) - 1)
        if bits == 0:
            head = word >> 6
            words = sizes[slot, 0, HEADS + head] & ((1 << (word & 63)) - 1)
            while words == 0:
                head -= 1
                words = sizes[slot, 0, HEADS + head]
            word = (head << 6) + 63 - leading_zeros(words)
            bits = sizes[slot, 0, WORDS + word]
        found = (word << 6) + 63 - leading_zeros(bits)
    else:
        bits = sizes[slot, 1, WORDS + word] & (-2 << (price & 63))
        if bits == 0:
            head = word >> 6
            words = sizes[slot, 1, HEADS + head] & (-2 << (word & 63))
            while words == 0:
                head += 1
                words = sizes[slot, 1, HEADS + head]
            word = (head << 6) + trailing_zeros(words)
            bits = sizes[slot, 1, WORDS + word]
        found = (word << 6) + trailing_zeros(bits)
    return int(found)


@inlined
def set_level(sizes: Ints, meta: Ints, slot: int, side: int, price: int, size: int) -> None:
    """Set a level's absolute size and keep count and best price right.

    Prices must lie on the ladder: `check_rows` has seen to that.
    """
    was = sizes[slot, side, price]
    sizes[slot, side, price] = size
    if was == 0:
        if size != 0:
            mark(sizes, slot, side, price)
            meta[slot, BIDS + side] += 1
            if side == BID:
                if price > meta[slot, BEST_BID]:
                    meta[slot, BEST_BID] = price
            elif price < meta[slot, BEST_ASK]:
                meta[slot, BEST_ASK] = price
    elif size == 0:
        unmark(sizes, slot, side, price)
        left = meta[slot, BIDS + side] - 1
        meta[slot, BIDS + side] = left
        if price == meta[slot, BEST_BID + side]:
            if left == 0:
                meta[slot, BEST_BID + side] = NO_BID if side == BID else NO_ASK
                meta[slot, EMPTIED] = 1
            else:
                best = next_level(sizes, slot, side, price)
                meta[slot, BEST_BID + side] = best


@compiled
def clear_book(sizes: Ints, meta: Ints, slot: int) -> None:
    """Forget every level of a slot."""
    for side in range(2):
        left = meta[slot, BIDS + side]
        price = meta[slot, BEST_BID + side]
        while left > 0:
            sizes[slot, side, price] = 0
            unmark(sizes, slot, side, price)
            left -= 1
            if left > 0:
                price = next_level(sizes, slot, side, price)
        meta[slot, BIDS + side] = 0
    meta[slot, BEST_BID] = NO_BID
    meta[slot, BEST_ASK] = NO_ASK


@compiled
def levels(sizes: Ints, meta: Ints, slot: int, side: int, out: Ints) -> int:
    """Write a side's best levels into `out` as (price, size) rows; return how many."""
    count = min(meta[slot, BIDS + side], len(out))
    price = meta[slot, BEST_BID + side]
    for i in range(count):
        if i > 0:
            price = next_level(sizes, slot, side, price)
        out[i, 0] = price
        out[i, 1] = sizes[slot, side, price]
    return int(count)
