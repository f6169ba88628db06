"""The venue's words for orders it refuses (error-codes page of its documentation)."""

from engine.matching.kernels import layout as at
from engine.matching.types import NO_MATCH_FAK, NOT_FILLED_FOK, CoreOrder, OrderRefused
from models.markets import Side
from models.units import cash_decimal, price_decimal, size_decimal

NO_BOOK = "No orderbook exists for the requested token id"
UNKNOWN_ASSET = "Invalid token id"
BAD_PAYLOAD = "Invalid order payload"
BAD_EXPIRATION = "invalid expiration"
NO_BALANCE = "not enough balance / allowance"
POST_ONLY_CROSSES = "invalid post-only order: order crosses book"
NOT_FOUND = "Order not found or already canceled"
ALREADY_MATCHED = "Order already matched"
DELAYED = "order match delayed due to market conditions"


def plain(value: object) -> str:
    """Format a Decimal without exponent or trailing zeros: ``0.01``, ``5``."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duplicated(order_id: str) -> OrderRefused:
    return OrderRefused("duplicate", f"order {order_id} is invalid. Duplicated.")


def refused(
    code: int, order: CoreOrder, tick_e4: int, min_size_e6: int, min_buy_e6: int
) -> OrderRefused:
    """Turn a kernel's refusal into the venue's."""
    if code == at.BAD_TICK:
        price, tick = plain(price_decimal(order.price_e4)), plain(price_decimal(tick_e4))
        return OrderRefused(
            "tick",
            f"order {order.order_id} is invalid. "
            f"Price ({price}) breaks minimum tick size rule: {tick}",
        )
    if code == at.BAD_SIZE:
        size, least = plain(size_decimal(order.size_e6)), plain(size_decimal(min_size_e6))
        return OrderRefused(
            "min_size",
            f"order {order.order_id} is invalid. Size ({size}) lower than the minimum: {least}",
        )
    if code == at.SMALL_BUY:
        spend = plain(cash_decimal(order.maker_amount_e6))
        least = plain(cash_decimal(min_buy_e6))
        return OrderRefused(
            "min_size", f"invalid amount for a marketable BUY order (${spend}), min size: ${least}"
        )
    if code == at.BAD_AMOUNTS:
        return OrderRefused("other", _amounts(order, tick_e4))
    return OrderRefused(*_FIXED[code])


_FIXED = {
    at.BAD_ORDER: ("other", BAD_PAYLOAD),
    at.NO_BALANCE: ("balance", NO_BALANCE),
    at.CROSSES: ("crosses", POST_ONLY_CROSSES),
    at.FOK_UNFILLED: ("unmatched", NOT_FILLED_FOK),
    at.FAK_UNMATCHED: ("unmatched", NO_MATCH_FAK),
}


def _amounts(order: CoreOrder, tick_e4: int) -> str:
    side = "buy" if order.side is Side.BUY else "sell"
    if order.tif.immediate:
        return (
            f"invalid amounts, the market {side} orders maker amount supports a max accuracy of "
            "2 decimals, taker amount a max of 4 decimals"
        )
    cash = AMOUNT_DECIMALS[tick_e4]
    maker, taker = (cash, 2) if order.side is Side.BUY else (2, cash)
    return (
        f"invalid amounts, the {side} orders maker amount supports a max accuracy of "
        f"{maker} decimals, taker amount a max of {taker} decimals"
    )


AMOUNT_DECIMALS = {1_000: 3, 100: 4, 50: 5, 25: 6, 10: 5, 1: 6}
"""Decimals of an order's cash amount by tick (e4); its keys are the ticks the venue knows."""
