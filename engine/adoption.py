"""Orders that a session takes over from the one before, instead of cancelling them."""

from collections.abc import Callable, Collection, Iterable

import structlog

from engine.clock import WaitingClock
from engine.order_reconcile import ReconcileReport
from engine.orders import OrderManager
from engine.ports import Journal
from models.markets import Market

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
