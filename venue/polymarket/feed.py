"""The port `Feed` over the venue's WebSockets."""

from dataclasses import dataclass, field

from engine.ports import Sink
from models.events import FeedEvent
from models.markets import Market
from models.settings import Settings
from venue.polymarket.books import BookSource
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.endpoints import Endpoints, endpoints
from venue.polymarket.market_channel import MarketChannel, MarketTiming
from venue.polymarket.price_channel import PriceChannel, PriceTiming
from venue.polymarket.user_channel import UserChannel, UserTiming


@dataclass(frozen=True, slots=True)
class FeedTiming:
    """Patience of each channel."""

    market: MarketTiming = field(default_factory=MarketTiming)
    user: UserTiming = field(default_factory=UserTiming)
    prices: PriceTiming = field(default_factory=PriceTiming)


class PublicFeed:
    """Books, public trades and spot prices; needs no credentials.

    The market channel connects with the first market watched; the price stream at once, and it
    tells of the assets of all markets ever watched.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        where: Endpoints | None = None,
        timing: FeedTiming | None = None,
    ) -> None:
        self._where = where or endpoints(settings)
        self._timing = timing or FeedTiming()
        self._sink: Sink | None = None
        self._books = BookSource(self._where)
        self.market_channel = MarketChannel(
            self._where.ws_market, self._books, self._pass_on, self._timing.market
        )
        self.price_channel = PriceChannel(self._where.ws_prices, self._pass_on, self._timing.prices)

    def _pass_on(self, event: FeedEvent) -> None:
        if self._sink is not None:
            self._sink(event)

    async def start(self, sink: Sink) -> None:
        """Begin to emit into `sink`; call it before anything is watched."""
        self._sink = sink
        self.price_channel.start()

    async def watch(self, market: Market) -> None:
        self.price_channel.follow(market.asset)
        await self.market_channel.watch(market)

    async def unwatch(self, market: Market) -> None:
        await self.market_channel.unwatch(market)

    async def close(self) -> None:
        await self.market_channel.close()
        await self.price_channel.close()
        await self._books.close()


class PolymarketFeed(PublicFeed):
    """A public feed plus the user channel of the venue's API key."""

    def __init__(
        self,
        settings: Settings,
        venue: PolymarketVenue,
        *,
        where: Endpoints | None = None,
        timing: FeedTiming | None = None,
    ) -> None:
        super().__init__(settings, where=where, timing=timing)
        self._venue = venue
        self.user_channel = UserChannel(
            self._where.ws_user, venue, self._pass_on, self._timing.user
        )

    async def start(self, sink: Sink) -> None:
        await super().start(sink)
        self.user_channel.start()

    async def watch(self, market: Market) -> None:
        self._venue.markets.remember(market)
        await super().watch(market)

    async def close(self) -> None:
        await self.user_channel.close()
        await super().close()
