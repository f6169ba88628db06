"""A whole stream of orders in one call: the same loops, without Python between the orders."""

from engine.matching.kernels.compiled import compiled
from engine.matching.kernels.layout import (
    LIVE,
    NO_DELAY,
    SEQ,
    Array,
    Book,
)
from engine.matching.kernels.match import tighten
from engine.matching.kernels.orders import cancel_row, submit_to

# Columns of a command. A CANCEL names in LIMIT the index of the command that placed the order.
OP, BY, ORDER_KIND, LIMIT, SHARES, AMOUNT, TIF, FLAGS = range(8)
COMMAND_FIELDS = 8
PLACE_OP, CANCEL_OP = 0, 1

# Columns of a result.
RESULT, FILLED_SIZE, PAID, FEE, ROW, ROW_SEQ = range(6)
RESULT_FIELDS = 6
GONE = -100
"""Result of a CANCEL whose order no longer rests."""


@compiled
def run(
    head: Array,
    levels: Array,
    orders: Array,
    held: Array,
    accounts: Array,
    out: Array,
    commands: Array,
    results: Array,
    start: int,
) -> int:
    """Run commands from `start` on; return where it stopped for want of room in the arrays."""
    book = Book(head, levels, orders, held, accounts, out)
    for i in range(start, len(commands)):
        if head[LIVE] + 2 >= len(orders) or 3 * head[LIVE] + 64 >= len(out):
            return i
        if commands[i, OP] == CANCEL_OP:
            j = commands[i, LIMIT]
            row = results[j, ROW]
            if row and orders[row, SEQ] == results[j, ROW_SEQ]:
                tighten(book, cancel_row(book, row, 0))
                results[i, RESULT] = 0
            else:
                results[i, RESULT] = GONE
            continue
        n = submit_to(
            book,
            commands[i, BY],
            commands[i, ORDER_KIND],
            commands[i, LIMIT],
            commands[i, SHARES],
            commands[i, AMOUNT],
            commands[i, TIF],
            commands[i, FLAGS] | NO_DELAY,
        )
        if n < 0:
            results[i, RESULT] = n
            continue
        row = out[0, 2]
        results[i, RESULT] = out[0, 1]
        results[i, FILLED_SIZE] = out[0, 3]
        results[i, PAID] = out[0, 4]
        results[i, FEE] = out[0, 5]
        results[i, ROW] = row
        results[i, ROW_SEQ] = orders[row, SEQ] if row else 0
    return len(commands)
