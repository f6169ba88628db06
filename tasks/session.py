"""One agent's session: everything a trader needs, opened, guarded and closed in order."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Self

import structlog

from engine.clock import SystemClock
from engine.trader import Trader
from models.agents import AgentSpec, AgentStatus
from models.errors import (
    ConfigError,
    FloorError,
    LeaseLost,
    NotReady,
    StoreUnavailable,
    VenueError,
)
from models.journal import WindowResult
from models.markets import Market
from models.settings import Settings
from models.units import to_cash_e6, usd
from risk.limits import Limits
from store import agents
from store.bus import Bus
from store.database import Database
from store.journal import PostgresJournal
from store.leases import Lease
from store.open_books import read_open_books
from store.reserve import Reserve
from store.urls import urls
from strategies import library
from strategies.base import Strategy
from tasks.agent_files import read_agents
from tasks.alerts import Alerts
from tasks.api_keys import api_nonce
from tasks.floor_line import FloorLine
from tasks.guards import Progress, halt_reason, watch_for_halt
from tasks.policies import opening_policies, watch_policies
from tasks.recording import Ports, recorded
from tasks.risk_policies import Policies
from tasks.session_lease import LeaseKeeper, end_process
from tasks.session_windows import WindowFailed, Windows
from tasks.supervision import over_budget
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.feed import PolymarketFeed

__all__ = ["TradingSession", "WindowFailed", "WindowStep"]

log = structlog.get_logger(__name__)

STUCK_S = 120.0
"""Windows that stood still for so long end the process; a new one recovers."""

AWAY = (StoreUnavailable, VenueError, NotReady, LeaseLost)
"""Errors of a session that are no fault of its agent: they don't count as restarts."""

WindowStep = Callable[["TradingSession", Market], Awaitable[None]]


