"""The CLOB's private endpoints: keys, orders, cancels, trades, balances, heartbeats."""

import asyncio
from typing import Any

from aiohttp import web

from models.markets import Side
from models.orders import TimeInForce
from venue.simulator import mischief, wire
from venue.simulator.auth import ApiKey, verify_l1
from venue.simulator.eip712 import EXCHANGE, NEG_RISK_EXCHANGE
from venue.simulator.entry import PAYLOAD, read_entry, token_of
from venue.simulator.errors import Refusal, bad, not_found
from venue.simulator.faults import NO_PLAIN_WALLETS
from venue.simulator.http import page, parse, reply
from venue.simulator.records import OrderRecord
from venue.simulator.wallets import SIGNATURE_TYPES, wallets_of
from venue.simulator.world import World

MAX_ORDERS = 15
MAX_CANCELS = 1000
PAGE = 100
UNLIMITED = str(2**256 - 1)


class PrivateRest:
    """Handlers that check a level-1 or level-2 signature first."""

    def __init__(self, world: World, prefix: str) -> None:
        self._world = world
        self._prefix = prefix

    def routes(self) -> list[web.RouteDef]:
        p = self._prefix
        get, post, delete = web.get, web.post, web.delete
        return [
            post(f"{p}/auth/api-key", self.create_key),
            get(f"{p}/auth/derive-api-key", self.derive_key),
            get(f"{p}/auth/api-keys", self.list_keys),
            get(f"{p}/auth/api-key", self.list_keys),
            delete(f"{p}/auth/api-key", self.revoke_key),
            get(f"{p}/auth/ban-status/closed-only", self.closed_only),
            post(f"{p}/order", self.post_order),
            post(f"{p}/orders", self.post_orders),
            delete(f"{p}/order", self.cancel_order),
            delete(f"{p}/orders", self.cancel_orders),
            delete(f"{p}/cancel-all", self.cancel_all),
            delete(f"{p}/cancel-market-orders", self.cancel_market),
            get(f"{p}/data/order/{{order}}", self.order),
            get(f"{p}/data/orders", self.orders),
            get(f"{p}/data/trades", self.trades),
            get(f"{p}/balance-allowance", self.balance),
            get(f"{p}/balance-allowance/update", self.update_balance),
            post(f"{p}/v1/heartbeats", self.heartbeat),
            get(f"{p}/v1/user/rate-limit-tier", self.tier),
        ]

    # --- keys ---------------------------------------------------------------------------------

    async def create_key(self, request: web.Request) -> web.Response:
        address, nonce = verify_l1(request.headers)
        self._world.advance()
        key = self._world.create_key(address, nonce)
        self._world.commit()
        return reply(key.credentials())

    async def derive_key(self, request: web.Request) -> web.Response:
        address, nonce = verify_l1(request.headers)
        return reply(self._world.keyring.derive(address, nonce).credentials())

    async def list_keys(self, request: web.Request) -> web.Response:
        key, _ = await self.check(request)
        return reply({"apiKeys": [other.key for other in self._world.keyring.of(key.address)]})

    async def revoke_key(self, request: web.Request) -> web.Response:
        key, _ = await self.check(request)
        self._world.revoke_key(key)
        self._world.commit()
        return reply("OK")

    async def closed_only(self, request: web.Request) -> web.Response:
        await self.check(request)
        return reply({"closed_only": self._world.fault_on("closed-only")})

    # --- orders -------------------------------------------------------------------------------

    async def post_order(self, request: web.Request) -> web.StreamResponse:
        key, body = await self._arrived(request)
        payload = parse(body, PAYLOAD)
        headers = self._gate("order", key, 1)
        try:
            answer = wire.order_reply(self._place(payload, key))
        except Refusal as refusal:
            if refusal.status != 400 or not self._world.fault_on("refused-in-answer"):
                raise
            return reply(_rejected(refusal.error), headers)
        await self._world.committed()
        return await self._answer(request, answer, headers)

    async def post_orders(self, request: web.Request) -> web.StreamResponse:
        key, body = await self._arrived(request)
        payloads = parse(body, PAYLOAD)
        if not isinstance(payloads, list) or not payloads:
            raise bad(PAYLOAD)
        if len(payloads) > MAX_ORDERS:
            raise bad(f"Too many orders in payload: {len(payloads)}, max allowed: {MAX_ORDERS}")
        headers = self._gate("order", key, len(payloads))
        answers: list[Any] = []
        for payload in payloads:
            try:
                answers.append(wire.order_reply(self._place(payload, key)))
            except Refusal as refusal:
                if refusal.status >= 500:
                    await self._world.committed()
                    raise
                answers.append(_rejected(refusal.error))
        await self._world.committed()
        return await self._answer(request, answers, headers)

    def _place(self, payload: Any, key: ApiKey) -> OrderRecord:
        world = self._world
        window = world.registry.by_token.get(token_of(payload))
        entry = read_entry(payload, key, window if window and world.accepting(window) else None)
        world.faults.gate_post_only(entry.post_only, world.now())
        if entry.side is Side.BUY and world.fault_on("closed-only"):
            raise bad(f"'{entry.wallet}' address in closed only mode")
        if entry.wallet == key.address and world.fault_on("deposit-wallets-only"):
            raise bad(NO_PLAIN_WALLETS)
        if world.mirror is not None and window is not None:
            world.mirror.admit(window)
        if entry.tif is TimeInForce.FAK and window is not None:
            mischief.thin(world, window)
        return world.desk.place(entry, world.now())

    async def _answer(
        self, request: web.Request, body: Any, headers: dict[str, str]
    ) -> web.StreamResponse:
        """Answer an order that was taken, unless a fault keeps the answer from the client."""
        world = self._world
        rests = isinstance(body, dict) and body["status"] == "live"
        if rests and world.faults.take("unmatched-answer", world.now()) is not None:
            body["status"] = "unmatched"
        if world.faults.take("accept-then-500", world.now()) is not None:
            raise Refusal(500, "could not run the execution")
        held = world.faults.take("accept-then-timeout", world.now())
        if held is not None:
            await asyncio.sleep(float(held.params.get("hold", 60)))
        if held or world.faults.take("accept-then-drop", world.now()) is not None:
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPBadGateway
        late = world.faults.take("late-answer", world.now())
        if late is not None:
            await asyncio.sleep(float(late.params.get("hold", 1)))
        return reply(body, headers)

    # --- cancels ------------------------------------------------------------------------------

    async def cancel_order(self, request: web.Request) -> web.Response:
        key, body = await self._arrived(request)
        payload = parse(body)
        wanted = payload.get("orderID") if isinstance(payload, dict) else None
        if not isinstance(wanted, str) or not wanted:
            raise bad("Invalid orderID")
        headers = self._gate("cancel", key, 1)
        return await self._cancelled([wanted], key, headers)

    async def cancel_orders(self, request: web.Request) -> web.Response:
        key, body = await self._arrived(request)
        wanted = parse(body)
        if not isinstance(wanted, list) or not all(isinstance(i, str) for i in wanted):
            raise bad("Invalid payload")
        if len(wanted) > MAX_CANCELS:
            raise bad(f"Too many orders in payload: {len(wanted)}, max allowed: {MAX_CANCELS}")
        headers = self._gate("cancel", key, max(1, len(wanted)))
        return await self._cancelled(wanted, key, headers)

    async def cancel_all(self, request: web.Request) -> web.Response:
        key, _ = await self._arrived(request)
        wanted = [record.order_id for record in self._world.desk.open_of(key.key)]
        headers = self._gate("cancel", key, 1 + len(wanted))
        return await self._cancelled(wanted, key, headers)

    async def cancel_market(self, request: web.Request) -> web.Response:
        key, body = await self._arrived(request)
        payload = parse(body)
        market = payload.get("market") if isinstance(payload, dict) else None
        asset = payload.get("asset_id") if isinstance(payload, dict) else None
        if not market and not asset:
            raise bad("Invalid payload")
        wanted = [
            record.order_id
            for record in self._world.desk.open_of(key.key)
            if (not market or record.condition_id == market)
            and (not asset or record.token_id == asset)
        ]
        headers = self._gate("cancel", key, 1 + len(wanted))
        return await self._cancelled(wanted, key, headers)

    async def _cancelled(
        self, wanted: list[str], key: ApiKey, headers: dict[str, str]
    ) -> web.Response:
        done, refused = self._world.desk.cancel(wanted, key.address, self._world.now())
        await self._world.committed()
        return reply({"canceled": done, "not_canceled": refused}, headers)

    # --- reading ------------------------------------------------------------------------------

    async def order(self, request: web.Request) -> web.Response:
        key, _ = await self.check(request)
        record = self._world.desk.find(request.match_info["order"])
        if record is None or record.owner != key.address or not record.open:
            raise not_found("Order not found")
        return reply(wire.open_order(record))

    async def orders(self, request: web.Request) -> web.Response:
        key, _ = await self.check(request)
        query = request.query
        records = [
            record
            for record in self._world.desk.open_of_owner(key.address)
            if query.get("id") in (None, "", record.order_id)
            and query.get("market") in (None, "", record.condition_id)
            and query.get("asset_id") in (None, "", record.token_id)
        ]
        body = page(records, request, PAGE)
        body["data"] = [wire.open_order(record) for record in body["data"]]
        return reply(body)

    async def trades(self, request: web.Request) -> web.Response:
        key, _ = await self.check(request)
        query = request.query
        before, after = _epoch(query.get("before")), _epoch(query.get("after"))
        records = [
            record
            for record in reversed(self._world.desk.trades_of(key.address))
            if query.get("id") in (None, "", record.trade_id)
            and query.get("market") in (None, "", record.condition_id)
            and (before is None or record.matched_ns // 1_000_000_000 < before)
            and (after is None or record.matched_ns // 1_000_000_000 > after)
        ]
        asset, maker = query.get("asset_id"), query.get("maker_address")
        if asset:
            records = [
                r for r in records if asset in {leg.token_id for leg in (r.taker, *r.makers)}
            ]
        if maker:
            records = [
                r for r in records if any(leg.wallet == maker for leg in r.legs_of(key.address))
            ]
        body = page(records, request, PAGE)
        body["data"] = [wire.trade(record, key.address) for record in body["data"]]
        return reply(body)

    # --- balances -----------------------------------------------------------------------------

    async def balance(self, request: web.Request) -> web.Response:
        key, _ = await self.check(request)
        kind = request.query.get("asset_type")
        wallet = self._wallet(request, key)
        if kind == "COLLATERAL":
            token = ""
        elif kind in ("CONDITIONAL", "CONDITIONAL-V2"):
            token = request.query.get("token_id", "")
            if not token.isascii() or not token.isdigit():
                raise bad("Invalid token id")
        else:
            raise bad("Invalid asset type")
        balance = self._world.told_balance(wallet, key.address, token)
        self._world.commit()
        allowances = {EXCHANGE: UNLIMITED, NEG_RISK_EXCHANGE: UNLIMITED}
        return reply({"balance": str(balance), "allowances": allowances})

    async def update_balance(self, request: web.Request) -> web.Response:
        key, _ = await self.check(request)
        wallet = self._wallet(request, key)
        self._world.refresh_balance(wallet, key.address)
        self._world.commit()
        return reply("")

    def _wallet(self, request: web.Request, key: ApiKey) -> str:
        raw = request.query.get("signature_type", "0") or "0"
        if raw not in {str(kind) for kind in SIGNATURE_TYPES}:
            raise bad("Invalid signature_type")
        candidates = wallets_of(key.address, int(raw))
        known = [wallet for wallet in candidates if self._world.bank.knows(wallet)]
        return known[0] if known else candidates[0]

    # --- the rest -----------------------------------------------------------------------------

    async def heartbeat(self, request: web.Request) -> web.Response:
        key, body = await self._arrived(request)
        payload = parse(body)
        given = payload.get("heartbeat_id", "") if isinstance(payload, dict) else None
        if given is None:
            given = ""
        if not isinstance(given, str):
            raise bad("Invalid payload")
        following = self._world.beat(key, given)
        self._world.commit()
        return reply({"heartbeat_id": following})

    async def tier(self, request: web.Request) -> web.Response:
        await self.check(request)
        return reply({"tier": "standard"})

    async def check(self, request: web.Request) -> tuple[ApiKey, bytes]:
        """Verify a level-2 request, and let everything happen that is due."""
        body = await request.read()
        path = request.path.removeprefix(self._prefix)
        key = self._world.keyring.verify_l2(request.headers, request.method, path, body)
        self._world.advance()
        return key, body

    async def _arrived(self, request: web.Request) -> tuple[ApiKey, bytes]:
        """As `check`, and wait until the message meets the market."""
        found = await self.check(request)
        if await self._world.order_way.arrive(found[0].key):
            self._world.advance()
        return found

    def _gate(self, kind: str, key: ApiKey, cost: int) -> dict[str, str]:
        now = self._world.now()
        self._world.faults.gate(kind, now)
        return self._world.limits.charge(kind, key.address, cost, now)


def _rejected(error: str) -> dict[str, Any]:
    return {
        "success": True,
        "errorMsg": error,
        "orderID": "",
        "status": "",
        "makingAmount": "",
        "takingAmount": "",
        "tradeIDs": [],
        "transactionsHashes": [],
    }


def _epoch(value: str | None) -> int | None:
    if value is None or value == "":
        return None
    if not value.isascii() or not value.isdigit() or len(value) > 15:
        raise bad("invalid timestamp")
    return int(value)
