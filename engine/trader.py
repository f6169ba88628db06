"""The trader: one agent, one event loop, all its markets.

Data come in through one sink that only updates books and wakes windows; each window calls the
strategy and carries out its intents; settling a market runs apart, so that the next window starts
on time. No database is read and no supervisor asked while a window is traded.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from engine.adoption import adopt, cancel_everything, cancel_unclaimed, certain
from engine.clock import WaitingClock
from engine.desk import Desk
from engine.failing import Failures
from engine.hearing import Hearing
from engine.indicators import Indicators
from engine.markets import MarketData, MarketState
from engine.memory import pack, take_up, unpack_desk
from engine.orders import OrderManager
from engine.portfolio import Portfolio
from engine.ports import Discovery, Feed, Floor, Journal, Notices, Venue
from engine.reports import Reporter, WindowFailure
from engine.settlements import Settlements
from engine.settling import Settler
from engine.standing import Standing
from engine.suspension import Suspension
from engine.trader_settings import TraderSettings
from engine.window import StrategyFailed, Window
from models.agents import AgentSpec
from models.errors import BadValue, FloorError, LeaseLost
from models.journal import JournalState, WindowResult
from models.markets import Market
from models.orders import Fill, Order, OrderState, TradeStatus
from models.units import SECOND_NS
from risk.limits import Limits
from strategies.base import Strategy

__all__ = ["Trader", "TraderSettings"]

log = structlog.get_logger(__name__)

STOP_PATIENCE_S = 5.0
"""How long a stop waits for the windows, and then for the venue to confirm the cancels."""


class Trader:
    """Runs one agent's strategy over its markets.

    Parameters
    ----------
    limits, floor
        Checked before every order: see `engine.desk.Desk`.
    on_beat
        Called about once a second by every window that is alive.
    on_decision
        Called after a strategy has wished for something that may send an order which would be
        another one if it wished again (all but quotes), and before anything is sent. Who keeps
        `checkpoint` then has no session repeat a decision that the one before carried out.

    Attributes
    ----------
    last_loop_ns
        When a window's loop last turned.
    """

    def __init__(
        self,
        *,
        spec: AgentSpec,
        strategy: Strategy,
        venue: Venue,
        feed: Feed,
        discovery: Discovery,
        journal: Journal,
        notices: Notices,
        clock: WaitingClock,
        limits: Limits,
        floor: Floor | None = None,
        settings: TraderSettings | None = None,
        on_beat: Callable[[], None] | None = None,
        on_decision: Callable[[], None] | None = None,
    ) -> None:
        self.agent = spec.name
        self._assets = frozenset(one.asset for one in spec.markets)
        settings = settings or TraderSettings()
        self.last_loop_ns = 0
        self.portfolio = Portfolio(spec.name, spec.capital_e6)
        self.orders = OrderManager(
            spec.name, venue, journal, self.portfolio, clock, self._filled, self._ended
        )
        self._strategy = strategy
        self._feed = feed
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._on_beat = on_beat
        self._on_decision = on_decision or (lambda: None)
        self._data = MarketData(
            self.orders, self.portfolio, settings.max_book_age_s, settings.max_spot_age_s,
            Indicators(strategy.indicators()),
        )  # fmt: skip
        self.standing = Standing(self.orders, self.portfolio, self._data, clock)
        self._reporter = Reporter(spec.name, journal, notices)
        self._desk = Desk(
            spec.name, self.orders, self.portfolio, journal, limits, clock, self.standing,
            self._reporter.breaker, floor,
        )  # fmt: skip
        self._hearing = Hearing(
            self._data, self.orders, self._desk, journal, discovery, clock,
            lambda: self._spawn(self._reconcile(), "reconcile"),
        )  # fmt: skip
        self._failures = Failures(self._reporter, settings, clock)
        self._suspension = Suspension(
            spec.name, self.orders, journal, clock, self._rouse, self._spawn, self._end_all
        )
        self._settlements = Settlements(
            Settler(self._data, self.orders, self.portfolio, discovery, journal, clock, settings),
            self._know, strategy, self._data, self.standing, self._desk, feed, self._failures,
            self._reporter, clock, self._changed,
        )  # fmt: skip
        self._brought: tuple[Market, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        self._windows: set[Window] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = asyncio.Event()
        self._keeps = False
        self._stopper: asyncio.Task[None] | None = None
        self._fatal: BaseException | None = None
        self._counted = {"ticks": 0, "decisions": 0}
        self._changes = 0

    # --- life -----------------------------------------------------------------------------------

    async def start(self, *, keep_orders: bool = False) -> None:
        """Load the journal, restore the strategy, recover orders, connect.

        Parameters
        ----------
        keep_orders
            Let the orders of the session before stand: the windows that are opened next go on
            with them. Otherwise they are cancelled, and also where it is not certain that the
            journal knows every order there is.

        Raises
        ------
        FloorError
            The journal does not answer, or the lease is lost; nothing stays running. While only
            the venue is away, orders in doubt wait and the trader starts.
        """
        state = await self._journal.load()
        self._take_over(state)
        report = await self.orders.recover(state)
        await self._take_up_promises(state)
        self._suspension.go_live()
        self._spawn(self._run_orders(), "orders")
        try:
            if not keep_orders or not certain(report) or self.orders.held:
                await self.orders.cancel_all()
            elif await adopt(self.orders, self._brought, self._journal, self._clock.now_ns()):
                self._spawn(self._cancel_unclaimed(), "unclaimed orders")
            await self._feed.start(self._hearing.hear)
        except BaseException:
            await self._end_tasks()
            raise
        self._journal.event("trader_started", {"unsettled": [m.slug for m in self._brought]})

    async def _cancel_unclaimed(self) -> None:
        def traded() -> set[str]:
            return {window.view.market.condition_id for window in self._windows}

        await cancel_unclaimed(self.orders, self._clock, self._settings.unclaimed_s, traded)

    async def run_window(self, market: Market) -> None:
        """Trade one market from now until shortly before its end; its orders are gone then.

        A strategy that raises ends its window, noted in `failures`; that never raises here.

        Raises
        ------
        LeaseLost
            The session is no longer ours.
        """
        if self._fatal is not None:
            raise self._fatal
        quit_ns = market.end_ns - round(self._settings.quit_before_end_s * SECOND_NS)
        await self._failures.back_off(quit_ns, self._stopping)
        if self._stopping.is_set():
            return
        state = await self._watch(market)
        if self._stopping.is_set():
            # A stop that came while we waited does not know of this window.
            return
        if state.window is not None:
            raise BadValue(f"{market.slug} is being traded already; wait for its window to end")
        condition_id = market.condition_id
        window = Window(
            self._strategy, state.view, self._desk, self.orders, self._clock, quit_ns, self._beat,
            self._data.paces.pop(condition_id, None), self._seen_by_ns(market), self._on_decision,
        )  # fmt: skip
        state.window = window
        self._changed()
        self._windows.add(window)
        self._idle.clear()
        finder = self._spawn(self._hearing.find_strike(state), f"strike {market.slug}")
        try:
            await window.run()
            self._failures.in_a_row = 0
        except StrategyFailed as error:
            self._failures.note(market, error)
            self._changed()
            await self._guard(window)
        except LeaseLost as error:
            self._end_all(error)
            raise
        finally:
            finder.cancel()
            state.window = None
            self._changed()
            if self._keeps:
                self._data.paces[condition_id] = window.snapshot()
            self._windows.discard(window)
            self._counted["ticks"] += window.ticks
            self._counted["decisions"] += window.decisions
            if not self._windows:
                self._idle.set()

    def _seen_by_ns(self, market: Market) -> int:
        until_ns = self._clock.now_ns() + round(self._settings.adopt_s * SECOND_NS)
        return self._data.unseen_until_ns(market.asset, until_ns)

    async def _guard(self, window: Window) -> None:
        """After its strategy failed: what guards the position stays on watch to the end."""
        try:
            await self._desk.abandon(window.view, "the strategy failed")
            await window.guard()
        except LeaseLost as error:
            self._end_all(error)
            raise

    async def settle(self, market: Market) -> WindowResult:
        """Wait for the market's resolution and book what it brought; asked twice, done once.

        Raises
        ------
        LeaseLost
            The session is no longer ours.
        """
        return await self._settlements.settle(market)

    def wind_down(self, *, keep_orders: bool = False) -> None:
        """End every window soon: `on_stop`, then cancel. No new one starts.

        With `keep_orders` the orders stay and the strategies are not told: a successor goes on.
        """
        self._stopping.set()
        self._keeps = keep_orders and not self.orders.held
        for window in self._windows:
            window.stop(self._fatal, self._keeps)

    async def stop(self, reason: str, *, keep_orders: bool = False) -> None:
        """Stop the windows, cancel every order, checkpoint and disconnect; may be called twice.

        Once begun it goes on to its end, whatever becomes of the caller: no order may stay,
        except with `keep_orders`, which hands them to a successor (`start`).
        """
        if self._stopper is None:
            work = self._stop(reason, keep_orders)
            self._stopper = asyncio.create_task(work, name=f"{self.agent} stop")
        await asyncio.shield(self._stopper)

    async def _stop(self, reason: str, keep_orders: bool) -> None:
        self.wind_down(keep_orders=keep_orders)
        try:
            async with asyncio.timeout(STOP_PATIENCE_S):
                await self._idle.wait()
        except TimeoutError:
            log.warning("windows_not_ended", agent=self.agent, windows=len(self._windows))
        self._suspension.end()
        for step in (self._clear_away, self._remember, self._end_tasks, self._feed.close):
            try:
                await step()
            except Exception as error:
                log.warning("stop_incomplete", agent=self.agent, reason=str(error))
        self._journal.event("trader_stopped", {"reason": reason, **self.facts()})

    async def _clear_away(self) -> None:
        if not self._keeps or self.orders.held:
            patience_s = 0.0 if self._fatal else STOP_PATIENCE_S
            await cancel_everything(self.orders, self._clock, patience_s)

    async def _remember(self) -> None:
        await self._journal.checkpoint(self.checkpoint())

    # --- suspending -----------------------------------------------------------------------------

    async def suspend(self, cause: str, reason: str) -> None:
        """Cancel all that rests and send nothing more, until every cause is taken away again.

        Nothing leaves any more from the moment of the call, before the first wait. Returns when
        the venue has confirmed that nothing rests, or after a second; cancels it has not
        confirmed are sent again in the background. Fills are taken and written down, windows and
        data go on, the strategy is not asked; conditional orders and executions stand still and
        act when trading goes on. May be called at any time and again for the same cause.
        """
        self._changed()
        await self._suspension.suspend(cause, reason)

    def resume(self, cause: str) -> None:
        """Take a cause away. After the last the books are compared with the venue, as often as
        it takes, and then trading goes on; until then `facts` says so."""
        self._changed()
        self._suspension.resume(cause)

    def _rouse(self) -> None:
        for window in self._windows:
            window.rouse()

    # --- standing -------------------------------------------------------------------------------

    @property
    def failures(self) -> dict[str, WindowFailure]:
        """Windows whose strategy raised, by condition id."""
        return self._failures.by_market

    @property
    def revision(self) -> int:
        """Grows with everything that makes an older checkpoint a worse one: decisions, fills,
        orders that ended, windows that began or ended, failures, suspensions."""
        return self._changes + self.decisions

    @property
    def fatal(self) -> BaseException | None:
        """What ended trading for good; the session must end, its successor recovers."""
        return self._fatal

    @property
    def active(self) -> int:
        """Windows that are being traded now."""
        return len(self._windows)

    @property
    def ticks(self) -> int:
        return self._counted["ticks"] + sum(window.ticks for window in self._windows)

    @property
    def decisions(self) -> int:
        return self._counted["decisions"] + sum(window.decisions for window in self._windows)

    def open_e6(self) -> int | None:
        """What the agent has open at cost and at worst, in e6; None while the journal is behind.

        What the journal does not have yet may be undone by a crash: only what it has may be given
        back to the floor.
        """
        return self._desk.clearing.open_e6() if self.orders.written else None

    def unsettled(self) -> tuple[Market, ...]:
        """Markets the journal brought along with fills or open orders and no result yet."""
        waiting = {fill.condition_id for fill in self.portfolio.fills()}
        waiting |= {order.request.condition_id for order in self.orders.open_orders()}
        return tuple(
            market
            for market in self._brought
            if market.condition_id in waiting and not self._settlements.begun(market.condition_id)
        )

    def checkpoint(self) -> dict[str, Any]:
        """What a successor needs to go on as this one would: JSON-serialisable and small."""
        windows = {w.view.market.condition_id: w.snapshot() for w in self._windows}
        desk = {**self._desk.snapshot(), "failed_in_a_row": self._failures.in_a_row}
        return pack(self._strategy, self._data, self._clock.now_ns(), windows, desk)

    def facts(self) -> Mapping[str, Any]:
        """Health and standing, for heartbeats and the console."""
        equity = self.portfolio.equity_e6(self._data.marks_e4())
        return {
            "last_loop_ns": self.last_loop_ns,
            "ticks": self.ticks,
            "decisions": self.decisions,
            "orders_placed": self._desk.placed,
            "open_orders": len(self.orders.open_orders()),
            "cash_e6": self.orders.free_cash_e6(),
            "equity_e6": equity,
            "day_pnl_e6": self.standing.day_pnl_e6(),
            "paused": self._desk.pause_reason if self._desk.paused else "",
            "suspended": self._suspension.reason,
            "windows": sorted(window.view.market.slug for window in self._windows),
            "settling": len(self._settlements.running()),
            "failed_windows": len(self.failures),
        }

    # --- what orders tell -----------------------------------------------------------------------

    def _filled(self, fill: Fill) -> None:
        self._changed()
        self._reporter.fill(fill, self.standing.slug(fill.condition_id))
        if fill.status is not TradeStatus.FAILED:
            self._hearing.tell(fill.condition_id, "on_fill", fill)

    def _ended(self, order: Order) -> None:
        self._changed()
        self._desk.order_ended(order)
        if order.state is not OrderState.FILLED:
            self._hearing.tell(order.request.condition_id, "on_cancel", order)

    # --- windows --------------------------------------------------------------------------------

    def _know(self, market: Market) -> MarketState:
        state = self._data.state(market)
        self.standing.markets[market.condition_id] = market
        return state

    async def _watch(self, market: Market) -> MarketState:
        state = self._know(market)
        self._hearing.observe_strike(state)
        if not state.watched:
            state.watched = True
            await self._feed.watch(market)
        return state

    def _changed(self) -> None:
        self._changes += 1

    def _beat(self) -> None:
        self.last_loop_ns = self._clock.now_ns()
        if self._on_beat is not None:
            self._on_beat()

    # --- the agent's standing -------------------------------------------------------------------

    def _take_over(self, state: JournalState) -> None:
        self._brought = state.markets
        self.standing.begin(state)
        now_ns = self._clock.now_ns()
        self._note_fault(take_up(state, self._strategy, self._data, now_ns, self._assets))

    def _note_fault(self, fault: str) -> None:
        if fault:
            log.warning("checkpoint_not_restored", agent=self.agent, reason=fault)
            self._journal.event("checkpoint_not_restored", {"reason": fault})

    def _restore_desk(self, memory: Mapping[str, Any]) -> None:
        self._desk.restore(memory)
        self._failures.in_a_row = int(memory["failed_in_a_row"])

    async def _take_up_promises(self, state: JournalState) -> None:
        """Take up conditional orders and executions; close those whose market is over."""
        self._desk.load(state)
        self._note_fault(unpack_desk(state.checkpoint, self._restore_desk))
        promised = {one.condition_id for one in state.conditions}
        promised |= {one.condition_id for one in state.executions}
        for market in state.markets:
            if market.condition_id in promised and market.end_ns <= self._clock.now_ns():
                await self._desk.close(market)

    # --- in the background ----------------------------------------------------------------------

    def _spawn(self, coroutine: Any, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(coroutine, name=f"{self.agent} {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run_orders(self) -> None:
        """Run the order manager; whatever ends it ends the windows too."""
        try:
            await self.orders.run()
        except Exception as error:
            log.critical("order_manager_ended", agent=self.agent, reason=str(error))
            self._end_all(error)

    def _end_all(self, error: BaseException) -> None:
        """End every window with an error after which nothing may be sent."""
        self._fatal = self._fatal or error
        self.wind_down()

    async def _reconcile(self) -> None:
        try:
            await self.orders.reconcile()
        except LeaseLost as error:
            self._end_all(error)
        except FloorError as error:
            log.warning("reconcile_failed", agent=self.agent, reason=str(error))

    async def _end_tasks(self) -> None:
        tasks = [*self._tasks, *self._settlements.running()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
