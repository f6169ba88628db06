"""Orders as the venue reports them: REST rows and user-channel events to our values.

States come as an open set: plain (``LIVE``), prefixed (``ORDER_STATUS_LIVE``), with a reason
(``CANCELED_MARKET_RESOLVED``), as free text (``CANCELED_order couldn't be …``) or empty.
"""

from typing import Any

import msgspec

from models.errors import BadValue, VenueUnknown
from models.events import OrderUpdate
from models.markets import Side
from models.orders import OrderState, VenueOrder
from venue.polymarket.numbers import epoch_ns, price_e4, size_e6

_STATES = {
    "LIVE": OrderState.LIVE,
    "UNMATCHED": OrderState.LIVE,  # could not be delayed, and was put on the book
    "DELAYED": OrderState.DELAYED,
    "MATCHED": OrderState.FILLED,
    "FILLED": OrderState.FILLED,
    "INVALID": OrderState.CANCELLED,
    "EXPIRED": OrderState.EXPIRED,
}


class WireOrder(msgspec.Struct):
    """A row of ``/data/orders`` or an ``order`` event of the user channel."""

    id: str = ""
    market: str = ""
    asset_id: str = ""
    side: str = ""
    price: str = ""
    original_size: str = ""
    size_matched: str = ""
    status: str = ""
    type: str = ""
    timestamp: str | int = ""


def state_of(status: str, original_e6: int, matched_e6: int) -> OrderState:
    """Our state for the venue's; UNKNOWN, which means ask, for one we do not know."""
    plain = status.removeprefix("ORDER_STATUS_").strip()
    upper = plain.upper()
    if upper.startswith(("CANCELED", "CANCELLED")):
        return OrderState.EXPIRED if "EXPIRED" in upper else OrderState.CANCELLED
    state = _STATES.get(upper, OrderState.UNKNOWN)
    if state is OrderState.LIVE and matched_e6 > 0:
        return OrderState.FILLED if matched_e6 >= original_e6 > 0 else OrderState.PARTIAL
    if state is OrderState.FILLED and 0 < matched_e6 < original_e6:
        return OrderState.PARTIAL
    return state


def parse_order(row: Any) -> VenueOrder:
    """Read one REST row.

    Sizes are decimal shares, as in every captured reply.

    Raises
    ------
    VenueUnknown
        The row lacks something an order must have; nothing is guessed.
    """
    try:
        wire = msgspec.convert(row, WireOrder, strict=False)
        if not wire.id or not wire.asset_id:
            raise BadValue("it has no id or no token")
        original, matched = size_e6(wire.original_size), size_e6(wire.size_matched)
        return VenueOrder(
            order_id=wire.id,
            condition_id=wire.market,
            token_id=wire.asset_id,
            side=Side(wire.side.upper()),
            price_e4=price_e4(wire.price),
            original_size_e6=original,
            size_matched_e6=matched,
            state=state_of(wire.status, original, matched),
        )
    except (msgspec.ValidationError, ValueError) as error:
        raise VenueUnknown(f"the venue reports an order that cannot be read: {error}") from error


def order_update(wire: WireOrder, recv_ns: int) -> OrderUpdate | None:
    """Read one event of the user channel; None when it names no order."""
    if not wire.id:
        return None
    original, matched = size_e6(wire.original_size), size_e6(wire.size_matched)
    state = state_of(wire.status, original, matched)
    kind = wire.type.upper()
    if kind == "CANCELLATION" and not state.terminal:
        state = OrderState.CANCELLED
    elif state is OrderState.UNKNOWN and kind in ("PLACEMENT", "UPDATE"):
        state = state_of("LIVE", original, matched)
    return OrderUpdate(
        ts_ns=epoch_ns(wire.timestamp) or recv_ns,
        recv_ns=recv_ns,
        order_id=wire.id,
        condition_id=wire.market,
        state=state,
        size_matched_e6=matched,
        note=wire.status,
    )
