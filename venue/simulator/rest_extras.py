"""Endpoints beside trading: rebates, rewards, scoring, notifications, RFQ, other kinds of keys.

Makers' rebates are real. Of the rest nothing exists in the simulator, so each answers as the venue
answers somebody who has none: empty lists, pages and maps in the venue's shapes, after the same
check of the API key.
"""

from collections.abc import Awaitable, Callable
from datetime import date

from aiohttp import web

from venue.simulator.auth import ApiKey
from venue.simulator.eip712 import parse_address
from venue.simulator.errors import bad, not_found
from venue.simulator.http import page, parse, reply
from venue.simulator.rebates import Rebates
from venue.simulator.wire import amount

CheckKey = Callable[[web.Request], Awaitable[tuple[ApiKey, bytes]]]
PAGE = 100
PUSD = "0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB"
"""The collateral in which rebates are paid."""


class Extras:
    """Handlers that mostly answer that there is nothing.

    Parameters
    ----------
    check
        Verifies a level-2 request; raises Refusal 401.
    rebates
        What makers are owed and were paid.
    """

    def __init__(self, check: CheckKey, rebates: Rebates) -> None:
        self._check = check
        self._rebates = rebates

    def routes(self, prefix: str, rfq: str) -> list[web.RouteDef]:
        """`prefix` is the CLOB's, `rfq` that of the service for combined markets."""
        get, post, delete = web.get, web.post, web.delete
        return [
            get(f"{prefix}/rebates/current", self.rebates),
            get(f"{prefix}/rewards/markets/current", self.public_page),
            get(f"{prefix}/rewards/markets/multi", self.public_page),
            get(f"{prefix}/rewards/markets/{{condition}}", self.public_page),
            get(f"{prefix}/rewards/user", self.private_page),
            get(f"{prefix}/rewards/user/total", self.private_list),
            get(f"{prefix}/rewards/user/markets", self.private_counted_page),
            get(f"{prefix}/rewards/user/percentages", self.private_map),
            get(f"{prefix}/order-scoring", self.scoring),
            post(f"{prefix}/orders-scoring", self.scorings),
            get(f"{prefix}/notifications", self.private_list),
            delete(f"{prefix}/notifications", self.done),
            get(f"{prefix}/data/pre-migration-orders", self.private_page),
            get(f"{prefix}/builder/trades", self.public_page),
            get(f"{prefix}/auth/builder-api-key", self.private_list),
            get(f"{prefix}/auth/readonly-api-keys", self.readonly_keys),
            get(f"{prefix}/rfq/config", self.private_map),
            get(f"{prefix}/rfq/data/requests", self.private_page),
            get(f"{prefix}/rfq/data/requester/quotes", self.private_page),
            get(f"{prefix}/rfq/data/quoter/quotes", self.private_page),
            get(f"{prefix}/rfq/data/best-quote", self.private_map),
            post(f"{prefix}/rfq/request", self.no_rfq),
            post(f"{prefix}/rfq/quote", self.no_rfq),
            delete(f"{prefix}/rfq/request", self.no_such_rfq),
            delete(f"{prefix}/rfq/quote", self.no_such_rfq),
            post(f"{prefix}/rfq/request/accept", self.no_such_rfq),
            post(f"{prefix}/rfq/quote/approve", self.no_such_rfq),
            get(f"{rfq}/v1/rfq/combo-markets", self.no_combos),
        ]

    async def rebates(self, request: web.Request) -> web.Response:
        """A maker's rebates of a day by market, as far as that day has come."""
        maker = parse_address(request.query.get("maker_address"))
        if maker is None:
            raise bad("Invalid maker_address")
        try:
            day = date.fromisoformat(request.query.get("date", "")).isoformat()
        except ValueError:
            raise bad("Invalid date") from None
        return reply(
            [
                {
                    "date": day,
                    "condition_id": condition_id,
                    "asset_address": PUSD,
                    "maker_address": maker,
                    "rebated_fees_usdc": amount(cash_e6),
                }
                for condition_id, cash_e6 in self._rebates.of_day(day, maker).items()
            ]
        )

    async def public_page(self, request: web.Request) -> web.Response:
        return reply(page([], request, PAGE))

    async def private_page(self, request: web.Request) -> web.Response:
        await self._check(request)
        return reply(page([], request, PAGE))

    async def private_counted_page(self, request: web.Request) -> web.Response:
        await self._check(request)
        return reply(page([], request, PAGE) | {"total_count": 0})

    async def private_list(self, request: web.Request) -> web.Response:
        await self._check(request)
        return reply([])

    async def private_map(self, request: web.Request) -> web.Response:
        await self._check(request)
        return reply({})

    async def readonly_keys(self, request: web.Request) -> web.Response:
        await self._check(request)
        return reply({"readonlyApiKeys": []})

    async def done(self, request: web.Request) -> web.Response:
        await self._check(request)
        return reply("OK")

    async def scoring(self, request: web.Request) -> web.Response:
        await self._check(request)
        return reply({"scoring": False})

    async def scorings(self, request: web.Request) -> web.Response:
        _, body = await self._check(request)
        wanted = parse(body)
        if not isinstance(wanted, list) or not all(isinstance(i, str) for i in wanted):
            raise bad("Invalid payload")
        return reply(dict.fromkeys(wanted, False))

    async def no_rfq(self, request: web.Request) -> web.Response:
        await self._check(request)
        raise bad("RFQ is not available for this market")

    async def no_such_rfq(self, request: web.Request) -> web.Response:
        await self._check(request)
        raise not_found("RFQ request not found")

    async def no_combos(self, _: web.Request) -> web.Response:
        return reply({"markets": [], "next_cursor": None})
