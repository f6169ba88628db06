"""From a strategy's `Place` to a fully specified order, or the reason why not. Pure."""

from math import isfinite

from engine.refusals import Refusal
from models.markets import Market, Outcome, Side
from models.orders import OrderRequest, TimeInForce
from models.units import PRICE_ONE, SECOND_NS, USD
from risk.sizing import minimum_e6, size_for_budget_e6, whole_e6
from strategies.base import BookView, Place

__all__ = ["Refusal", "reason_fault", "share_fault", "to_request"]

GTD_LEAST_S = 180
"""The venue refuses a GTD order that expires sooner."""
GTD_EARLY_S = 60
"""A GTD order dies this long before the expiry it states."""


def to_request(
    place: Place,
    book: BookView,
    market: Market,
    agent: str,
    intent_id: str,
    now_ns: int,
    headroom_e6: int,
) -> OrderRequest | Refusal:
    """Turn a wish into an order on the market's grid.

    Parameters
    ----------
    book
        Book of the outcome that is meant.
    headroom_e6
        Cash one more BUY may cost; a budget above it is cut to it, a size is not.
    """
    if fault := _fault(place):
        return Refusal("invalid", fault)
    price = _price_e4(place, book, market)
    if isinstance(price, Refusal):
        return price
    size = _size_e6(place, price, market, headroom_e6)
    least = minimum_e6(price, market, place.side, place.tif)
    if size < least:
        return Refusal(
            "min_size", f"{size / USD:.2f} shares at {price / PRICE_ONE:g} are below the "
            f"minimum of {least / USD:.2f}{_cut(place, headroom_e6)}",
        )  # fmt: skip
    return OrderRequest(
        intent_id=intent_id,
        agent=agent,
        condition_id=market.condition_id,
        token_id=market.token(place.outcome),
        outcome=place.outcome,
        side=place.side,
        price_e4=price,
        size_e6=size,
        tif=place.tif,
        post_only=place.post_only,
        expires_s=_expires_s(market, now_ns) if place.tif is TimeInForce.GTD else 0,
        reason=place.reason,
    )


def _fault(place: Place) -> str:
    if not isinstance(place.outcome, Outcome) or not isinstance(place.side, Side):
        return f"outcome={place.outcome!r}, side={place.side!r}: use Outcome and Side"
    if not isinstance(place.tif, TimeInForce):
        return f"tif={place.tif!r} is not a TimeInForce"
    if (place.size_e6 is None) == (place.budget_e6 is None):
        return "give either size_e6 or budget_e6"
    for name, value in (("size_e6", place.size_e6), ("budget_e6", place.budget_e6)):
        if value is not None and (type(value) is not int or value <= 0):
            return f"{name}={value!r} must be a whole number above zero"
    if type(place.slippage_ticks) is not int or place.slippage_ticks < 0:
        return f"slippage_ticks={place.slippage_ticks!r} must be a whole number of at least 0"
    if type(place.post_only) is not bool:
        return f"post_only={place.post_only!r} must be True or False"
    if place.post_only and place.tif.immediate:
        return f"a post-only order can't be {place.tif}"
    if place.post_only and place.price_e4 is None:
        return "a post-only order needs price_e4"
    if fault := reason_fault(place.reason):
        return fault
    return share_fault(confidence=place.confidence, probability=place.probability)


def reason_fault(reason: object) -> str:
    """Return why a reason can't be kept, or an empty text: the store takes text without NUL."""
    if not isinstance(reason, str):
        return f"reason={reason!r} must be text"
    if "\x00" in reason or any("\ud800" <= letter <= "\udfff" for letter in reason):
        return f"reason={reason[:60]!r} has letters no text file could hold"
    return ""


def share_fault(**shares: object) -> str:
    """Return which of these is no number from 0 to 1 (None is nothing said), or an empty text."""
    for name, value in shares.items():
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and isfinite(value) and 0 <= value <= 1):  # type: ignore[arg-type,operator]
            return f"{name}={value!r} must be a number from 0 to 1"
    return ""


def _price_e4(place: Place, book: BookView, market: Market) -> int | Refusal:
    tick = market.tick_e4
    price: object = place.price_e4
    if price is not None:
        if type(price) is not int:
            return Refusal("invalid", f"price_e4={price!r} must be a whole number")
        if not tick <= price <= PRICE_ONE - tick:
            return Refusal("invalid", f"price_e4={price} must be {tick} to {PRICE_ONE - tick}")
        if price % tick:
            return Refusal("invalid", f"price_e4={price} is not a multiple of the tick {tick}")
        return price
    slip = place.slippage_ticks * tick
    if place.side is Side.BUY:
        best = book.ask_e4
        if best is None:
            return Refusal("no_match", f"nobody sells {place.outcome}")
        return min(-(-(best + slip) // tick) * tick, PRICE_ONE - tick)
    best = book.bid_e4
    if best is None:
        return Refusal("no_match", f"nobody buys {place.outcome}")
    return max((best - slip) // tick * tick, tick)


def _size_e6(place: Place, price_e4: int, market: Market, headroom_e6: int) -> int:
    if place.size_e6 is not None:
        return whole_e6(place.size_e6)
    assert place.budget_e6 is not None
    if place.side is Side.SELL:
        return whole_e6(place.budget_e6 * PRICE_ONE // price_e4)
    budget = min(place.budget_e6, headroom_e6)
    return size_for_budget_e6(budget, price_e4, market, place.tif, place.post_only)


def _cut(place: Place, headroom_e6: int) -> str:
    if place.budget_e6 is None or place.side is Side.SELL or headroom_e6 >= place.budget_e6:
        return ""
    return f" (limits leave ${headroom_e6 / USD:.2f} of ${place.budget_e6 / USD:.2f})"


def _expires_s(market: Market, now_ns: int) -> int:
    """Stated expiry with which a GTD order dies at the window's end, or as soon as allowed."""
    return max(market.end_ns // SECOND_NS + GTD_EARLY_S, now_ns // SECOND_NS + GTD_LEAST_S + 1)
