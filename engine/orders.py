"""The life of an agent's orders: placed once, never lost, their fills counted once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.portfolio import Portfolio
from engine.ports import Clock, Journal, Venue
from models.events import OrderUpdate, TradeUpdate
from models.journal import JournalState
from models.markets import Market
from models.orders import Fill, Order, OrderRequest


@dataclass(frozen=True, slots=True)
class OrderSettings:
    """How patient the order manager is. Times in seconds."""

    settle_s: float = 30.0
    """How long an order nobody can find may still turn up before it is declared dead."""
    ask_first_s: float = 0.25
    ask_most_s: float = 5.0
    """Back-off between questions about an order in doubt."""
    heartbeat_s: float = 5.0
    heartbeat_always: bool = False
    """Send heartbeats also while no order is open."""
    reconcile_s: float = 60.0
    """Time between reconciliations by REST."""


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


class OrderManager:
    """Orders of one agent over the ports `Venue`, `Journal` and `Clock`.

    Parameters
    ----------
    on_fill
        Called once when a fill is first counted, and once more, with status FAILED, if its
        trade fails later.
    on_done
        Called once for every order that ended, refused ones too; not for an order whose `place`
        raised.
    """

    def __init__(
        self,
        agent: str,
        venue: Venue,
        journal: Journal,
        portfolio: Portfolio,
        clock: Clock,
        on_fill: Callable[[Fill], None],
        on_done: Callable[[Order], None],
        settings: OrderSettings = OrderSettings(),  # noqa: B008  (frozen)
    ) -> None:
        raise NotImplementedError

    async def recover(self, state: JournalState) -> None:
        """Take over the journal's orders and fills, then ask the venue; the venue wins."""
        raise NotImplementedError

    async def place(self, request: OrderRequest, market: Market) -> Order:
        """Sign, commit, send; return the order as the venue's answer leaves it.

        The state is LIVE, DELAYED, PARTIAL (matched, its trades not all known yet), FILLED,
        CANCELLED, REJECTED or UNKNOWN (being asked about). An intent that already has an order
        in force returns that order and sends nothing.

        Raises
        ------
        BadValue
            The request is off the market's grid or below its minimum; nothing was sent.
        VenueUnavailable
            The venue takes no such orders now; nothing happened, try the same intent later.
        LeaseLost, StoreUnavailable
            The order could not be committed; nothing was sent.
        """
        raise NotImplementedError

    async def cancel(self, order_ids: Sequence[str]) -> None:
        """Cancel orders. Never raises for venue trouble: what is not confirmed is tried again."""
        raise NotImplementedError

    async def cancel_all(self, condition_id: str | None = None) -> None:
        """Cancel all orders of a market, or everything under this agent's key."""
        raise NotImplementedError

    async def replace(self, order_id: str, request: OrderRequest, market: Market) -> Order:
        """Cancel an order and, once it is gone, place another, less what it filled meanwhile.

        Returns the new order, or the old one when nothing new was placed (its cancel is not
        confirmed, it filled, or what is left is below the market's minimum). Raises like
        `place`; after VenueUnavailable the old order may be gone.
        """
        raise NotImplementedError

    def on_event(self, event: OrderUpdate | TradeUpdate) -> None:
        """Queue news from the user channel; `run` works it off in order."""
        raise NotImplementedError

    async def run(self) -> None:
        """Work in the background until cancelled: events, doubts, heartbeats, reconciliation.

        Raises LeaseLost when the session is no longer ours.
        """
        raise NotImplementedError

    async def reconcile(self) -> ReconcileReport:
        """Compare orders and fills with the venue and mend the books; the venue wins.

        Call it after every `FeedStatus` UP of the user channel. Raises `VenueUnavailable` or
        `VenueUnknown` when the venue does not answer.
        """
        raise NotImplementedError

    def order(self, order_id: str) -> Order | None:
        raise NotImplementedError

    def open_orders(self, condition_id: str | None = None) -> tuple[Order, ...]:
        """Orders that are not terminal, oldest first."""
        raise NotImplementedError

    def reserved_cash_e6(self) -> int:
        """Cash that open BUY orders may still take, worst-case taker fee included."""
        raise NotImplementedError

    def reserved_shares_e6(self, token_id: str) -> int:
        """Shares of a token that open SELL orders may still take."""
        raise NotImplementedError

    def free_cash_e6(self) -> int:
        """Cash of the portfolio less `reserved_cash_e6`."""
        raise NotImplementedError

    def free_shares_e6(self, token_id: str) -> int:
        """Shares free to sell: see `Portfolio.sellable_e6`."""
        raise NotImplementedError

    def forget(self, condition_id: str) -> None:
        """Drop a settled market's ended orders from memory."""
        raise NotImplementedError
