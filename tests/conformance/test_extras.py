"""Endpoints beside trading: both kinds of official client read that there is nothing."""

import asyncio

import aiohttp
import pytest
from py_clob_client_v2.client import ClobClient

from models.markets import Side

from .conftest import OTHER, OWNER, open_client
from .test_official_client import items, shares

DAY = "2026-11-20"


@pytest.fixture(params=["async", "sync"])
async def client(request, stage):
    client = await open_client(stage, request.param)
    yield client
    await client.close()


async def test_rewards_rebates_scoring_and_notifications_are_empty(stage, client):
    condition = stage.window.condition_id
    for pages in (
        client.list_current_rewards(),
        client.list_market_rewards(condition_id=condition),
        client.list_reward_markets(),
        client.list_builder_trades(builder_code="0x" + "11" * 32),
        client.list_user_earnings_for_day(date=DAY),
        client.list_user_earnings_and_markets_config(date=DAY),
        client.list_combo_markets(),
    ):
        assert await items(pages) == []
    maker = OWNER.address
    assert list(await client.get_current_rebates(date=DAY, maker_address=maker)) == []
    assert list(await client.get_total_earnings_for_user_for_day(date=DAY)) == []
    assert await client.get_reward_percentages() == {}
    assert list(await client.get_notifications()) == []
    await client.drop_notifications(ids=["1"])
    placed = await client.place_limit_order(asset_id=stage.up, price="0.05", size="5", side="BUY")
    assert await client.get_order_scoring(order_id=placed.order_id) is False
    assert await client.get_orders_scoring(order_ids=[placed.order_id]) == {placed.order_id: False}
    assert list(await client.fetch_builder_api_keys()) == []


async def test_the_older_clients_rfq_finds_nothing(stage):
    def scenario() -> None:
        client = ClobClient(stage.url + "/clob", 137, key="0x" + bytes(OWNER.key).hex())
        client.set_api_creds(client.create_or_derive_api_key())
        assert client.rfq.get_rfq_requests()["data"] == []
        assert client.rfq.get_rfq_requester_quotes()["data"] == []
        assert client.rfq.get_rfq_quoter_quotes()["data"] == []
        assert client.rfq.rfq_config() == {}
        assert client.get_readonly_api_keys() == {"readonlyApiKeys": []}

    await asyncio.to_thread(scenario)


async def test_private_extras_ask_for_the_key(stage):
    async with aiohttp.ClientSession() as http:
        for path in ("rewards/user", "notifications", "order-scoring", "rfq/config"):
            async with http.get(f"{stage.url}/clob/{path}") as response:
                assert response.status == 401
                assert await response.json() == {"error": "Unauthorized/Invalid api key"}


async def test_a_makers_view_carries_the_taker_on_top_and_itself_below(stage, client):
    """The maker of one address, the taker of another; both read the same trade."""
    world, window = stage.sim.world, stage.window_at(3)
    world.withdrawn(window, world.now())
    world._trading.add(window.condition_id)
    token = window.market.up_token
    other = await stage.client(OTHER)
    await other.place_limit_order(
        asset_id=window.market.down_token, price="0.60", size="10", side="BUY"
    )
    mine = await client.place_limit_order(asset_id=token, price="0.40", size="10", side="BUY")
    (taken,) = await items(client.list_account_trades())
    (made,) = await items(other.list_account_trades())
    assert (taken.trader_side, made.trader_side) == ("TAKER", "MAKER")
    assert taken.taker_order_id == made.taker_order_id == mine.order_id
    assert made.maker_address == taken.maker_address == OWNER.address
    assert made.owner == taken.owner == client.credentials.key
    (row,) = made.maker_orders
    assert (row.owner, row.maker_address) == (other.credentials.key, OTHER.address)
    assert (row.asset_id, row.side) == (window.market.down_token, Side.BUY)
    assert await shares(other, window.market.down_token) == 10_000_000
    await other.close()


async def test_an_address_over_its_limit_waits_and_is_then_refused(stage):
    await stage.fault("address-limit", scale=0.01)
    async with aiohttp.ClientSession() as http:
        statuses = []
        for _ in range(3):
            async with http.get(f"{stage.url}/clob/ok") as response:
                statuses.append(response.status)
                last = response
    assert statuses == [200, 429, 429]
    assert int(last.headers["Retry-After"]) >= 1
