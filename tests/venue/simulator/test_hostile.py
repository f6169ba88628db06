"""Every endpoint there is, against bodies, headers and queries nobody should send.

Nothing answers with 500, and what clients own stays what it was to the last unit.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CASES = 700
SETTINGS = settings(
    max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
DOORS = ("/admin/faults", "/ws/")
"""Doors that change something by purpose, and sockets, which another test attacks."""
SUICIDE = ("DELETE", "/clob/auth/api-key")
"""Left out, because nothing after it would pass the check of the key."""

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40)
    | st.sampled_from(["0", "-1", "1e9", "9" * 90, "0x", "0x" + "ff" * 65, "BUY", "²", "\x00"])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
NAMES = (
    "orderID", "order", "owner", "orderType", "market", "asset_id", "heartbeat_id", "markets",
    "token_id", "side", "name", "id", "method",
)  # fmt: skip
bodies = (
    st.binary(max_size=40)
    | values.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(NAMES), values, max_size=4).map(
        lambda value: json.dumps(value).encode()
    )
    | st.sampled_from(
        [b"", b"[" * 5000, b"{" * 5000, b"[null]" * 3, b"\xff\xfe", b"NaN", b"1" * 5000, b"[{}]",
         b'[{"token_id": {}}]', b'{"order": {}}', b'[{"order": {}}]', b'["' + b"0" * 66 + b'"]']
    )
)  # fmt: skip
QUERY = (
    "token_id", "side", "limit", "offset", "cursor", "next_cursor", "after_cursor", "user", "id",
    "market", "slug", "closed", "interval", "fidelity", "startTs", "endTs", "start", "end", "as_of",
    "bucket_seconds", "address", "asset_type", "signature_type", "maker_address", "date", "before",
    "after", "condition_id",
)  # fmt: skip
KNOWN = ["-1", "0", "10", "9" * 40, "MA==", "LTE=", "LTI=", "BUY", "²", "TRUE", "\x00", "max", "1w"]
texts = st.text(max_size=12) | st.sampled_from([*KNOWN, "UP", "CONDITION", "MINE"])
queries = st.dictionaries(st.sampled_from(QUERY), texts, max_size=4)
HEADERS = (
    "POLY_ADDRESS", "POLY_SIGNATURE", "POLY_TIMESTAMP", "POLY_API_KEY", "POLY_PASSPHRASE",
    "POLY_NONCE", "Content-Type", "Content-Encoding", "Accept", "If-None-Match", "Range", "Expect",
)  # fmt: skip
header_texts = st.text(
    st.characters(min_codepoint=32, max_codepoint=126), max_size=20
) | st.sampled_from(["gzip", "deflate", "9" * 5000, "0x" + "11" * 20, "application/json", "100-x"])
headers = st.dictionaries(st.sampled_from(HEADERS), header_texts, max_size=3)


def endpoints(stage: Any) -> list[tuple[str, str]]:
    found = {
        (route.method, route.resource.canonical)
        for route in stage.sim._runner.app.router.routes()
        if route.method != "HEAD" and not route.resource.canonical.startswith(DOORS)
    }
    return sorted(found - {SUICIDE})


def accounts(stage: Any) -> Iterator[Any]:
    """Everything two clients own, to the last unit."""
    world = stage.sim.world
    for wallet in sorted(stage.wallets):
        yield world.exchange.balance(wallet)
        yield [world.exchange.shares(wallet, token) for token in world.registry.by_token]
        yield [(o.order_id, o.status, o.matched_e6) for o in world.journal.read_orders(wallet, 999)]
        yield [(t.trade_id, t.status) for t in world.desk.trades_of(wallet)]
        yield world.rebates.paid_to(wallet)
    yield world.desk.open_count(), world.faults.active(world.now()), len(world.keyring.all())


@pytest.fixture
async def attacked(make_stage: Any) -> Any:
    """A venue at which a victim has an order, shares and a trade, and an attacker has a key."""
    stage = await make_stage(rate_limits=False, address_limits=False)
    victim, attacker = await stage.trader(1), await stage.trader(2)
    price, _ = (await stage.book())[1][0]
    assert (await victim.post(stage.up, price // 100, 10, "BUY", "FAK"))[0] == 200
    status, resting = await victim.post(stage.up, 5, 10)
    assert status == 200
    stage.wallets = {victim.address, attacker.address}
    stage.attacker, stage.resting = attacker, resting["orderID"]
    return stage


def filled_in(text: str, stage: Any) -> str:
    names = {"UP": stage.up, "CONDITION": stage.window.condition_id, "MINE": stage.attacker.address}
    return names.get(text, text)


async def test_no_endpoint_fails_and_nothing_changes(attacked: Any) -> None:
    stage, cases = attacked, []
    paths = endpoints(stage)
    assert len(paths) > 80

    @SETTINGS
    @given(st.tuples(st.sampled_from(paths), bodies, queries, headers, st.booleans(), texts))
    def collect(case: Any) -> None:
        cases.append(case)

    collect()
    cases += [(path, b"", {}, {}, signed, "UP") for path in paths for signed in (True, False)]
    before = list(accounts(stage))
    seen: dict[int, int] = {}
    for (method, template), body, query, extra, signed, text in cases:
        status = await send(stage, method, template, body, query, extra, signed, text)
        assert status < 500, (method, template, body, query, extra, signed)
        seen[status] = seen.get(status, 0) + 1
    assert list(accounts(stage)) == before
    assert {200, 400, 401, 404} <= set(seen), seen


async def send(
    stage: Any, method: str, template: str, body: bytes, query: Any, extra: Any, signed: bool,
    text: str,
) -> int:  # fmt: skip
    path = re.sub(r"{[^}]*}", re.sub(r"[^\w.-]", "_", filled_in(text, stage)) or "_", template)
    sign = signed and path.startswith("/clob")
    told = stage.attacker.headers(method, path.removeprefix("/clob"), body) if sign else {}
    if method == "GET":
        body = b""
        told = stage.attacker.headers(method, path.removeprefix("/clob"), b"") if sign else {}
    wanted = {name: filled_in(value, stage) for name, value in query.items()}
    # A body it can't read ends the connection: none is used twice, lest one be met while it ends.
    alone = told | extra | {"Connection": "close"}
    async with stage.http.request(
        method, stage.sim.url + path, data=body, params=wanted, headers=alone
    ) as answer:
        content = await answer.read()
        if answer.content_type == "application/json":
            parsed = json.loads(content)
            if answer.status >= 400:
                assert isinstance(parsed["error"], str), (path, parsed)
        return int(answer.status)


RAW = [
    b"", b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /clob/ok HTTP/9.9\r\n\r\n", b"GET /clob/ok HTTP/1.1\r\nHost: x\r\nA\r\n\r\n",
    b"POST /clob/order HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /clob/order HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nContent-Length: 8\r\n\r\n",
    b"POST /clob/order HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /clob/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /clob/book?token_id=%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /clob/ok HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    b"GET /clob/data/orders HTTP/1.1\r\nHost: x\r\nPOLY_ADDRESS: \xff\xfe\r\n\r\n",
    b"DELETE /clob/cancel-all HTTP/1.1\r\nHost: x\r\nPOLY_PASSPHRASE: \xc3\x28\r\n\r\n",
    b"GET /ws/market HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
    b"GET //../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n",
]  # fmt: skip


async def test_bytes_that_are_no_request_get_an_answer_or_a_closed_door(attacked: Any) -> None:
    before = list(accounts(attacked))
    for raw in RAW:
        reader, writer = await asyncio.open_connection("127.0.0.1", attacked.sim.port)
        writer.write(raw)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
        assert not answer.startswith(b"HTTP/1.1 5"), (raw, answer)
        writer.close()
        await writer.wait_closed()
    async with attacked.http.get(attacked.sim.url + "/clob/ok") as response:
        assert response.status == 200
    assert list(accounts(attacked)) == before


ORDER_FIELDS = (
    "salt", "maker", "signer", "tokenId", "makerAmount", "takerAmount", "side", "signatureType",
    "timestamp", "expiration", "metadata", "builder", "signature",
)  # fmt: skip


async def test_orders_changed_in_one_place_are_refused_alone_and_in_batches(attacked: Any) -> None:
    """What is not signed may change (expiry, type); everything else must be as it was signed."""
    stage, cases = attacked, []

    @settings(SETTINGS, max_examples=150)
    @given(st.sampled_from((*ORDER_FIELDS, "owner", "orderType", "order")), values, st.booleans())
    def collect(field: str, value: Any, batch: bool) -> None:
        cases.append((field, value, batch))

    collect()
    before = list(accounts(stage))
    for field, value, batch in cases:
        body = stage.attacker.order(stage.up, 5, 10)
        (body["order"] if field in ORDER_FIELDS else body)[field] = value
        wrapped = [body, body] if batch else body
        status, answer = await stage.attacker.send(
            "POST", "/orders" if batch else "/order", wrapped
        )
        if batch:
            refused = [a["errorMsg"] for a in answer] if status == 200 else [answer["error"]]
            assert all(refused), (field, value)
            assert status in (200, 400)
            assert status == 400 or [a["orderID"] for a in answer] == ["", ""]
        else:
            assert 400 <= status < 500, (field, value, answer)
            assert answer["error"]
    assert list(accounts(stage)) == before


async def test_nobody_cancels_what_is_not_his(attacked: Any) -> None:
    before = list(accounts(attacked))
    attacker, resting = attacked.attacker, attacked.resting
    told = {"canceled": [], "not_canceled": {resting: "Order not found or already canceled"}}
    assert await attacker.send("DELETE", "/order", {"orderID": resting}) == (200, told)
    assert await attacker.send("DELETE", "/orders", [resting, resting]) == (200, told)
    market = {"market": attacked.window.condition_id, "asset_id": ""}
    for path, body in (("/cancel-all", None), ("/cancel-market-orders", market)):
        nothing = {"canceled": [], "not_canceled": {}}
        assert await attacker.send("DELETE", path, body) == (200, nothing)
    assert await attacker.send("GET", f"/data/order/{resting}") == (
        404, {"error": "Order not found"},
    )  # fmt: skip
    assert list(accounts(attacked)) == before


async def test_a_signature_of_another_request_is_worth_nothing(attacked: Any) -> None:
    """Replayed on another path, method or body; with another key's name or passphrase."""
    before = list(accounts(attacked))
    attacker = attacked.attacker
    good = attacker.headers("DELETE", "/order", b"{}")
    url = attacked.sim.url + "/clob"
    tries = [
        ("DELETE", "/orders", b"{}", good), ("POST", "/order", b"{}", good),
        ("DELETE", "/order", b"{ }", good),
        *(("DELETE", "/order", b"{}", good | {name: "x"}) for name in good),
        *(
            ("DELETE", "/order", b"{}", {k: v for k, v in good.items() if k != name})
            for name in good
        ),
    ]  # fmt: skip
    for method, path, body, told in tries:
        async with attacked.http.request(method, url + path, data=body, headers=told) as answer:
            assert answer.status == 401, (method, path, told)
            assert await answer.json() == {"error": "Unauthorized/Invalid api key"}
    assert list(accounts(attacked)) == before
