"""Mirror: the live venue's markets, books, trades and prices, with local orders matched in them.

For paper trading. Only public data of the live venue is read; every order stays here. The books
are imposed as a replay's are: what a client took stays away for as long as the live level may
still be showing it, and live public trades reach resting orders by price and time, behind as much
of the live depth as the chosen fill model puts ahead of them (`venue.simulator.fills`, which also
tells what the other models would have made of the same orders). Nobody on the live venue reacts
to a client's order, so paper results are too good where an order is large.

While the live books are not known (the feed is down, stale, or not in step yet) they are withdrawn:
resting orders stay and nothing fills them. New orders are refused as by a venue in trouble, with
503 cancel-only; in a market whose first book is still awaited with 400, not ready yet. They are not
let to rest, because nobody could say how long the queue is that they would join.
"""

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from engine.book import Ladder
from engine.fills.depth import Depth
from models.errors import BadValue, VenueError
from models.events import (
    BookChange,
    BookSnapshot,
    Channel,
    FeedEvent,
    FeedState,
    FeedStatus,
    MarketResolved,
    SpotSource,
    SpotTick,
    TickSizeChange,
    TradePrint,
)
from models.markets import TIMEFRAMES, Outcome
from models.settings import Settings, TradingMode
from models.units import SECOND_NS
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.endpoints import Endpoints
from venue.polymarket.feed import PublicFeed
from venue.simulator.eip712 import keccak
from venue.simulator.errors import Refusal, bad
from venue.simulator.faults import CANCEL_ONLY
from venue.simulator.life import remembered
from venue.simulator.liquidity import Demand, Step
from venue.simulator.recording import Taker
from venue.simulator.windows import Window, upcoming
from venue.simulator.ws_prices import Price

if TYPE_CHECKING:
    from venue.simulator.world import World

log = structlog.get_logger(__name__)
NAME = "mirror"
DESCRIPTION = "mirror of the live venue: its markets, books, public trades and prices; paper fills"
LOOK_S = 5.0
"""Seconds between two looks for new, started and resolved markets."""
ASK_AGAIN_S = 30
"""A market that was not found is asked for again after this."""
NOT_READY = "the market is not yet ready to process new orders"
KINDS = {
    SpotSource.CHAINLINK: "chainlink",
    SpotSource.BINANCE: "binance",
    SpotSource.TWAP_60: "twap60",
}


