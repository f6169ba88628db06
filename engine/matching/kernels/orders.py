"""What Python calls: submit, cancel, impose, drain, depth. Each reports in rows of `out`.

Every function takes the six arrays of `Book` first and returns how many rows it wrote; a
negative number is a refusal, and then nothing changed.
"""

from engine.matching.kernels.compiled import compiled
from engine.matching.kernels.layout import (
    ACCOUNT,
    ASK,
    BAD_AMOUNTS,
    BAD_ORDER,
    BAD_SIZE,
    BAD_TICK,
    BEST_ASK,
    BEST_BID,
    BID,
    BY_CALLER,
    CASH_LOCKED,
    CHECK_AMOUNTS,
    CROSSES,
    DELAYED,
    DONE,
    DROPPED,
    FAK,
    FAK_UNMATCHED,
    FILLED,
    FIRST,
    FOK,
    FOK_UNFILLED,
    HELD,
    HELD_LOCKED,
    KIND,
    LAST,
    LEVEL,
    MAX_SIZE,
    MIN_BUY,
    MIN_SIZE,
    NEXT,
    NO_BALANCE,
    NO_DELAY,
    ONE,
    OPEN,
    POST_ONLY,
    PREV,
    PRICE,
    RELEASED,
    RESTS,
    SIZE,
    SMALL_BUY,
    TAKE_ONLY,
    TICK,
    UNLIMITED,
    Array,
    Book,
)
from engine.matching.kernels.levels import append, next_ask, next_bid
from engine.matching.kernels.match import (
    best_against,
    crosses,
    drop,
    probe,
    report_level,
    take,
    tighten,
)
from engine.matching.kernels.money import (
    buys,
    free_cash,
    free_shares,
    lock,
    notional,
    notional_up,
    own_price,
    unlock,
)


@compiled
def at_once(tif: int) -> bool:
    """Whether what does not trade now is dropped: FOK and FAK."""
    return tif >= FOK


@compiled
def amount_step(tick: int) -> int:
    """Base units of the cash amount's last decimal: 3 decimals at 0.1, … 6 at 0.0025 and 0.0001."""
    if tick == 1_000:
        return 1_000
    if tick == 100:
        return 100
    if tick == 50 or tick == 10:
        return 10
    return 1


@compiled
def _well_formed(
    book: Book, kind: int, price: int, size: int, cash: int, tif: int, post_only: bool
) -> int:
    """Check an order against the market's rules; 0 or a refusal. Price in its own token."""
    head = book.head
    if not (0 < size <= MAX_SIZE and 0 < cash <= MAX_SIZE) or (post_only and at_once(tif)):
        return BAD_ORDER
    tick = head[TICK]
    if price % tick or price < tick or price > ONE - tick:
        return BAD_TICK
    if not at_once(tif) and size < head[MIN_SIZE]:
        return BAD_SIZE
    if head[CHECK_AMOUNTS]:
        if at_once(tif):
            maker, taker = (cash, size) if buys(kind) else (size, cash)
            if maker % 10_000 or taker % 100:
                return BAD_AMOUNTS
        elif size % 10_000 or cash % amount_step(tick):
            return BAD_AMOUNTS
    return 0


@compiled
def _may_run(
    book: Book, account: int, kind: int, limit: int, size: int, cash: int, tif: int, waits: bool
) -> tuple[int, int]:
    """Check balance and the promises of FOK and FAK: a refusal or 0, and the cash needed."""
    price = own_price(kind, limit)
    budget = cash if at_once(tif) and buys(kind) else -1
    limited = not book.accounts[account, UNLIMITED]
    crossing = crosses(kind, limit, best_against(book, kind))
    filled, cost, fee, complete = 0, 0, 0, False
    if crossing and (at_once(tif) or (limited and buys(kind))):
        filled, cost, fee, complete = probe(book, account, kind, limit, size, budget)
    need = 0
    if buys(kind):
        # The whole signed amount must be there, and the fee of what trades at once on top.
        need = notional_up(price, size) if budget < 0 else budget
        rest = notional_up(price, size - filled) if budget < 0 else 0
        need = max(need, cost + rest) + fee
        if limited and free_cash(book, account) < need:
            return NO_BALANCE, 0
    elif limited and free_shares(book, account, kind & 1) < size:
        return NO_BALANCE, 0
    if tif == FAK and (not crossing or (filled == 0 and not waits)):
        return FAK_UNMATCHED, 0
    if tif == FOK and (not crossing or (not complete and not waits)):
        return FOK_UNFILLED, 0
    return 0, need


