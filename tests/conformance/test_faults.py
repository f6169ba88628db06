"""Every fault by name: what the official client sees, and that the truth stays whole."""

import asyncio

import aiohttp
import pytest
from polymarket.errors import RateLimitError, RequestRejectedError, TransportError
from polymarket.streams import UserSpec

from .conftest import OWNER, eventually, open_client
from .test_official_client import cash, items, next_event, shares


@pytest.fixture(params=["async", "sync"])
async def client(request, stage):
    """The official client in both of its kinds; streams exist on the asynchronous one alone."""
    client = await open_client(stage, request.param)
    yield client
    await client.close()


@pytest.fixture
async def streaming(stage):
    client = await stage.client()
    yield client
    await client.close()


LOW = {"price": "0.05", "size": "5", "side": "BUY"}


async def place(stage, client, **changes):
    return await client.place_limit_order(asset_id=stage.up, **(LOW | changes))


async def test_engine_restart_then_post_only_then_normal(stage, client):
    await stage.fault("engine-restart", seconds=90)
    for attempt in (place(stage, client), client.cancel_all()):
        with pytest.raises(RequestRejectedError) as rejected:
            await attempt
        assert (rejected.value.status, rejected.value.restriction) == (425, "restarting")
    assert await items(client.list_open_orders()) == []
    await stage.advance(91)
    with pytest.raises(RequestRejectedError) as rejected:
        await place(stage, client)
    assert (rejected.value.restriction, rejected.value.code) == ("post_only", "post_only_mode")
    assert 0 < rejected.value.retry_after <= 120
    assert (await place(stage, client, post_only=True)).ok
    await client.cancel_all()
    await stage.advance(120)
    assert (await place(stage, client)).ok


async def test_cancel_only_and_disabled(stage, client):
    placed = await place(stage, client)
    await stage.fault("cancel-only", seconds=10)
    with pytest.raises(RequestRejectedError) as rejected:
        await place(stage, client)
    assert rejected.value.restriction == "cancel_only"
    assert list((await client.cancel_order(order_id=placed.order_id)).canceled)
    await stage.advance(11)
    await stage.fault("trading-disabled", seconds=10)
    with pytest.raises(RequestRejectedError, match="Trading is currently disabled"):
        await client.cancel_all()


async def test_closed_only_refuses_buying(stage, client):
    await client.place_market_order(asset_id=stage.up, side="BUY", amount="10")
    await stage.fault("closed-only")
    assert await client.get_closed_only_mode() is True
    with pytest.raises(RequestRejectedError, match="in closed only mode"):
        await place(stage, client)
    sold = await client.place_market_order(asset_id=stage.up, side="SELL", shares="5")
    assert sold.status == "matched"


async def test_rate_limit_says_how_long_to_wait(stage, client):
    await stage.fault("rate-limit", count=1, retry_after=7)
    with pytest.raises(RateLimitError) as limited:
        await place(stage, client)
    assert limited.value.retry_after == 7
    assert (await place(stage, client)).ok


async def test_a_500_with_and_without_effect(stage, client):
    await stage.fault("execution-500", count=1)
    with pytest.raises(RequestRejectedError, match="could not run the execution"):
        await place(stage, client)
    assert await items(client.list_open_orders()) == []
    await stage.fault("accept-then-500", count=1)
    with pytest.raises(RequestRejectedError, match="could not run the execution"):
        await place(stage, client)
    assert len(await items(client.list_open_orders())) == 1


@pytest.mark.parametrize("name", ["accept-then-drop", "accept-then-timeout"])
async def test_an_order_is_live_although_no_answer_came(stage, client, name):
    order = await client.create_limit_order(asset_id=stage.up, **LOW)
    await stage.fault(name, count=1, hold=0.2)
    with pytest.raises(TransportError):
        await client.post_order(order)
    (live,) = await items(client.list_open_orders())
    with pytest.raises(RequestRejectedError, match="Duplicated"):
        await client.post_order(order)
    assert live.size_matched == 0


async def test_dropped_sockets_are_gone(stage, client):
    async with aiohttp.ClientSession() as http:
        sockets = [
            await http.ws_connect(f"{stage.sim.ws_url}/ws/{name}") for name in ("market", "prices")
        ]
        await asyncio.sleep(0.05)
        await stage.fault("ws-drop")
        for socket in sockets:
            message = await socket.receive(timeout=5)
            assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_a_frozen_socket_answers_ping_but_tells_nothing(stage):
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(stage.sim.ws_url + "/ws/market") as socket,
    ):
        await socket.send_json({"type": "market", "assets_ids": [stage.up]})
        assert (await socket.receive_json(timeout=5))[0]["event_type"] == "book"
        await stage.fault("ws-freeze", seconds=60)
        await stage.advance(20)
        await socket.send_str("PING")
        assert await socket.receive_str(timeout=5) == "PONG"
        await stage.advance(45)
        assert (await socket.receive_json(timeout=5))["event_type"]


