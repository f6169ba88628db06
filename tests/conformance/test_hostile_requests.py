"""Anything may be sent to the server; it never fails, and what is refused changes nothing."""

import asyncio
import copy
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polymarket import AsyncSecureClient

from venue.simulator.auth import sign_l2

from .conftest import OWNER
from .test_official_client import client_body

SETTINGS = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
FIELDS = (
    "salt", "maker", "signer", "tokenId", "makerAmount", "takerAmount", "side", "signatureType",
    "timestamp", "expiration", "metadata", "builder", "signature",
)  # fmt: skip


class Attacker:
    """Signs anything at all with a valid API key."""

    def __init__(self, stage: Any, client: AsyncSecureClient, http: aiohttp.ClientSession) -> None:
        self.stage = stage
        self.client = client
        self.http = http
        self.loop = asyncio.get_running_loop()

    async def send(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        key = self.client.credentials
        headers = {
            "POLY_ADDRESS": OWNER.address,
            "POLY_API_KEY": key.key,
            "POLY_PASSPHRASE": key.passphrase,
            "POLY_TIMESTAMP": "1800000000",
            "POLY_SIGNATURE": sign_l2(key.secret, "1800000000", method, path, body),
        }
        url = self.stage.url + "/clob" + path
        async with self.http.request(method, url, data=body, headers=headers) as response:
            return response.status, await response.json()

    async def cash(self) -> int:
        return self.stage.sim.world.bank.cash(OWNER.address)


@pytest.fixture
async def attacker(make_stage) -> AsyncIterator[Attacker]:
    stage = await make_stage(rate_limits=False)
    client = await stage.client()
    async with aiohttp.ClientSession() as http:
        yield Attacker(stage, client, http)
    await client.close()
    await stage.sim.close()


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=80)
    | st.sampled_from(["0", "-1", "1e9", "9" * 90, "0x", "0x" + "ff" * 65, "BUY", "SELL", "²"])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


async def test_mutated_orders_never_break_the_server(attacker):
    order = await attacker.client.create_limit_order(
        asset_id=attacker.stage.up, price="0.05", size="10", side="BUY"
    )
    good = json.loads(json.dumps(client_body(order, "GTC")(attacker.client), default=str))
    cases: list[tuple[str, Any]] = []

    @SETTINGS
    @given(st.sampled_from((*FIELDS, "owner", "orderType", "order", "postOnly")), values)
    def collect(field: str, value: Any) -> None:
        cases.append((field, value))

    collect()
    for field, value in cases:
        body = copy.deepcopy(good)
        (body["order"] if field in FIELDS else body)[field] = value
        status, answer = await attacker.send("POST", "/order", json.dumps(body).encode())
        unchanged = body == good or (field == "postOnly" and value is True)
        if unchanged or status == 200:
            assert status == 200, answer
            await attacker.send("DELETE", "/cancel-all", b"")
            continue
        assert 400 <= status < 500, (field, value, answer)
        assert isinstance(answer["error"], str)
        assert answer["error"]
    assert await attacker.cash() == 1_000_000_000
    assert attacker.stage.sim.world.bank.reserved(OWNER.address) == 0


async def test_any_body_on_any_private_path_gets_an_answer(attacker):
    cases: list[tuple[str, str, bytes]] = []
    paths = [
        ("POST", "/order"), ("POST", "/orders"), ("DELETE", "/order"), ("DELETE", "/orders"),
        ("DELETE", "/cancel-all"), ("DELETE", "/cancel-market-orders"), ("POST", "/v1/heartbeats"),
        ("POST", "/orders-scoring"),
    ]  # fmt: skip
    bodies = st.binary(max_size=60) | values.map(lambda v: json.dumps(v).encode())

    @SETTINGS
    @given(st.sampled_from(paths), bodies)
    def collect(path: tuple[str, str], body: bytes) -> None:
        cases.append((*path, body))

    collect()
    for method, path, body in cases:
        status, answer = await attacker.send(method, path, body)
        assert status in (200, 400, 404), (method, path, body, answer)
    assert await attacker.cash() == 1_000_000_000


async def test_any_query_on_any_public_path_gets_an_answer(attacker):
    paths = [
        "/clob/book", "/clob/midpoint", "/clob/price", "/clob/spread", "/clob/tick-size",
        "/clob/markets", "/clob/prices-history", "/clob/last-trade-price", "/clob/neg-risk",
        "/gamma/markets", "/gamma/events", "/gamma/markets/keyset", "/data/trades",
        "/data/positions", "/data/activity", "/data/v2/trades", "/data/v2/positions",
        "/data/v2/resolutions", "/relayer/deployed", "/admin/status", "/clob/nothing-here",
        "/clob/markets/0x12", "/clob/clob-markets/x", "/clob/markets-by-token/1",
        "/admin/ledger/me",
    ]  # fmt: skip
    names = st.sampled_from(
        ["token_id", "side", "limit", "offset", "cursor", "next_cursor", "after_cursor", "user",
         "market", "slug", "closed", "interval", "fidelity", "startTs", "address", "id"]
    )  # fmt: skip
    texts = st.text(max_size=20) | st.sampled_from(
        [attacker.stage.up, OWNER.address, "-1", "10", "9" * 40, "MA==", "LTE=", "BUY", "²", "TRUE"]
    )
    cases: list[tuple[str, dict[str, str]]] = []

    @SETTINGS
    @given(st.sampled_from(paths), st.dictionaries(names, texts, max_size=4))
    def collect(path: str, query: dict[str, str]) -> None:
        cases.append((path, query))

    collect()
    for path, query in cases:
        async with attacker.http.get(attacker.stage.url + path, params=query) as response:
            assert response.status in (200, 400, 404), (path, query)
            assert await response.json() is not None


@pytest.mark.parametrize("channel", ["market", "user", "prices", "live"])
async def test_any_frame_on_any_socket_is_survived(attacker, channel):
    frames: list[str] = []

    @SETTINGS
    @given(st.text(max_size=40) | values.map(json.dumps))
    def collect(frame: str) -> None:
        frames.append(frame)

    collect()
    url = f"{attacker.stage.sim.ws_url}/ws/{channel}"
    socket = await attacker.http.ws_connect(url)
    for frame in frames:
        if socket.closed:
            socket = await attacker.http.ws_connect(url)
        await socket.send_str(frame)
        await asyncio.sleep(0)
    await socket.close()
    socket = await attacker.http.ws_connect(url)
    assert not socket.closed
    await socket.close()
    async with attacker.http.get(attacker.stage.url + "/clob/ok") as response:
        assert response.status == 200


async def test_an_oversized_body_is_refused(attacker):
    body = io.BytesIO(b"x" * (5 << 20))
    async with attacker.http.post(attacker.stage.url + "/clob/order", data=body) as response:
        assert response.status == 400
        assert await response.json() == {"error": "Invalid payload"}


async def test_an_unsigned_request_is_unauthorised(attacker):
    for method, path in (("POST", "/order"), ("GET", "/data/orders"), ("DELETE", "/cancel-all")):
        async with attacker.http.request(method, attacker.stage.url + "/clob" + path) as response:
            assert response.status == 401
            assert await response.json() == {"error": "Unauthorized/Invalid api key"}