class Mirror:
    """Takes the place of the simulator's own calendar of windows (`Life`)."""

    def __init__(self, world: "World", where: Endpoints) -> None:
        settings = Settings(trading_mode=TradingMode.PAPER)
        self._world = world
        self._feed = PublicFeed(settings, where=where)
        self._discovery = GammaDiscovery(settings, where=where)
        self._ladders: dict[str, Ladder] = {}
        self._takers: dict[str, list[Taker]] = defaultdict(list)
        self._changed: set[str] = set()
        self._asked: dict[str, float] = {}
        self._flushing = False
        self._task: asyncio.Task[None] | None = None
        self.demands: dict[str, Demand] = {}
        self.feed = FeedState.DOWN

    # --- what the world asks of a calendar ------------------------------------------------------

    def start(self, now_ns: int) -> None:
        """Nothing is listed before the live venue has been asked; see `run`."""

    def resume(self, window: Window, now_ns: int) -> None:
        """A window of an earlier life is followed again once the loop runs."""
        self._follow(window, now_ns)

    def admit(self, window: Window) -> None:
        """Let a new order into a market whose live book is known. Raises Refusal otherwise."""
        if self.feed is not FeedState.UP:
            raise Refusal(503, CANCEL_ONLY)
        ladder = self._ladders.get(window.condition_id)
        if ladder is None or not ladder.ready:
            raise bad(NOT_READY)

    def save(self, window: Window) -> None:
        self._world.journal.window(remembered(window))

    # --- running --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect and keep looking; returns at once, the work goes on in a task."""
        await self._feed.start(self._take)
        for window in list(self._world.registry.all()):
            if not window.closed and window.condition_id in self.demands:
                await self._feed.watch(window.market)
        self._task = asyncio.create_task(self._look_for_ever(), name="simulator-mirror")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._feed.close()
        await self._discovery.close()

    async def _look_for_ever(self) -> None:
        while True:
            try:
                await self._look()
            except (VenueError, BadValue) as error:
                log.warning("mirror_look_failed", error=str(error))
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        now_s = self._world.now() // SECOND_NS
        for series in self._world.config.series:
            for start_s in upcoming(now_s, TIMEFRAMES[series.timeframe]):
                await self._find(series.asset, series.timeframe, start_s, now_s)
        for window in self._world.registry.all():
            if window.closed or self._world.now() < window.market.start_ns:
                continue
            if self._world.now() >= window.market.end_ns:
                await self._ask_winner(window)
            elif window.opening_e8 is None:
                await self._ask_strike(window)
        self._world.commit()

    async def _find(self, asset: str, timeframe: str, start_s: int, now_s: int) -> None:
        name = f"{asset}|{timeframe}|{start_s}"
        if now_s < self._asked.get(name, 0):
            return
        market = await self._discovery.market(asset, timeframe, start_s)
        if market is None or not market.up_token:
            self._asked[name] = now_s + ASK_AGAIN_S
            return
        self._asked[name] = market.end_ns // SECOND_NS + 3600
        if market.condition_id in self._world.registry.by_condition:
            return
        window = Window(
            market=market,
            number=str(int.from_bytes(keccak(market.slug.encode())[:5], "big")),
            question_id="0x" + keccak(market.condition_id.encode()).hex(),
            listed_ns=self._world.now(),
            opening_e8=market.strike_e8,
        )
        self._world.registry.add(window)
        self._world.listed(window, self._world.now())
        self.save(window)
        self._follow(window, self._world.now())
        await self._feed.watch(market)

    def _follow(self, window: Window, now_ns: int) -> None:
        if now_ns < window.market.end_ns:
            self.demands[window.condition_id] = Demand(Depth())
            self._ladders[window.condition_id] = Ladder()
            self._world.schedule.at(window.market.end_ns, lambda due: self._end(window, due))

    def _end(self, window: Window, now_ns: int) -> None:
        self._world.withdrawn(window, now_ns)
        self.demands.pop(window.condition_id, None)
        self._ladders.pop(window.condition_id, None)
        self._takers.pop(window.condition_id, None)

    async def _ask_strike(self, window: Window) -> None:
        market = await self._discovery.market_by_slug(window.market.slug)
        if market is not None and market.strike_e8 is not None:
            window.opening_e8 = market.strike_e8
            self.save(window)

    async def _ask_winner(self, window: Window) -> None:
        token = await self._discovery.resolution(window.market)
        if token is not None:
            self._resolve(window, window.market.outcome(token))
            await self._feed.unwatch(window.market)

    def _resolve(self, window: Window, winner: Outcome) -> None:
        if window.closed:
            return
        if window.condition_id in self.demands:
            self._end(window, self._world.now())
        self._world.resolved(window, winner, self._world.now())
        self.save(window)
        log.info("window_resolved", slug=window.market.slug, winner=winner.value, source=NAME)

    # --- live events ----------------------------------------------------------------------------

    def _take(self, event: FeedEvent) -> None:
        """One event of the live feed, at once."""
        if isinstance(event, SpotTick):
            self._spot(event)
        elif isinstance(event, FeedStatus):
            if event.channel is Channel.MARKET:
                self.feed = event.state
                if event.state is not FeedState.UP:
                    self._withdraw_all(event.state)
        elif isinstance(event, BookSnapshot | BookChange | TradePrint):
            self._market_event(event)
        elif isinstance(event, TickSizeChange):
            self._tick(event)
        elif isinstance(event, MarketResolved):
            window = self._world.registry.by_condition.get(event.condition_id)
            if window is not None:
                self._resolve(window, event.winner)

    def _market_event(self, event: BookSnapshot | BookChange | TradePrint) -> None:
        window = self._world.registry.by_condition.get(event.condition_id)
        ladder = self._ladders.get(event.condition_id)
        if window is None or ladder is None:
            return
        if isinstance(event, TradePrint):
            outcome = window.market.outcome(event.token_id)
            taker = Taker(outcome, event.side, event.price_e4, event.size_e6)
            self._takers[event.condition_id].append(taker)
        elif event.token_id == window.market.up_token:
            ladder.apply(event)
        self._changed.add(event.condition_id)
        self._flush_soon()

    def _flush_soon(self) -> None:
        """Impose once per turn of the event loop, however many messages it read."""
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        world = self._world
        world.advance()
        changed, self._changed = self._changed, set()
        for condition_id in changed:
            window, ladder = (
                world.registry.by_condition[condition_id],
                self._ladders.get(condition_id),
            )
            demand = self.demands.get(condition_id)
            takers = tuple(self._takers.pop(condition_id, ()))
            if demand is None or ladder is None or not ladder.ready or ladder.crossed:
                continue
            step = Step(takers, tuple(ladder.bids(None)), tuple(ladder.asks(None)))
            world.stepped(window, demand, step, world.now())
        world.commit()

    def _withdraw_all(self, state: FeedState) -> None:
        """The live books are not known now: nothing may trade against what they were."""
        world = self._world
        log.warning("mirror_books_withdrawn", feed=state.value)
        world.advance()
        for condition_id, ladder in self._ladders.items():
            ladder.clear()
            window = world.registry.by_condition[condition_id]
            world.stepped(window, Demand(), Step((), (), ()), world.now())
        world.commit()

    def _tick(self, event: TickSizeChange) -> None:
        window = self._world.registry.by_condition.get(event.condition_id)
        if window is None or window.closed or window.market.tick_e4 == event.tick_e4:
            return
        events = self._world.exchange.set_tick(event.condition_id, event.tick_e4)
        self._world.clerk.absorb(events, self._world.now())

    def _spot(self, event: SpotTick) -> None:
        kind = KINDS.get(event.source)
        if kind is not None:
            price = Price(event.asset, kind, event.ts_ns, event.price_e8)
            self._world.prices.publish(price)
            self._world.live.publish(price)
