"""A session's windows: found, traded one after the other, settled beside the next ones."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from engine.ports import Discovery, Notices
from engine.steady import STEADY
from engine.trader import Trader
from models.agents import AgentSpec, MarketSelector
from models.errors import FloorError
from models.journal import WindowResult
from models.markets import Market
from models.units import SECOND_NS
from store import markets
from store.database import Database

log = structlog.get_logger(__name__)

FIND_S = 1.0
LATEST_ENTRY_S = 5
"""A window with less time left than this is left to the next one."""
SETTLE_S = 8.0
"""How long an ending session waits for windows still settling; its successor goes on with them.
With stopping it must stay below the time a successor waits for the lease."""

Step = Callable[[Market], Awaitable[None]]
"""Trades or settles one market, as a step of its own for people to see."""


class WindowFailed(FloorError):
    """A strategy raised and ended its window. The window's step fails; the session goes on."""


class Windows:
    """Trades every market of one agent until `over`.

    Parameters
    ----------
    halt
        Once set, trading ends soon.
    deadline
        In monotonic seconds: no window is begun after it. None: windows are begun until `halt`.
    on_window
        Told of the window that is traded now, by slug, and of its end by an empty text.
    stop
        Stops the trader.

    Attributes
    ----------
    count
        Windows traded so far.
    left
        Windows whose step was cut off; they end by themselves.
    """

    def __init__(
        self,
        spec: AgentSpec,
        trader: Trader,
        discovery: Discovery,
        database: Database,
        notices: Notices,
        halt: asyncio.Event,
        deadline: float | None,
        on_window: Callable[[str], None],
        stop: Callable[[], Awaitable[None]],
    ) -> None:
        self.count = 0
        self.left: list[asyncio.Future[None]] = []
        self._spec = spec
        self._trader = trader
        self._discovery = discovery
        self._database = database
        self._notices = notices
        self._halt = halt
        self._deadline = deadline
        self._on_window = on_window
        self._stop = stop
        self._traded: set[str] = set()
        self._settling: dict[str, asyncio.Task[None]] = {}
        self._settled: set[str] = set()

    async def follow(self, trade_window: Step, settle_window: Step) -> None:
        """Trade window after window of every market of the agent until the session is over.

        Raises
        ------
        LeaseLost, FloorError
            What ended the trader for good. A window that fails by itself ends nothing.
        """
        for market in self._trader.unsettled():
            self._begin_settling(settle_window, market)
        try:
            async with asyncio.TaskGroup() as group:
                for selector in self._spec.markets:
                    group.create_task(self._follow(selector, trade_window, settle_window))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def settle_ended(self, settle_window: Step) -> None:
        """Settle what earlier sessions left in markets that are over; trade nothing."""
        for market in self._trader.unsettled():
            if market.end_ns <= STEADY.now_ns():
                self._begin_settling(settle_window, market)
        halt = asyncio.ensure_future(self._halt.wait())
        settling = asyncio.gather(*self._settling.values(), return_exceptions=True)
        try:
            either: set[asyncio.Future[Any]] = {halt, settling}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            halt.cancel()

    async def finish_settling(self) -> None:
        """Give windows that are settling a last moment; a successor goes on with the rest."""
        if self._settling and not self._halt.is_set():
            await asyncio.wait(self._settling.values(), timeout=SETTLE_S)
        await self.end()

    async def trade(self, market: Market) -> None:
        """Trade one market until its window ends or the session is halted.

        Raises
        ------
        WindowFailed
            The strategy raised; its traceback is in the message.
        """
        self._traded.add(market.condition_id)
        window = asyncio.ensure_future(self._trader.run_window(market))
        halt = asyncio.ensure_future(self._halt.wait())
        try:
            await asyncio.wait({window, halt}, return_when=asyncio.FIRST_COMPLETED)
            if not window.done():
                await self._stop()
            await window
        finally:
            halt.cancel()
            if not window.done():
                # Cut off: the window cancels its orders and ends by itself, watched by `stop`.
                self._trader.wind_down()
                self.left.append(window)
        if failure := self._trader.failures.get(market.condition_id):
            raise WindowFailed(f"{failure.error}\n\n{failure.traceback}")

    async def settle(self, market: Market) -> WindowResult:
        """Wait for a market's resolution and book what it brought."""
        self._settled.add(market.condition_id)
        return await self._trader.settle(market)

    @property
    def over(self) -> bool:
        late = self._deadline is not None and time.monotonic() >= self._deadline
        return self._halt.is_set() or late

    async def _follow(
        self, selector: MarketSelector, trade_window: Step, settle_window: Step
    ) -> None:
        after_ns = 0
        while not self.over:
            market = await self._find(selector, after_ns)
            if market is None:
                continue
            after_ns = market.end_ns
            self._on_window(market.slug)
            self.count += 1
            await self._trade(trade_window, market)
            self._on_window("")
            if not self._halt.is_set() or STEADY.now_ns() >= market.end_ns:
                self._begin_settling(settle_window, market)
        # Markets of different lengths: the longest must not keep the others from the successor.
        self._trader.wind_down()

    async def _trade(self, trade_window: Step, market: Market) -> None:
        """Trade a window through its step; what fails besides the trader ends only the step."""
        try:
            await trade_window(market)
        except Exception as error:
            if self._trader.fatal is not None:
                raise
            if not isinstance(error, WindowFailed):
                log.error("window_step_failed", market=market.slug, reason=repr(error))
        if market.condition_id not in self._traded:
            # The step failed before it began (Prefect is away): trade without it.
            with suppress(WindowFailed):
                await self.trade(market)

    async def _find(self, selector: MarketSelector, after_ns: int) -> Market | None:
        """Return the market to trade now, or None after a short wait."""
        now_s = STEADY.now_ns() / SECOND_NS
        at_s = max(int(now_s) + LATEST_ENTRY_S, after_ns // SECOND_NS)
        start_s = self._discovery.window_start_s(selector.timeframe, at_s)
        if start_s > now_s:
            await self._sleep(min(FIND_S, start_s - now_s))
            return None
        try:
            market = await self._discovery.market(selector.asset, selector.timeframe, start_s)
        except FloorError as error:
            log.warning("discovery_failed", asset=selector.asset, reason=str(error))
            market = None
        if market is None or market.start_ns > STEADY.now_ns():
            await self._sleep(FIND_S)
            return None
        return await self._with_strike(market)

    async def _with_strike(self, market: Market) -> Market:
        """Add the strike the collector saw, where the venue does not tell it yet."""
        if market.strike_e8 is not None:
            return market
        with suppress(FloorError):
            record = await markets.load_market(self._database, market.condition_id)
            if record is not None:
                return replace(market, strike_e8=record.market.strike_e8)
        return market

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._halt.wait()

    def _begin_settling(self, settle_window: Step, market: Market) -> None:
        if market.condition_id not in self._settling:
            task = asyncio.create_task(self._settle(settle_window, market))
            self._settling[market.condition_id] = task
            task.add_done_callback(lambda _: self._settling.pop(market.condition_id, None))

    async def _settle(self, settle_window: Step, market: Market) -> None:
        """Settle through the step, or without it if it failed before it began."""
        try:
            try:
                await settle_window(market)
            except Exception as error:
                if market.condition_id in self._settled:
                    raise
                log.error("settle_step_failed", market=market.slug, reason=repr(error))
                await self.settle(market)
        except Exception as error:
            log.error("settling_failed", market=market.slug, reason=str(error))
            text = f"{self._spec.name}: {market.slug} is not settled: {error}"
            self._notices.post("error", text, agent=self._spec.name)

    async def end(self) -> None:
        """Stop settling; a successor goes on."""
        tasks = list(self._settling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
