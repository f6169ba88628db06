"""Puts a resting order back as a snapshot remembers it."""

from engine.matching.kernels.compiled import compiled
from engine.matching.kernels.layout import (
    CASH_LOCKED,
    HELD_LOCKED,
    LOCKED,
    NEXT_SEQ,
    UNLIMITED,
    Array,
    Book,
)
from engine.matching.kernels.levels import append
from engine.matching.kernels.money import buys


@compiled
def put_back(
    head: Array,
    levels: Array,
    orders: Array,
    held: Array,
    accounts: Array,
    out: Array,
    account: int,
    kind: int,
    price: int,
    size: int,
    locked: int,
    seq: int,
) -> int:
    """Append an order with its old number and lock what it had locked; return its row."""
    book = Book(head, levels, orders, held, accounts, out)
    head[NEXT_SEQ] = seq
    row = append(book, kind, price, size, account)
    orders[row, LOCKED] = locked
    if not accounts[account, UNLIMITED]:
        if buys(kind):
            accounts[account, CASH_LOCKED] += locked
        else:
            held[account, HELD_LOCKED + (kind & 1)] += size
    return row
