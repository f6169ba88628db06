"""Finds markets through Gamma."""

from typing import Self

from models.markets import Market
from models.settings import Settings


class GammaDiscovery:
    """The port `Discovery`; use it as an async context manager or call `close`."""

    def __init__(self, settings: Settings) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *exc: object) -> None:
        raise NotImplementedError

    async def market(self, asset: str, timeframe: str, start_s: int) -> Market | None:
        raise NotImplementedError

    async def market_by_slug(self, slug: str) -> Market | None:
        raise NotImplementedError

    def window_start_s(self, timeframe: str, at_s: int) -> int:
        raise NotImplementedError

    async def resolution(self, market: Market) -> str | None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError
