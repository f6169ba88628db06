"""A simulator on a clock of the test's own, and a bare client that signs what it is told to."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from coincurve import PrivateKey

from models.settings import Liquidity
from models.units import SECOND_NS
from venue.simulator.auth import sign_l2
from venue.simulator.clock import ManualClock
from venue.simulator.config import Series, SimulatorConfig
from venue.simulator.eip712 import (
    EXCHANGE,
    SignedFields,
    auth_digest,
    checksum,
    keccak,
    order_digest,
)
from venue.simulator.server import RunningSimulator, start_simulator
from venue.simulator.windows import Window

START_S = 1_800_003_600
SHARE = 1_000_000
ZERO = "0x" + "00" * 32


def sign(key: PrivateKey, digest: bytes) -> str:
    raw = key.sign_recoverable(digest, hasher=None)
    return "0x" + (raw[:64] + bytes([raw[64] + 27])).hex()


@dataclass
class Trader:
    """A wallet of its own with an API key; every call returns (status, body)."""

    url: str
    http: aiohttp.ClientSession
    key: PrivateKey
    address: str
    api: dict[str, str] = field(default_factory=dict)
    salt: int = 0

    @classmethod
    async def log_in(cls, url: str, http: aiohttp.ClientSession, number: int = 1) -> "Trader":
        key = PrivateKey(bytes(31) + bytes([number]))
        address = checksum(keccak(key.public_key.format(compressed=False)[1:])[12:])
        headers = {
            "POLY_ADDRESS": address, "POLY_TIMESTAMP": "1800000000", "POLY_NONCE": "0",
            "POLY_SIGNATURE": sign(key, auth_digest(address, "1800000000", 0)),
        }  # fmt: skip
        trader = cls(url, http, key, address)
        for method, path in (("POST", "api-key"), ("GET", "derive-api-key")):
            async with http.request(method, f"{url}/clob/auth/{path}", headers=headers) as answer:
                if answer.status == 200:
                    trader.api = await answer.json()
                    break
        return trader

    def order(
        self, token: str, cents: int, shares: int, side: str = "BUY", kind: str = "GTC",
        **changes: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Body of POST /order, signed."""
        self.salt += 1
        cash, size = cents * shares * SHARE // 100, shares * SHARE
        maker, taker = (cash, size) if side == "BUY" else (size, cash)
        fields = SignedFields(
            salt=self.salt, maker=self.address, signer=self.address, token_id=int(token),
            maker_amount=maker, taker_amount=taker, side=int(side == "SELL"), signature_type=0,
            timestamp_ms=1_800_000_000_000, metadata=bytes(32), builder=bytes(32),
        )  # fmt: skip
        order = {
            "salt": self.salt, "maker": self.address, "signer": self.address, "tokenId": token,
            "makerAmount": str(maker), "takerAmount": str(taker), "side": side,
            "expiration": "0", "signatureType": 0, "timestamp": "1800000000000",
            "metadata": ZERO, "builder": ZERO,
            "signature": sign(self.key, order_digest(fields, EXCHANGE)),
        }  # fmt: skip
        body = {"order": order, "owner": self.api["apiKey"], "orderType": kind, "deferExec": False}
        return body | changes

    def headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        return {
            "POLY_ADDRESS": self.address, "POLY_API_KEY": self.api["apiKey"],
            "POLY_PASSPHRASE": self.api["passphrase"], "POLY_TIMESTAMP": "1800000000",
            "POLY_SIGNATURE": sign_l2(self.api["secret"], "1800000000", method, path, body),
        }  # fmt: skip

    async def send(self, method: str, path: str, body: object = None, query: str = "") -> Any:
        """A level-2 request; `body` is JSON unless it is bytes already."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        headers = self.headers(method, path, raw)
        url = f"{self.url}/clob{path}{query}"
        async with self.http.request(method, url, data=raw, headers=headers) as answer:
            return answer.status, await answer.json()

    async def post(self, *order: Any, **changes: Any) -> Any:
        return await self.send("POST", "/order", self.order(*order, **changes))

    async def ledger(self) -> dict[str, Any]:
        async with self.http.get(f"{self.url}/admin/ledger/{self.address}") as answer:
            assert answer.status == 200
            return dict(await answer.json())


@dataclass
class Stage:
    """A running simulator, its clock, and a session of a client's."""

    sim: RunningSimulator
    clock: ManualClock
    http: aiohttp.ClientSession

    @property
    def window(self) -> Window:
        """The running window of the first series."""
        world = self.sim.world
        return next(w for w in world.registry.all() if world.accepting(w) and not w.closed)

    @property
    def up(self) -> str:
        return self.window.market.up_token

    def empty_book(self) -> Window:
        """Take everybody else's depth out of the running window, until time moves."""
        window, world = self.window, self.sim.world
        world.withdrawn(window, world.now())
        world._trading.add(window.condition_id)
        return window

    async def trader(self, number: int = 1) -> Trader:
        return await Trader.log_in(self.sim.url, self.http, number)

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.sim.step()

    async def book(self, token: str = "") -> tuple[list[tuple[int, int]], ...]:
        return self.sim.world.book(self.window, token or self.up)


@pytest.fixture
async def make_stage(tmp_path: Any) -> AsyncIterator[Callable[..., Awaitable[Stage]]]:
    """Start a simulator of one ETH series, five minutes into a window, on a still clock."""
    stages: list[Stage] = []

    async def make(at_s: float = START_S + 300, **changes: Any) -> Stage:
        clock = ManualClock(round(at_s * SECOND_NS))
        options: dict[str, Any] = {
            "home": tmp_path / "sim", "liquidity": Liquidity.MODEL, "taker_delay_ms": 0,
            "series": (Series("ETH", "15m"),),
        }  # fmt: skip
        sim = await start_simulator(SimulatorConfig(**(options | changes)), clock)
        stages.append(Stage(sim, clock, aiohttp.ClientSession()))
        return stages[-1]

    yield make
    for stage in stages:
        await stage.http.close()
        await stage.sim.close()


async def eventually(what: str, check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait until `check` returns something true."""
    for _ in range(round(seconds / 0.01)):
        if found := check():
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what} did not come within {seconds} s")


@pytest.fixture
def wait_for() -> Callable[..., Awaitable[Any]]:
    return eventually


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
