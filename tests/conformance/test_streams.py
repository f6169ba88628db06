"""Price streams, delays, expiries, slow readers: what happens over time."""

import asyncio
import json

import aiohttp
import pytest
from polymarket.streams import CryptoPricesSpec, CryptoTwapPriceSpec, UserSpec

from models.units import SECOND_NS, SPOT_USD
from venue.simulator import sockets

from .conftest import OWNER, START_S, eventually
from .test_official_client import cash, items, next_event


async def test_the_price_stream_follows_the_recorded_spot(stage, client):
    spec = CryptoPricesSpec(topic="prices.crypto.chainlink", symbols=["btc/usd"])
    async with await client.subscribe(spec) as prices:
        await asyncio.sleep(0.1)
        for _ in range(3):
            await stage.advance(1)
            event = await next_event(prices)
            path = stage.sim.world.sources.paths["BTC"]
            assert event.payload.timestamp == stage.clock.now_ns() // 10**6
            assert float(event.payload.value) == path.price_e8(stage.clock.now_ns()) / SPOT_USD


async def test_polybolt_gives_history_then_the_average(stage, client):
    await stage.advance(5)
    spec = CryptoTwapPriceSpec(symbols=["btcusd"], provider="chainlink")
    async with await client.subscribe(spec) as prices:
        first = await next_event(prices)
        assert first.type == "subscribe"
        assert len(first.payload.data) >= 5
        await stage.advance(1)
        update = await next_event(prices)
        path = stage.sim.world.sources.paths["BTC"]
        now_s = stage.clock.now_ns() // SECOND_NS
        mean = sum(path.price_e8((now_s - i) * SECOND_NS) for i in range(1, 61)) / 60
        assert float(update.payload.value) * SPOT_USD == pytest.approx(mean, abs=1)


async def test_the_quirks_of_the_price_stream(stage):
    def frame(topic, **more):
        return {"action": "subscribe", "subscriptions": [{"topic": topic, "type": "*", **more}]}

    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(stage.sim.ws_url + "/ws/prices") as socket,
    ):
        await socket.send_str("PING")
        await socket.send_json(frame("no_such_topic"))
        assert (await socket.receive_json(timeout=5))["statusCode"] == 401
        spaced = json.dumps({"symbol": "btc/usd"})
        assert " " in spaced
        await socket.send_json(frame("crypto_prices_chainlink", filters=spaced))
        await asyncio.sleep(0.05)
        await stage.advance(1)
        with pytest.raises(asyncio.TimeoutError):
            await socket.receive_json(timeout=0.2)
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(stage.sim.ws_url + "/ws/prices") as socket,
    ):
        await socket.send_json(frame("crypto_prices_chainlink", filters='{"symbol":"btc/usd"}'))
        history = await socket.receive_json(timeout=5)
        assert (history["topic"], history["type"]) == ("crypto_prices", "subscribe")
        await stage.advance(1)
        update = await socket.receive_json(timeout=5)
        assert update["topic"] == "crypto_prices_chainlink"
        exact = int(update["payload"]["full_accuracy_value"])
        assert exact / 10**18 == pytest.approx(update["payload"]["value"])


async def test_a_marketable_order_waits_its_delay_and_cannot_be_cancelled(make_stage):
    stage = await make_stage(taker_delay_ms=150)
    client = await stage.client()
    async with await client.subscribe(UserSpec()) as events:
        await eventually("login", lambda: stage.sim.world.users.listens(OWNER.address))
        reply = await client.place_market_order(asset_id=stage.up, side="BUY", amount="5")
        assert (reply.status, reply.trade_ids) == ("delayed", ())
        assert (await next_event(events)).payload.status == "DELAYED"
        report = await client.cancel_order(order_id=reply.order_id)
        assert reply.order_id in report.not_canceled
        assert await items(client.list_account_trades()) == []
        await stage.advance(0.2)
        seen = [(await next_event(events)).type for _ in range(2)]
        assert set(seen) == {"order", "trade"}
    assert {t.taker_order_id for t in await items(client.list_account_trades())} == {reply.order_id}
    resting = await client.place_limit_order(asset_id=stage.up, price="0.05", size="5", side="BUY")
    assert resting.status == "live"
    await client.close()
    await stage.sim.close()