class TradingSession:
    """Holds an agent's lease and its trader; use `open`, then ``async with``."""

    def __init__(self, settings: Settings, spec: AgentSpec, flow_run_id: str) -> None:
        self.settings = settings
        self.spec = spec
        self.flow_run_id = flow_run_id
        self.halt = asyncio.Event()
        self.trader: Trader
        self.lease: Lease
        self._stack = AsyncExitStack()
        self._deadline = time.monotonic() + settings.session_seconds
        self._tasks: list[asyncio.Future[None]] = []
        self._keeper: LeaseKeeper
        self._windows: Windows
        self._line: FloorLine
        self._venue: PolymarketVenue
        self._policies: Policies

    # --- opening --------------------------------------------------------------------------------

    async def open(self) -> str:
        """Take the lease and wire everything; returns why not, or an empty text.

        Raises
        ------
        FloorError
            Something the session needs is wrong or away; nothing stays open.
        """
        try:
            reason = await self._open()
        except BaseException as error:
            await self._note_failure(error)
            await self._stack.aclose()
            raise
        if reason:
            await self._stack.aclose()
        return reason

    async def _open(self) -> str:
        settings, name = self.settings, self.spec.name
        addresses = urls(settings)
        enter = self._stack.enter_async_context
        self.database = await enter(Database(addresses.database))
        specs, faults = read_agents()
        await agents.sync_agents(self.database, list(specs.values()), disable_missing=not faults)
        strategy = library.create(self.spec.strategy, self.spec.parameters)
        if reason := await halt_reason(self.database, name):
            return reason
        try:
            self._policies = await opening_policies(settings, self.database)
        except ConfigError as error:
            # No fault of the agent: it trades as soon as a person has mended the file.
            return f"the risk policies are wrong: {error}"
        if reason := await self._take_lease():
            return reason
        self.bus = await enter(Bus(addresses.redis))
        self.alerts = await enter(Alerts(settings, publish=self._publish))
        self.journal = await enter(
            PostgresJournal(
                self.database, name, self.lease, spool_dir=settings.floor_home / "spool"
            )
        )
        self.discovery = await enter(GammaDiscovery(settings))
        venue = await PolymarketVenue.connect(settings, nonce=api_nonce(name), agent=name)
        self._stack.push_async_callback(venue.close)
        self._venue = venue
        self._line = await self._open_line(Reserve(addresses.redis))
        self._wire(strategy, venue)
        return ""

    async def _take_lease(self) -> str:
        """Take the lease and guard it; returns why not, if so."""
        name = self.spec.name
        keeper = LeaseKeeper(self.database, name, self.settings.lease_seconds, self.flow_run_id)
        lease = await keeper.acquire()
        if lease is None:
            return f"another session holds the lease of {name}"
        self._keeper, self.lease = keeper, lease
        keeper.guard(self._stuck())
        self._stack.push_async_callback(keeper.release)
        self._stack.push_async_callback(self._end_tasks)
        return await self._count_restart() if keeper.predecessor_died else ""

    async def _open_line(self, reserve: Reserve) -> FloorLine:
        """The line to the floor: its policies, its facts, and room for this agent's orders."""
        await self._stack.enter_async_context(reserve)
        with suppress(StoreUnavailable):
            await reserve.adopt(self.spec.name, self.lease.token)
        return FloorLine(
            reserve,
            partial(read_open_books, self.database),
            self.lease,
            Limits.of(self.settings, self.spec),
            self._policies.current(),
            to_cash_e6(self.settings.initial_capital),
            self._tell,
            time.monotonic,
        )

    def _wire(self, strategy: Strategy, venue: PolymarketVenue) -> None:
        """Put the trader and its windows together."""
        settings = self.settings
        limits = Limits.of(settings, self.spec)
        feed = PolymarketFeed(settings, venue)
        plain = Ports(
            strategy, venue, feed, self.discovery, self.journal, SystemClock(), self._line
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
        )
        self._windows = Windows(
            self.spec,
            self.trader,
            self.discovery,
            self.database,
            self.alerts,
            self.halt,
            self._deadline,
            self._on_window,
        )

    async def _count_restart(self) -> str:
        """Note that this session replaces one that died; returns why it must not, if so."""
        name, limit = self.spec.name, self.settings.max_restarts_per_hour
        count = await agents.record_restart(self.database, name, "its session died")
        if count <= limit:
            return ""
        reason = over_budget(name, count)
        await agents.pause(self.database, name, reason)
        async with Alerts(self.settings) as alerts:
            alerts.post("breaker", f"{name} is paused: {reason}", agent=name)
        return reason

    async def _note_failure(self, error: BaseException) -> None:
        """Count a session that failed by itself as a restart, so that it can't fail for ever."""
        if isinstance(error, AWAY) or not isinstance(error, Exception):
            return
        reason = f"its session failed: {type(error).__name__}: {error}"
        with suppress(FloorError, AttributeError):
            await agents.record_restart(self.database, self.spec.name, reason)
        log.error("session_failed", agent=self.spec.name, reason=reason)

    def _publish(self, kind: str, fields: Mapping[str, Any]) -> None:
        self.bus.message(kind, **fields)

    def _tell(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Note what happened to the line to the floor; people hear of what limits the agent."""
        self.journal.event(kind, detail)
        if kind == "own_share_until_reservations_are_back":
            text = (
                f"{self.spec.name}: Redis is away; until it is back the agent may have "
                f"${usd(detail['limit_e6'])} open, its own share of the floor's limit"
            )
            self.alerts.post("error", text, agent=self.spec.name)

    def _on_window(self, slug: str) -> None:
        self._keeper.window = slug

    # --- guards ---------------------------------------------------------------------------------

    def _stuck(self) -> Callable[[], bool]:
        """Return what says whether the windows stand still although the event loop turns."""
        progress = Progress(STUCK_S)

        def stuck() -> bool:
            trader = getattr(self, "trader", None)
            return trader is not None and progress.stuck(
                time.monotonic(), trader.active, trader.last_loop_ns
            )

        return stuck

    async def _keep_line(self) -> None:
        """Keep reservation and facts up to date; a newer session's word ends the process."""
        while True:
            try:
                await self._line.run(self.trader.open_e6)
            except LeaseLost as error:
                end_process(error)
            except Exception as error:
                log.error("line_to_floor_failed", reason=repr(error))
            await asyncio.sleep(1.0)

    async def _heartbeats(self) -> None:
        interval = float(self.settings.heartbeat_interval)
        while True:
            try:
                self.bus.heartbeat(
                    self.spec.name,
                    {
                        "window": self._keeper.window,
                        "token": self.lease.token,
                        "calls": self._venue.calls,
                        **self.trader.facts(),
                    },
                    ttl_s=3.0 * self.settings.heartbeat_interval,
                )
            except Exception as error:
                log.error("heartbeat_not_sent", reason=repr(error))
            await asyncio.sleep(interval)

    async def _checkpoints(self) -> None:
        while True:
            await asyncio.sleep(self.settings.checkpoint_interval)
            try:
                await self.journal.checkpoint(self.trader.checkpoint())
            except Exception as error:
                log.warning("checkpoint_not_kept", reason=str(error))

    async def _watch_policies(self) -> None:
        await watch_policies(
            self.settings,
            self.database,
            self._policies,
            self._line.file,
            self._line.adopt,
            self.journal.event,
        )

    async def _end_tasks(self) -> None:
        tasks = [*self._tasks, *(self._windows.left if hasattr(self, "_windows") else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- trading --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Recover from the journal and the venue, then start the guards."""
        try:
            await self.trader.start()
            await self._line.sync(self.trader.open_e6)
            await agents.set_status(self.database, self.spec.name, AgentStatus.RUNNING)
            await self._stack.enter_async_context(
                watch_for_halt(self.database, self.halt, self.spec.name, self.settings.floor_home)
            )
        except BaseException as error:
            await self.trader.stop("could not start")
            self._say_why(error)
            await self._note_failure(error)
            await self._stack.aclose()
            raise
        self._tasks += [
            asyncio.create_task(self._heartbeats(), name="heartbeats"),
            asyncio.create_task(self._checkpoints(), name="checkpoints"),
            asyncio.create_task(self._keep_line(), name="line to the floor"),
            asyncio.create_task(self._watch_policies(), name="policies"),
        ]
        self.alerts.post("agent_started", f"{self.spec.name} started", agent=self.spec.name)
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            await self.trader.stop(self._reason(error))
            await self._windows.end()
            await self._end_tasks()
            with suppress(FloorError):
                # What was cancelled is free for the others at once.
                await self._line.sync(self.trader.open_e6)
            self._say_why(error)
            if error is not None:
                await self._note_failure(error)
        finally:
            await self._stack.aclose()

    def _reason(self, error: BaseException | None) -> str:
        if error is not None:
            return "failed" if isinstance(error, Exception) else "cancelled"
        return "halted" if self.halt.is_set() else "session over"

    def _say_why(self, error: BaseException | None) -> None:
        """Tell people that the session ended, and what it could not clear away."""
        text = f"{self.spec.name} stopped: {self._reason(error)}"
        if isinstance(error, Exception):
            text += f": {error}"
        if left := len(self.trader.orders.open_orders()):
            text += f"; the venue has not confirmed the end of {left} orders"
        failed = isinstance(error, Exception) or left > 0
        self.alerts.post("error" if failed else "agent_stopped", text, agent=self.spec.name)

    async def follow(self, trade_window: WindowStep, settle_window: WindowStep) -> None:
        """Trade window after window of every market of the agent until the session is over.

        Raises
        ------
        LeaseLost, FloorError
            What ended the trader for good. A window that fails by itself ends nothing.
        """
        await self._windows.follow(partial(trade_window, self), partial(settle_window, self))

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
