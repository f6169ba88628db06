"""One order against the book: what it would get, and taking it."""

from engine.matching.kernels.compiled import compiled
from engine.matching.kernels.layout import (
    ACCOUNT,
    ALLOW,
    BEST_ASK,
    BEST_BID,
    BID,
    BY_SELF_TRADE,
    CANCEL,
    CANCEL_TAKING,
    CASH,
    FEES,
    FEES_PAID,
    FIRST,
    KIND,
    LEG,
    LEVEL,
    NEXT,
    ONE,
    OPEN,
    PRICE,
    SELF_TRADE,
    SEQ,
    SIZE,
    TICK,
    TIGHTEN_FROM,
    TIGHTEN_TO,
    TIGHTENED,
    TRADE,
    Book,
)
from engine.matching.kernels.levels import next_ask, next_bid, remove
from engine.matching.kernels.money import (
    back,
    buys,
    fee_of,
    move,
    notional,
    own_price,
    settle_maker,
    unlock,
)


@compiled
def best_against(book: Book, kind: int) -> int:
    """Best price on the other side; 0 or `ONE` when there is none."""
    return int(book.head[BEST_ASK] if kind >> 1 == BID else book.head[BEST_BID])


@compiled
def crosses(kind: int, limit: int, price: int) -> bool:
    """Whether an order with this limit takes a level at `price`; both in Up's prices."""
    return price <= limit and price < ONE if kind >> 1 == BID else price >= limit and price > 0


@compiled
def _affordable(kind: int, price: int, left: int, budget: int) -> int:
    """Shares an order still wants at a level: its rest, or what its budget of cash buys there."""
    return left if budget < 0 else budget * ONE // own_price(kind, price)


@compiled
def _available(book: Book, account: int, side: int, price: int) -> tuple[int, bool]:
    """Shares of a level this account may take, and whether its own order ends the search."""
    if book.head[SELF_TRADE] == ALLOW:
        return book.levels[side, price, SIZE], False
    size = 0
    row = book.levels[side, price, FIRST]
    while row:
        if book.orders[row, ACCOUNT] != account:
            size += book.orders[row, OPEN]
        elif book.head[SELF_TRADE] == CANCEL_TAKING:
            return size, True
        row = book.orders[row, NEXT]
    return size, False


@compiled
def probe(
    book: Book, account: int, kind: int, limit: int, size: int, budget: int
) -> tuple[int, int, int, bool]:
    """What `take` would do, without doing it: shares, cash, fee, and whether nothing is left.

    A budget of zero or more limits the order by cash, a negative one by `size`.
    """
    filled, cash, fee = 0, 0, 0
    price = best_against(book, kind)
    side = 1 - (kind >> 1)
    while crosses(kind, limit, price):
        want = _affordable(kind, price, size - filled, budget)
        there, ends = _available(book, account, side, price)
        traded = min(want, there)
        if traded > 0:
            paid = notional(own_price(kind, price), traded)
            filled += traded
            cash += paid
            fee += fee_of(book, own_price(kind, price), traded)
            if budget >= 0:
                budget -= paid
        if there >= want:
            return filled, cash, fee, True
        if ends:
            break
        price = next_bid(book, price) if side == BID else next_ask(book, price)
    return filled, cash, fee, False


@compiled
def report_level(book: Book, side: int, price: int, n: int) -> int:
    out = book.out
    out[n, 0] = LEVEL
    out[n, 1] = side
    out[n, 2] = price
    out[n, 3] = book.levels[side, price, SIZE]
    return n + 1


@compiled
def drop(book: Book, row: int, reason: int, n: int) -> int:
    """Cancel a resting order; its level is reported by the caller."""
    orders, out = book.orders, book.out
    out[n, 0] = CANCEL
    out[n, 1] = row
    out[n, 2] = orders[row, SEQ]
    out[n, 3] = orders[row, ACCOUNT]
    out[n, 4] = orders[row, OPEN]
    out[n, 5] = reason
    unlock(book, row, orders[row, OPEN])
    remove(book, row)
    return n + 1


