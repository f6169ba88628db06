"""The data API: public trades, positions, activity and resolutions, old and `/v2` shapes."""

from typing import Any

from aiohttp import web

from models.markets import Outcome, Side
from models.units import PRICE_ONE, SECOND_NS, USD
from venue.simulator.eip712 import parse_address
from venue.simulator.errors import bad
from venue.simulator.http import integer, reply
from venue.simulator.records import Rebate
from venue.simulator.windows import Window
from venue.simulator.world import World

INTERVALS = {"1h": 3600, "6h": 21_600, "1d": 86_400, "1w": 604_800, "1m": 2_592_000}
LONGEST_S = 15 * 86_400
MOST_POINTS = 10_000
FAR_S = 10**11


class DataApi:
    """Read-only views of what the desk and the bank know."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return [
            web.get(f"{prefix}/", self.ok),
            web.get(f"{prefix}/trades", self.trades),
            web.get(f"{prefix}/activity", self.activity),
            web.get(f"{prefix}/positions", self.positions),
            web.get(f"{prefix}/value", self.value),
            web.get(f"{prefix}/v2/trades", self.trades_v2),
            web.get(f"{prefix}/v2/activity", self.activity_v2),
            web.get(f"{prefix}/v2/positions", self.positions_v2),
            web.get(f"{prefix}/v2/resolutions", self.resolutions_v2),
            web.get(f"{prefix}/v2/prices-history", self.history_v2),
        ]

    async def ok(self, _: web.Request) -> web.Response:
        return reply({"data": "OK"})

    # --- trades -------------------------------------------------------------------------------

    async def trades(self, request: web.Request) -> web.Response:
        rows = self._trades(request, "market")
        offset = integer(request, "offset", 0, 0, 1000)
        limit = integer(request, "limit", 100, 1, 500)
        return reply([_camel(row) for row in rows[offset : offset + limit]])

    async def trades_v2(self, request: web.Request) -> web.Response:
        return reply(_page(self._trades(request, "condition_id"), request))

    def _trades(self, request: web.Request, market: str) -> list[dict[str, Any]]:
        """Newest first."""
        self._world.advance()
        user = _user(request, needed=False)
        wanted = _many(request, market)
        side = request.query.get("side")
        rows = self._world.desk.rows_of(user) if user else list(self._world.desk.public)
        return [
            row
            for row in reversed(rows)
            if (not wanted or row["condition_id"] in wanted) and side in (None, "", row["side"])
        ]

    # --- activity -----------------------------------------------------------------------------

    async def activity(self, request: web.Request) -> web.Response:
        rows = self._activity(request, "market")
        offset = integer(request, "offset", 0, 0, 1000)
        limit = integer(request, "limit", 100, 1, 500)
        return reply([_camel(row) for row in rows[offset : offset + limit]])

    async def activity_v2(self, request: web.Request) -> web.Response:
        return reply(_page(self._activity(request, "condition_id"), request))

    def _activity(self, request: web.Request, market: str) -> list[dict[str, Any]]:
        """Trades, redemptions and rebates of a user, newest first."""
        self._world.advance()
        user = _user(request, needed=True)
        wanted = _many(request, market)
        rows = [
            row | {"type": "TRADE", "usdc_size": round(row["size"] * row["price"], 6)}
            for row in self._world.desk.rows_of(user)
        ]
        rows += [self._redeem_row(r) for r in self._world.desk.redemptions if r.wallet == user]
        rows += [_rebate_row(rebate) for rebate in self._world.rebates.paid_to(user)]
        rows = [row for row in rows if not wanted or row["condition_id"] in wanted]
        return sorted(rows, key=lambda row: row["timestamp"], reverse=True)

    def _redeem_row(self, redemption: Any) -> dict[str, Any]:
        window = self._world.registry.by_condition.get(redemption.condition_id)
        return {
            "proxy_wallet": redemption.wallet,
            "timestamp": redemption.at_ns // SECOND_NS,
            "condition_id": redemption.condition_id,
            "type": "REDEEM",
            "size": redemption.size_e6 / USD,
            "usdc_size": redemption.cash_e6 / USD,
            "transaction_hash": redemption.transaction_hash,
            "price": 0,
            "token_id": redemption.token_id,
            "side": "",
            "outcome_index": 999,
            "title": window.market.question if window else "",
            "slug": window.market.slug if window else "",
            "event_slug": window.market.slug if window else "",
            "outcome": "",
        }

    # --- positions ----------------------------------------------------------------------------

    async def positions(self, request: web.Request) -> web.Response:
        rows = self._positions(request, "market")
        limit = integer(request, "limit", 100, 1, 500)
        offset = integer(request, "offset", 0, 0, 10_000)
        return reply([_old_position(row) for row in rows[offset : offset + limit]])

    async def positions_v2(self, request: web.Request) -> web.Response:
        return reply(_page(self._positions(request, "condition_id"), request))

    async def value(self, request: web.Request) -> web.Response:
        rows = self._positions(request, "market")
        user = _user(request, needed=True)
        return reply([{"user": user, "value": sum(row["current_value"] for row in rows)}])

    def _positions(self, request: web.Request, market: str) -> list[dict[str, Any]]:
        self._world.advance()
        user = _user(request, needed=True)
        wanted = _many(request, market)
        rows: list[dict[str, Any]] = []
        for window in self._world.registry.all():
            if wanted and window.condition_id not in wanted:
                continue
            for outcome in Outcome:
                size = self._world.bank.shares(user, window.market.token(outcome))
                if size:
                    rows.append(self._position(user, window, outcome, size))
        return rows

    def _position(
        self, wallet: str, window: Window, outcome: Outcome, size_e6: int
    ) -> dict[str, Any]:
        market = window.market
        token = market.token(outcome)
        bought = cost = fees = 0
        for leg in self._world.desk.legs_of(wallet, token):
            if leg.side is Side.BUY:
                bought, cost, fees = bought + leg.size_e6, cost + leg.cash_e6, fees + leg.fee_e6
        average = cost / bought if bought else 0.0
        bid, ask = self._world.best(window)
        price = (bid + ask) / 2 / PRICE_ONE
        price = price if outcome is Outcome.UP else 1 - price
        size = size_e6 / USD
        entry = round(average * size, 6)
        profit = round(size * price - entry, 6)
        return {
            "proxy_wallet": wallet,
            "token_id": token,
            "condition_id": market.condition_id,
            "current_size": size,
            "avg_price": round(average, 6),
            "entry_cost_usdc": entry,
            "entry_fees_usdc": fees / USD,
            "total_cost_usdc": round(entry + fees / USD, 6),
            "current_price": round(price, 6),
            "current_value": round(size * price, 6),
            "total_size": bought / USD,
            "realized_pnl": 0,
            "unrealized_pnl": profit,
            "total_pnl": profit,
            "percent_pnl": round(100 * profit / entry, 4) if entry else 0,
            "percent_realized_pnl": 0,
            "status": "OPEN",
            "redeemable": False,
            "mergeable": False,
            "negative_risk": market.neg_risk,
            "archived": False,
            "verified": False,
            "title": market.question,
            "slug": market.slug,
            "event_slug": market.slug,
            "event_id": window.number,
            "outcome": outcome.value,
            "outcome_index": 0 if outcome is Outcome.UP else 1,
            "opposite_outcome": outcome.other.value,
            "opposite_token_id": market.token(outcome.other),
        }

    # --- resolutions --------------------------------------------------------------------------

    async def resolutions_v2(self, request: web.Request) -> web.Response:
        self._world.advance()
        wanted = _many(request, "condition_id") | _many(request, "condition")
        rows = [
            _resolution(window)
            for window in self._world.registry.all()
            if window.closed and (not wanted or window.condition_id in wanted)
        ]
        return reply(_page(rows, request))

    # --- prices -------------------------------------------------------------------------------

    async def history_v2(self, request: web.Request) -> web.Response:
        """Mid prices of a token, one for each bucket of time; of `as_of` the last one before."""
        self._world.advance()
        window = self._world.registry.by_token.get(request.query.get("token_id", ""))
        if window is None:
            raise bad("required query param 'token_id' not provided or invalid")
        up = request.query["token_id"] == window.market.up_token
        points = [(at_s, mid if up else PRICE_ONE - mid) for at_s, mid in window.history]
        as_of = integer(request, "as_of", 0, 0, FAR_S)
        if as_of:
            rows = [_point(at_s, mid, 0) for at_s, mid in points if at_s <= as_of][-1:]
            return reply(_page(rows, request, MOST_POINTS))
        start, end = self._span(request)
        every = integer(request, "bucket_seconds", 60, 60, 86_400)
        last = {at_s - at_s % every: mid for at_s, mid in points if start <= at_s <= end}
        rows = [_point(at_s, mid, every) for at_s, mid in last.items()]
        return reply(_page(rows, request, MOST_POINTS))

    def _span(self, request: web.Request) -> tuple[int, int]:
        """First and last second that are asked for."""
        now_s = self._world.now() // SECOND_NS
        interval = request.query.get("interval")
        if interval:
            if interval not in (*INTERVALS, "max", "all"):
                raise bad("invalid interval")
            return now_s - INTERVALS.get(interval, now_s), now_s
        start = integer(request, "start", now_s - LONGEST_S, 0, FAR_S)
        end = integer(request, "end", now_s, 0, FAR_S)
        if not 0 <= end - start <= LONGEST_S:
            raise bad("start and end must not lie more than 15 days apart")
        return start, end


def _point(at_s: int, mid_e4: int, every_s: int) -> dict[str, Any]:
    return {"timestamp": at_s, "price": mid_e4 / PRICE_ONE, "resolution_seconds": every_s}


def _rebate_row(rebate: Rebate) -> dict[str, Any]:
    """A credit to the account as a whole: of which market it came only the CLOB tells."""
    cash = rebate.cash_e6 / USD
    return dict.fromkeys(("title", "slug", "event_slug", "outcome", "side"), "") | {
        "proxy_wallet": rebate.wallet,
        "timestamp": rebate.at_ns // SECOND_NS,
        "condition_id": "",
        "type": "MAKER_REBATE",
        "size": cash,
        "usdc_size": cash,
        "transaction_hash": rebate.transaction_hash,
        "price": 0,
        "token_id": "",
        "outcome_index": 999,
    }


def _resolution(window: Window) -> dict[str, Any]:
    up = window.winner is Outcome.UP
    return {
        "question_id": window.question_id,
        "condition_id": window.condition_id,
        "status": "resolved",
        "extended_review": False,
        "was_disputed": False,
        "new_version_q": False,
        "price": "1" if up else "0",
        "payouts": [1_000_000, 0] if up else [0, 1_000_000],
        "last_update_timestamp": window.resolved_ns // SECOND_NS,
        "resolved_at": window.resolved_ns // SECOND_NS,
    }


def _page(rows: list[dict[str, Any]], request: web.Request, most: int = 1000) -> dict[str, Any]:
    """A `/v2` page; the cursor is the offset of the next row."""
    limit = integer(request, "limit", 100, 1, most)
    offset = integer(request, "cursor", 0, 0, 10**9)
    more = offset + limit < len(rows)
    return {
        "data": rows[offset : offset + limit],
        "pagination": {
            "has_more": more,
            "next_cursor": str(offset + limit) if more else None,
        },
    }


def _user(request: web.Request, needed: bool) -> str:
    raw = request.query.get("user")
    if raw is None and not needed:
        return ""
    user = parse_address(raw)
    if user is None:
        raise bad("required query param 'user' not provided or invalid")
    return user


def _many(request: web.Request, name: str) -> set[str]:
    return {value for raw in request.query.getall(name, []) for value in raw.split(",") if value}


_CAMEL = {
    "proxy_wallet": "proxyWallet",
    "token_id": "asset",
    "condition_id": "conditionId",
    "event_slug": "eventSlug",
    "outcome_index": "outcomeIndex",
    "transaction_hash": "transactionHash",
    "usdc_size": "usdcSize",
}


def _camel(row: dict[str, Any]) -> dict[str, Any]:
    """The older spelling of a trade or activity row."""
    old = {_CAMEL.get(name, name): value for name, value in row.items()}
    empty = ("icon", "name", "pseudonym", "bio", "profileImage", "profileImageOptimized")
    return old | dict.fromkeys(empty, "")


def _old_position(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "proxyWallet": row["proxy_wallet"],
        "asset": row["token_id"],
        "conditionId": row["condition_id"],
        "size": row["current_size"],
        "avgPrice": row["avg_price"],
        "initialValue": row["entry_cost_usdc"],
        "currentValue": row["current_value"],
        "cashPnl": row["total_pnl"],
        "percentPnl": row["percent_pnl"],
        "totalBought": row["total_size"],
        "realizedPnl": row["realized_pnl"],
        "percentRealizedPnl": row["percent_realized_pnl"],
        "curPrice": row["current_price"],
        "redeemable": row["redeemable"],
        "mergeable": row["mergeable"],
        "title": row["title"],
        "slug": row["slug"],
        "icon": "",
        "eventSlug": row["event_slug"],
        "outcome": row["outcome"],
        "outcomeIndex": row["outcome_index"],
        "oppositeOutcome": row["opposite_outcome"],
        "oppositeAsset": row["opposite_token_id"],
        "endDate": "",
        "negativeRisk": row["negative_risk"],
    }
