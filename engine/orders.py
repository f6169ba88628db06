"""The life of an agent's orders: placed once, never lost, their fills counted once."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog

from engine.order_books import OrderBooks
from engine.order_doubts import Doubts
from engine.order_loops import OrderLoops, Signals
from engine.order_placing import Placer
from engine.order_pulse import Pulse
from engine.order_reconcile import ReconcileReport, reconcile
from engine.portfolio import Portfolio
from engine.ports import Clock, Journal, Venue
from models.errors import (
    LeaseLost,
    StoreUnavailable,
    VenueError,
)
from models.events import OrderUpdate, TradeUpdate
from models.journal import JournalState
from models.markets import Market
from models.orders import Fill, Order, OrderRequest
from models.units import SECOND_NS

__all__ = ["OrderManager", "OrderSettings", "ReconcileReport"]

log = structlog.get_logger(__name__)

_LAST_FLUSH_S = 5.0
"""How long the end of `run` may wait for the journal."""
_RECENT_S = 600.0
"""How long after an order's end a reconciliation still looks for its trades."""


@dataclass(frozen=True, slots=True)
class OrderSettings:
    """How patient the order manager is. Times in seconds."""

    settle_s: float = 30.0
    """How long an order nobody can find may still turn up before it is declared dead."""
    gone_s: float = 3.0
    """How long an order the venue had confirmed may be missing, without a trade, before it counts
    as ended there. A fill that shows later still counts."""
    ask_first_s: float = 0.25
    ask_most_s: float = 5.0
    """Back-off between questions about an order in doubt."""
    heartbeat_s: float = 5.0
    heartbeat_always: bool = False
    """Send heartbeats also while no order is open."""
    reconcile_s: float = 60.0
    """Time between reconciliations by REST."""
    store_retry_s: float = 1.0
    """Time between attempts to write while the journal's store is away."""


