"""One agent's session: everything a trader needs, opened, guarded and closed in order."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any, Self

import structlog

from engine.clock import SystemClock
from engine.trader import Trader
from models.agents import AgentSpec, AgentStatus, MarketSelector
from models.errors import FloorError, LeaseLost, NotReady, StoreUnavailable, VenueError
from models.journal import WindowResult
from models.markets import Market
from models.settings import Settings
from models.units import SECOND_NS
from risk.limits import Limits
from store import agents, leases, markets
from store.bus import Bus
from store.database import Database
from store.journal import PostgresJournal
from store.leases import Lease
from store.urls import urls
from strategies import library
from tasks.agent_files import read_agents
from tasks.alerts import Alerts
from tasks.api_keys import api_nonce
from tasks.guards import Progress, halt_reason, watch_for_halt
from tasks.holders import is_dead, process_name
from tasks.recording import Ports, recorded
from tasks.supervision import over_budget
from tasks.watchdog import Verdict, Watchdog
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.feed import PolymarketFeed

log = structlog.get_logger(__name__)

BEAT_S = 0.25
LEASE_POLL_S = 0.5
LEASE_GRACE_S = 5.0
FIND_S = 1.0
LATEST_ENTRY_S = 5
"""A window with less time left than this is left to the next one."""
SETTLE_S = 8.0
"""How long an ending session waits for windows still settling; its successor goes on with them.
With stopping it must stay below the time a successor waits for the lease."""
STUCK_S = 120.0
"""Windows that stood still for so long end the process; a new one recovers."""

AWAY = (StoreUnavailable, VenueError, NotReady, LeaseLost)
"""Errors of a session that are no fault of its agent: they don't count as restarts."""

WindowStep = Callable[["TradingSession", Market], Awaitable[None]]


