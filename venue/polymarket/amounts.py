"""Maker and taker amounts of an order: exact integers within the venue's decimals.

A limit order trades whole hundredths of a share at a price on the grid, so both its amounts are
exact. A FOK or FAK order is refused by the venue beyond two decimals on the side it gives and
four on the side it gets (three on a grid of 0.1), however fine the tick. What does not fit is
rounded down, which leaves a BUY's price a hair above its limit and a SELL's a hair below, never
as far as the next price of the finest grid. Source: the venue's error texts and the SDK's own
rounding.
"""

from models.errors import BadValue
from models.markets import Market, Side
from models.orders import OrderRequest, TimeInForce
from models.units import PRICE_ONE, USD, cash_decimal, price_decimal, size_decimal

TICKS_E4 = (1000, 100, 50, 25, 10, 1)
LOT_E6 = 10_000
"""Sizes are whole hundredths of a share."""
CENT_E6 = 10_000
_COARSE_TICK_E4 = 1000
MIN_MARKETABLE_BUY_E6 = USD
MIN_EXPIRY_S = 180
"""A GTD order must be stated to live at least this long; it dies 60 s before."""


def order_amounts(request: OrderRequest, market: Market, now_s: float) -> tuple[int, int]:
    """Maker and taker amount in e6: what the order gives and what it gets.

    Raises
    ------
    BadValue
        The request does not belong to the market, is off its grid or below its minimum, or its
        expiry is too near.
    """
    _check_market(request, market)
    check_price(request.price_e4, market.tick_e4)
    _check_life(request, now_s)
    if request.size_e6 <= 0:
        raise BadValue(f"size {size_decimal(request.size_e6)} must be above zero")
    if request.tif.immediate and request.side is Side.BUY:
        return _immediate_buy(request, _got_unit_e6(market))
    if request.size_e6 % LOT_E6:
        raise BadValue(f"size {size_decimal(request.size_e6)} must be whole hundredths of a share")
    if not request.tif.immediate and request.size_e6 < market.min_size_e6:
        raise BadValue(
            f"size {size_decimal(request.size_e6)} is below the market's minimum "
            f"{size_decimal(market.min_size_e6)}"
        )
    cash_e6 = request.size_e6 // LOT_E6 * LOT_E6 * request.price_e4 // PRICE_ONE
    if request.tif.immediate:
        cash_e6 -= cash_e6 % _got_unit_e6(market)
        if cash_e6 == 0:
            raise BadValue(
                f"selling {size_decimal(request.size_e6)} at {price_decimal(request.price_e4)} "
                "brings less than 0.0001; sell more"
            )
    return (cash_e6, request.size_e6) if request.side is Side.BUY else (request.size_e6, cash_e6)


def _got_unit_e6(market: Market) -> int:
    """Finest step of what a FOK or FAK order gets, in e6."""
    return 1000 if market.tick_e4 == _COARSE_TICK_E4 else 100


def _immediate_buy(request: OrderRequest, unit_e6: int) -> tuple[int, int]:
    """Cash in whole cents buys at least this many shares at the limit price."""
    price_e4 = request.price_e4
    cash_e6 = request.size_e6 * price_e4 // PRICE_ONE // CENT_E6 * CENT_E6
    if cash_e6 < MIN_MARKETABLE_BUY_E6:
        raise BadValue(
            f"buying {size_decimal(request.size_e6)} at {price_decimal(price_e4)} spends "
            f"{cash_decimal(cash_e6)}; the venue's minimum is 1"
        )
    shares_e6 = cash_e6 * PRICE_ONE // price_e4 // unit_e6 * unit_e6
    if cash_e6 * PRICE_ONE >= shares_e6 * (price_e4 + 1):
        raise BadValue(
            f"{cash_decimal(cash_e6)} cannot be spent at {price_decimal(price_e4)} without "
            "reaching the next price; spend more"
        )
    return cash_e6, shares_e6


def check_price(price_e4: int, tick_e4: int) -> None:
    """Raise BadValue unless the price lies on the grid, between one tick and one less a tick."""
    if tick_e4 not in TICKS_E4:
        raise BadValue(f"tick {price_decimal(tick_e4)} is not one the venue uses")
    if price_e4 % tick_e4 or not tick_e4 <= price_e4 <= PRICE_ONE - tick_e4:
        raise BadValue(
            f"price {price_decimal(price_e4)} is off the grid: whole multiples of "
            f"{price_decimal(tick_e4)} from {price_decimal(tick_e4)} to "
            f"{price_decimal(PRICE_ONE - tick_e4)}"
        )


def _check_market(request: OrderRequest, market: Market) -> None:
    if request.condition_id != market.condition_id or request.token_id not in (
        market.up_token,
        market.down_token,
    ):
        raise BadValue(
            f"token {request.token_id} of {request.condition_id} is not of market {market.slug}"
        )


def _check_life(request: OrderRequest, now_s: float) -> None:
    if request.post_only and request.tif.immediate:
        raise BadValue(f"{request.tif} orders cannot be post-only; use GTC or GTD")
    if request.tif is not TimeInForce.GTD:
        if request.expires_s:
            raise BadValue(f"{request.tif} orders cannot expire; use GTD or expires_s=0")
        return
    if request.expires_s < now_s + MIN_EXPIRY_S:
        raise BadValue(
            f"expires_s {request.expires_s} is less than {MIN_EXPIRY_S} s ahead; give it more time"
        )
