"""Finds markets through Gamma, and asks who won."""

from collections.abc import Mapping
from typing import Any, Self

import httpx

from models.errors import BadValue, VenueError, VenueUnavailable, VenueUnknown
from models.markets import TIMEFRAMES, Market
from models.settings import Settings, TradingMode
from models.units import USD
from venue.polymarket.endpoints import Endpoints, endpoints
from venue.polymarket.gamma import (
    decode,
    market_in_event,
    parse_market,
    slug_of,
    winner_from_clob,
    winner_of,
)

_ALL = str(USD)
TIMEOUT = httpx.Timeout(10.0, connect=5.0)


class GammaDiscovery:
    """The port `Discovery`; use it as an async context manager or call `close`.

    Parameters
    ----------
    where
        Addresses to use instead of the settings' own.
    """

    def __init__(self, settings: Settings, where: Endpoints | None = None) -> None:
        self._where = where or endpoints(settings)
        self._window_s = (
            settings.sim_window_seconds if settings.trading_mode is TradingMode.SIM else None
        )
        self._http = httpx.AsyncClient(timeout=TIMEOUT, headers={"User-Agent": "trading-floor"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def market(self, asset: str, timeframe: str, start_s: int) -> Market | None:
        """Market whose window starts at `start_s` (epoch seconds), None while not listed.

        Raises
        ------
        VenueUnavailable, VenueUnknown
            Gamma does not answer, or not sensibly.
        BadValue
            The time frame is unknown, or the market found is not an up/down market.
        """
        self._length_s(timeframe)
        return await self.market_by_slug(slug_of(asset, timeframe, start_s))

    async def market_by_slug(self, slug: str) -> Market | None:
        raw = await self._raw(slug)
        return None if raw is None else parse_market(raw)

    def window_start_s(self, timeframe: str, at_s: int) -> int:
        """Start of the window that contains the epoch second `at_s`."""
        length = self._length_s(timeframe)
        return at_s // length * length

    async def resolution(self, market: Market) -> str | None:
        """Winning token's id once the venue has resolved the market, else None.

        Gamma is asked first (it may lag), then the CLOB, then the data service. One that does not
        answer is passed over.

        Raises
        ------
        VenueUnavailable, VenueUnknown
            None of the three answers.
        """
        failures: list[VenueError] = []
        for ask in (self._gamma_winner, self._clob_winner, self._data_winner):
            try:
                winner = await ask(market)
            except VenueError as error:
                failures.append(error)
                continue
            if winner is not None:
                return _of_market(winner, market)
        if len(failures) == 3:
            raise failures[0]
        return None

    async def _gamma_winner(self, market: Market) -> str | None:
        raw = await self._raw(market.slug)
        return None if raw is None else winner_of(raw)

    async def _clob_winner(self, market: Market) -> str | None:
        body = await self._get(f"{self._where.clob_data}/markets/{market.condition_id}", {})
        return winner_from_clob(body) if isinstance(body, Mapping) else None

    async def _data_winner(self, market: Market) -> str | None:
        """Payouts of the data service, in e6 per share and in the order of the tokens."""
        url = f"{self._where.data}/v2/resolutions"
        body = await self._get(url, {"condition_id": market.condition_id})
        rows = body.get("data", body) if isinstance(body, Mapping) else body
        for row in rows if isinstance(rows, list) else ():
            payouts = row.get("payouts") if isinstance(row, Mapping) else None
            if isinstance(payouts, list) and len(payouts) == 2:
                paid = [str(amount) for amount in payouts]
                if paid in (["0", _ALL], [_ALL, "0"]):
                    return market.up_token if paid[0] == _ALL else market.down_token
        return None

    async def _raw(self, slug: str) -> Mapping[str, Any] | None:
        """Gamma's market object with its event's data, None while not listed."""
        event = await self._get(f"{self._where.gamma}/events/slug/{slug}", {})
        if isinstance(event, Mapping):
            found = market_in_event(event, slug)
            if found is not None:
                return found
        market = await self._get(f"{self._where.gamma}/markets/slug/{slug}", {})
        return market if isinstance(market, Mapping) else None

    async def _get(self, url: str, params: dict[str, str]) -> Any:
        """GET decoded JSON, None for 404."""
        try:
            response = await self._http.get(url, params=params or None)
        except httpx.HTTPError as error:
            raise VenueUnknown(f"{_path(url)}: {error or type(error).__name__}") from error
        if response.status_code == 404:
            return None
        if response.status_code == 429:
            raise VenueUnavailable(f"{_path(url)}: rate limited", "rate_limited", 2.0)
        if response.status_code >= 400:
            raise VenueUnknown(f"{_path(url)}: status {response.status_code}")
        try:
            return decode(response.text)
        except ValueError as error:
            raise VenueUnknown(f"{_path(url)}: the reply is not JSON") from error

    def _length_s(self, timeframe: str) -> int:
        if timeframe not in TIMEFRAMES:
            raise BadValue(f"timeframe {timeframe!r} is unknown; use one of {list(TIMEFRAMES)}")
        return self._window_s or TIMEFRAMES[timeframe]


def _path(url: str) -> str:
    return httpx.URL(url).path


def _of_market(token_id: str, market: Market) -> str:
    """Refuse a winner that is not one of the market's tokens: paying out would be a guess."""
    if token_id not in (market.up_token, market.down_token):
        raise VenueUnknown(f"market {market.slug}: winner {token_id} is not one of its tokens")
    return token_id