class WindowFailed(FloorError):
    """A strategy raised and ended its window. The window's step fails; the session goes on."""


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
        self._predecessor_died = False
        self._deadline = time.monotonic() + settings.session_seconds
        self._slug = ""
        self._tasks: list[asyncio.Future[None]] = []
        self._traded: set[str] = set()
        self._settling: dict[str, asyncio.Task[None]] = {}
        self._settled: set[str] = set()
        self.windows = 0

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
        lease = await self._acquire()
        if lease is None:
            return f"another session holds the lease of {name}"
        self.lease = lease
        self._guard_lease()
        self._stack.push_async_callback(self._release)
        if self._predecessor_died and (reason := await self._count_restart()):
            return reason
        self.bus = await enter(Bus(addresses.redis))
        self.alerts = await enter(Alerts(settings, publish=self._publish))
        self.journal = await enter(
            PostgresJournal(self.database, name, lease, spool_dir=settings.floor_home / "spool")
        )
        self.discovery = await enter(GammaDiscovery(settings))
        venue = await PolymarketVenue.connect(settings, nonce=api_nonce(name), agent=name)
        self._stack.push_async_callback(venue.close)
        limits = Limits.of(settings, self.spec)
        feed = PolymarketFeed(settings, venue)
        plain = Ports(strategy, venue, feed, self.discovery, self.journal, SystemClock())
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
        )
        return ""

    async def _acquire(self) -> Lease | None:
        """Wait out a predecessor that is about to end; take over from one that is surely dead."""
        ttl_s, name = self.settings.lease_seconds, self.spec.name
        patience = time.monotonic() + ttl_s + LEASE_GRACE_S
        while True:
            before = await leases.holder(self.database, name)
            self._predecessor_died = False
            if before is not None and before.holder:
                # One that is alive gives its lease back in good order, perhaps right now.
                self._predecessor_died = not before.live or is_dead(before.holder)
                if self._predecessor_died and before.live:
                    log.warning("lease_of_dead_process_ended", holder=before.holder)
                    await leases.expire(self.database, name, before.token)
            self._asked = time.monotonic()
            lease = await leases.acquire(
                self.database, name, process_name(), ttl_s, self.flow_run_id
            )
            if lease is not None or time.monotonic() >= patience:
                return lease
            await asyncio.sleep(LEASE_POLL_S)

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

    async def _release(self) -> None:
        self._watchdog.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await agents.set_status(self.database, self.spec.name, AgentStatus.STOPPED)
            await leases.release(self.database, self.lease)
        except (StoreUnavailable, LeaseLost) as error:
            log.warning("lease_not_released", reason=str(error))

    def _publish(self, kind: str, fields: Mapping[str, Any]) -> None:
        self.bus.message(kind, **fields)

    # --- guards ---------------------------------------------------------------------------------

    def _guard_lease(self) -> None:
        self._watchdog = Watchdog(lease_until=self._asked + self.lease.ttl_s)
        self._watchdog.start()
        self._tasks = [
            asyncio.create_task(self._beat(), name="beat"),
            asyncio.create_task(self._renew(), name="renew"),
        ]

    async def _beat(self) -> None:
        """Feed the watchdog while the loop turns, and the windows with it."""
        progress = Progress(STUCK_S)
        while True:
            trader = getattr(self, "trader", None)
            if trader is not None and progress.stuck(
                time.monotonic(), trader.active, trader.last_loop_ns
            ):
                log.critical("windows_stuck", agent=self.spec.name, window=self._slug)
            else:
                self._watchdog.beat()
            await asyncio.sleep(BEAT_S)

    async def _renew(self) -> None:
        """Renew the lease well within its time; a lost one ends the process at once."""
        while True:
            began = time.monotonic()
            try:
                await leases.renew(self.database, self.lease, self._slug)
                self._watchdog.lease_until = began + self.lease.ttl_s
            except LeaseLost as error:
                log.critical("lease_lost", reason=str(error))
                os._exit(Verdict.LEASE_LAPSED.value)
            except Exception as error:
                log.warning("lease_not_renewed", reason=str(error))
            await asyncio.sleep(min(4.0, self.lease.ttl_s / 4))

    async def _heartbeats(self) -> None:
        interval = min(5.0, float(self.settings.heartbeat_interval))
        while True:
            try:
                self.bus.heartbeat(
                    self.spec.name,
                    {"window": self._slug, "token": self.lease.token, **self.trader.facts()},
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

    # --- trading --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Recover from the journal and the venue, then start the guards."""
        try:
            await self.trader.start()
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
        ]
        self.alerts.post("agent_started", f"{self.spec.name} started", agent=self.spec.name)
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            await self.trader.stop(self._reason(error))
            await self._end_settling()
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
        for market in self.trader.unsettled():
            self._begin_settling(settle_window, market)
        try:
            async with asyncio.TaskGroup() as group:
                for selector in self.spec.markets:
                    group.create_task(self._follow(selector, trade_window, settle_window))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def finish_settling(self) -> None:
        """Give windows that are settling a last moment; a successor goes on with the rest."""
        if self._settling and not self.halt.is_set():
            await asyncio.wait(self._settling.values(), timeout=SETTLE_S)
        await self._end_settling()

    async def trade(self, market: Market) -> None:
        """Trade one market until its window ends or the session is halted.

        Raises
        ------
        WindowFailed
            The strategy raised; its traceback is in the message.
        """
        self._traded.add(market.condition_id)
        window = asyncio.ensure_future(self.trader.run_window(market))
        halt = asyncio.ensure_future(self.halt.wait())
        try:
            await asyncio.wait({window, halt}, return_when=asyncio.FIRST_COMPLETED)
            if not window.done():
                await self.trader.stop("halted")
            await window
        finally:
            halt.cancel()
            if not window.done():
                # Cut off: the window cancels its orders and ends by itself, watched by `stop`.
                self.trader.wind_down()
                self._tasks.append(window)
        if failure := self.trader.failures.get(market.condition_id):
            raise WindowFailed(f"{failure.error}\n\n{failure.traceback}")

    async def settle(self, market: Market) -> WindowResult:
        """Wait for a market's resolution and book what it brought."""
        self._settled.add(market.condition_id)
        return await self.trader.settle(market)

    @property
    def over(self) -> bool:
        return self.halt.is_set() or time.monotonic() >= self._deadline

    async def _follow(
        self, selector: MarketSelector, trade_window: WindowStep, settle_window: WindowStep
    ) -> None:
        after_ns = 0
        while not self.over:
            market = await self._find(selector, after_ns)
            if market is None:
                continue
            after_ns = market.end_ns
            self._slug = market.slug
            self.windows += 1
            await self._trade(trade_window, market)
            self._begin_settling(settle_window, market)
        # Markets of different lengths: the longest must not keep the others from the successor.
        self.trader.wind_down()

    async def _trade(self, trade_window: WindowStep, market: Market) -> None:
        """Trade a window through its step; what fails besides the trader ends only the step."""
        try:
            await trade_window(self, market)
        except Exception as error:
            if self.trader.fatal is not None:
                raise
            if not isinstance(error, WindowFailed):
                log.error("window_step_failed", market=market.slug, reason=repr(error))
        if market.condition_id not in self._traded:
            # The step failed before it began (Prefect is away): trade without it.
            with suppress(WindowFailed):
                await self.trade(market)

    async def _find(self, selector: MarketSelector, after_ns: int) -> Market | None:
        """Return the market to trade now, or None after a short wait."""
        at_s = max(int(time.time()) + LATEST_ENTRY_S, after_ns // SECOND_NS)
        start_s = self.discovery.window_start_s(selector.timeframe, at_s)
        if start_s > time.time():
            await self._sleep(min(FIND_S, start_s - time.time()))
            return None
        try:
            market = await self.discovery.market(selector.asset, selector.timeframe, start_s)
        except FloorError as error:
            log.warning("discovery_failed", asset=selector.asset, reason=str(error))
            market = None
        if market is None or market.start_ns > time.time_ns():
            await self._sleep(FIND_S)
            return None
        return await self._with_strike(market)

    async def _with_strike(self, market: Market) -> Market:
        """Add the strike the collector saw, where the venue does not tell it yet."""
        if market.strike_e8 is not None:
            return market
        with suppress(FloorError):
            record = await markets.load_market(self.database, market.condition_id)
            if record is not None:
                return replace(market, strike_e8=record.market.strike_e8)
        return market

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.halt.wait()

    def _begin_settling(self, settle_window: WindowStep, market: Market) -> None:
        if market.condition_id not in self._settling:
            task = asyncio.create_task(self._settle(settle_window, market))
            self._settling[market.condition_id] = task
            task.add_done_callback(lambda _: self._settling.pop(market.condition_id, None))

    async def _settle(self, settle_window: WindowStep, market: Market) -> None:
        """Settle through the step, or without it if it failed before it began."""
        try:
            try:
                await settle_window(self, market)
            except Exception as error:
                if market.condition_id in self._settled:
                    raise
                log.error("settle_step_failed", market=market.slug, reason=repr(error))
                await self.settle(market)
        except Exception as error:
            log.error("settling_failed", market=market.slug, reason=str(error))
            text = f"{self.spec.name}: {market.slug} is not settled: {error}"
            self.alerts.post("error", text, agent=self.spec.name)

    async def _end_settling(self) -> None:
        tasks = list(self._settling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