@compiled
def rest(book: Book, account: int, kind: int, price: int, size: int) -> int:
    """Put an order last at its level, set aside what it may have to give, return its row."""
    row = append(book, kind, price, size, account)
    lock(book, row)
    return row


@compiled
def place(
    book: Book, account: int, kind: int, limit: int, size: int, budget: int, rests: bool, n: int
) -> int:
    """Trade what can be traded and rest the remainder if it may; the DONE row is `out[0]`."""
    out = book.out
    n, filled, cash, fee, complete, stopped = take(book, account, kind, limit, size, budget, n)
    row, result = 0, FILLED
    if not complete:
        result = DROPPED
        if rests and not stopped:
            result = RESTS
            row = rest(book, account, kind, limit, size - filled)
            n = report_level(book, kind >> 1, limit, n)
    out[0, 0] = DONE
    out[0, 1] = result
    out[0, 2] = row
    out[0, 3] = filled
    out[0, 4] = cash
    out[0, 5] = fee
    return n


@compiled
def submit_to(
    book: Book,
    account: int,
    kind: int,
    price: int,
    size: int,
    cash: int,
    tif: int,
    flags: int,
) -> int:
    """Take an order in. `price` is in its own token; `cash` is its signed amount of cash."""
    limit = own_price(kind, price)  # its own inverse
    released = flags & RELEASED != 0
    if not released:
        refusal = _well_formed(book, kind, price, size, cash, tif, flags & POST_ONLY != 0)
        if refusal:
            return refusal
    crossing = crosses(kind, limit, best_against(book, kind))
    if not released and buys(kind) and (crossing or at_once(tif)):
        spend = cash if at_once(tif) else notional(price, size)
        if spend < book.head[MIN_BUY]:
            return SMALL_BUY
    if crossing and flags & POST_ONLY:
        return CROSSES
    waits = crossing and book.head[DELAYED] != 0 and flags & (RELEASED | NO_DELAY) == 0
    refusal, need = _may_run(book, account, kind, limit, size, cash, tif, waits)
    if refusal:
        return refusal
    if waits:
        if book.accounts[account, UNLIMITED]:
            need = 0
        hold(book, account, kind, size, need)
        book.out[0, 0], book.out[0, 1], book.out[0, 2] = DONE, HELD, 0
        book.out[0, 3], book.out[0, 4], book.out[0, 5] = 0, need, 0
        return 1
    budget = cash if at_once(tif) and buys(kind) else -1
    rests = not at_once(tif) and flags & TAKE_ONLY == 0
    return tighten(book, place(book, account, kind, limit, size, budget, rests, 1))


@compiled
def hold(book: Book, account: int, kind: int, size: int, cash: int) -> None:
    """Set aside what a delayed order may need; negative amounts give it back."""
    if book.accounts[account, UNLIMITED]:
        return
    if buys(kind):
        book.accounts[account, CASH_LOCKED] += cash
    else:
        book.held[account, HELD_LOCKED + (kind & 1)] += size


@compiled
def submit(
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
    cash: int,
    tif: int,
    flags: int,
) -> int:
    book = Book(head, levels, orders, held, accounts, out)
    return submit_to(book, account, kind, price, size, cash, tif, flags)


@compiled
def release(
    head: Array,
    levels: Array,
    orders: Array,
    held: Array,
    accounts: Array,
    out: Array,
    account: int,
    kind: int,
    size: int,
    need: int,
) -> int:
    """Give back what a delayed order had set aside."""
    hold(Book(head, levels, orders, held, accounts, out), account, kind, -size, -need)
    return 0


