"""The little of relayer and chain that clients ask for before they trade."""

from typing import Any

from aiohttp import web

from venue.simulator.eip712 import CHAIN_ID
from venue.simulator.errors import bad
from venue.simulator.http import parse, reply
from venue.simulator.wallets import BEACON


class Relayer:
    """Every wallet counts as deployed; the chain answers three read-only calls."""

    def routes(self, prefix: str, rpc: str) -> list[web.RouteDef]:
        return [web.get(f"{prefix}/deployed", self.deployed), web.post(rpc, self.rpc)]

    async def deployed(self, request: web.Request) -> web.Response:
        if not request.query.get("address"):
            raise bad("address is required")
        return reply({"deployed": True})

    async def rpc(self, request: web.Request) -> web.Response:
        call = parse(await request.read())
        if not isinstance(call, dict):
            raise bad("Invalid payload")
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call.get("id")}
        results = {
            "eth_chainId": hex(CHAIN_ID),
            # The deposit wallet factory is asked for its beacon.
            "eth_call": "0x" + BEACON[2:].lower().rjust(64, "0"),
            "eth_blockNumber": "0x1",
        }
        method = call.get("method")
        if method in results:
            return reply(answer | {"result": results[str(method)]})
        return reply(answer | {"error": {"code": -32601, "message": f"no method {method}"}})
