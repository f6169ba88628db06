"""The collector: finds current windows, listens to the venue, and keeps what it hears.

Books are kept as top-of-book rows, at most one per token every `CONFLATE_S`; trades and spot
prices are kept whole. Everything is also published to Redis, which may miss some.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from engine.book import Ladder
from engine.ports import Discovery, Feed
from models.agents import MarketSelector
from models.errors import BadValue, FloorError, StoreUnavailable
from models.events import (
    BookChange,
    BookSnapshot,
    FeedEvent,
    FeedStatus,
    MarketResolved,
    SpotSource,
    SpotTick,
    TradePrint,
)
from models.markets import Market, Settlement
from models.units import SECOND_NS
from store import markets, state
from store.bus import Bus
from store.database import Database
from store.marketdata import MarketDataWriter, TopOfBook

log = structlog.get_logger(__name__)

CONFLATE_S = 0.2
DISCOVER_S = 2.0
AHEAD = 1
"""Windows watched before they begin."""
GIVE_UP_S = 3600
"""A window still unresolved this long after its end is no longer asked about."""
STATE_KEY = "collect"
SILENT_S = 10.0
"""A collector that hears nothing for so long says nevertheless that it lives."""
OVERLAP_S = 5.0
"""How long a collector goes on beside its successor; what both keep is kept once."""
CALL_AGAIN_S = 60.0
"""A successor that is not at work this long after it was called is called again."""

Call = Callable[[int], Awaitable[object]]


class Collector:
    """Collects the windows of `selectors` until told to stop."""

    def __init__(
        self,
        selectors: Iterable[MarketSelector],
        feed: Feed,
        discovery: Discovery,
        database: Database,
        writer: MarketDataWriter,
        bus: Bus,
    ) -> None:
        self._selectors = tuple(dict.fromkeys(selectors))
        self._feed = feed
        self._discovery = discovery
        self._database = database
        self._writer = writer
        self._bus = bus
        self._watched: dict[str, Market] = {}
        self._struck: dict[str, int] = {}
        self._ladders: dict[str, Ladder] = {}
        self._last_trade: dict[str, int] = {}
        self._dirty: dict[str, tuple[str, int, int]] = {}
        self._resolved: dict[str, MarketResolved] = {}
        self._strikes: dict[tuple[str, Settlement, int], int] = {}
        self._since_ns = time.time_ns()
        self.events = 0
        self._succeeded = asyncio.Event()
        self._silent_until = time.monotonic() + SILENT_S

    @property
    def superseded(self) -> bool:
        """Whether a later collector is at work, so that this one ends."""
        return self._succeeded.is_set()

    @property
    def watching(self) -> list[str]:
        return sorted(market.slug for market in self._watched.values())

    async def run(
        self, seconds: float, halt: asyncio.Event | None = None, call: Call | None = None
    ) -> None:
        """Collect for `seconds`, until `halt` is set, or until a later collector is at work.

        With `call` the end of `seconds` ends nothing: successors are called, given how often one
        was called before plus one, until one is at work and a little longer, so that nothing is
        missed between the two.
        """
        await self._feed.start(self._take)
        loops = [
            asyncio.create_task(self._conflate()),
            asyncio.create_task(self._follow_windows()),
        ]
        stop = asyncio.create_task((halt or asyncio.Event()).wait())
        over = asyncio.create_task(self._until_over(seconds, call))
        try:
            done, _ = await asyncio.wait([*loops, stop, over], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                task.result()
        finally:
            for task in (*loops, stop, over):
                task.cancel()
            await asyncio.gather(*loops, stop, over, return_exceptions=True)
            await self._feed.close()

    async def _until_over(self, seconds: float, call: Call | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._succeeded.wait()
        attempt = 0
        while call is not None and not self.superseded:
            attempt += 1
            await call(attempt)
            with suppress(TimeoutError):
                async with asyncio.timeout(CALL_AGAIN_S):
                    await self._succeeded.wait()
        if self.superseded and call is not None:
            await asyncio.sleep(OVERLAP_S)

    # --- what the venue says --------------------------------------------------------------------

    def _take(self, event: FeedEvent) -> None:
        self.events += 1
        match event:
            case BookSnapshot() | BookChange():
                ladder = self._ladders.setdefault(event.token_id, Ladder())
                ladder.apply(event)
                self._dirty[event.token_id] = (event.condition_id, event.ts_ns, event.recv_ns)
                self._bus.publish(event)
            case TradePrint():
                self._last_trade[event.token_id] = event.price_e4
                self._writer.trade(event)
                self._bus.publish(event)
            case SpotTick():
                self._note_strike(event)
                self._writer.spot(event)
                self._bus.publish(event)
            case MarketResolved():
                self._resolved[event.condition_id] = event
                self._bus.publish(event)
            case FeedStatus():
                log.info("feed", channel=event.channel, state=event.state, detail=event.detail)

    def _note_strike(self, tick: SpotTick) -> None:
        """Remember the settlement price at every boundary second a window may start at."""
        rules = {SpotSource.CHAINLINK: Settlement.BOUNDARY, SpotSource.TWAP_60: Settlement.TWAP_60}
        rule = rules.get(tick.source)
        if rule is not None:
            self._strikes[tick.asset, rule, tick.ts_ns // SECOND_NS] = tick.price_e8
            if len(self._strikes) > 4_000:
                for key in list(self._strikes)[:2_000]:
                    del self._strikes[key]

    # --- what is kept ---------------------------------------------------------------------------

    async def _conflate(self) -> None:
        while True:
            await asyncio.sleep(CONFLATE_S)
            dirty, self._dirty = self._dirty, {}
            for token_id, (condition_id, ts_ns, recv_ns) in dirty.items():
                ladder = self._ladders.get(token_id)
                if ladder is not None:
                    self._writer.top(self._top(ladder, condition_id, token_id, ts_ns, recv_ns))

    def _top(
        self, ladder: Ladder, condition_id: str, token_id: str, ts_ns: int, recv_ns: int
    ) -> TopOfBook:
        bids, asks = ladder.bids(1), ladder.asks(1)
        return TopOfBook(
            ts_ns=ts_ns,
            recv_ns=recv_ns,
            condition_id=condition_id,
            token_id=token_id,
            bid_e4=bids[0][0] if bids else None,
            bid_size_e6=bids[0][1] if bids else 0,
            ask_e4=asks[0][0] if asks else None,
            ask_size_e6=asks[0][1] if asks else 0,
            last_trade_e4=self._last_trade.get(token_id),
        )

    # --- windows --------------------------------------------------------------------------------

    async def _follow_windows(self) -> None:
        while True:
            for selector in self._selectors:
                await self._try("watch", self._watch_current(selector))
            await self._try("drop", self._drop_ended())
            await self._try("note", self._note())
            await asyncio.sleep(DISCOVER_S)

    async def _try(self, what: str, step: Coroutine[Any, Any, None]) -> None:
        """Take one step; one that fails is taken again next time and holds up no other."""
        try:
            await step
        except StoreUnavailable:
            log.info("collector_waits_for_store", step=what)
        except Exception as error:
            log.error("collector_step_failed", step=what, reason=repr(error))

    async def _note(self) -> None:
        """Say that we live, unless a later collector does: one is enough.

        Before anything is heard nothing is said: an earlier one goes on as long.
        """
        if self.superseded or (not self.events and time.monotonic() < self._silent_until):
            return
        noted = await state.get(self._database, STATE_KEY)
        if noted is not None and noted.get("since_ns", 0) > self._since_ns:
            self._succeeded.set()
            log.info("collector_superseded")
            return
        await state.put(self._database, STATE_KEY, self._facts())

    def _facts(self) -> dict[str, Any]:
        return {
            "at_ns": time.time_ns(),
            "since_ns": self._since_ns,
            "watching": self.watching,
            "events": self.events,
            "written": self._writer.written,
            "dropped": self._writer.dropped,
        }

    async def _watch_current(self, selector: MarketSelector) -> None:
        start_s = self._discovery.window_start_s(selector.timeframe, int(time.time()))
        for _ in range(1 + AHEAD):
            market = await self._find(selector, start_s)
            if market is None:
                return
            await self._keep(market)
            # Windows follow each other without a gap, whatever length the venue gives them.
            start_s = market.end_ns // SECOND_NS

    async def _find(self, selector: MarketSelector, start_s: int) -> Market | None:
        for market in self._watched.values():
            same = market.asset == selector.asset and market.timeframe == selector.timeframe
            if same and market.start_ns // SECOND_NS == start_s:
                if market.strike_e8 is not None or time.time_ns() < market.start_ns:
                    return market
                break
        try:
            return await self._discovery.market(selector.asset, selector.timeframe, start_s)
        except FloorError as error:
            log.warning("discovery_failed", asset=selector.asset, reason=str(error))
            return None

    async def _keep(self, market: Market) -> None:
        known = self._watched.get(market.condition_id)
        if known is None:
            await markets.upsert_market(self._database, market)
            await self._feed.watch(market)
            known = self._watched[market.condition_id] = market
            log.info("watching", slug=market.slug)
        strike = market.strike_e8 or self._strikes.get(
            (market.asset, market.settlement, market.start_ns // SECOND_NS)
        )
        if strike is not None and self._struck.get(market.condition_id) != strike:
            await markets.set_strike(self._database, market.condition_id, strike)
            self._struck[market.condition_id] = strike
        if market.strike_e8 is not None:
            # The venue's own word: it need not be asked again.
            self._watched[market.condition_id] = replace(known, strike_e8=market.strike_e8)

    async def _drop_ended(self) -> None:
        now_ns = time.time_ns()
        for market in [m for m in self._watched.values() if m.end_ns <= now_ns]:
            late = now_ns > market.end_ns + GIVE_UP_S * SECOND_NS
            if not await self._resolve(market) and not late:
                continue
            await self._feed.unwatch(market)
            for token_id in (market.up_token, market.down_token):
                self._ladders.pop(token_id, None)
                self._last_trade.pop(token_id, None)
                self._dirty.pop(token_id, None)
            self._resolved.pop(market.condition_id, None)
            self._struck.pop(market.condition_id, None)
            del self._watched[market.condition_id]

    async def _resolve(self, market: Market) -> bool:
        event = self._resolved.get(market.condition_id)
        winner = event.winner if event is not None else None
        if winner is None:
            try:
                token = await self._discovery.resolution(market)
            except FloorError as error:
                log.warning("resolution_failed", slug=market.slug, reason=str(error))
                return False
            if token is None:
                return False
            winner = market.outcome(token)
        try:
            await markets.set_resolution(
                self._database, market.condition_id, winner, time.time_ns()
            )
        except BadValue as error:
            # Recorded otherwise already: a person must look, asking again changes nothing.
            log.error("resolution_contradicts", slug=market.slug, reason=str(error))
        return True