@compiled
def cancel_row(book: Book, row: int, n: int) -> int:
    side, price = book.orders[row, KIND] >> 1, book.orders[row, PRICE]
    return report_level(book, side, price, drop(book, row, BY_CALLER, n))


@compiled
def cancel(
    head: Array,
    levels: Array,
    orders: Array,
    held: Array,
    accounts: Array,
    out: Array,
    row: int,
) -> int:
    """Cancel one resting order by its row."""
    book = Book(head, levels, orders, held, accounts, out)
    return tighten(book, cancel_row(book, row, 0))


@compiled
def drain(
    head: Array, levels: Array, orders: Array, held: Array, accounts: Array, out: Array
) -> int:
    """Cancel every resting order, best level first, oldest order first."""
    book = Book(head, levels, orders, held, accounts, out)
    n = 0
    for side in (BID, ASK):
        price = head[BEST_BID] if side == BID else head[BEST_ASK]
        while 0 < price < ONE:
            while levels[side, price, FIRST]:
                n = drop(book, levels[side, price, FIRST], BY_CALLER, n)
            n = report_level(book, side, price, n)
            price = head[BEST_BID] if side == BID else head[BEST_ASK]
    return n


@compiled
def _own_size(book: Book, account: int, side: int, price: int) -> int:
    size = 0
    row = book.levels[side, price, FIRST]
    while row:
        if book.orders[row, ACCOUNT] == account:
            size += book.orders[row, OPEN]
        row = book.orders[row, NEXT]
    return size


@compiled
def _shrink(book: Book, account: int, side: int, price: int, excess: int, n: int) -> int:
    """Take `excess` shares of an account out of a level, newest orders first."""
    row = book.levels[side, price, LAST]
    while row and excess > 0:
        before = book.orders[row, PREV]
        if book.orders[row, ACCOUNT] == account:
            size = book.orders[row, OPEN]
            if size <= excess:
                n = drop(book, row, BY_CALLER, n)
            else:
                size = excess
                unlock(book, row, size)
                book.orders[row, OPEN] -= size
                book.levels[side, price, SIZE] -= size
            excess -= size
        row = before
    return report_level(book, side, price, n)


@compiled
def impose(
    head: Array,
    levels: Array,
    orders: Array,
    held: Array,
    accounts: Array,
    out: Array,
    account: int,
    targets: Array,
    want: Array,
) -> int:
    """Make an account's resting sizes equal `targets` (rows: side, price, size).

    `want` is an all-zero scratch array [side, price], left all zero. Bids are BUYs of Up, asks
    are SELLs of Up. First everything too large shrinks, then what is missing is added behind.
    """
    book = Book(head, levels, orders, held, accounts, out)
    n = 1
    for i in range(len(targets)):
        want[targets[i, 0], targets[i, 1]] = targets[i, 2]
    for side in (BID, ASK):
        price = head[BEST_BID] if side == BID else head[BEST_ASK]
        while 0 < price < ONE:
            after = next_bid(book, price) if side == BID else next_ask(book, price)
            excess = _own_size(book, account, side, price) - want[side, price]
            if excess > 0:
                n = _shrink(book, account, side, price, excess, n)
            price = after
    for i in range(len(targets)):
        side, price = targets[i, 0], targets[i, 1]
        missing = want[side, price] - _own_size(book, account, side, price)
        want[side, price] = 0
        if missing > 0:
            n = place(book, account, 2 * side, price, missing, -1, True, n)
    return tighten(book, n)


@compiled
def depth(
    head: Array, levels: Array, orders: Array, held: Array, accounts: Array, out: Array, side: int
) -> int:
    """Write (price, size) of every level of a side, best first, in Up's prices."""
    book = Book(head, levels, orders, held, accounts, out)
    n = 0
    price = head[BEST_BID] if side == BID else head[BEST_ASK]
    while 0 < price < ONE:
        out[n, 0] = LEVEL
        out[n, 1] = side
        out[n, 2] = price
        out[n, 3] = levels[side, price, SIZE]
        n += 1
        price = next_bid(book, price) if side == BID else next_ask(book, price)
    return n
