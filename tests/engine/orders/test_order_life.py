"""The order manager over an in-memory venue, one behaviour at a time."""

from fakes.floor import Floor
from fakes.venue import make_request

from models.orders import OrderState


async def test_resting_order_is_committed_before_it_is_sent() -> None:
    floor = Floor()
    order = await floor.orders.place(make_request(floor.market, "i1"), floor.market)
    assert order.state is OrderState.LIVE
    assert floor.wire.calls.index("order_signed") < floor.wire.calls.index("submit")
    assert floor.store.states[order.order_id] == [
        OrderState.SIGNED,
        OrderState.SENT,
        OrderState.LIVE,
    ]
    await floor.settle()
    floor.assert_agreed()
