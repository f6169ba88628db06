"""Settings of a simulated floor, a market, and a scripted venue on loopback that plays faults."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiohttp import WSMsgType, web

from models.events import FeedEvent, FeedState, FeedStatus
from models.markets import FeeSchedule, Market, Outcome, Side
from models.orders import OrderRequest, TimeInForce, TradeStatus, VenueTrade
from models.settings import Liquidity, Settings
from models.units import SECOND_NS
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.endpoints import Endpoints
from venue.polymarket.feed import FeedTiming, PolymarketFeed, PublicFeed
from venue.polymarket.limits import Limits
from venue.polymarket.market_channel import MarketTiming
from venue.polymarket.price_channel import PriceTiming
from venue.polymarket.user_channel import UserTiming
from venue.polymarket.ws import LinkTiming
from venue.simulator.clock import ManualClock
from venue.simulator.config import SimulatorConfig
from venue.simulator.server import RunningSimulator, start_simulator

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


# --- the simulator ---------------------------------------------------------------------------

START_S = 1_900_000_800
FAST = LinkTiming(ping_s=0.05, pong_s=1.0, backoff_least_s=0.02, backoff_most_s=0.1)
TIMING = FeedTiming(
    market=MarketTiming(
        link=FAST, check_s=0.05, snapshot_s=0.5, quiet_s=0.5, recheck_s=0.1, unconfirmed_s=2.0
    ),
    user=UserTiming(link=FAST, check_s=0.05, unheard_s=0.5),
    prices=PriceTiming(link=replace(FAST, pong_s=None), check_s=0.05, stale_s=1.0),
)


def order(market: Market, **changes: Any) -> OrderRequest:
    """By default 10 Up at 0.02, far from the market."""
    outcome = changes.get("outcome", Outcome.UP)
    base = OrderRequest(
        "i", "a", market.condition_id, market.token(outcome), outcome, Side.BUY, 200, 10_000_000
    )
    return replace(base, **changes)


def cash_change(trades: list[VenueTrade]) -> int:
    total = 0
    for trade in trades:
        if trade.status is not TradeStatus.FAILED:
            for leg in trade.legs:
                total += (leg.cash_e6 if leg.side is Side.SELL else -leg.cash_e6) - leg.fee_e6
    return total


def share_change(trades: list[VenueTrade], token: str) -> int:
    return sum(
        leg.size_e6 if leg.side is Side.BUY else -leg.size_e6
        for trade in trades
        if trade.status is not TradeStatus.FAILED
        for leg in trade.legs
        if leg.token_id == token
    )


@dataclass
class Stage:
    """A simulator whose clock stands still, two minutes into a modelled window."""

    sim: RunningSimulator
    clock: ManualClock
    home: Path
    start_s: int = START_S
    venues: dict[int, PolymarketVenue] = field(default_factory=dict)
    """Shared clients by nonce: logging in is slow."""
    open: list[Any] = field(default_factory=list)

    @property
    def where(self) -> Endpoints:
        http, ws = self.sim.url, self.sim.ws_url
        return Endpoints(
            f"{http}/clob", f"{http}/clob", f"{http}/gamma", f"{http}/data", f"{http}/relayer",
            f"{ws}/ws/market", f"{ws}/ws/user", f"{ws}/ws/prices", f"{ws}/ws/live",
        )  # fmt: skip

    @property
    def settings(self) -> Settings:
        return Settings(_env_file=None, floor_home=self.home, sim_port=self.sim.port)  # type: ignore[call-arg]

    async def venue(
        self, nonce: int = 1, timeout_s: float = 5.0, settings: Settings | None = None
    ) -> PolymarketVenue:
        venue = await PolymarketVenue.connect(
            settings or self.settings, nonce, f"agent-{nonce}", where=self.where,
            timeout_s=timeout_s,
        )  # fmt: skip
        self.open.append(venue)
        return venue

    async def shared(self, nonce: int = 1) -> PolymarketVenue:
        """A client that stays logged in from test to test, with fresh rate limits."""
        if nonce not in self.venues:
            self.venues[nonce] = await PolymarketVenue.connect(
                self.settings, nonce, f"agent-{nonce}", where=self.where
            )
        session = self.venues[nonce]._session
        session.limits = Limits()
        return PolymarketVenue(session, f"agent-{nonce}")

    async def market(self) -> Market:
        async with GammaDiscovery(self.settings, self.where) as discovery:
            found = await discovery.market("BTC", "15m", self.start_s)
        assert found is not None
        return found

    def feed(self, venue: PolymarketVenue | None = None) -> PublicFeed:
        feed = (
            PublicFeed(self.settings, where=self.where, timing=TIMING)
            if venue is None
            else PolymarketFeed(self.settings, venue, where=self.where, timing=TIMING)
        )
        self.open.append(feed)
        return feed

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.sim.step()

    async def fault(self, name: str, **params: Any) -> None:
        async with httpx.AsyncClient() as http:
            reply = await http.post(f"{self.sim.url}/admin/faults", json={"name": name} | params)
        assert reply.status_code == 200, reply.text

    def order(self, market: Market, **changes: Any) -> OrderRequest:
        """By default 10 Up at 0.02, far from the market."""
        return order(market, **changes)

    def taking(self, market: Market, side: Side = Side.BUY, **changes: Any) -> OrderRequest:
        """By default spends 4.95 on Up at whatever price."""
        price = 9900 if side is Side.BUY else 100
        changes = {"price_e4": price, "size_e6": 5_000_000, "tif": TimeInForce.FAK} | changes
        return order(market, side=side, **changes)

    async def clear(self) -> None:
        async with httpx.AsyncClient() as http:
            await http.delete(f"{self.sim.url}/admin/faults")

    async def tidy(self) -> None:
        """End what a test left behind."""
        await self.clear()
        for thing in reversed(self.open):
            await thing.close()
        self.open.clear()
        for nonce in self.venues:
            await (await self.shared(nonce)).cancel_all()

    async def ledger(self, venue: PolymarketVenue) -> dict[str, Any]:
        async with httpx.AsyncClient() as http:
            reply = await http.get(f"{self.sim.url}/admin/ledger/{venue.wallet}")
        body = reply.json()
        return body | body["wallets"][venue.wallet]

    async def send(self, venue: PolymarketVenue, request: OrderRequest, market: Market) -> str:
        signed = await venue.sign(request, market)
        await venue.submit(signed)
        return signed.order_id

    async def books_agree(self, venue: PolymarketVenue, market: Market) -> None:
        """Money and orders as the adapter tells them are the exchange's own, to the last unit."""
        truth = await self.ledger(venue)
        trades = await venue.trades()
        assert truth["cash_e6"] == truth["granted_e6"] + cash_change(trades)
        assert await venue.cash_e6() == truth["cash_e6"]
        for token in (market.up_token, market.down_token):
            held = truth["shares_e6"].get(token, 0)
            assert share_change(trades, token) == held
            assert await venue.shares_e6(token) == held
        resting = {o["order_id"] for o in truth["orders"] if o["status"] == "LIVE"}
        assert {o.order_id for o in await venue.open_orders()} == resting


@asynccontextmanager
async def simulator(home: Path, **changes: Any) -> AsyncIterator[Stage]:
    clock = ManualClock((START_S + changes.pop("into_s", 120)) * SECOND_NS)
    config = SimulatorConfig(liquidity=Liquidity.MODEL, taker_delay_ms=0, **changes)
    sim = await start_simulator(config, clock)
    stage = Stage(sim, clock, home)
    yield stage
    await stage.tidy()
    for venue in stage.venues.values():
        await venue.close()
    await sim.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with simulator(tmp_path_factory.mktemp("floor")) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def stage(shared_stage: Stage) -> AsyncIterator[Stage]:
    """The module's simulator, without open orders or faults."""
    yield shared_stage
    await shared_stage.tidy()


@pytest_asyncio.fixture(loop_scope="module")
async def short_stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A simulator of its own whose windows last 40 seconds."""
    async with simulator(tmp_path, window_seconds=40, into_s=5) as stage:
        yield stage
