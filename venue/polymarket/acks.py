"""What the venue's reply to a posted order means."""

from polymarket.models.clob.order_response import AcceptedOrder, OrderResponse

from models.errors import VenueUnknown
from models.markets import Side
from models.orders import OrderState, SignedOrder, SubmitAck
from models.units import SHARE
from venue.polymarket.errors import refused_in_reply


def read_ack(order: SignedOrder, reply: OrderResponse) -> SubmitAck:
    """Read the reply to a posted order.

    Raises
    ------
    VenueRejected, VenueUnavailable, VenueUnknown
        See `refused_in_reply`; an order accepted under another id than ours is in doubt too.
    """
    if isinstance(reply, AcceptedOrder):
        if reply.order_id.lower() != order.order_id.lower():
            raise VenueUnknown(
                f"the venue took order {order.order_id} under the id {reply.order_id}"
            )
        return SubmitAck(order.order_id, _state(order, reply), tuple(reply.trade_ids))
    if reply.code == "unmatched":
        # Documented as placed on the book after all, reported as dead: it must be asked about.
        return SubmitAck(order.order_id, OrderState.UNKNOWN, message=reply.message)
    raise refused_in_reply(reply.message)


def _state(order: SignedOrder, reply: AcceptedOrder) -> OrderState:
    """State after acceptance. A FOK or FAK that matched is done, whatever it got.

    A resting order is done only when it got everything; ``matched`` also stands for a part.
    """
    if reply.status == "delayed":
        return OrderState.DELAYED
    if reply.status == "live":
        return OrderState.LIVE
    if order.request.tif.immediate:
        return OrderState.FILLED
    buying = order.request.side is Side.BUY
    shares = reply.taking_amount if buying else reply.making_amount
    got_e6 = int(shares * SHARE)
    if got_e6 <= 0:
        return OrderState.UNKNOWN
    return OrderState.FILLED if got_e6 >= order.request.size_e6 else OrderState.LIVE
