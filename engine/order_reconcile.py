"""Compare an agent's books with the venue by REST and mend them; the venue wins."""

from dataclasses import dataclass

from engine.order_books import OrderBooks
from engine.order_doubts import Doubts
from engine.order_states import OrderLife, Reported
from engine.ports import Clock, Venue
from models.orders import Order, OrderState, VenueOrder


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """What a reconciliation found different from our books, and mended."""

    orders_checked: int = 0
    orders_mended: tuple[str, ...] = ()
    fills_mended: tuple[tuple[str, str], ...] = ()
    """(trade_id, order_id) of fills that were new or changed."""
    strangers: tuple[str, ...] = ()
    """Orders open under this key that are not in our books; left alone."""

    @property
    def clean(self) -> bool:
        return not (self.orders_mended or self.fills_mended)


async def reconcile(
    books: OrderBooks, doubts: Doubts, venue: Venue, clock: Clock, recent_ns: int | None = None
) -> ReconcileReport:
    """Compare open orders and trades. Raises `VenueError` when the venue does not answer.

    With `recent_ns` trades are asked for only where something may have changed since then.
    """
    asked_ns = clock.now_ns()
    before = {life.order.order_id: life for life in books.open_lives()}
    shown = await venue.open_orders()
    strangers = tuple(v.order_id for v in shown if books.life(v.order_id) is None)
    orders = [books.order(v.order_id) for v in shown if v.order_id not in before]
    dead = {order.order_id: order for order in orders if order is not None}
    for order in shown:
        _take_open(books, order, before.get(order.order_id), asked_ns)
    shown_ids = {order.order_id for order in shown}
    for order_id, life in before.items():
        if order_id not in shown_ids and life.arrived and books.life(order_id) is life:
            books.tell(order_id, Reported(OrderState.UNKNOWN))
    fills = []
    for condition_id, since in books.trade_queries(recent_ns):
        for trade in await venue.trades(condition_id=condition_id, after_s=since):
            fills += [(fill.trade_id, fill.order_id) for fill in books.trade(trade)]
    await doubts.tend(now=True)
    was = {order_id: life.order for order_id, life in before.items()} | dead
    mended = [order_id for order_id, order in was.items() if _differs(order, books.order(order_id))]
    return ReconcileReport(len(before), tuple(mended), tuple(dict.fromkeys(fills)), strangers)


def _take_open(
    books: OrderBooks, shown: VenueOrder, before: OrderLife | None, asked_ns: int
) -> None:
    life = books.life(shown.order_id)
    if life is None:
        return
    # What ended while we asked is no longer open; what ended before that really is.
    ended_before = life.order.state.terminal and life.order.updated_ns < asked_ns
    certain = life is before or ended_before
    books.tell(shown.order_id, Reported(shown.state, shown.size_matched_e6, certain=certain))


def _differs(was: Order, now: Order | None) -> bool:
    return now is not None and (was.state, was.filled_e6) != (now.state, now.filled_e6)
