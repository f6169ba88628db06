"""How many signed orders the simulated venue takes, how fast it answers, how many it can tell.

    python benchmarks/simulator.py

The simulator is a process of its own that verifies every signature and commits every order to
SQLite before it answers; this process only sends requests it signed beforehand, on the other of
two cores. Beside it, in turns and with the same requests, runs a peer: a bare aiohttp handler that
reads the JSON and recovers the signer with coincurve, and keeps nothing. It is what this machine
would allow at this moment; quote the ratio. Three runs, a minute and a half in all:

orders      as many orders as it takes, from 32 connections
latency     500 orders a second at fixed times; from the planned time to the answer
streams     200 subscribers of one market while its book changes 1,000 times a second

Nothing is sent to any other machine. Rate limits are off. Each connection is a wallet of its own
that rests 20 orders where nobody trades and then cancels them, as a quoting agent does; cancels
are sent and answered on top of the orders that are counted.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil
from aiohttp import web
from coincurve import PrivateKey

from models.settings import Liquidity
from models.units import USD
from venue.simulator.__main__ import calm_collector
from venue.simulator.auth import parse_hex, sign_l2
from venue.simulator.bank import PROVIDER
from venue.simulator.config import SimulatorConfig
from venue.simulator.eip712 import (
    EXCHANGE,
    SignedFields,
    auth_digest,
    checksum,
    keccak,
    order_digest,
    recover,
)
from venue.simulator.http import reply
from venue.simulator.server import RunningSimulator, start_simulator

ROUNDS = 3
ORDERS = 5_000
CONNECTIONS = 32
RESTING = 20
LATENCY_RATE, LATENCY_S = 500, 8
SUBSCRIBERS, UPDATE_RATE, UPDATE_S = 200, 1_000, 8
BATCH_S = 0.005
TIMER_S = 0.001


# --- the server's process ------------------------------------------------------------------------


async def serve() -> None:
    """Run a simulator; each line of stdin asks for one second-long stretch of updates."""
    with tempfile.TemporaryDirectory() as home:
        config = SimulatorConfig(
            home=Path(home), liquidity=Liquidity.MODEL, capital_e6=10**6 * USD,
            rate_limits=False, address_limits=False,
        )  # fmt: skip
        simulator = await start_simulator(config)
        calm_collector()
        windows = [w for w in simulator.world.registry.all() if w.market.timeframe == "15m"]
        market = max((w.market for w in windows), key=lambda m: m.start_ns)
        tell(port=simulator.port, up=market.up_token, down=market.down_token)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        while line := await reader.readline():
            tell(sent=await update(simulator, market.condition_id, float(line)))
        await simulator.close()


async def update(simulator: RunningSimulator, condition_id: str, seconds: float) -> int:
    """Change the book `UPDATE_RATE` times a second; return how many changes were told."""
    world = simulator.world
    world.stepped = lambda *step: None  # type: ignore[method-assign]
    sent, start = 0, time.perf_counter()
    while (now := time.perf_counter()) < start + seconds:
        while sent < (now - start) * UPDATE_RATE:
            at_ns = world.now()
            bids = [(4_900, 100_000_000 + sent % 2 * 1_000_000)]
            events = world.exchange.impose(condition_id, PROVIDER, bids, [(5_100, 10**8)], at_ns)
            world.clerk.absorb(events, at_ns)
            sent += 1
        world.commit()
        await asyncio.sleep(BATCH_S)
    return sent


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


async def serve_peer() -> None:
    """Run the peer until stdin ends; it answers every request as the simulator would."""
    app = web.Application()
    app.router.add_post("/clob/order", peer_order)
    app.router.add_route("*", "/clob/{rest:.*}", peer_rest)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    calm_collector()
    tell(port=runner.addresses[0][1], up="1", down="2")
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


async def peer_order(request: web.Request) -> web.Response:
    order = msgspec.json.decode(await request.read())["order"]
    signer = recover(keccak(b"peer"), parse_hex(order["signature"]) or b"")
    return reply({"status": "live", "signer": signer})


async def peer_rest(request: web.Request) -> web.Response:
    """Log in, or cancel nothing."""
    await request.read()
    key = {"apiKey": "peer", "secret": "cGVlcg==", "passphrase": "peer"}
    return reply(key | {"canceled": [], "not_canceled": {}})


# --- the client's process ------------------------------------------------------------------------


@dataclass
class Server:
    """The simulator's process, seen from here."""

    process: asyncio.subprocess.Process
    port: int
    up: str
    down: str

    def cpu_s(self) -> float:
        """CPU time the server has used, which other programs disturb less than the clock."""
        used = psutil.Process(self.process.pid).cpu_times()
        return float(used.user + used.system)

    async def ask(self, words: str) -> dict[str, int]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{words}\n".encode())
        await self.process.stdin.drain()
        return dict(json.loads(await self.process.stdout.readline()))


