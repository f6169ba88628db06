"""From money to shares: how large an order may be, in whole hundredths of a share.

Everything rounds against us: an order never costs more than it was given, its worst taker fee
included, and a size that would be below the venue's minimum becomes zero.
"""

from models.markets import FeeSchedule, Market, Side, taker_fee_e6
from models.orders import TimeInForce
from models.units import PRICE_ONE, USD

STEP_E6 = 10_000
"""The venue takes sizes in whole hundredths of a share."""
MIN_TAKE_E6 = 1 * USD
"""A BUY that crosses must spend at least 1 pUSD at the venue."""
ROUNDING_STEPS = 8
"""Steps of size that the rounding of fee and notional can be worth, at the finest price."""

_PPM = 1_000_000


def whole_e6(size_e6: int) -> int:
    """Round a size down to whole hundredths of a share."""
    return max(0, size_e6) // STEP_E6 * STEP_E6


def worst_cost_e6(
    price_e4: int, size_e6: int, fee: FeeSchedule, tif: TimeInForce, post_only: bool
) -> int:
    """Most a BUY may cost, fee included, in e6; rounded up.

    Notes
    -----
    Resting and share-limited orders cost most at their limit: one cent less in price always
    outweighs what the fee rises. FOK and FAK purchases are limited by cash instead and may get
    more shares at better prices; a sum ``K`` spent at price p pays
    ``K rate p^(e-1) (1-p)^e``, never more than ``K rate``.
    """
    notional = -(-price_e4 * size_e6 // PRICE_ONE)
    if post_only or fee.free:
        return notional
    if tif.immediate:
        return notional - (-notional * fee.rate_ppm // _PPM)
    return notional + taker_fee_e6(price_e4, size_e6, fee)


def minimum_e6(price_e4: int, market: Market, side: Side, tif: TimeInForce) -> int:
    """Smallest size the venue takes, in e6: its minimum for orders that may rest, 1 pUSD for
    purchases that only take, one step for sales that only take."""
    if not tif.immediate:
        return market.min_size_e6
    if side is Side.SELL:
        return STEP_E6
    least = -(-MIN_TAKE_E6 * PRICE_ONE // price_e4)
    return -(-least // STEP_E6) * STEP_E6


def size_for_budget_e6(
    budget_e6: int,
    price_e4: int,
    market: Market,
    tif: TimeInForce = TimeInForce.FAK,
    post_only: bool = False,
) -> int:
    """Most shares a BUY at `price_e4` may ask for so that it never costs more than the budget.

    Zero when that is below the venue's minimum.
    """
    if budget_e6 <= 0 or price_e4 <= 0:
        return 0
    size = whole_e6(budget_e6 * PRICE_ONE // price_e4)
    cost = worst_cost_e6(price_e4, size, market.fee, tif, post_only)
    if cost > budget_e6:
        # Cost grows in proportion but for rounding; a few steps up, then down to what fits.
        size = min(size, whole_e6(size * budget_e6 // cost) + ROUNDING_STEPS * STEP_E6)
    while size > 0 and worst_cost_e6(price_e4, size, market.fee, tif, post_only) > budget_e6:
        size -= STEP_E6
    return size if size >= minimum_e6(price_e4, market, Side.BUY, tif) else 0


def fit_buy_e6(
    size_e6: int,
    headroom_e6: int,
    price_e4: int,
    market: Market,
    tif: TimeInForce = TimeInForce.GTC,
    post_only: bool = False,
) -> int:
    """Largest size up to `size_e6` whose worst cost stays within `headroom_e6`, or zero."""
    size = whole_e6(size_e6)
    if worst_cost_e6(price_e4, size, market.fee, tif, post_only) > headroom_e6:
        size = min(size, size_for_budget_e6(headroom_e6, price_e4, market, tif, post_only))
    return size if size >= minimum_e6(price_e4, market, Side.BUY, tif) else 0
