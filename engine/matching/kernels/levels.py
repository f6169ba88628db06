"""Levels of a book: orders chained by time at each price, and the best price of each side."""

from engine.matching.kernels.compiled import compiled
from engine.matching.kernels.layout import (
    ACCOUNT,
    ASK,
    BEST_ASK,
    BEST_BID,
    BID,
    BITS,
    COUNT,
    FIRST,
    FREE,
    KIND,
    LAST,
    LIVE,
    NEXT,
    NEXT_SEQ,
    ONE,
    OPEN,
    PREV,
    PRICE,
    SEQ,
    SIZE,
    USED,
    WORDS,
    Book,
)


@compiled
def _mark(book: Book, side: int, price: int) -> None:
    """Note that a level came alive."""
    head = book.head
    head[BITS + side * WORDS + (price >> 5)] |= 1 << (price & 31)
    if side == BID:
        head[BEST_BID] = max(head[BEST_BID], price)
    else:
        head[BEST_ASK] = min(head[BEST_ASK], price)


@compiled
def _unmark(book: Book, side: int, price: int) -> None:
    """Note that a level died, and find the next best one."""
    head = book.head
    head[BITS + side * WORDS + (price >> 5)] &= ~(1 << (price & 31))
    if side == BID and head[BEST_BID] == price:
        head[BEST_BID] = next_bid(book, price)
    elif side == ASK and head[BEST_ASK] == price:
        head[BEST_ASK] = next_ask(book, price)


@compiled
def next_bid(book: Book, price: int) -> int:
    """Highest bid below `price`, 0 when there is none."""
    word = price >> 5
    bits = book.head[BITS + word] & ((1 << (price & 31)) - 1)
    while bits == 0:
        word -= 1
        if word < 0:
            return 0
        bits = book.head[BITS + word]
    low = 0
    for step in (16, 8, 4, 2, 1):
        if bits >> (low + step):
            low += step
    return word * 32 + low


@compiled
def next_ask(book: Book, price: int) -> int:
    """Lowest ask above `price`, `ONE` when there is none."""
    word = price >> 5
    bits = (book.head[BITS + WORDS + word] >> (price & 31) >> 1) << (price & 31) << 1
    while bits == 0:
        word += 1
        if word >= WORDS:
            return ONE
        bits = book.head[BITS + WORDS + word]
    low = 0
    for step in (16, 8, 4, 2, 1):
        if bits & ((1 << step) - 1) == 0:
            bits >>= step
            low += step
    return word * 32 + low


@compiled
def append(book: Book, kind: int, price: int, size: int, account: int) -> int:
    """Put a new order last at its level and return its row."""
    head, orders, levels = book.head, book.orders, book.levels
    row = head[FREE]
    if row:
        head[FREE] = orders[row, NEXT]
    else:
        head[USED] += 1
        row = head[USED]
    side = kind >> 1
    last = levels[side, price, LAST]
    orders[row, PREV] = last
    orders[row, NEXT] = 0
    orders[row, KIND] = kind
    orders[row, PRICE] = price
    orders[row, OPEN] = size
    orders[row, ACCOUNT] = account
    orders[row, SEQ] = head[NEXT_SEQ]
    head[NEXT_SEQ] += 1
    head[LIVE] += 1
    if last:
        orders[last, NEXT] = row
    else:
        levels[side, price, FIRST] = row
        _mark(book, side, price)
    levels[side, price, LAST] = row
    levels[side, price, SIZE] += size
    levels[side, price, COUNT] += 1
    return int(row)


@compiled
def remove(book: Book, row: int) -> None:
    """Take an order out of its level and free its row; what is open leaves the level's size."""
    head, orders, levels = book.head, book.orders, book.levels
    side, price = orders[row, KIND] >> 1, orders[row, PRICE]
    before, after = orders[row, PREV], orders[row, NEXT]
    if before:
        orders[before, NEXT] = after
    else:
        levels[side, price, FIRST] = after
    if after:
        orders[after, PREV] = before
    else:
        levels[side, price, LAST] = before
    levels[side, price, SIZE] -= orders[row, OPEN]
    levels[side, price, COUNT] -= 1
    if levels[side, price, COUNT] == 0:
        _unmark(book, side, price)
    orders[row, SEQ] = 0
    orders[row, NEXT] = head[FREE]
    head[FREE] = row
    head[LIVE] -= 1