@compiled
def _fill_maker(book: Book, row: int, taker_kind: int, size: int, n: int) -> int:
    """Fill a resting order in part or whole."""
    orders, out = book.orders, book.out
    kind = orders[row, KIND]
    out[n, 0] = LEG
    out[n, 1] = row
    out[n, 2] = orders[row, SEQ]
    out[n, 3] = orders[row, ACCOUNT]
    out[n, 4] = kind
    out[n, 5] = size
    back(book, taker_kind, kind, size)
    out[n, 6] = settle_maker(book, row, size, own_price(taker_kind, orders[row, PRICE]))
    out[n, 7] = orders[row, OPEN]
    if orders[row, OPEN] == 0:
        remove(book, row)
    return n + 1


@compiled
def _fill_taker(book: Book, account: int, kind: int, price: int, size: int) -> tuple[int, int]:
    """Book the taker's part of a trade; return its cash and its fee."""
    cash = notional(own_price(kind, price), size)
    fee = fee_of(book, own_price(kind, price), size)
    if not buys(kind):
        fee = min(fee, cash)
    move(book, account, kind, size, cash)
    book.accounts[account, CASH] -= fee
    book.accounts[account, FEES_PAID] += fee
    book.head[FEES] += fee
    return cash, fee


@compiled
def _take_level(
    book: Book, account: int, kind: int, price: int, want: int, n: int
) -> tuple[int, int, int, int, bool]:
    """Trade up to `want` shares at one level, oldest order first.

    Returns the next free row of `out`, the shares, cash and fee of the taker, and whether its
    own resting order stopped it.
    """
    out = book.out
    side = 1 - (kind >> 1)
    head_row, legs, traded, stopped = n, 0, 0, False
    n += 1
    row = book.levels[side, price, FIRST]
    while row and traded < want:
        after = book.orders[row, NEXT]
        if book.head[SELF_TRADE] != ALLOW and book.orders[row, ACCOUNT] == account:
            if book.head[SELF_TRADE] == CANCEL_TAKING:
                stopped = True
                break
            n = drop(book, row, BY_SELF_TRADE, n)
        else:
            part = min(book.orders[row, OPEN], want - traded)
            book.levels[side, price, SIZE] -= part
            n = _fill_maker(book, row, kind, part, n)
            traded += part
            legs += 1
        row = after
    cash, fee = 0, 0
    if traded:
        cash, fee = _fill_taker(book, account, kind, price, traded)
    out[head_row, 0] = TRADE
    out[head_row, 1] = price
    out[head_row, 2] = traded
    out[head_row, 3] = cash
    out[head_row, 4] = fee
    out[head_row, 5] = legs
    return report_level(book, side, price, n), traded, cash, fee, stopped


@compiled
def take(
    book: Book, account: int, kind: int, limit: int, size: int, budget: int, n: int
) -> tuple[int, int, int, int, bool, bool]:
    """Trade against the other side as far as limit, size and budget go, one trade a level.

    Returns the next free row of `out`, the taker's shares, cash and fee, whether nothing is left
    to do for it, and whether its own resting order stopped it.
    """
    filled, cash, fee = 0, 0, 0
    while True:
        price = best_against(book, kind)
        if not crosses(kind, limit, price):
            return n, filled, cash, fee, False, False
        want = _affordable(kind, price, size - filled, budget)
        if want <= 0:
            return n, filled, cash, fee, True, False
        n, traded, paid, charged, stopped = _take_level(book, account, kind, price, want, n)
        filled += traded
        cash += paid
        fee += charged
        if budget >= 0:
            budget -= paid
        if traded == want or stopped:
            return n, filled, cash, fee, traded == want, stopped


@compiled
def tighten(book: Book, n: int) -> int:
    """Tighten the tick once the mid price is beyond 0.04 or 0.96; it never widens again.

    Of a one-sided book only what holds for every possible mid price counts.
    """
    head, out = book.head, book.out
    if head[TICK] != head[TIGHTEN_FROM]:
        return n
    bid, ask = head[BEST_BID], head[BEST_ASK]
    beyond = bid > 9_600 or ask < 400
    if bid > 0 and ask < ONE:
        beyond = bid + ask > 19_200 or bid + ask < 800
    if not beyond:
        return n
    out[n, 0] = TIGHTENED
    out[n, 1] = head[TICK]
    out[n, 2] = head[TIGHTEN_TO]
    head[TICK] = head[TIGHTEN_TO]
    return n + 1
