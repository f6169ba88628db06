"""When a conditional order fires. Pure integers: the same bids always fire the same ones."""

from collections.abc import Iterable
from dataclasses import replace

from models.conditional import Condition, ConditionKind
from models.markets import Outcome, Side
from models.orders import Order
from models.units import PRICE_ONE, SECOND_NS
from strategies.base import BookView

BPS_ONE = 10_000
SHOWN_NS = 2 * SECOND_NS
"""An order of ours that rests for this long is part of the book that is shown."""


def raised(condition: Condition, bid_e4: int | None) -> Condition:
    """Return a trailing stop with its high watermark brought up to the bid."""
    if condition.kind is not ConditionKind.TRAILING_STOP or bid_e4 is None:
        return condition
    if condition.high_e4 is not None and bid_e4 <= condition.high_e4:
        return condition
    return replace(condition, high_e4=bid_e4)


def fires(condition: Condition, bid_e4: int | None, now_ns: int) -> str:
    """Return why the condition fires now, or an empty text.

    Parameters
    ----------
    bid_e4
        Best price its outcome could be sold at; without one nothing can be sold, so nothing fires.
    """
    if bid_e4 is None:
        return ""
    match condition.kind:
        case ConditionKind.STOP_LOSS:
            if condition.trigger_e4 is not None and bid_e4 <= condition.trigger_e4:
                return f"bid {bid_e4} at or below {condition.trigger_e4}"
        case ConditionKind.TAKE_PROFIT:
            if condition.trigger_e4 is not None and bid_e4 >= condition.trigger_e4:
                return f"bid {bid_e4} at or above {condition.trigger_e4}"
        case ConditionKind.TRAILING_STOP:
            high, trail = condition.high_e4, condition.trail_bps
            if high and trail and bid_e4 * BPS_ONE <= high * (BPS_ONE - trail):
                return f"bid {bid_e4} is {trail} bps below its high {high}"
        case ConditionKind.TIME_EXIT:
            if condition.due_ns is not None and now_ns >= condition.due_ns:
                return "its time has come"
    return ""


def sale_bid_e4(
    book: BookView, outcome: Outcome, orders: Iterable[Order], now_ns: int
) -> int | None:
    """Best price somebody else would buy an outcome at; our own bids are nobody to sell to.

    Parameters
    ----------
    book
        Book of the outcome.
    orders
        Our open orders in the market. One that is younger than 2 s may not be shown yet, so it
        is not taken off the book.
    """
    own: dict[int, int] = {}
    for order in orders:
        request = order.request
        ours = (request.side is Side.BUY) == (request.outcome is outcome)
        if ours and now_ns - order.created_ns >= SHOWN_NS:
            price = request.price_e4 if request.outcome is outcome else PRICE_ONE - request.price_e4
            own[price] = own.get(price, 0) + order.open_e6
    if not own:
        return book.bid_e4
    for price, size in book.bids(len(own) + 1):
        if size > own.get(price, 0):
            return price
    return None
