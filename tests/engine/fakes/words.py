"""Short words for the tests of the order manager."""

from fakes.floor import Floor
from fakes.venue import make_request

from models.markets import Side
from models.orders import Order

SHARE = 1_000_000


async def place(floor: Floor, intent: str = "i1", **wish: object) -> Order:
    """Place an order in the floor's first market."""
    request = make_request(floor.market, intent, **wish)  # type: ignore[arg-type]
    return await floor.orders.place(request, floor.market)


async def swap(floor: Floor, old: Order, **wish: object) -> Order:
    """Replace an order by one a tick lower, or as wished."""
    request = make_request(floor.market, "i2", **{"price_e4": 4900, **wish})  # type: ignore[arg-type]
    return await floor.orders.replace(old.order_id, request, floor.market)


def now(floor: Floor, order: Order) -> Order:
    """The order as the books know it now."""
    known = floor.orders.order(order.order_id)
    assert known is not None
    return known


def asks(floor: Floor, *prices_e4: int, shares: int = 10) -> None:
    """Let strangers offer Up at each price."""
    for price in prices_e4:
        floor.venue.stand(floor.market.up_token, Side.SELL, price, shares * SHARE)