@contextlib.asynccontextmanager
async def server(what: str, *profiler: str) -> AsyncIterator["Server"]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *profiler, __file__, what,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    line = b""
    while not line.startswith(b"{"):
        line = await process.stdout.readline()
        if not line:
            raise SystemExit(f"the process that should {what} did not start")
    try:
        yield Server(process, **json.loads(line))
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request on its way at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[bytes] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(body) >= length and self._answer is not None:
            answer, self._buffer = self._buffer, b""
            self._answer.set_result(answer)

    async def send(self, request: bytes) -> bytes:
        assert self.transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer


async def connect(port: int) -> Connection:
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(Connection, "127.0.0.1", port))[1]


@dataclass
class Signer:
    """A wallet with its API key, which signs orders and requests."""

    key: PrivateKey
    address: str
    api: dict[str, str] = field(default_factory=dict)

    @classmethod
    async def log_in(cls, port: int, number: int) -> "Signer":
        key = PrivateKey(bytes(31) + bytes([number + 1]))
        address = checksum(keccak(key.public_key.format(compressed=False)[1:])[12:])
        stamp = str(int(time.time()))
        signature = sign(key, auth_digest(address, stamp, 0))
        head = (
            "POST /clob/auth/api-key HTTP/1.1\r\nHost: sim\r\n"
            f"POLY_ADDRESS: {address}\r\nPOLY_SIGNATURE: {signature}\r\n"
            f"POLY_TIMESTAMP: {stamp}\r\nPOLY_NONCE: 0\r\nContent-Length: 0\r\n\r\n"
        )
        answer = await (await connect(port)).send(head.encode())
        return cls(key, address, json.loads(answer.partition(b"\r\n\r\n")[2]))

    def order(self, number: int, token: str) -> bytes:
        """A whole request: BUY 5 at a price of 0.01 to 0.09, never the same order twice."""
        cash_e6 = 50_000 * (1 + number % 9)
        now_ms = int(time.time() * 1000)
        fields = SignedFields(
            salt=number, maker=self.address, signer=self.address, token_id=int(token),
            maker_amount=cash_e6, taker_amount=5_000_000, side=0, signature_type=0,
            timestamp_ms=now_ms, metadata=bytes(32), builder=bytes(32),
        )  # fmt: skip
        zero = "0x" + "00" * 32
        body = msgspec.json.encode(
            {
                "deferExec": False,
                "order": {
                    "builder": zero, "expiration": "0", "maker": self.address,
                    "makerAmount": str(cash_e6), "metadata": zero, "salt": number,
                    "side": "BUY", "signature": sign(self.key, order_digest(fields, EXCHANGE)),
                    "signatureType": 0, "signer": self.address, "takerAmount": "5000000",
                    "timestamp": str(now_ms), "tokenId": token,
                },
                "orderType": "GTC",
                "owner": self.api["apiKey"],
            }
        )  # fmt: skip
        return self.request("POST", "/order", body)

    def request(self, method: str, path: str, body: bytes) -> bytes:
        """A whole request with the headers of level 2."""
        stamp = str(int(time.time()))
        signature = sign_l2(self.api["secret"], stamp, method, path, body)
        head = (
            f"{method} /clob{path} HTTP/1.1\r\nHost: sim\r\n"
            f"POLY_ADDRESS: {self.address}\r\nPOLY_SIGNATURE: {signature}\r\n"
            f"POLY_TIMESTAMP: {stamp}\r\nPOLY_API_KEY: {self.api['apiKey']}\r\n"
            f"POLY_PASSPHRASE: {self.api['passphrase']}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def script(self, first: int, orders: int, token: str) -> list[bytes]:
        """Orders, and a cancel of all after every `RESTING` of them."""
        requests = []
        for number in range(first, first + orders):
            requests.append(self.order(number, token))
            if (number + 1 - first) % RESTING == 0:
                requests.append(self.request("DELETE", "/cancel-all", b""))
        return requests


def sign(key: PrivateKey, digest: bytes) -> str:
    raw = key.sign_recoverable(digest, hasher=None)
    return "0x" + (raw[:64] + bytes([raw[64] + 27])).hex()


def taken(answers: list[bytes]) -> int:
    """Count the accepted orders. Stops if any answer is neither that nor a whole cancel."""
    orders = 0
    for answer in answers:
        placed = b'"status":"live"' in answer
        if not answer.startswith(b"HTTP/1.1 200") or not (placed or b'"not_canceled":{}' in answer):
            raise SystemExit(f"a request failed: {answer.decode(errors='replace')}")
        orders += placed
    return orders


async def orders_per_second(port: int, scripts: list[list[bytes]]) -> float:
    """Send every script over a connection of its own, as fast as it is answered."""
    answers: list[bytes] = []

    async def work(connection: Connection, script: list[bytes]) -> None:
        for request in script:
            answers.append(await connection.send(request))

    connections = [await connect(port) for _ in scripts]
    start = time.perf_counter()
    await asyncio.gather(*(work(c, s) for c, s in zip(connections, scripts, strict=True)))
    return taken(answers) / (time.perf_counter() - start)


async def latencies_ms(port: int, scripts: list[list[bytes]], rate: float) -> list[float]:
    """Send at fixed times whatever comes back; return the time to each answer, sorted.

    The scripts take turns. A request whose wallet still waits for an answer is sent after it, and
    that wait counts.
    """
    answers: list[bytes] = []
    took: list[float] = []

    async def work(script: list[bytes], offset: int, start: float) -> None:
        connection = await connect(port)
        for number, request in enumerate(script):
            planned = start + (number * len(scripts) + offset) / rate
            await asyncio.sleep(max(0.0, planned - time.perf_counter()))
            # The event loop wakes us late by what its timers are coarse; the server is not to
            # blame for that.
            sent = max(planned, min(time.perf_counter(), planned + TIMER_S))
            answers.append(await connection.send(request))
            took.append((time.perf_counter() - sent) * 1000)

    start = time.perf_counter() + 0.3
    await asyncio.gather(*(work(s, i, start) for i, s in enumerate(scripts)))
    taken(answers)
    return sorted(took)


class Subscriber(asyncio.Protocol):
    """A WebSocket that counts price changes and reads nothing else of them."""

    def __init__(self, hello: bytes) -> None:
        self._hello = hello
        self._rest = b""
        self._open = False
        self.changes = 0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(
            b"GET /ws/market HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        # A client's frame is masked; a mask of zeros leaves it readable.
        head = b"\x81" + bytes([0x80 | 126]) + len(self._hello).to_bytes(2, "big") + bytes(4)
        transport.write(head + self._hello)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._open:
            _, found, data = data.partition(b"\r\n\r\n")
            self._open = bool(found)
        at = 0
        while (ends := frame_end(data, at)) is not None:
            if data.find(b"price_change", at, min(ends, at + 60)) >= 0:
                self.changes += 1
            at = ends
        self._rest = data[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


def frame_end(data: bytes, at: int) -> int | None:
    """Where the frame that begins at `at` ends, None while it is not whole."""
    if len(data) < at + 4:
        return None
    short = data[at + 1] & 0x7F
    if short < 126:
        ends = at + 2 + short
    elif short == 126:
        ends = at + 4 + int.from_bytes(data[at + 2 : at + 4], "big")
    else:
        ends = at + 10 + int.from_bytes(data[at + 2 : at + 10], "big")
    return ends if ends <= len(data) else None


async def streams(target: Server) -> tuple[int, int, int]:
    """Updates told, price changes dropped over all subscribers, connections lost."""
    hello = json.dumps({"type": "market", "assets_ids": [target.up, target.down]}).encode()
    loop = asyncio.get_running_loop()
    subscribers = [
        (await loop.create_connection(lambda: Subscriber(hello), "127.0.0.1", target.port))[1]
        for _ in range(SUBSCRIBERS)
    ]
    await asyncio.sleep(0.5)
    before = [s.changes for s in subscribers]
    sent = (await target.ask(str(UPDATE_S)))["sent"]
    await until(lambda: all(s.changes - b >= sent for s, b in zip(subscribers, before)))  # noqa: B905
    dropped = sum(max(0, sent - (s.changes - b)) for s, b in zip(subscribers, before))  # noqa: B905
    return sent, dropped, sum(s.lost for s in subscribers)


async def until(ready: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.perf_counter() + seconds
    while not ready() and time.perf_counter() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


@dataclass
class Party:
    """A server under load: its wallets, and what was measured of it."""

    target: Server
    signers: list[Signer]
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    took_ms: list[list[float]] = field(default_factory=list)

    @classmethod
    async def join(cls, target: Server) -> "Party":
        return cls(target, [await Signer.log_in(target.port, n) for n in range(CONNECTIONS)])

    def scripts(self, first: int, orders: int) -> list[list[bytes]]:
        return [s.script(first, orders // CONNECTIONS, self.target.up) for s in self.signers]

    async def hurry(self, number: int) -> None:
        scripts = self.scripts(1 + number * ORDERS, ORDERS)
        used = self.target.cpu_s()
        self.rates.append(await orders_per_second(self.target.port, scripts))
        each = (self.target.cpu_s() - used) / (ORDERS // CONNECTIONS * CONNECTIONS)
        self.cpu_us.append(each * 1e6)

    async def keep_pace(self, number: int) -> None:
        scripts = self.scripts(10**6 + number * ORDERS, LATENCY_RATE * LATENCY_S)
        self.took_ms.append(await latencies_ms(self.target.port, scripts, LATENCY_RATE))

    def percentile(self, part: float) -> list[float]:
        """That part of each round's sorted latencies, least first."""
        return sorted(took[int(len(took) * part)] for took in self.took_ms)


async def measure(profiler: list[str], only: list[str]) -> None:
    async with server("serve", *profiler) as target, server("peer") as bare:
        ours, peer = await Party.join(target), await Party.join(bare)
        for number in range(ROUNDS):
            for party in (ours, peer):
                if "orders" in only:
                    await party.hurry(number)
                if "latency" in only:
                    await party.keep_pace(number)
        if "orders" in only:
            tell_orders(ours, peer)
        if "latency" in only:
            tell_latency("latency", ours)
            tell_latency("  peer", peer)
        if "streams" in only:
            sent, dropped, lost = await streams(target)
            print(
                f"streams     {SUBSCRIBERS} subscribers, {sent} updates in {UPDATE_S} s: "
                f"{dropped} of {sent * SUBSCRIBERS:,} dropped, {lost} connections lost"
            )


def tell_orders(ours: Party, peer: Party) -> None:
    rate, bare = max(ours.rates), max(peer.rates)
    print(f"orders      {rate:,.0f}/s at best (median {statistics.median(ours.rates):,.0f}/s) of "
          f"{ROUNDS} rounds, signed, verified, committed and acknowledged; the server used "
          f"{min(ours.cpu_us):.0f} us of CPU each, its cancel included")  # fmt: skip
    print(f"  peer      {bare:,.0f}/s at best (median {statistics.median(peer.rates):,.0f}/s), "
          f"{min(peer.cpu_us):.0f} us of CPU each: {bare / rate:.1f} times ours")  # fmt: skip


def tell_latency(name: str, party: Party) -> None:
    p50, p99 = party.percentile(0.5), party.percentile(0.99)
    print(f"{name:12}{LATENCY_RATE}/s, {ROUNDS} rounds of {LATENCY_S} s: p50 "
          f"{statistics.median(p50):.2f} ms, p99 {p99[0]:.2f} ms at best, "
          f"{statistics.median(p99):.2f} ms in the middle, {p99[-1]:.2f} ms at worst")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("what", nargs="*", default=["orders", "latency", "streams"])
    parser.add_argument("--profile", metavar="FILE", help="write the server's profile here")
    options = parser.parse_args()
    if options.what in (["serve"], ["peer"]):
        asyncio.run(serve() if options.what == ["serve"] else serve_peer())
        return
    profiler = ["-m", "cProfile", "-o", options.profile] if options.profile else []
    asyncio.run(measure(profiler, options.what))


if __name__ == "__main__":
    main()
