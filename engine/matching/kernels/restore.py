"""Puts a resting order back as a snapshot remembers it."""

from engine.matching.kernels.compiled import compiled
from engine.matching.kernels.layout import NEXT_SEQ, Array, Book
from engine.matching.kernels.orders import rest


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
    seq: int,
) -> int:
    """Let an order rest under its old number; return its row."""
    head[NEXT_SEQ] = seq
    return rest(Book(head, levels, orders, held, accounts, out), account, kind, price, size)