class OrderManager:
    """Orders of one agent over the ports `Venue`, `Journal` and `Clock`.

    What happened is in the books at once; `run` writes it to the journal in order and without
    holding anybody up (without `run`, every call writes before it returns). Only a signed order
    is committed before anything else happens to it.

    Parameters
    ----------
    on_fill
        Called once when a fill is first counted, and once more, with status FAILED, if its
        trade fails later. Not called for fills the journal knew before `recover`.
    on_done
        Called once for every order that ended, refused ones too; not for an order whose `place`
        raised, nor for one that was never sent. Both are called from the event loop's
        thread and must not wait.
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
        settings: OrderSettings = OrderSettings(),
    ) -> None:
        self.agent = agent
        self.portfolio = portfolio
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._books = OrderBooks(agent, portfolio, journal, clock, on_fill, on_done)
        self._doubts = Doubts(
            self._books,
            venue,
            clock,
            settings.settle_s,
            settings.gone_s,
            settings.ask_first_s,
            settings.ask_most_s,
        )
        self._pulse = Pulse(venue, clock, settings.heartbeat_s)
        self._news: deque[OrderUpdate | TradeUpdate] = deque()
        self._writing = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._signals = Signals()
        self._placer = Placer(
            self._books, self._doubts, self._pulse, self._signals, venue, journal, clock,
            absorb=self._absorb, flush=self.flush, written=self._written, held=lambda: self._held,
        )  # fmt: skip
        self._held = ""
        self._running = False
        self._fenced = False
        self._recovered = True
        self._reconciled_ns = clock.now_ns()

    # --- starting -----------------------------------------------------------------------------

    async def recover(self, state: JournalState) -> ReconcileReport | None:
        """Take over the journal's orders and fills, then ask the venue; the venue wins.

        While the venue does not answer the orders stay UNKNOWN, with their cash and shares
        reserved, and `run` goes on asking; what is returned then is None.
        """
        self._guard()
        self._books.load(state)
        self._doubts.load(state.orders)
        self._recovered = False
        try:
            report = await self.reconcile()
        except VenueError as error:
            log.warning("recovery_waits_for_venue", agent=self.agent, error=str(error))
            return None
        log.info(
            "orders_recovered",
            agent=self.agent,
            orders=len(state.orders),
            mended=len(report.orders_mended),
            fills_found=len(report.fills_mended),
            still_open=len(self.open_orders()),
        )
        return report

    # --- placing ------------------------------------------------------------------------------

    async def place(self, request: OrderRequest, market: Market) -> Order:
        """Sign, commit, send; return the order as the venue's answer leaves it.

        The state is LIVE, DELAYED, PARTIAL (matched, its trades not all known yet), FILLED,
        CANCELLED, REJECTED or UNKNOWN (being asked about). FILLED for FOK and FAK orders means
        done: compare `filled_e6`. An intent that already has an order in force returns that
        order and sends nothing.

        Raises
        ------
        BadValue
            The request is off the market's grid, below its minimum, another agent's, or being
            placed at this moment; nothing was sent.
        VenueUnavailable
            The venue takes no such orders now; nothing happened, try the same intent later.
        Suspended
            Sending is held back (`hold`); nothing was sent.
        LeaseLost, StoreUnavailable
            The order could not be committed; nothing was sent.
        """
        self._guard()
        with self._fencing():
            return await self._placer.place(request, market)

    def hold(self, reason: str) -> None:
        """Send no order from now on, not even one that is being committed; "" lets them go again.

        Cancels, fills and questions go on.
        """
        self._held = reason

    @property
    def held(self) -> str:
        """Why no order is sent now, empty while they are."""
        return self._held

    # --- cancelling ---------------------------------------------------------------------------

    async def cancel(self, order_ids: Sequence[str]) -> None:
        """Cancel orders. Never raises for venue trouble: what is not confirmed is tried again."""
        self._guard()
        await self._doubts.cancel(order_ids)
        await self._written()

    async def cancel_all(self, condition_id: str | None = None) -> None:
        """Cancel all orders of a market, or everything under this agent's key."""
        self._guard()
        if condition_id is None:
            await self._doubts.cancel_all()
        else:
            await self._doubts.cancel([o.order_id for o in self.open_orders(condition_id)])
        await self._written()

    async def replace(self, order_id: str, request: OrderRequest, market: Market) -> Order:
        """Cancel an order and, once it is gone, place another, less what it filled meanwhile.

        The new order is signed and committed before the old one is cancelled, so that the time
        with neither is what the venue takes: its answer to the cancel, and the new order's way.
        Returns the new order, or the old one when nothing new was placed: it had ended before,
        it filled, its cancel is not confirmed (tried again), or what is left is below the
        market's minimum. Raises like `place`; the old order may then be gone.
        """
        self._guard()
        with self._fencing():
            return await self._placer.replace(order_id, request, market)

    # --- hearing ------------------------------------------------------------------------------

    def on_event(self, event: OrderUpdate | TradeUpdate) -> None:
        """Queue news from the user channel; `run` works it off in order."""
        self._news.append(event)
        self._signals.heard.set()

    def _absorb(self) -> None:
        while self._news:
            event = self._news.popleft()
            if isinstance(event, TradeUpdate):
                self._books.trade(event.trade)
            else:
                self._books.hear(event)

    async def reconcile(self) -> ReconcileReport:
        """Compare orders and fills with the venue and mend the books; the venue wins.

        Call it after every `FeedStatus` UP of the user channel. Raises `VenueUnavailable` or
        `VenueUnknown` when the venue does not answer.
        """
        self._guard()
        self._absorb()
        async with self._asking:
            self._pulse.lapsed = False
            now = self._reconciled_ns = self._clock.now_ns()
            recent = now - int(_RECENT_S * SECOND_NS) if self._recovered else None
            try:
                report = await reconcile(
                    self._books, self._doubts, self._venue, self._clock, recent
                )
                self._recovered = True
            finally:
                await self._written()
        if not report.clean:
            log.info(
                "books_mended",
                agent=self.agent,
                orders=report.orders_mended,
                fills=len(report.fills_mended),
            )
        return report

    # --- in the background --------------------------------------------------------------------

    async def run(self) -> None:
        """Work in the background until cancelled: events, doubts, heartbeats, reconciliation.

        Raises LeaseLost when the session is no longer ours.
        """
        self._running = True
        loops = OrderLoops(
            self._signals, self._pulse, self._doubts, self._clock, self._settings.store_retry_s
        )
        try:
            await loops.run(
                absorb=self._absorb, flush=self.flush, tend=self._tend, wants_beat=self._wants_beat
            )
        finally:
            self._running = False
            with contextlib.suppress(StoreUnavailable, LeaseLost, TimeoutError):
                async with asyncio.timeout(_LAST_FLUSH_S):
                    await self.flush()

    async def work_off(self) -> None:
        """Do once, and at once, what `run` does all the time; for callers with their own loop."""
        self._guard()
        self._absorb()
        await self._tend()
        if self._wants_beat() and self._pulse.due_in_s() <= 0:
            await self._pulse.beat()
        await self._written()

    async def flush(self) -> None:
        """Write to the journal what is not written yet. Raises `StoreUnavailable`, `LeaseLost`."""
        async with self._writing:
            try:
                while self._books.unwritten:
                    await self._books.write_one()
            except LeaseLost:
                self._fenced = True
                raise

    async def _written(self) -> None:
        """See that changes get written: by `run` if it runs, else here."""
        self._signals.tend.set()
        if self._running:
            self._signals.write.set()
            return
        try:
            await self.flush()
        except StoreUnavailable as error:
            log.warning("journal_waits", agent=self.agent, error=str(error))

    async def _tend(self) -> None:
        async with self._asking:
            await self._doubts.tend()
        overdue = self._clock.now_ns() - self._reconciled_ns
        if self._pulse.lapsed or overdue >= self._settings.reconcile_s * SECOND_NS:
            try:
                await self.reconcile()
            except VenueError as error:
                log.warning("reconcile_failed", agent=self.agent, error=str(error))

    def _wants_beat(self) -> bool:
        return self._settings.heartbeat_always or any(True for _ in self._books.open_lives())

    # --- reading ------------------------------------------------------------------------------

    def order(self, order_id: str) -> Order | None:
        return self._books.order(order_id)

    def open_orders(self, condition_id: str | None = None) -> tuple[Order, ...]:
        """Orders that are not terminal, oldest first."""
        return self._books.open_orders(condition_id)

    def reserved_cash_e6(self) -> int:
        """Cash that open BUY orders may still take, worst-case taker fee included."""
        return self._books.reserved_cash_e6() + self._placer.reserved_cash_e6()

    def reserved_shares_e6(self, token_id: str) -> int:
        """Shares of a token that open SELL orders may still take."""
        wishes = self._placer.reserved_shares_e6(token_id)
        return self._books.reserved_shares_e6(token_id) + wishes

    def free_cash_e6(self) -> int:
        """Cash of the portfolio less `reserved_cash_e6`."""
        return self.portfolio.cash_e6 - self.reserved_cash_e6()

    def free_shares_e6(self, token_id: str) -> int:
        """Shares free to sell: see `Portfolio.sellable_e6`."""
        return self.portfolio.sellable_e6(token_id, self.reserved_shares_e6(token_id))

    def spent_e6(self, order_id: str) -> int:
        """Cash of an order's fills, without fees, in e6."""
        life = self._books.life(order_id)
        return 0 if life is None else life.spent_e6

    def has(self, intent_id: str) -> bool:
        """Whether the books hold an order of this wish that took effect or may yet."""
        return self._books.in_force(intent_id) is not None

    def market(self, condition_id: str) -> Market:
        """A market there were orders in."""
        return self._books.market(condition_id)

    @property
    def written(self) -> bool:
        """Whether the journal has everything these books have."""
        return not self._books.unwritten

    def forget(self, condition_id: str) -> None:
        """Drop a settled market's ended orders from memory; later news of them are ignored."""
        self._books.forget(condition_id)

    @contextlib.contextmanager
    def _fencing(self) -> Iterator[None]:
        """Remember a lost lease: nothing is sent after it."""
        try:
            yield
        except LeaseLost:
            self._fenced = True
            raise

    def _guard(self) -> None:
        if self._fenced:
            raise LeaseLost(
                f"agent {self.agent}: another session holds its lease; this one sends nothing more"
            )
