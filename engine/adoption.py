"""Orders between two sessions: taken over from the one before, or all cancelled at the end."""

from collections.abc import Callable, Collection, Iterable

import structlog

from engine.clock import WaitingClock
from engine.order_reconcile import ReconcileReport
from engine.orders import OrderManager
from engine.ports import Journal
from models.markets import Market
from models.units import SECOND_NS

log = structlog.get_logger(__name__)


def certain(report: ReconcileReport | None) -> bool:
    """Whether the journal knows every order that is open under this agent's key."""
    return report is not None and not report.strangers


async def adopt(
    orders: OrderManager, markets: Iterable[Market], journal: Journal, now_ns: int
) -> bool:
    """Keep the orders of markets that can still be traded, cancel the others.

    Returns
    -------
    bool
        Whether any order was kept.
    """
    alive = {market.condition_id for market in markets if market.end_ns > now_ns}
    standing = orders.open_orders()
    if over := [o.order_id for o in standing if o.request.condition_id not in alive]:
        await orders.cancel(over)
    kept = [o.order_id for o in standing if o.request.condition_id in alive]
    if kept:
        journal.event("orders_adopted", {"orders": kept})
    return bool(kept)


async def cancel_unclaimed(
    orders: OrderManager,
    clock: WaitingClock,
    after_s: float,
    traded: Callable[[], Collection[str]],
) -> None:
    """After a while cancel orders in markets which nobody trades.

    Parameters
    ----------
    traded
        Gives the markets whose windows are open.
    """
    await clock.sleep(after_s)
    claimed = traded()
    left = [o.order_id for o in orders.open_orders() if o.request.condition_id not in claimed]
    if left:
        log.warning("orders_unclaimed", agent=orders.agent, orders=left)
        await orders.cancel(left)


async def cancel_everything(orders: OrderManager, clock: WaitingClock, patience_s: float) -> None:
    """Cancel all orders; while the venue is in trouble the order manager tries again.

    Parameters
    ----------
    patience_s
        How long to wait until the venue has confirmed that none is left.
    """
    await orders.cancel_all()
    give_up_ns = clock.now_ns() + round(patience_s * SECOND_NS)
    while orders.open_orders() and clock.now_ns() < give_up_ns:
        await clock.sleep(0.1)
    if left := [order.order_id for order in orders.open_orders()]:
        log.error("orders_not_gone", agent=orders.agent, orders=left)
