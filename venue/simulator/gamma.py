"""Gamma: how clients find markets. Prices here are stale by design; the book is the truth."""

import json
from collections.abc import Iterable
from typing import Any, Protocol

from aiohttp import web

from models.markets import Outcome, Settlement
from models.units import PRICE_ONE, SECOND_NS, SPOT_USD, USD
from venue.simulator import gamma_extras
from venue.simulator.errors import bad, not_found
from venue.simulator.http import integer, reply
from venue.simulator.spot import TWAP_S
from venue.simulator.windows import NAMES, Registry, Window
from venue.simulator.wire import iso

STALE_NS = 60 * SECOND_NS
"""Prices in Gamma's answers may be this old."""
CACHE = {"Cache-Control": "public, max-age=300"}


class Quotes(Protocol):
    def now(self) -> int: ...

    def best(self, window: Window) -> tuple[int, int]:
        """Up's best bid and ask in e4; 0 and 10 000 where a side is empty."""
        ...

    def strike_known(self, window: Window) -> bool: ...

    def accepting(self, window: Window) -> bool: ...


class Gamma:
    """The discovery service over the registry."""

    def __init__(self, registry: Registry, quotes: Quotes) -> None:
        self._registry = registry
        self._quotes = quotes
        self._cached: dict[str, tuple[int, tuple[int, int]]] = {}

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return [
            web.get(f"{prefix}/markets", self.markets),
            web.get(f"{prefix}/events", self.events),
            web.get(f"{prefix}/markets/keyset", self.markets_keyset),
            web.get(f"{prefix}/events/keyset", self.events_keyset),
            web.get(f"{prefix}/markets/slug/{{slug}}", self.market_by_slug),
            web.get(f"{prefix}/events/slug/{{slug}}", self.event_by_slug),
            web.get(f"{prefix}/markets/{{number}}", self.market_by_number),
            web.get(f"{prefix}/events/{{number}}", self.event_by_number),
        ]

    async def market_by_slug(self, request: web.Request) -> web.Response:
        window = self._registry.by_slug.get(request.match_info["slug"])
        return reply(self.market(_found(window, "market")), CACHE)

    async def event_by_slug(self, request: web.Request) -> web.Response:
        window = self._registry.by_slug.get(request.match_info["slug"])
        return reply(self.event(_found(window, "event")), CACHE)

    async def market_by_number(self, request: web.Request) -> web.Response:
        window = self._registry.by_number.get(request.match_info["number"])
        return reply(self.market(_found(window, "market")), CACHE)

    async def event_by_number(self, request: web.Request) -> web.Response:
        window = self._registry.by_number.get(request.match_info["number"])
        return reply(self.event(_found(window, "event")), CACHE)

    async def markets(self, request: web.Request) -> web.Response:
        found, _ = self._page(request)
        return reply([self.market(window) for window in found], CACHE)

    async def events(self, request: web.Request) -> web.Response:
        found, _ = self._page(request)
        return reply([self.event(window) for window in found], CACHE)

    async def markets_keyset(self, request: web.Request) -> web.Response:
        found, cursor = self._page(request)
        body: dict[str, Any] = {"markets": [self.market(window) for window in found]}
        return reply(body | ({"next_cursor": cursor} if cursor else {}), CACHE)

    async def events_keyset(self, request: web.Request) -> web.Response:
        found, cursor = self._page(request)
        body: dict[str, Any] = {"events": [self.event(window) for window in found]}
        return reply(body | ({"next_cursor": cursor} if cursor else {}), CACHE)

    def _page(self, request: web.Request) -> tuple[list[Window], str | None]:
        windows = _filtered(self._registry.all(), request)
        limit = integer(request, "limit", 20, 1, 100)
        offset = integer(request, "offset", 0, 0, 10**9)
        after = request.query.get("after_cursor")
        if after:
            known = self._registry.by_slug.get(after)
            if known is None:
                raise bad("invalid after_cursor")
            key = (known.market.start_ns, known.market.slug)
            windows = [w for w in windows if (w.market.start_ns, w.market.slug) > key]
        found = windows[offset : offset + limit]
        more = offset + limit < len(windows)
        return found, found[-1].market.slug if more and found else None

    # --- shapes -------------------------------------------------------------------------------

    def market(self, window: Window, with_event: bool = True) -> dict[str, Any]:
        """A market as Gamma shows it; lists are JSON inside strings."""
        market = window.market
        bid, ask = self._best(window)
        up = (bid + ask) / 2 / PRICE_ONE
        prices = [f"{up:.4g}", f"{1 - up:.4g}"]
        if window.winner is not None:
            prices = ["1", "0"] if window.winner is Outcome.UP else ["0", "1"]
        fee = market.fee
        body: dict[str, Any] = {
            "id": window.number,
            "question": market.question,
            "conditionId": market.condition_id,
            "slug": market.slug,
            "resolutionSource": _source(window),
            "endDate": iso(market.end_ns),
            "startDate": iso(window.listed_ns),
            "eventStartTime": iso(market.start_ns),
            "liquidity": "0",
            "image": "",
            "icon": "",
            "description": _description(window),
            "outcomes": json.dumps(["Up", "Down"]),
            "outcomePrices": json.dumps(prices),
            "volume": str(window.volume_e6 / USD),
            "volumeNum": window.volume_e6 / USD,
            "volumeClob": window.volume_e6 / USD,
            "liquidityNum": 0,
            "active": True,
            "closed": window.closed,
            "archived": False,
            "new": False,
            "featured": False,
            "restricted": True,
            "marketMakerAddress": "",
            "createdAt": iso(window.listed_ns),
            "updatedAt": iso(max(window.listed_ns, window.resolved_ns)),
            "questionID": window.question_id,
            "enableOrderBook": True,
            "orderPriceMinTickSize": market.tick_e4 / PRICE_ONE,
            "orderMinSize": market.min_size_e6 / USD,
            "endDateIso": iso(market.end_ns)[:10],
            "startDateIso": iso(window.listed_ns)[:10],
            "clobTokenIds": json.dumps([market.up_token, market.down_token]),
            "makerBaseFee": 0 if fee.free else 1000,
            "takerBaseFee": 0 if fee.free else 1000,
            "acceptingOrders": self._quotes.accepting(window),
            "acceptingOrdersTimestamp": iso(window.listed_ns),
            "negRisk": market.neg_risk,
            "spread": (ask - bid) / PRICE_ONE,
            "bestBid": bid / PRICE_ONE,
            "bestAsk": ask / PRICE_ONE,
            "feesEnabled": not fee.free,
            "feeType": "crypto_fees_v2",
            "feeSchedule": {
                "exponent": fee.exponent,
                "rate": fee.rate_ppm / 1_000_000,
                "takerOnly": True,
                "rebateRate": fee.rebate_ppm / 1_000_000,
            },
            "umaResolutionStatuses": "[]",
            "version": "v1",
            "cryptoMarketConfig": {
                "asset": market.asset,
                "duration": market.timeframe,
                "twapEnabled": market.settlement is Settlement.TWAP_60,
                "twapLookbackSeconds": TWAP_S if market.settlement is Settlement.TWAP_60 else 0,
            },
        }
        body |= gamma_extras.of_market(window.volume_e6 / USD)
        last = window.last_trade.get(market.up_token)
        if last is not None:
            body["lastTradePrice"] = last[0] / PRICE_ONE
        if window.closed:
            body["closedTime"] = iso(window.resolved_ns).replace("T", " ").replace("Z", "+00")
            body["umaResolutionStatus"] = "resolved"
            body["automaticallyResolved"] = True
        if with_event:
            body["events"] = [self.event(window, with_market=False)]
        return body

    def event(self, window: Window, with_market: bool = True) -> dict[str, Any]:
        """The event around a market; its metadata learn the price to beat late."""
        market = window.market
        series = f"{market.asset.lower()}-up-or-down-{market.timeframe}"
        body: dict[str, Any] = {
            "id": window.number,
            "ticker": market.slug,
            "slug": market.slug,
            "title": market.question,
            "description": _description(window),
            "resolutionSource": _source(window),
            "startDate": iso(window.listed_ns),
            "creationDate": iso(window.listed_ns),
            "endDate": iso(market.end_ns),
            "startTime": iso(market.start_ns),
            "image": "",
            "icon": "",
            "active": True,
            "closed": window.closed,
            "archived": False,
            "new": False,
            "featured": False,
            "restricted": True,
            "volume": window.volume_e6 / USD,
            "createdAt": iso(window.listed_ns),
            "updatedAt": iso(max(window.listed_ns, window.resolved_ns)),
            "enableOrderBook": True,
            "negRisk": market.neg_risk,
            "seriesSlug": series,
            "series": [gamma_extras.series_of(window, series, series)],
        }
        body |= gamma_extras.of_event(window.volume_e6 / USD)
        metadata: dict[str, float] = {}
        if self._quotes.strike_known(window) and window.opening_e8 is not None:
            metadata["priceToBeat"] = window.opening_e8 / SPOT_USD
        if window.closed and window.closing_e8 is not None:
            metadata["finalPrice"] = window.closing_e8 / SPOT_USD
        if metadata:
            body["eventMetadata"] = metadata
        if with_market:
            body["tags"] = [_tag(window)]
            body["markets"] = [self.market(window, with_event=False)]
        return body

    def _best(self, window: Window) -> tuple[int, int]:
        now = self._quotes.now()
        cached = self._cached.get(window.condition_id)
        if cached is None or now - cached[0] > STALE_NS:
            cached = (now, self._quotes.best(window))
            self._cached[window.condition_id] = cached
        if len(self._cached) > 2 * len(self._registry.by_slug) + 16:
            self._cached = {
                k: v for k, v in self._cached.items() if k in self._registry.by_condition
            }
        return cached[1]


