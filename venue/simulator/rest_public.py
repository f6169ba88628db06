"""The CLOB's public endpoints: time, markets, books and prices."""

from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from models.markets import Side
from models.units import PRICE_ONE, SECOND_NS
from venue.simulator import wire
from venue.simulator.errors import bad, not_found
from venue.simulator.http import integer, page, parse, reply
from venue.simulator.windows import Window
from venue.simulator.world import World

MAX_BATCH = 500
NO_BOOK = "No orderbook exists for the requested token id"
INTERVALS = {"1h": 3600, "6h": 21_600, "1d": 86_400, "1w": 604_800, "1m": 2_592_000}


class PublicRest:
    """Handlers that need no key."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, prefix: str) -> list[web.RouteDef]:
        get, post = web.get, web.post
        return [
            get(f"{prefix}/", self.ok),
            get(f"{prefix}/ok", self.ok),
            get(f"{prefix}/time", self.time),
            get(f"{prefix}/version", self.version),
            get(f"{prefix}/markets", self.markets),
            get(f"{prefix}/sampling-markets", self.markets),
            get(f"{prefix}/simplified-markets", self.simplified),
            get(f"{prefix}/sampling-simplified-markets", self.simplified),
            get(f"{prefix}/markets/live-activity/{{condition}}", self.live_activity),
            get(f"{prefix}/live-activity/events/{{condition}}", self.live_activity),
            get(f"{prefix}/markets/{{condition}}", self.market),
            get(f"{prefix}/markets-by-token/{{token}}", self.by_token),
            get(f"{prefix}/clob-markets/{{condition}}", self.clob_market),
            get(f"{prefix}/book", self.book),
            post(f"{prefix}/books", self.books),
            get(f"{prefix}/midpoint", self.midpoint),
            post(f"{prefix}/midpoints", self.midpoints),
            get(f"{prefix}/price", self.price),
            post(f"{prefix}/prices", self.prices),
            get(f"{prefix}/spread", self.spread),
            post(f"{prefix}/spreads", self.spreads),
            get(f"{prefix}/last-trade-price", self.last_trade),
            post(f"{prefix}/last-trades-prices", self.last_trades),
            get(f"{prefix}/tick-size", self.tick_size),
            get(f"{prefix}/tick-size/{{token}}", self.tick_size),
            get(f"{prefix}/neg-risk", self.neg_risk),
            get(f"{prefix}/fee-rate", self.fee_rate),
            get(f"{prefix}/fee-rate/{{token}}", self.fee_rate),
            get(f"{prefix}/prices-history", self.history),
            post(f"{prefix}/batch-prices-history", self.batch_history),
            get(f"{prefix}/fees/builder-fees/{{code}}", self.builder_fees),
        ]

    async def ok(self, _: web.Request) -> web.Response:
        return reply("OK")

    async def time(self, _: web.Request) -> web.Response:
        return reply(self._world.told_time_ns() // SECOND_NS)

    async def version(self, _: web.Request) -> web.Response:
        return reply({"version": 2})

    # --- markets ------------------------------------------------------------------------------

    async def markets(self, request: web.Request) -> web.Response:
        self._world.advance()
        body = page(self._world.registry.all(), request, 500)
        body["data"] = [self._full(window) for window in body["data"]]
        return reply(body)

    async def simplified(self, request: web.Request) -> web.Response:
        self._world.advance()
        body = page(self._world.registry.all(), request, 500)
        keys = ("condition_id", "rewards", "tokens", "active", "closed", "archived")
        rows = [self._full(window) for window in body["data"]]
        body["data"] = [{key: row[key] for key in (*keys, "accepting_orders")} for row in rows]
        return reply(body)

    async def market(self, request: web.Request) -> web.Response:
        return reply(self._full(self._condition(request)))

    async def live_activity(self, request: web.Request) -> web.Response:
        window = self._condition(request)
        rows = [t for t in self._world.desk.public if t["condition_id"] == window.condition_id]
        return reply(
            [
                {
                    "event_type": "trade",
                    "market": {
                        "condition_id": window.condition_id,
                        "asset_id": row["token_id"],
                        "question": window.market.question,
                        "icon": "",
                        "slug": window.market.slug,
                    },
                    "user": {"address": row["proxy_wallet"], "username": "", "profile_picture": ""},
                    "side": row["side"],
                    "size": row["size"],
                    "fee_rate_bps": "0",
                    "price": row["price"],
                    "outcome": row["outcome"],
                    "outcome_index": row["outcome_index"],
                    "transaction_hash": row["transaction_hash"],
                    "timestamp": str(row["timestamp"]),
                }
                for row in rows[-100:]
            ]
        )

    async def by_token(self, request: web.Request) -> web.Response:
        window = self._world.registry.by_token.get(request.match_info["token"])
        if window is None:
            raise not_found("market not found")
        return reply(
            {
                "condition_id": window.condition_id,
                "primary_token_id": window.market.up_token,
                "secondary_token_id": window.market.down_token,
            }
        )

    async def clob_market(self, request: web.Request) -> web.Response:
        window = self._condition(request)
        delayed = self._world.config.taker_delay_ms > 0
        return reply(wire.clob_market(window, self._world.accepting(window), delayed))

    def _full(self, window: Window) -> dict[str, Any]:
        market = window.market
        bid, ask = self._world.best(window)
        up = round((bid + ask) / 2 / PRICE_ONE, 4)
        if window.winner is not None:
            up = 1.0 if window.winner.value == "Up" else 0.0
        return {
            "enable_order_book": True,
            "active": True,
            "closed": window.closed,
            "archived": False,
            "accepting_orders": self._world.accepting(window),
            "accepting_order_timestamp": wire.iso(window.listed_ns),
            "minimum_order_size": market.min_size_e6 / 1_000_000,
            "minimum_tick_size": market.tick_e4 / PRICE_ONE,
            "condition_id": market.condition_id,
            "question_id": window.question_id,
            "question": market.question,
            "description": "",
            "market_slug": market.slug,
            "end_date_iso": wire.iso(market.end_ns),
            "game_start_time": wire.iso(market.start_ns),
            "seconds_delay": 0,
            "fpmm": "",
            "maker_base_fee": 0 if market.fee.free else 1000,
            "taker_base_fee": 0 if market.fee.free else 1000,
            "notifications_enabled": False,
            "neg_risk": market.neg_risk,
            "neg_risk_market_id": "",
            "neg_risk_request_id": "",
            "icon": "",
            "image": "",
            "rewards": {"rates": None, "min_size": 0, "max_spread": 0},
            "is_50_50_outcome": False,
            "tokens": [
                _token(market.up_token, "Up", up, window),
                _token(market.down_token, "Down", round(1 - up, 4), window),
            ],
            "tags": ["Crypto", market.asset],
        }

    # --- books and prices ---------------------------------------------------------------------

    async def book(self, request: web.Request) -> web.Response:
        token, window = self._token(request)
        return reply(self._world.tape.rest_book(window, token))

    async def books(self, request: web.Request) -> web.Response:
        pairs = self._known(await _tokens(request))
        return reply([self._world.tape.rest_book(window, token) for token, window in pairs])

    async def midpoint(self, request: web.Request) -> web.Response:
        token, window = self._token(request)
        value = self._mid(token, window)
        if value is None:
            raise not_found(NO_BOOK)
        return reply({"mid": value})

    async def midpoints(self, request: web.Request) -> web.Response:
        return reply(self._map(await _tokens(request), self._mid))

    async def price(self, request: web.Request) -> web.Response:
        token, window = self._token(request)
        value = self._price(token, window, _side(request.query.get("side")))
        if value is None:
            raise not_found(NO_BOOK)
        return reply({"price": value})

    async def prices(self, request: web.Request) -> web.Response:
        rows = _batch(parse(await request.read()))
        found: dict[str, dict[str, str]] = {}
        for row in rows:
            side = _side(row.get("side"))
            for token, window in self._known([row.get("token_id")]):
                value = self._price(token, window, side)
                if value is not None:
                    found.setdefault(token, {})[side.value] = value
        return reply(found)

    async def spread(self, request: web.Request) -> web.Response:
        token, window = self._token(request)
        value = self._spread(token, window)
        if value is None:
            raise not_found(NO_BOOK)
        return reply({"spread": value})

    async def spreads(self, request: web.Request) -> web.Response:
        return reply(self._map(await _tokens(request), self._spread))

    async def last_trade(self, request: web.Request) -> web.Response:
        token, window = self._token(request)
        return reply(_last(token, window))

    async def last_trades(self, request: web.Request) -> web.Response:
        pairs = self._known(await _tokens(request))
        return reply([{"token_id": token, **_last(token, window)} for token, window in pairs])

    async def tick_size(self, request: web.Request) -> web.Response:
        _, window = self._token(request)
        return reply({"minimum_tick_size": window.market.tick_e4 / PRICE_ONE})

    async def neg_risk(self, request: web.Request) -> web.Response:
        _, window = self._token(request)
        return reply({"neg_risk": window.market.neg_risk})

    async def fee_rate(self, request: web.Request) -> web.Response:
        _, window = self._token(request)
        return reply({"base_fee": 0 if window.market.fee.free else 1000})

    async def builder_fees(self, request: web.Request) -> web.Response:
        raise not_found("builder code not found")

    # --- history ------------------------------------------------------------------------------

    async def history(self, request: web.Request) -> web.Response:
        self._world.advance()
        token = request.query.get("market", "")
        window = self._world.registry.by_token.get(token)
        if window is None:
            return reply({"history": []})
        start, end = self._span(request)
        fidelity = integer(request, "fidelity", 1, 1, 100_000) * 60
        return reply({"history": _points(window, token, start, end, fidelity)})

    async def batch_history(self, request: web.Request) -> web.Response:
        self._world.advance()
        body = parse(await request.read())
        wanted = body.get("markets") if isinstance(body, dict) else None
        if not isinstance(wanted, list) or len(wanted) > 20:
            raise bad("Invalid payload")
        now_s = self._world.now() // SECOND_NS
        found = self._known(wanted)
        return reply(
            {"history": {token: _points(window, token, 0, now_s, 60) for token, window in found}}
        )

    def _span(self, request: web.Request) -> tuple[int, int]:
        now_s = self._world.now() // SECOND_NS
        interval = request.query.get("interval")
        if interval in INTERVALS:
            return now_s - INTERVALS[interval], now_s
        start = integer(request, "startTs", 0, 0, 10**11)
        return start, integer(request, "endTs", now_s, 0, 10**11)

    # --- helpers ------------------------------------------------------------------------------

    def _condition(self, request: web.Request) -> Window:
        self._world.advance()
        window = self._world.registry.by_condition.get(request.match_info["condition"].lower())
        if window is None:
            raise not_found("market not found")
        return window

    def _token(self, request: web.Request) -> tuple[str, Window]:
        self._world.advance()
        token = request.match_info.get("token") or request.query.get("token_id", "")
        if not token.isascii() or not token.isdigit():
            raise bad("Invalid token id")
        window = self._world.registry.by_token.get(token)
        if window is None or window.closed:
            raise not_found(NO_BOOK)
        return token, window

    def _known(self, tokens: Iterable[Any]) -> list[tuple[str, Window]]:
        self._world.advance()
        known = self._world.registry.by_token
        return [
            (token, known[token])
            for token in tokens
            if isinstance(token, str) and token in known and not known[token].closed
        ]

    def _map(self, tokens: list[Any], of: Callable[[str, Window], str | None]) -> dict[str, str]:
        values = {token: of(token, window) for token, window in self._known(tokens)}
        return {token: value for token, value in values.items() if value is not None}

    def _mid(self, token: str, window: Window) -> str | None:
        mid = wire.midpoint_e5(*self._world.book(window, token))
        return None if mid is None else wire.number(mid, 5)

    def _price(self, token: str, window: Window, side: Side) -> str | None:
        bids, asks = self._world.book(window, token)
        levels = bids if side is Side.BUY else asks
        return wire.price(levels[0][0]) if levels else None

    def _spread(self, token: str, window: Window) -> str | None:
        bids, asks = self._world.book(window, token)
        return wire.price(asks[0][0] - bids[0][0]) if bids and asks else None


def _token(token: str, outcome: str, price: float, window: Window) -> dict[str, Any]:
    won = window.winner is not None and window.winner.value == outcome
    return {"token_id": token, "outcome": outcome, "price": price, "winner": won}


def _last(token: str, window: Window) -> dict[str, str]:
    last = window.last_trade.get(token)
    if last is None:
        return {"price": "0.5", "side": ""}
    return {"price": wire.price(last[0]), "side": last[1]}


def _points(window: Window, token: str, start: int, end: int, every: int) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = []
    before = -every
    for at_s, mid_e4 in window.history:
        if start <= at_s <= end and at_s - before >= every:
            before = at_s
            up = token == window.market.up_token
            points.append({"t": at_s, "p": (mid_e4 if up else PRICE_ONE - mid_e4) / PRICE_ONE})
    return points


def _side(value: object) -> Side:
    if isinstance(value, str) and value.upper() in ("BUY", "SELL"):
        return Side(value.upper())
    raise bad("Invalid side")


def _batch(body: Any) -> list[dict[str, Any]]:
    if not isinstance(body, list) or not all(isinstance(row, dict) for row in body):
        raise bad("Invalid payload")
    if len(body) > MAX_BATCH:
        raise bad(f"Too many tokens in payload: {len(body)}, max allowed: {MAX_BATCH}")
    return body


async def _tokens(request: web.Request) -> list[Any]:
    return [row.get("token_id") for row in _batch(parse(await request.read()))]
