"""Settings of a simulated floor, a market, and a scripted venue on loopback that plays faults."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import WSMsgType, web

from models.events import FeedEvent, FeedState, FeedStatus
from models.markets import FeeSchedule, Market, Outcome, Side
from models.orders import OrderRequest, TimeInForce
from models.settings import Settings
from models.units import SECOND_NS
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.endpoints import Endpoints

UP = "71321045679252212594626385532706912750332728571942532289631379312455583992563"
DOWN = "52114319501245915516055106046884209969926127482827954674443846427813813222426"
CONDITION = "0x" + "5f" * 32
CREDS = {
    "apiKey": "0b0bb1ea-7a3c-4c86-9e0c-1e5b5a6dd6a1",
    "secret": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ=",
    "passphrase": "pass",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, floor_home=tmp_path, sim_port=1)  # type: ignore[call-arg]


@pytest.fixture
def market() -> Market:
    start = 1_800_000_000 * SECOND_NS
    return Market(
        condition_id=CONDITION,
        slug="btc-updown-15m-1800000000",
        question="Bitcoin Up or Down",
        asset="BTC",
        timeframe="15m",
        up_token=UP,
        down_token=DOWN,
        start_ns=start,
        end_ns=start + 900 * SECOND_NS,
        tick_e4=100,
        min_size_e6=5_000_000,
        fee=FeeSchedule(70_000, 1, 200_000),
    )


@pytest.fixture
def request_of(market: Market) -> Callable[..., OrderRequest]:
    """Builds order requests for `market`; by default 10 Up bought at 0.48, good till cancelled."""
    base = OrderRequest(
        intent_id="i1",
        agent="tester",
        condition_id=market.condition_id,
        token_id=market.up_token,
        outcome=Outcome.UP,
        side=Side.BUY,
        price_e4=4800,
        size_e6=10_000_000,
        tif=TimeInForce.GTC,
    )
    return lambda **changes: replace(base, **changes)


Reply = tuple[int, Any]
Play = Callable[[web.Request, Any], Awaitable[web.StreamResponse] | Reply | None]


@dataclass
class Heard:
    """One request the scripted venue received."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


@dataclass
class ScriptedVenue:
    """An HTTP and WebSocket server that says what a test told it to.

    ``plays["POST /order"]`` is a list of replies for that call, used one after the other; the
    last one stays. A reply is ``(status, body)`` or a function of the request and its JSON.
    """

    where: Endpoints
    plays: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    heard: list[Heard] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    on_frame: Callable[[web.WebSocketResponse, str], Awaitable[None]] | None = None
    pong: bool = True
    refuse_sockets: bool = False

    def calls(self, call: str) -> list[Heard]:
        return [h for h in self.heard if f"{h.method} {h.path}" == call]

    async def tell(self, *messages: Any) -> None:
        """Send to every open socket."""
        for message in messages:
            text = message if isinstance(message, str) else json.dumps(message)
            for socket in list(self.sockets):
                await socket.send_str(text)

    async def http(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else None
        self.heard.append(Heard(request.method, request.path, dict(request.query), body))
        plays = self.plays[f"{request.method} {request.path}"]
        if not plays:
            return web.json_response({"error": f"unscripted {request.path}"}, status=404)
        play = plays.pop(0) if len(plays) > 1 else plays[0]
        if callable(play):
            play = play(request, body)
            if asyncio.iscoroutine(play):
                play = await play
        if isinstance(play, web.StreamResponse):
            return play
        status, answer = play
        if isinstance(answer, str):
            return web.Response(text=answer, status=status, content_type="text/plain")
        return web.json_response(answer, status=status)

    async def socket(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_sockets:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                if message.data == "PING":
                    if self.pong:
                        await socket.send_str("PONG")
                    continue
                self.frames.append(message.data)
                if self.on_frame is not None:
                    await self.on_frame(socket, message.data)
        finally:
            self.sockets.remove(socket)
        return socket

    async def drop(self) -> None:
        """Cut all sockets without a closing handshake."""
        for socket in list(self.sockets):
            transport = socket._req.transport  # type: ignore[union-attr]
            if transport is not None:
                transport.abort()


def reset(venue: ScriptedVenue) -> None:
    """Forget what a test taught: one API key is known, refreshes are taken, nothing was heard."""
    venue.plays.clear()
    venue.plays["GET /auth/derive-api-key"] = [(200, CREDS)]
    venue.plays["GET /auth/api-keys"] = [(200, {"apiKeys": [CREDS["apiKey"]]})]
    venue.plays["GET /balance-allowance/update"] = [(200, {})]
    venue.heard.clear()


@asynccontextmanager
async def scripted_venue() -> AsyncIterator[ScriptedVenue]:
    app = web.Application()
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    ready: dict[str, ScriptedVenue] = {}

    async def http(request: web.Request) -> web.StreamResponse:
        return await ready["venue"].http(request)

    async def socket(request: web.Request) -> web.StreamResponse:
        return await ready["venue"].socket(request)

    app.router.add_get("/ws", socket)
    app.router.add_route("*", "/{tail:.*}", http)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    base, ws = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/ws"
    venue = ready["venue"] = ScriptedVenue(Endpoints(base, base, base, base, base, ws, ws, ws, ws))
    reset(venue)
    yield venue
    await runner.cleanup()


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedVenue]:
    async with scripted_venue() as venue:
        yield venue


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_venue(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[ScriptedVenue, PolymarketVenue]]:
    """A scripted venue and a client logged in to it, for a whole module: logging in is slow."""
    home = tmp_path_factory.mktemp("floor")
    settings = Settings(_env_file=None, floor_home=home, sim_port=1)  # type: ignore[call-arg]
    async with scripted_venue() as venue:
        client = await PolymarketVenue.connect(settings, 7, "tester", where=venue.where)
        yield venue, client
        await client.close()


class Recorder:
    """A sink that keeps what it is given and lets a test wait for it."""

    def __init__(self) -> None:
        self.events: list[FeedEvent] = []
        self._news = asyncio.Event()

    def __call__(self, event: FeedEvent) -> None:
        self.events.append(event)
        self._news.set()

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def states(self) -> list[FeedState]:
        return [event.state for event in self.events if isinstance(event, FeedStatus)]

    async def until(self, ready: Callable[[], object], seconds: float = 10.0) -> None:
        """Wait until `ready` holds, looking whenever an event comes."""
        async with asyncio.timeout(seconds):
            while not ready():
                self._news.clear()
                try:
                    async with asyncio.timeout(0.05):
                        await self._news.wait()
                except TimeoutError:
                    continue


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
