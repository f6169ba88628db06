"""From a quote to orders: which resting orders still fit, which go, which are missing.

Pure: the same quote, orders and holdings always give the same plan. Everything is worked out in
Up-price space, where a BUY of Up and a SELL of Down are bids, and a SELL of Up and a BUY of Down
are asks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from engine.intents import reason_fault, share_fault
from engine.order_index import parent_of
from models.markets import Market, Outcome, Side
from models.orders import Order, OrderRequest, TimeInForce
from models.units import PRICE_ONE
from risk.limits import cost_e6
from risk.sizing import fit_buy_e6, whole_e6
from strategies.base import Quote


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the quote may use. ``up_e6`` and ``down_e6`` are shares free to sell, those that open
    SELL orders of this market reserve included; ``cash_e6`` is what further BUYs may cost
    together and ``order_e6`` what each of them may."""

    up_e6: int
    down_e6: int
    cash_e6: int
    order_e6: int

    def of(self, outcome: Outcome) -> int:
        return self.up_e6 if outcome is Outcome.UP else self.down_e6


@dataclass(frozen=True, slots=True)
class QuotePlan:
    """Orders to cancel, orders to place, and why something wished for is missing.

    Place only after the cancels are done and the plan was made again: until then the orders
    being cancelled still count, so that never more than the quote asks for is in the market.
    """

    cancels: tuple[str, ...] = ()
    places: tuple[OrderRequest, ...] = ()
    notes: tuple[str, ...] = ()


def plan(
    quote: Quote,
    open_orders: Iterable[Order],
    holdings: Holdings,
    market: Market,
    agent: str,
    new_id: Callable[[], str],
) -> QuotePlan:
    """Compare the quote with the market's open orders.

    Parameters
    ----------
    new_id
        Gives a fresh ``intent_id`` for every order to place.
    """
    if fault := fault_of(quote, market):
        return QuotePlan(notes=(fault,))
    orders = tuple(open_orders)
    bid = _Half(Side.BUY, quote.bid_e4, quote.bid_size_e6, orders, holdings)
    ask = _Half(Side.SELL, quote.ask_e4, quote.ask_size_e6, orders, holdings)
    places: list[OrderRequest] = []
    notes: list[str] = []
    cash = holdings.cash_e6
    for half, other in ((bid, ask), (ask, bid)):
        if half.missing_e6 <= 0 or half.price_e4 is None:
            continue
        if other.would_cross(half.price_e4):
            notes.append(f"{half.name} {half.price_e4} waits: it would meet our own order")
            continue
        requests, note = _complete(
            half, min(cash, holdings.order_e6), market, agent, quote.reason, new_id
        )
        cash -= sum(cost_e6(request, market) for request in requests)
        places += requests
        if note:
            notes.append(note)
    return QuotePlan(bid.cancels + ask.cancels, tuple(places), tuple(notes))


def fault_of(quote: Quote, market: Market) -> str:
    """Return what is wrong with a quote, or an empty text."""
    for name, price, size in (
        ("bid", quote.bid_e4, quote.bid_size_e6),
        ("ask", quote.ask_e4, quote.ask_size_e6),
    ):
        if price is None:
            continue
        if type(price) is not int or not 0 < price < PRICE_ONE:
            return f"{name}_e4={price!r} must be a whole number from 1 to 9999"
        if price % market.tick_e4:
            return f"{name}_e4={price} is not a multiple of the tick {market.tick_e4}"
        if type(size) is not int or size < 0:
            return f"{name}_size_e6={size!r} must be a whole number of at least 0"
    if quote.bid_e4 is not None and quote.ask_e4 is not None and quote.bid_e4 >= quote.ask_e4:
        return f"bid_e4={quote.bid_e4} is not below ask_e4={quote.ask_e4}"
    if fault := reason_fault(quote.reason):
        return fault
    return share_fault(probability=quote.probability)


