"""A feed that listens before there is a trader: a successor sees the market before it may trade.

What is heard meanwhile is kept: prices and states of the channels until the trader starts, a
market's own events until the trader watches it.
"""

import structlog

from engine.ports import Feed, Sink
from engine.steady import STEADY
from models.events import (
    Channel,
    FeedEvent,
    FeedState,
    FeedStatus,
    OrderUpdate,
    SpotTick,
    TradeUpdate,
)
from models.markets import Market

log = structlog.get_logger(__name__)

MOST_EVENTS = 20_000
"""A successor waits for seconds. One that waits longer asks for the books again."""


class EarlyFeed:
    """Implements `engine.ports.Feed` on another one; `begin` and `look_at` may come before.

    The account's own orders and trades are not kept: until the trader starts they are the
    predecessor's to book, and at its start it asks the venue for what it missed.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._sink: Sink | None = None
        self._common: list[FeedEvent] = []
        self._early: dict[str, Market] = {}
        self._kept: dict[str, list[FeedEvent] | None] = {}
        """Events of markets looked at and not watched yet; None where they were too many."""
        self._begun = False

    async def begin(self) -> None:
        """Listen from now on, without telling anybody yet."""
        if not self._begun:
            self._begun = True
            await self._feed.start(self._take)

    async def look_at(self, market: Market) -> None:
        """Listen to a market that the trader will probably watch."""
        self._early[market.condition_id] = market
        self._kept[market.condition_id] = []
        await self._feed.watch(market)

    def _take(self, event: FeedEvent) -> None:
        if isinstance(event, OrderUpdate | TradeUpdate):
            if self._sink is not None:
                self._sink(event)
            return
        if isinstance(event, FeedStatus):
            self._forget_books(event)
        if getattr(event, "condition_id", "") in self._kept:
            self._keep(event)
        elif self._sink is not None:
            self._sink(event)
        elif isinstance(event, SpotTick | FeedStatus) and len(self._common) < MOST_EVENTS:
            self._common.append(event)

    def _keep(self, event: FeedEvent) -> None:
        condition_id = str(getattr(event, "condition_id", ""))
        kept = self._kept[condition_id]
        if kept is not None and len(kept) < MOST_EVENTS:
            kept.append(event)
        else:
            self._kept[condition_id] = None

    def _forget_books(self, event: FeedStatus) -> None:
        """A lost connection is followed by books that are whole again."""
        if event.channel is Channel.MARKET and event.state is FeedState.DOWN:
            for kept in self._kept.values():
                if kept is not None:
                    kept.clear()

    async def start(self, sink: Sink) -> None:
        """Tell `sink` what was heard so far, and everything from now on."""
        await self.begin()
        self._sink = sink
        common, self._common = self._common, []
        for event in common:
            sink(event)

    async def watch(self, market: Market) -> None:
        """Tell of a market from now on, and first what was heard of it already."""
        looked_at = self._early.pop(market.condition_id, None)
        kept = self._kept.pop(market.condition_id, None)
        if looked_at is not None and kept is not None and self._sink is not None:
            for event in kept:
                self._sink(event)
        elif looked_at is not None:
            await self._feed.unwatch(market)
            await self._feed.watch(market)
        else:
            await self._feed.watch(market)
        await self._drop_ended()

    async def unwatch(self, market: Market) -> None:
        await self._feed.unwatch(market)

    async def close(self) -> None:
        if self._begun:
            self._begun = False
            await self._feed.close()

    async def _drop_ended(self) -> None:
        """Leave markets that ended before the trader came to them."""
        now_ns = STEADY.now_ns()
        for market in [one for one in self._early.values() if one.end_ns <= now_ns]:
            del self._early[market.condition_id]
            self._kept.pop(market.condition_id, None)
            await self._feed.unwatch(market)