async def test_good_till_date_dies_a_minute_early(stage, client):
    stated = START_S + 300 + 400
    placed = await client.place_limit_order(
        asset_id=stage.window_at(1).market.up_token, price="0.05", size="5", side="BUY",
        expiration=stated,
    )  # fmt: skip
    (order,) = await items(client.list_open_orders())
    assert order.expires_at.timestamp() == stated
    await stage.advance(339)
    assert len(await items(client.list_open_orders())) == 1
    await stage.advance(2)
    assert await items(client.list_open_orders()) == []
    record = (await stage.ledger())["orders"][0]
    assert (record["order_id"], record["status"]) == (placed.order_id, "CANCELED_EXPIRED_ORDER")


async def test_a_reader_that_does_not_read_is_dropped_and_harms_nobody(stage, client, monkeypatch):
    monkeypatch.setattr(sockets, "QUEUE_LIMIT", 50)
    async with aiohttp.ClientSession() as http:
        slow = await http.ws_connect(stage.sim.ws_url + "/ws/market")
        await slow.send_json({"type": "market", "assets_ids": [stage.up]})
        await slow.receive(timeout=5)
        hub = stage.sim.world.tape.channel.hub
        assert len(hub.clients) == 1
        await stage.advance(120)
        async with asyncio.timeout(5):
            while hub.clients:
                await asyncio.sleep(0.01)
        assert await cash(client) == 1_000_000_000
        await slow.close()


async def test_unsubscribed_tokens_fall_silent(stage):
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(stage.sim.ws_url + "/ws/market") as socket,
    ):
        await socket.send_json({"type": "market", "assets_ids": [stage.up, stage.down]})
        assert len(await socket.receive_json(timeout=5)) == 2
        await socket.send_json({"operation": "unsubscribe", "assets_ids": [stage.up, stage.down]})
        await socket.send_str("PING")
        assert await socket.receive_str(timeout=5) == "PONG"
        await stage.advance(5)
        await socket.send_str("PING")
        assert await socket.receive_str(timeout=5) == "PONG"


async def test_wrong_credentials_end_the_user_channel(stage):
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(stage.sim.ws_url + "/ws/user") as socket,
    ):
        auth = {"apiKey": "x", "secret": "y", "passphrase": "z"}
        await socket.send_json({"type": "user", "auth": auth})
        message = await socket.receive(timeout=5)
        assert message.type is aiohttp.WSMsgType.CLOSE


async def test_local_books_built_from_changes_equal_the_venues(stage, client):
    """A reader that applies every change has the venue's book after every batch."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(stage.sim.ws_url + "/ws/market") as socket,
    ):
        await socket.send_json({"type": "market", "assets_ids": [stage.up, stage.down]})
        books = {}
        for book in await socket.receive_json(timeout=5):
            books[book["asset_id"]] = {
                (side, level["price"]): level["size"]
                for side, name in (("BUY", "bids"), ("SELL", "asks"))
                for level in book[name]
            }
        for _ in range(30):
            await stage.advance(1)
            await client.place_market_order(asset_id=stage.up, side="BUY", amount="1.5")
        await socket.send_str("PING")
        async for message in socket:
            if message.data == "PONG":
                break
            event = json.loads(message.data)
            if event["event_type"] == "price_change":
                for change in event["price_changes"]:
                    book = books[change["asset_id"]]
                    book[change["side"], change["price"]] = change["size"]
                    if change["size"] == "0":
                        del book[change["side"], change["price"]]
        for token in (stage.up, stage.down):
            true = await client.get_order_book(asset_id=token)
            levels = {("BUY", str(level.price)): str(level.size) for level in true.bids}
            levels |= {("SELL", str(level.price)): str(level.size) for level in true.asks}
            assert books[token] == levels