def _found(window: Window | None, what: str) -> Window:
    if window is None:
        raise not_found(f"{what} not found")
    return window


def _filtered(windows: Iterable[Window], request: web.Request) -> list[Window]:
    query = request.query
    wanted = list(windows)
    slugs = set(query.getall("slug", []))
    if slugs:
        wanted = [w for w in wanted if w.market.slug in slugs]
    conditions = set(query.getall("condition_ids", []))
    if conditions:
        wanted = [w for w in wanted if w.condition_id in conditions]
    tokens = set(query.getall("clob_token_ids", []))
    if tokens:
        wanted = [w for w in wanted if {w.market.up_token, w.market.down_token} & tokens]
    numbers = set(query.getall("id", []))
    if numbers:
        wanted = [w for w in wanted if w.number in numbers]
    closed = query.get("closed")
    if closed is not None:
        wanted = [w for w in wanted if w.closed == (closed.lower() == "true")]
    if query.get("ascending", "").lower() == "false":
        wanted.reverse()
    return wanted


def _tag(window: Window) -> dict[str, Any]:
    listed = iso(window.listed_ns)
    return {
        "id": "21",
        "slug": "crypto",
        "label": "Crypto",
        "forceShow": False,
        "forceHide": False,
        "isCarousel": False,
        "publishedAt": listed,
        "createdAt": listed,
        "updatedAt": listed,
        "createdBy": 15,
        "updatedBy": 15,
        "requiresTranslation": False,
    }


def _source(window: Window) -> str:
    asset = window.market.asset.lower()
    twap = "-twap-60s-streams" if window.market.settlement is Settlement.TWAP_60 else ""
    return f"https://data.chain.link/streams/{asset}-usd{twap}"


def _description(window: Window) -> str:
    name = NAMES.get(window.market.asset, window.market.asset)
    price = (
        "60-second time-weighted average price"
        if window.market.settlement is Settlement.TWAP_60
        else "price"
    )
    return (
        f'This market resolves to "Up" if the {name} {price} at the end of the window is at least '
        'the one at its start, otherwise to "Down". Simulated: no real market stands behind it.'
    )
