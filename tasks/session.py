"""One agent's session: everything a trader needs, opened, guarded and closed in order."""

import asyncio
import hashlib
import os
import platform
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any, Self

import psutil
import structlog

from engine.clock import SystemClock
from engine.trader import Trader
from models.agents import AgentSpec, AgentStatus, MarketSelector
from models.errors import FloorError, LeaseLost, StoreUnavailable
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
from tasks.guards import halt_reason, watch_for_halt
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
SETTLE_S = 60.0
"""How long an ending session waits for windows still settling; its successor goes on with them."""

WindowStep = Callable[["TradingSession", Market], Awaitable[None]]


def api_nonce(agent: str) -> int:
    """Nonce of the agent's own API key, so that heartbeats and cancel-all act on it alone."""
    return int.from_bytes(hashlib.sha256(agent.encode()).digest()[:4], "big")


def process_name() -> str:
    """Name this process so that another one on this host can tell whether it still lives."""
    me = psutil.Process()
    return f"{platform.node()}:{me.pid}:{int(me.create_time())}"


def is_dead(holder: str) -> bool:
    """Whether `holder` was a process of this host that is gone for sure."""
    host, _, identity = holder.partition(":")
    pid, _, born = identity.partition(":")
    if host != platform.node() or not pid.isdigit() or not born.isdigit():
        return False
    try:
        process = psutil.Process(int(pid))
        return process.status() == psutil.STATUS_ZOMBIE or int(process.create_time()) != int(born)
    except psutil.NoSuchProcess:
        return True


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
        self._tasks: list[asyncio.Task[None]] = []
        self._settling: set[asyncio.Future[None]] = set()
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
        except BaseException:
            await self._stack.aclose()
            raise
        if reason:
            await self._stack.aclose()
        return reason

    async def _open(self) -> str:
        settings, name = self.settings, self.spec.name
        addresses = urls(settings)
        enter = self._stack.enter_async_context
        strategy = library.create(self.spec.strategy, self.spec.parameters)
        self.database = await enter(Database(addresses.database))
        await agents.sync_agents(self.database, list(read_agents()[0].values()))
        if reason := await halt_reason(self.database, name):
            return reason
        lease = await self._acquire()
        if lease is None:
            return f"another session holds the lease of {name}"
        self.lease = lease
        self._stack.push_async_callback(self._release)
        self._guard_lease()
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
        self.trader = Trader(
            spec=self.spec,
            strategy=strategy,
            venue=venue,
            feed=PolymarketFeed(settings, venue),
            discovery=self.discovery,
            journal=self.journal,
            notices=self.alerts,
            clock=SystemClock(),
            limits=Limits.of(settings, self.spec),
        )
        return ""

    async def _acquire(self) -> Lease | None:
        """Wait out a predecessor that is about to end; take over from one that is surely dead."""
        ttl_s, name = self.settings.lease_seconds, self.spec.name
        patience = time.monotonic() + ttl_s + LEASE_GRACE_S
        while True:
            before = await leases.holder(self.database, name)
            self._predecessor_died = before is not None and bool(before.holder)
            if before is not None and before.live and is_dead(before.holder):
                log.warning("lease_of_dead_process_ended", holder=before.holder)
                await leases.expire(self.database, name, before.token)
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
        self._watchdog = Watchdog(lease_until=time.monotonic() + self.lease.ttl_s)
        self._watchdog.start()
        self._tasks = [
            asyncio.create_task(self._beat(), name="beat"),
            asyncio.create_task(self._renew(), name="renew"),
        ]

    async def _beat(self) -> None:
        while True:
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
            except StoreUnavailable as error:
                log.warning("lease_not_renewed", reason=str(error))
            await asyncio.sleep(min(4.0, self.lease.ttl_s / 4))

    async def _heartbeats(self) -> None:
        interval = min(5.0, float(self.settings.heartbeat_interval))
        while True:
            self.bus.heartbeat(
                self.spec.name,
                {"window": self._slug, "token": self.lease.token, **self.trader.facts()},
                ttl_s=3.0 * self.settings.heartbeat_interval,
            )
            await asyncio.sleep(interval)

    async def _checkpoints(self) -> None:
        while True:
            await asyncio.sleep(self.settings.checkpoint_interval)
            try:
                await self.journal.checkpoint(self.trader.checkpoint())
            except StoreUnavailable as error:
                log.warning("checkpoint_not_kept", reason=str(error))

    # --- trading --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Recover from the journal and the venue, then start the guards."""
        try:
            await self.trader.start()
            await agents.set_status(self.database, self.spec.name, AgentStatus.RUNNING)
            await self._stack.enter_async_context(
                watch_for_halt(self.database, self.halt, self.spec.name)
            )
        except BaseException:
            await self._stack.aclose()
            raise
        self._tasks += [
            asyncio.create_task(self._heartbeats(), name="heartbeats"),
            asyncio.create_task(self._checkpoints(), name="checkpoints"),
        ]
        self.alerts.post("agent_started", f"{self.spec.name} started", agent=self.spec.name)
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        reason = "halted" if self.halt.is_set() else "failed" if error else "session over"
        try:
            await self.trader.stop(reason)
            self.alerts.post(
                "error" if error else "agent_stopped",
                f"{self.spec.name} stopped: {reason}" + (f": {error}" if error else ""),
                agent=self.spec.name,
            )
        finally:
            await self._stack.aclose()

    async def follow(self, trade_window: WindowStep, settle_window: WindowStep) -> None:
        """Trade window after window of every market of the agent until the session is over."""
        for market in self.trader.unsettled():
            self._settle(settle_window, market)
        async with asyncio.TaskGroup() as group:
            for selector in self.spec.markets:
                group.create_task(self._follow(selector, trade_window, settle_window))
        if self._settling and not self.halt.is_set():
            await asyncio.wait(self._settling, timeout=SETTLE_S)
        for task in self._settling:
            task.cancel()
        await asyncio.gather(*self._settling, return_exceptions=True)

    async def trade(self, market: Market) -> None:
        """Trade one market until its window ends or the session is halted."""
        window = asyncio.ensure_future(self.trader.run_window(market))
        halt = asyncio.ensure_future(self.halt.wait())
        try:
            await asyncio.wait({window, halt}, return_when=asyncio.FIRST_COMPLETED)
            if not window.done():
                await self.trader.stop("halted")
            await window
        finally:
            halt.cancel()

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
            await trade_window(self, market)
            self._settle(settle_window, market)

    async def _find(self, selector: MarketSelector, after_ns: int) -> Market | None:
        """Return the market to trade now, or None after a short wait."""
        at_s = max(int(time.time()) + LATEST_ENTRY_S, after_ns // SECOND_NS)
        start_s = self.discovery.window_start_s(selector.timeframe, at_s)
        try:
            market = await self.discovery.market(selector.asset, selector.timeframe, start_s)
        except FloorError as error:
            log.warning("discovery_failed", asset=selector.asset, reason=str(error))
            market = None
        if market is None or market.start_ns > time.time_ns():
            await self._sleep(FIND_S)
            return None
        record = await markets.load_market(self.database, market.condition_id)
        if market.strike_e8 is None and record is not None and record.market.strike_e8 is not None:
            return record.market
        return market

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.halt.wait()

    def _settle(self, settle_window: WindowStep, market: Market) -> None:
        task = asyncio.ensure_future(settle_window(self, market))
        self._settling.add(task)
        task.add_done_callback(self._settled)

    def _settled(self, task: "asyncio.Future[None]") -> None:
        self._settling.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("settling_failed", reason=str(task.exception()))
