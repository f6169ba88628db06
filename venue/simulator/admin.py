"""The simulator's own doors: what it is, what an address really has, and faults on demand."""

from typing import Any

import msgspec
from aiohttp import web

from venue.simulator.eip712 import parse_address
from venue.simulator.errors import bad
from venue.simulator.faults import NAMES
from venue.simulator.http import integer, parse, reply
from venue.simulator.wire import amount
from venue.simulator.world import World


class Admin:
    """Not part of the venue's wire; served on loopback like everything else."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return [
            web.get(f"{prefix}/status", self.status),
            web.get(f"{prefix}/fills", self.fills),
            web.get(f"{prefix}/ledger/{{address}}", self.ledger),
            web.get(f"{prefix}/faults", self.faults),
            web.post(f"{prefix}/faults", self.set_fault),
            web.delete(f"{prefix}/faults", self.clear_faults),
            web.delete(f"{prefix}/faults/{{name}}", self.clear_faults),
        ]

    async def status(self, _: web.Request) -> web.Response:
        self._world.advance()
        return reply(self._world.status())

    async def fills(self, _: web.Request) -> web.Response:
        """Pessimistic, central and optimistic results of every wallet, beside the real ones."""
        self._world.advance()
        self._world.commit()
        return reply(self._world.fills.report())

    async def ledger(self, request: web.Request) -> web.Response:
        """Cash, shares, orders and trades of an address and its wallets: the truth."""
        self._world.advance()
        address = parse_address(request.match_info["address"])
        if address is None:
            raise bad("that is no address")
        world = self._world
        bank = world.bank
        wallets = bank.wallets(address) or ([address] if bank.knows(address) else [])
        owner = bank.owner(wallets[0]) if wallets else address
        limit = integer(request, "limit", 1000, 1, 100_000)
        return reply(
            {
                "owner": owner,
                "wallets": {wallet: self._wallet(wallet) for wallet in wallets},
                "orders": [
                    msgspec.to_builtins(order) for order in world.journal.read_orders(owner, limit)
                ],
                "trades": [
                    msgspec.to_builtins(trade) for trade in world.desk.trades_of(owner)[-limit:]
                ],
                "rebates": [
                    msgspec.to_builtins(r) for w in wallets for r in world.rebates.paid_to(w)
                ],
                "redemptions": [
                    msgspec.to_builtins(r) for r in world.desk.redemptions if r.wallet in wallets
                ],
            }
        )

    def _wallet(self, wallet: str) -> dict[str, Any]:
        bank = self._world.bank
        tokens = {
            token: size
            for token in self._world.registry.by_token
            if (size := bank.shares(wallet, token))
        }
        return {
            "granted_e6": bank.granted(wallet),
            "cash_e6": bank.cash(wallet),
            "cash": amount(bank.cash(wallet)),
            "reserved_e6": bank.reserved(wallet),
            "shares_e6": tokens,
        }

    # --- faults -------------------------------------------------------------------------------

    async def faults(self, _: web.Request) -> web.Response:
        self._world.advance()
        board, now = self._world.faults, self._world.now()
        return reply(
            {
                "active": board.active(now),
                "on": board.details(now),
                "known": dict(sorted(NAMES.items())),
            }
        )

    async def set_fault(self, request: web.Request) -> web.Response:
        self._world.advance()
        body = parse(await request.read())
        if not isinstance(body, dict) or not isinstance(body.get("name"), str):
            raise bad('send {"name": …}; GET lists the names')
        params = {key: value for key, value in body.items() if key != "name"}
        self._world.set_fault(body["name"], params)
        self._world.commit()
        return await self.faults(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._world.clear_fault(request.match_info.get("name"))
        return await self.faults(request)