def up_side(order: Order | OrderRequest) -> Side:
    """Side of an order in Up-price space."""
    request = order.request if isinstance(order, Order) else order
    return request.side if request.outcome is Outcome.UP else request.side.opposite


def up_price_e4(order: Order | OrderRequest) -> int:
    """Price of an order in Up-price space."""
    request = order.request if isinstance(order, Order) else order
    return request.price_e4 if request.outcome is Outcome.UP else PRICE_ONE - request.price_e4


class _Half:
    """One side of the quote beside the orders that stand on that side."""

    def __init__(
        self,
        side: Side,
        price_e4: int | None,
        size_e6: int,
        orders: tuple[Order, ...],
        holdings: Holdings,
    ) -> None:
        self.side = side
        self.name = "bid" if side is Side.BUY else "ask"
        size_e6 = 0 if price_e4 is None else whole_e6(size_e6)
        self.price_e4 = price_e4 if size_e6 > 0 else None
        self.sold_outcome = Outcome.DOWN if side is Side.BUY else Outcome.UP
        self._orders = tuple(order for order in orders if up_side(order) is side)
        self.free_e6 = holdings.of(self.sold_outcome)
        cancels: list[str] = []
        standing = leaving = 0
        for order in self._orders:
            if order.request.side is Side.SELL:
                self.free_e6 -= order.open_e6
            if order.request.tif.immediate or parent_of(order.request.intent_id):
                # On its way to be filled, a slice of an execution, a guard's sale: none of them
                # is the quote's to count or cancel.
                continue
            fits = (
                self.price_e4 is not None
                and up_price_e4(order) == self.price_e4
                and order.open_e6 > 0
                and standing + order.open_e6 <= size_e6
            )
            if fits:
                standing += order.open_e6
            else:
                cancels.append(order.order_id)
                leaving += order.open_e6
        self.cancels = tuple(cancels)
        self.missing_e6 = max(0, size_e6 - standing - leaving) if self.price_e4 is not None else 0

    def would_cross(self, other_price_e4: int) -> bool:
        """Whether an order on the other side at this price would meet one standing here."""
        if self.side is Side.SELL:
            return any(up_price_e4(order) <= other_price_e4 for order in self._orders)
        return any(up_price_e4(order) >= other_price_e4 for order in self._orders)


def _complete(
    half: _Half,
    cash_e6: int,
    market: Market,
    agent: str,
    reason: str,
    new_id: Callable[[], str],
) -> tuple[list[OrderRequest], str]:
    """Fill up a half: sell what is held first, buy the other token beyond."""
    assert half.price_e4 is not None
    requests: list[OrderRequest] = []

    def request(outcome: Outcome, side: Side, price: int, size: int) -> None:
        requests.append(
            OrderRequest(
                intent_id=new_id(),
                agent=agent,
                condition_id=market.condition_id,
                token_id=market.token(outcome),
                outcome=outcome,
                side=side,
                price_e4=price,
                size_e6=size,
                tif=TimeInForce.GTC,
                post_only=True,
                reason=reason,
            )
        )

    missing = whole_e6(half.missing_e6)
    mirrored = PRICE_ONE - half.price_e4
    sell_price, buy_price = (
        (mirrored, half.price_e4) if half.side is Side.BUY else (half.price_e4, mirrored)
    )
    sold = whole_e6(min(missing, half.free_e6))
    if sold >= market.min_size_e6:
        request(half.sold_outcome, Side.SELL, sell_price, sold)
        missing -= sold
    wanted = missing
    bought = fit_buy_e6(wanted, cash_e6, buy_price, market, post_only=True)
    if bought:
        request(half.sold_outcome.other, Side.BUY, buy_price, bought)
    note = ""
    if bought < wanted and wanted >= market.min_size_e6:
        note = f"{half.name} is {(wanted - bought) / 1e6:.2f} shares short: limits leave no more"
    return requests, note
