"""What a fill costs: notional, taker fee, and the movements between two accounts.

One rule rounds all cash: every leg moves its own price times its own size, rounded down to
the base unit. Where that leaves a base unit over or short between the legs of a trade (only
possible when a product is not whole), the market's rounding pool takes it, so that cash, pools
and collateral always add up to what was deposited.
"""

from engine.matching.kernels.compiled import compiled
from engine.matching.kernels.layout import (
    ACCOUNT,
    CASH,
    CASH_LOCKED,
    COLLATERAL,
    EXPONENT,
    FEE_ROUNDING,
    HALF_EVEN,
    HALF_UP,
    HELD_LOCKED,
    KIND,
    LOCKED,
    OF_NOTIONAL,
    ONE,
    OPEN,
    PRICE,
    RATE_PPM,
    REBATE_TOTAL,
    REBATE_WEIGHT,
    ROUND_UP,
    ROUNDING,
    UNLIMITED,
    UP,
    Book,
)

_LIMB = 1_000_000_000


@compiled
def notional(price: int, size: int) -> int:
    """Cash of `size` shares, rounded down to the base unit."""
    return price * size // ONE


@compiled
def notional_up(price: int, size: int) -> int:
    """Cash to set aside for `size` shares: rounded up, so that it always suffices."""
    return (price * size + ONE - 1) // ONE


@compiled
def buys(kind: int) -> bool:
    """Whether an order of this kind gives cash: a bid for Up or an ask in Down's clothes."""
    return (kind >> 1) == (kind & 1)


@compiled
def own_price(kind: int, price: int) -> int:
    """Up's price seen from the order's own token."""
    return price if (kind & 1) == UP else ONE - price


@compiled
def _times(a: int, b: int, c: int, d: int, factor: int) -> tuple[int, int, int, int]:
    """Multiply the number with base-1e9 digits a (lowest) to d by a factor below 2**31."""
    a *= factor
    b = b * factor + a // _LIMB
    c = c * factor + b // _LIMB
    d = d * factor + c // _LIMB
    return a % _LIMB, b % _LIMB, c % _LIMB, d


@compiled
def taker_fee(
    price: int, size: int, rate_ppm: int, exponent: int, of_notional: int, mode: int
) -> int:
    """Fee in e6 at the taker's own price: `models.markets.FeeSchedule`, rounded to 5 decimals.

    Exact for exponents 1 and 2: the product is carried in digits of base 1e9, so that dividing
    it by a power of ten (15, 19, 23 or 27 zeros) is dropping digits.
    """
    if rate_ppm == 0:
        return 0
    variance = price * (ONE - price)
    a, b, c, d = _times(size % _LIMB, size // _LIMB, 0, 0, rate_ppm)
    a, b, c, d = _times(a, b, c, d, variance)
    zeros = 15
    if exponent == 2:
        a, b, c, d = _times(a, b, c, d, variance)
        zeros += 8
    if of_notional:
        a, b, c, d = _times(a, b, c, d, price)
        zeros += 4
    if zeros == 15:
        whole, rest, half, low = _split(c, b, 1_000_000, a > 0)
    elif zeros == 19:
        whole, rest, half, low = _split(d, c, 10, a > 0 or b > 0)
    elif zeros == 23:
        whole, rest, half, low = _split(d, c, 100_000, a > 0 or b > 0)
    else:
        whole, rest, half, low = d, c, _LIMB // 2, a > 0 or b > 0
    if mode == HALF_UP:
        up = rest >= half
    elif mode == HALF_EVEN:
        up = rest > half or (rest == half and (low or whole % 2 == 1))
    else:
        up = mode == ROUND_UP and (rest > 0 or low)
    return (whole + (1 if up else 0)) * 10


@compiled
def _split(high: int, next_: int, unit: int, low: bool) -> tuple[int, int, int, bool]:
    """Divide the two upper digits by `unit`: quotient, rest, half of the unit, and `low`."""
    value = high * _LIMB + next_
    return value // unit, value % unit, unit // 2, low


@compiled
def fee_of(book: Book, price: int, size: int) -> int:
    """Taker fee of this market; `price` in the taker's own token."""
    head = book.head
    return taker_fee(
        price, size, head[RATE_PPM], head[EXPONENT], head[OF_NOTIONAL], head[FEE_ROUNDING]
    )


@compiled
def free_cash(book: Book, account: int) -> int:
    return int(book.accounts[account, CASH] - book.accounts[account, CASH_LOCKED])


@compiled
def free_shares(book: Book, account: int, token: int) -> int:
    return int(book.held[account, token] - book.held[account, HELD_LOCKED + token])


@compiled
def lock(book: Book, row: int) -> None:
    """Set aside what a resting order may have to give."""
    order = book.orders[row]
    account, kind = order[ACCOUNT], order[KIND]
    order[LOCKED] = 0
    if book.accounts[account, UNLIMITED]:
        return
    if buys(kind):
        order[LOCKED] = notional_up(own_price(kind, order[PRICE]), order[OPEN])
        book.accounts[account, CASH_LOCKED] += order[LOCKED]
    else:
        book.held[account, HELD_LOCKED + (kind & 1)] += order[OPEN]


@compiled
def unlock(book: Book, row: int, size: int) -> None:
    """Give back what is set aside for `size` of a resting order, before that leaves it."""
    order = book.orders[row]
    account, kind = order[ACCOUNT], order[KIND]
    if book.accounts[account, UNLIMITED]:
        return
    if buys(kind):
        keep = notional_up(own_price(kind, order[PRICE]), order[OPEN] - size)
        if keep < order[LOCKED]:
            book.accounts[account, CASH_LOCKED] -= order[LOCKED] - keep
            order[LOCKED] = keep
    else:
        book.held[account, HELD_LOCKED + (kind & 1)] -= size


@compiled
def move(book: Book, account: int, kind: int, size: int, cash: int) -> None:
    """Book one leg: shares against cash, and the difference to the market's pools."""
    token = kind & 1
    if buys(kind):
        book.accounts[account, CASH] -= cash
        book.held[account, token] += size
        book.head[ROUNDING] += cash
    else:
        book.accounts[account, CASH] += cash
        book.held[account, token] -= size
        book.head[ROUNDING] -= cash


@compiled
def back(book: Book, taker_kind: int, maker_kind: int, size: int) -> None:
    """Move collateral: a mint sets aside 1 pUSD for each pair of shares, a merge frees it."""
    if (taker_kind & 1) == (maker_kind & 1):
        return
    change = size if buys(taker_kind) else -size
    book.head[COLLATERAL] += change
    book.head[ROUNDING] -= change


@compiled
def settle_maker(book: Book, row: int, size: int, fee_price: int) -> int:
    """Book a resting order's part of a trade at its own price and return its cash.

    `fee_price` is the taker's own: the maker's rebate goes by the fee its fill makes the taker pay.
    """
    order = book.orders[row]
    account, kind = order[ACCOUNT], order[KIND]
    cash = notional(own_price(kind, order[PRICE]), size)
    if buys(kind) and not book.accounts[account, UNLIMITED]:
        book.accounts[account, CASH_LOCKED] -= cash
        order[LOCKED] -= cash
    unlock(book, row, size)
    order[OPEN] -= size
    move(book, account, kind, size, cash)
    if book.head[RATE_PPM] > 0:
        weight = fee_of(book, fee_price, size)
        book.held[account, REBATE_WEIGHT] += weight
        book.head[REBATE_TOTAL] += weight
    return cash