async def test_a_ghost_fill_is_matched_then_failed_and_undone(stage, streaming):
    client = streaming
    await stage.fault("ghost-fill")
    async with await client.subscribe(UserSpec()) as events:
        await eventually("login", lambda: stage.sim.world.users.listens(OWNER.address))
        await client.place_market_order(asset_id=stage.up, side="BUY", amount="5")
        assert await shares(client, stage.up) > 0
        await stage.advance(6)
        seen = []
        while "FAILED" not in seen:
            event = await next_event(events)
            if event.type == "trade":
                seen.append(event.payload.status)
    assert seen[-2:] in (["RETRYING", "FAILED"], ["FAILED", "FAILED"])
    assert await cash(client) == 1_000_000_000
    assert await shares(client, stage.up) == 0
    assert {t.status for t in await items(client.list_account_trades())} == {"FAILED"}


async def test_events_may_come_twice_and_out_of_order(stage, streaming):
    client = streaming
    await stage.fault("duplicate-events")
    await stage.fault("reordered-events")
    async with await client.subscribe(UserSpec()) as events:
        await eventually("login", lambda: stage.sim.world.users.listens(OWNER.address))
        await client.place_market_order(asset_id=stage.up, side="BUY", amount="5")
        await stage.advance(6)
        statuses = []
        while len(statuses) < 6:
            event = await next_event(events)
            if event.type == "trade":
                statuses.append(event.payload.status)
    assert statuses == ["MATCHED"] * 2 + ["CONFIRMED"] * 2 + ["MINED"] * 2
    assert {t.status for t in await items(client.list_account_trades())} == {"CONFIRMED"}


async def test_balances_are_stale_until_told_to_update(stage, client):
    await cash(client)
    await stage.fault("stale-balance")
    before = await cash(client)
    await client.place_market_order(asset_id=stage.up, side="BUY", amount="5")
    assert await cash(client) == before
    await client._ctx.secure_clob.get_json(
        "/balance-allowance/update", params={"asset_type": "COLLATERAL", "signature_type": 0}
    )
    assert await cash(client) < before


async def test_a_revoked_key_is_unauthorised_and_a_new_one_works(stage, client):
    await stage.fault("key-revoked")
    with pytest.raises(RequestRejectedError) as rejected:
        await client.cancel_all()
    assert rejected.value.status == 401
    again = await stage.client()
    assert (await place(stage, again)).ok
    await again.close()


async def test_the_clock_may_be_ahead(stage):
    await stage.fault("clock-skew", offset=45)
    async with (
        aiohttp.ClientSession() as http,
        http.get(stage.url + "/clob/time") as response,
    ):
        assert await response.json() == stage.clock.now_ns() // 10**9 + 45


@pytest.mark.parametrize("name", ["absent-resolution", "late-resolution"])
async def test_resolution_may_be_late_or_untold(stage, client, name):
    await stage.fault(name, delay=30)
    window = stage.window
    await stage.advance(590)
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(stage.sim.ws_url + "/ws/market") as socket,
    ):
        await socket.send_json(
            {"type": "market", "assets_ids": [stage.up], "custom_feature_enabled": True}
        )
        await asyncio.sleep(0.05)
        await stage.advance(20)
        assert window.closed == (name == "absent-resolution")
        await stage.advance(30)
        assert window.closed
        await socket.send_str("PING")
        told = []
        async for message in socket:
            if message.data == "PONG":
                break
            told.append("market_resolved" in message.data)
        assert any(told) == (name == "late-resolution")


async def test_a_tick_that_changes_keeps_resting_orders(stage, client):
    placed = await place(stage, client)
    await stage.fault("tick-change", slug=stage.window.market.slug, tick="0.001")
    assert [o.id for o in await items(client.list_open_orders())] == [placed.order_id]
    finer = await client.create_limit_order(asset_id=stage.down, **(LOW | {"price": "0.051"}))
    assert (await client.post_order(finer)).ok


async def test_the_doors_name_what_is_wrong(stage):
    async with aiohttp.ClientSession() as http:
        for body in ({"name": "nonsense"}, {}, [], {"name": "ws-freeze", "seconds": -1}):
            async with http.post(stage.url + "/admin/faults", json=body) as response:
                assert response.status == 400
                assert (await response.json())["error"]
        await stage.fault("cancel-only")
        async with http.get(stage.url + "/admin/faults") as response:
            assert (await response.json())["active"] == ["cancel-only"]
        async with http.delete(stage.url + "/admin/faults/cancel-only") as response:
            assert (await response.json())["active"] == []
        async with http.get(f"{stage.url}/admin/ledger/{OWNER.address}") as response:
            assert (await response.json())["wallets"] == {}
