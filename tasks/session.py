"""One agent's session: everything a trader needs, prepared, guarded and closed in order."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from enum import StrEnum
from functools import partial
from typing import Any, Self

import structlog

from engine.clock import SystemClock
from engine.trader import Trader
from models.agents import AgentSpec, AgentStatus
from models.errors import FloorError
from models.journal import WindowResult
from models.markets import Market
from models.settings import OrderPolicy, Settings
from models.units import to_cash_e6, usd
from risk.limits import Limits
from store import agents
from store.bus import Bus
from store.checkpoints import CheckpointFiles
from store.journal import PostgresJournal
from store.leases import Lease
from store.open_books import read_open_books
from tasks.alerts import Publish
from tasks.floor_line import FloorLine
from tasks.guards import watch_for_halt
from tasks.recording import Ports, recorded
from tasks.session_guards import SessionGuards
from tasks.session_handover import Call
from tasks.session_lease import LeaseKeeper
from tasks.session_open import Prepared, prepare
from tasks.session_restarts import AWAY, back_off, note_failure
from tasks.session_signals import SigTerm
from tasks.session_upkeep import Checkpoints, Troubles, send_heartbeats
from tasks.session_windows import WindowFailed, Windows

__all__ = ["AWAY", "Ending", "TradingSession", "WindowFailed", "WindowStep"]

log = structlog.get_logger(__name__)

LAST_SYNC_S = 1.0

WindowStep = Callable[["TradingSession", Market], Awaitable[None]]


class Ending(StrEnum):
    """Why a session ends in good order."""

    OVER = "session over"
    HALTED = "halted"
    HANDED_OVER = "handed over"
    WRONG_CLOCK = "its clock is wrong"
    TERMINATED = "terminated"


class TradingSession:
    """Holds an agent's lease and its trader; use `open`, then ``async with``.

    Parameters
    ----------
    successor
        Starts the next session, given how often one was started before, plus one. Past its time
        the session trades on until that one is prepared. Without it nobody follows: the session
        ends with the window its time runs out in.
    fault
        What is wrong with the agent's file, where `spec` is an earlier one.

    Attributes
    ----------
    halt
        Once set, trading ends at once and in good order; `end` says why.
    ending
        Why it ended.
    """

    def __init__(
        self,
        settings: Settings,
        spec: AgentSpec,
        flow_run_id: str,
        successor: Call | None = None,
        fault: str = "",
    ) -> None:
        self.settings = settings
        self.spec = spec
        self.flow_run_id = flow_run_id
        self.successor = successor
        self.halt = asyncio.Event()
        self.ending = Ending.OVER
        self.deadline = time.monotonic() + settings.session_seconds
        self.trader: Trader
        self.lease: Lease
        self.journal: PostgresJournal
        self.files = CheckpointFiles(settings.floor_home / "checkpoints", spec.name)
        self.clock = SystemClock()
        self.keeper: LeaseKeeper
        self.line: FloorLine
        self.checkpoints: Checkpoints
        self.prepared: Prepared
        self.waiting = ""
        """What it waits for before it trades."""
        self.troubles = Troubles(spec.name, self._say)
        self._fault = fault
        self._stack = AsyncExitStack()
        self._guards = SessionGuards(self)
        self._sigterm = SigTerm(partial(self.end, Ending.TERMINATED))
        self._stopper: asyncio.Task[None] | None = None
        self._failed = False
        self.reason = ""
        """Why it ended, in a word or two, once it has."""
        self._windows: Windows

    # --- opening --------------------------------------------------------------------------------

    async def open(self) -> str:
        """Prepare, take the lease and wire everything; returns why not, or an empty text.

        Raises
        ------
        FloorError
            Something the session needs is wrong or away; nothing stays open.
        """
        self._sigterm.take_over()
        try:
            with self._sigterm.cancelling(asyncio.current_task()):
                reason = await self._open()
        except BaseException as error:
            await self._note_failure(error)
            await self._close()
            raise
        if reason:
            await self._close()
        return reason

    async def _open(self) -> str:
        prepared = await prepare(self.settings, self.spec, self._stack, self._publisher)
        if isinstance(prepared, str):
            return prepared
        self.prepared = prepared
        self.database, self.alerts = prepared.database, prepared.alerts
        if self._fault:
            self._say("error", f"{self.spec.name} trades by its last good file: {self._fault}")
        return await self._take_over()

    async def _take_over(self) -> str:
        """Take the lease and guard it; returns why not, if so."""
        name, settings, prepared = self.spec.name, self.settings, self.prepared
        self.keeper = LeaseKeeper(self.database, name, settings.lease_seconds, self.flow_run_id)
        lease = await self.keeper.acquire()
        if lease is None:
            return f"another session holds the lease of {name}"
        self.lease = lease
        self._stack.push_async_callback(self.keeper.release)
        self._stack.push_async_callback(self._guards.end)
        self._guards.begin()
        # A pause must not keep what it left from being settled; a halt of the floor does.
        whose = None if prepared.settle_only else name
        await self._stack.enter_async_context(
            watch_for_halt(self.database, self.halt, whose, settings.floor_home, self.flow_run_id)
        )
        if reason := await back_off(self):
            return reason
        await self._open_journal()
        self.line = await self._open_line()
        self._wire()
        return ""

    async def _open_journal(self) -> None:
        keeper, settings = self.keeper, self.settings
        self.journal = await self._stack.enter_async_context(
            PostgresJournal(
                self.database,
                self.spec.name,
                self.lease,
                spool_dir=settings.floor_home / "spool",
                may_trade_until=lambda: keeper.until - keeper.margin_s,
                new_risk_s=float(settings.store_away_seconds),
                checkpoints=self.files,
            )
        )

    async def _open_line(self) -> FloorLine:
        """The line to the floor: its policies, its facts, and room for this agent's orders."""
        prepared = self.prepared
        with suppress(FloorError):
            await prepared.reserve.adopt(self.spec.name, self.lease.token)
        return FloorLine(
            prepared.reserve,
            partial(read_open_books, self.database),
            self.lease,
            Limits.of(self.settings, self.spec),
            prepared.policies.current(),
            to_cash_e6(self.settings.initial_capital),
            self._tell,
            time.monotonic,
        )

    def _wire(self) -> None:
        """Put the trader and its windows together."""
        settings, prepared = self.settings, self.prepared
        limits = Limits.of(settings, self.spec)
        plain = Ports(
            prepared.strategy,
            prepared.venue,
            prepared.feed,
            prepared.discovery,
            self.journal,
            self.clock,
            self.line,
        )
        ports = recorded(settings, self.spec, limits, plain, self._stack)
        self.trader = Trader(
            spec=self.spec,
            strategy=ports.strategy,
            venue=ports.venue,
            feed=ports.feed,
            discovery=ports.discovery,
            journal=ports.journal,
            notices=self.alerts,
            clock=ports.clock,
            limits=limits,
            floor=ports.floor,
            on_decision=lambda: self.checkpoints.keep_now(),
        )
        # An order that waits for its turn at the venue must not leave after a suspension.
        prepared.venue.held = lambda: self.trader.orders.held
        self.checkpoints = Checkpoints(
            self.trader,
            self.journal,
            self.files,
            self.troubles,
            float(settings.checkpoint_interval),
        )
        self._windows = Windows(
            self.spec,
            self.trader,
            prepared.discovery,
            self.database,
            self.alerts,
            self.halt,
            self.deadline if self.successor is None else None,
            self._on_window,
            self.stop_trading,
        )

    # --- what is told ---------------------------------------------------------------------------

    def _publisher(self, bus: Bus) -> Publish:
        def publish(kind: str, fields: Mapping[str, Any]) -> None:
            bus.message(kind, **fields)

        return publish

    def _say(self, kind: str, text: str) -> None:
        self.alerts.post(kind, text, agent=self.spec.name)

    def _tell(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Note what happened to the line to the floor; people hear of what limits the agent."""
        self.journal.event(kind, detail)
        if kind == "own_share_until_reservations_are_back":
            text = (
                f"{self.spec.name}: Redis is away; until it is back the agent may have "
                f"${usd(detail['limit_e6'])} open, its own share of the floor's limit"
            )
            self._say("error", text)

    def _on_window(self, slug: str) -> None:
        """A window begins, or, without a slug, has ended."""
        if slug:
            self.keeper.window = slug
        else:
            self.checkpoints.window_over()

    def facts(self) -> dict[str, Any]:
        """What a heartbeat tells."""
        facts: dict[str, Any] = {
            "window": self.keeper.window,
            "token": self.lease.token,
            "calls": self.prepared.venue.calls,
            "waiting": self.waiting,
        }
        if hasattr(self, "trader"):
            facts |= {
                "journal_behind": self.journal.behind,
                "journal_away_s": self.journal.away_s,
                **self.trader.facts(),
            }
        return facts

    async def heartbeats(self) -> None:
        """Tell Redis that the session lives, until cancelled."""
        interval_s = float(self.settings.heartbeat_interval)
        await send_heartbeats(self.prepared.bus, self.spec.name, self.facts, interval_s)

    # --- beginning and ending -------------------------------------------------------------------

    def end(self, why: Ending = Ending.HALTED) -> None:
        """End trading at once and in good order; the first word counts."""
        if not self.halt.is_set():
            self.ending = why
            self.halt.set()

    def hand_over(self) -> None:
        """Leave the rest to a successor that is prepared."""
        self.end(Ending.HANDED_OVER)

    def leave_a_wrong_clock(self) -> None:
        """End: only a process that begins anew can reckon with a clock that was mended."""
        self.end(Ending.WRONG_CLOCK)

    @property
    def terminated(self) -> bool:
        """Whether it was SIGTERM that ended the session."""
        return self._sigterm.came

    async def __aenter__(self) -> Self:
        """Recover from the journal and the venue, then start the guards."""
        try:
            await self.trader.start(keep_orders=self._takes_orders_up())
            await self.line.sync(self.trader.open_e6)
            await agents.set_status(self.database, self.spec.name, AgentStatus.RUNNING)
        except BaseException as error:
            await self.stop_trading(error)
            await self._close()
            raise
        self._guards.watch_trading()
        self._say("agent_started", f"{self.spec.name} started")
        return self

    def _takes_orders_up(self) -> bool:
        """Whether orders that rest are ours to go on with: the predecessor left them on purpose."""
        policies = (self.settings.handover_orders, self.settings.stop_orders)
        left = OrderPolicy.KEEP in policies and not self.keeper.predecessor_died
        return left and not self.prepared.settle_only

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            await self.stop_trading(error)
            # Steps that are cut off tell Prefect so, which may take its time.
            await self._windows.end()
        finally:
            await self._close()

    async def stop_trading(self, error: BaseException | None = None) -> None:
        """Stop the trader and give the lease back; once begun it goes on to its end.

        Nothing here waits for Prefect, whose server may be away while a successor waits.
        """
        if self._stopper is None:
            self._stopper = asyncio.create_task(self._stop_trading(error), name="stop trading")
        await asyncio.shield(self._stopper)

    async def _stop_trading(self, error: BaseException | None) -> None:
        reason = self.reason = self._reason(error)
        try:
            await self.trader.stop(reason, keep_orders=self._leaves_orders())
            await self.checkpoints.keep_file()
            with suppress(FloorError, TimeoutError):
                # What was cancelled is free for the others at once.
                async with asyncio.timeout(LAST_SYNC_S):
                    await self.line.sync(self.trader.open_e6)
            self._say_why(error, reason)
            if error is not None:
                await self._note_failure(error)
        finally:
            await self._guards.end()
            await self.journal.close()
            await self.keeper.release(f"failed: {error}" if self._failed else "")

    def _leaves_orders(self) -> bool:
        if self.ending is Ending.HANDED_OVER:
            return self.settings.handover_orders is OrderPolicy.KEEP
        if self.ending is Ending.TERMINATED:
            return self.settings.stop_orders is OrderPolicy.KEEP
        return False

    def _reason(self, error: BaseException | None) -> str:
        if error is not None:
            return "failed" if isinstance(error, Exception) else "cancelled"
        if self.halt.is_set() and self.ending is Ending.OVER:
            return Ending.HALTED.value
        return self.ending.value

    def _say_why(self, error: BaseException | None, reason: str) -> None:
        """Tell people that the session ended, and what it could not clear away."""
        text = f"{self.spec.name} stopped: {reason}"
        if isinstance(error, Exception):
            text += f": {error}"
        left = 0 if self._leaves_orders() else len(self.trader.orders.open_orders())
        if left:
            text += f"; the venue has not confirmed the end of {left} orders"
        failed = isinstance(error, Exception) or left > 0
        self._say("error" if failed else "agent_stopped", text)

    async def _note_failure(self, error: BaseException) -> None:
        """Count a session that failed by itself as a restart, so that it can't fail for ever."""
        if await note_failure(self, error):
            self._failed = True

    async def _close(self) -> None:
        try:
            if self._failed and hasattr(self, "lease"):
                await self.keeper.release("its session failed")
            await self._stack.aclose()
        finally:
            self._sigterm.give_back()

    # --- trading --------------------------------------------------------------------------------

    async def follow(self, trade_window: WindowStep, settle_window: WindowStep) -> None:
        """Trade window after window of every market of the agent until the session is over.

        A session that was begun only to settle trades none.

        Raises
        ------
        LeaseLost, FloorError
            What ended the trader for good. A window that fails by itself ends nothing.
        """
        steps = partial(trade_window, self), partial(settle_window, self)
        if self.prepared.settle_only:
            await self._windows.settle_ended(steps[1])
        else:
            await self._windows.follow(*steps)

    async def finish_settling(self) -> None:
        """Give windows that are settling a last moment; a successor goes on with the rest."""
        await self._windows.finish_settling()

    async def trade(self, market: Market) -> None:
        """Trade one market until its window ends or the session is halted.

        Raises
        ------
        WindowFailed
            The strategy raised; its traceback is in the message.
        """
        await self._windows.trade(market)

    async def settle(self, market: Market) -> WindowResult:
        """Wait for a market's resolution and book what it brought."""
        return await self._windows.settle(market)

    @property
    def windows(self) -> int:
        """Windows traded so far."""
        return self._windows.count
