"""What stands where in the arrays of a market and of the accounts.

Every array is int64 and C-contiguous. Orders live in a pool of rows, chained through `PREV` and
`NEXT` at their level (row 0 means none); free rows are chained through `NEXT`. Prices in here
are always Up's: a BUY of Up and a SELL of Down are bids, the other two are asks.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.int64]

ONE = 10_000
"""A price of 1 pUSD."""
MAX_SIZE = 100_000_000_000_000
"""Most shares of an order, e6 (100 million): keeps every product below within 63 bits."""

# Sides of the book, and tokens. `kind` of an order is 2 * side + token.
BID, ASK = 0, 1
UP, DOWN = 0, 1

# Order rows.
PREV, NEXT, KIND, PRICE, OPEN, ACCOUNT, LOCKED, SEQ = range(8)
ORDER_FIELDS = 8

# Levels: [side, price, field].
FIRST, LAST, SIZE, COUNT = range(4)
LEVEL_FIELDS = 4

# Accounts. A limited account may never spend what it has not got.
CASH, CASH_LOCKED, UNLIMITED, FEES_PAID = range(4)
ACCOUNT_FIELDS = 4

# Holdings of one account in a market: total at the token, locked part at 2 + token; what it
# earned of the maker rebate pool, as fee its fills made takers pay.
HELD_LOCKED, REBATE_WEIGHT = 2, 4
HELD_FIELDS = 8

# Head of a market: rules and counters, then one bit per price and side, 32 to a word.
(
    BEST_BID,
    BEST_ASK,
    FREE,
    LIVE,
    USED,
    NEXT_SEQ,
    TICK,
    MIN_SIZE,
    MIN_BUY,
    CHECK_AMOUNTS,
    TIGHTEN_FROM,
    TIGHTEN_TO,
    RATE_PPM,
    EXPONENT,
    OF_NOTIONAL,
    FEE_ROUNDING,
    SELF_TRADE,
    DELAYED,
    COLLATERAL,
    FEES,
    ROUNDING,
    REBATE_TOTAL,
) = range(22)
BITS = 32
WORDS = 320
HEAD_FIELDS = BITS + 2 * WORDS

# Values of FEE_ROUNDING and SELF_TRADE.
HALF_UP, HALF_EVEN, ROUND_UP, ROUND_DOWN = range(4)
ALLOW, CANCEL_RESTING, CANCEL_TAKING = range(3)

# Time in force, and flags of an order.
GTC, GTD, FOK, FAK = range(4)
POST_ONLY, RELEASED, NO_DELAY, TAKE_ONLY = 1, 2, 4, 8

# Rows written to `out`: the kind of row, then its fields.
DONE, TRADE, LEG, LEVEL, CANCEL, TIGHTENED = range(6)
# DONE: result, row it rests in (0: none), filled, cash, fee, size of the rest
# TRADE: Up's price, size, taker's cash, fee, legs
# LEG: row, seq, account, kind, size, cash, open afterwards
# LEVEL: side, price, size
# CANCEL: row, seq, account, open, reason
# TIGHTENED: old tick, new tick
OUT_FIELDS = 8

# Results of an order (0 and above) and refusals (below).
RESTS, FILLED, DROPPED, HELD = range(4)
(
    BAD_ORDER,
    BAD_TICK,
    BAD_SIZE,
    BAD_AMOUNTS,
    SMALL_BUY,
    NO_BALANCE,
    CROSSES,
    FOK_UNFILLED,
    FAK_UNMATCHED,
) = range(-9, 0)

# Why a resting order was cancelled by the loops.
BY_CALLER, BY_SELF_TRADE = range(2)


class Book(NamedTuple):
    """A market's arrays, with those of the accounts and the rows to report in."""

    head: Array
    levels: Array
    orders: Array
    held: Array
    accounts: Array
    out: Array


def new_head() -> Array:
    head = np.zeros(HEAD_FIELDS, np.int64)
    head[BEST_ASK] = ONE
    head[NEXT_SEQ] = 1
    return head


def new_levels() -> Array:
    return np.zeros((2, ONE + 1, LEVEL_FIELDS), np.int64)
