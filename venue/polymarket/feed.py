"""The port `Feed` over the venue's WebSockets."""

from engine.ports import Sink
from models.markets import Market
from models.settings import Settings
from venue.polymarket.client import PolymarketVenue


class PublicFeed:
    """Books, public trades and spot prices; needs no credentials."""

    def __init__(self, settings: Settings) -> None:
        raise NotImplementedError

    async def start(self, sink: Sink) -> None:
        raise NotImplementedError

    async def watch(self, market: Market) -> None:
        raise NotImplementedError

    async def unwatch(self, market: Market) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class PolymarketFeed(PublicFeed):
    """A public feed plus the user channel of the venue's API key."""

    def __init__(self, settings: Settings, venue: PolymarketVenue) -> None:
        raise NotImplementedError
