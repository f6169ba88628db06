"""py-clob-client-v2 through whole scenarios, and the retired py-clob-client's refusal."""

import asyncio
import logging

import pytest
from py_clob_client.client import ClobClient as RetiredClient
from py_clob_client.clob_types import OrderArgs as RetiredOrderArgs
from py_clob_client.exceptions import PolyApiException as RetiredException
from py_clob_client_v2.client import ClobClient
from py_clob_client_v2.clob_types import (
    AssetType,
    BalanceAllowanceParams,
    MarketOrderArgs,
    OpenOrderParams,
    OrderArgs,
    OrderMarketCancelParams,
    OrderPayload,
    OrderType,
    TradeParams,
)
from py_clob_client_v2.exceptions import PolyApiException

from .conftest import OWNER

KEY = "0x" + bytes(OWNER.key).hex()


@pytest.fixture
async def v2(stage) -> ClobClient:
    logging.getLogger("py_clob_client_v2").setLevel(logging.CRITICAL)

    def make() -> ClobClient:
        client = ClobClient(stage.url + "/clob", 137, key=KEY)
        client.set_api_creds(client.create_or_derive_api_key())
        return client

    return await asyncio.to_thread(make)


async def test_v2_client_trades_through_a_whole_scenario(stage, v2):
    market, up = stage.window.condition_id, stage.up

    def scenario() -> None:
        assert v2.get_ok() == "OK"
        assert v2.get_version() == 2
        assert v2.get_server_time() == stage.clock.now_ns() // 10**9
        book = v2.get_order_book(up)
        assert v2.get_order_book_hash(book) == book["hash"] or book["hash"]
        collateral = BalanceAllowanceParams(asset_type=AssetType.COLLATERAL)
        assert v2.get_balance_allowance(collateral)["balance"] == "1000000000"
        placed = v2.create_and_post_order(OrderArgs(token_id=up, price=0.05, size=10, side="BUY"))
        assert placed["status"] == "live"
        assert set(placed) == {
            "success", "errorMsg", "orderID", "status", "makingAmount", "takingAmount",
            "tradeIDs", "transactionsHashes",
        }  # fmt: skip
        assert v2.get_order(placed["orderID"])["size_matched"] == "0"
        assert [o["id"] for o in v2.get_open_orders(OpenOrderParams(market=market))] == [
            placed["orderID"]
        ]
        gone = v2.cancel_order(OrderPayload(orderID=placed["orderID"]))
        assert gone == {"canceled": [placed["orderID"]], "not_canceled": {}}
        bought = v2.create_and_post_market_order(
            MarketOrderArgs(token_id=up, amount=10, side="BUY", order_type=OrderType.FOK),
            order_type=OrderType.FOK,
        )
        assert bought["status"] == "matched"
        assert bought["tradeIDs"]
        assert all(h.startswith("0x") for h in bought["transactionsHashes"])
        trades = v2.get_trades(TradeParams(market=market))
        assert {t["id"] for t in trades} == set(bought["tradeIDs"])
        held = BalanceAllowanceParams(asset_type=AssetType.CONDITIONAL, token_id=up)
        owned = int(v2.get_balance_allowance(held)["balance"]) / 1e6
        assert owned == pytest.approx(float(bought["takingAmount"]))
        sold = v2.create_and_post_market_order(
            MarketOrderArgs(token_id=up, amount=5, side="SELL", order_type=OrderType.FAK),
            order_type=OrderType.FAK,
        )
        assert sold["status"] == "matched"
        assert int(v2.get_balance_allowance(held)["balance"]) / 1e6 == pytest.approx(owned - 5)
        for _ in range(2):
            v2.create_and_post_order(OrderArgs(token_id=up, price=0.05, size=10, side="BUY"))
        report = v2.cancel_market_orders(OrderMarketCancelParams(market=market, asset_id=up))
        assert len(report["canceled"]) == 2
        assert v2.cancel_all() == {"canceled": [], "not_canceled": {}}

    await asyncio.to_thread(scenario)


async def test_v2_client_reads_markets_and_prices(stage, v2):
    def scenario() -> None:
        up, condition = stage.up, stage.window.condition_id
        assert v2.get_tick_size(up) == "0.01"
        assert v2.get_neg_risk(up) is False
        assert v2.get_market(condition)["tokens"][0]["token_id"] == up
        assert v2.get_clob_market_info(condition)["fd"] == {"r": 0.07, "e": 1, "to": True}
        page = v2.get_markets()
        assert page["next_cursor"] == "LTE="
        assert condition in {row["condition_id"] for row in page["data"]}
        assert v2.get_simplified_markets()["count"] == page["count"]
        bid, ask = stage.sim.world.best(stage.window)
        assert float(v2.get_price(up, "BUY")["price"]) == bid / 10_000
        assert float(v2.get_price(up, "SELL")["price"]) == ask / 10_000
        assert float(v2.get_midpoint(up)["mid"]) == (bid + ask) / 20_000
        assert float(v2.get_spread(up)["spread"]) == (ask - bid) / 10_000
        assert v2.get_closed_only_mode() == {"closed_only": False}
        assert len(v2.get_api_keys()["apiKeys"]) == 1
        assert v2.get_notifications() == []
        assert v2.post_heartbeat("")["heartbeat_id"]

    await asyncio.to_thread(scenario)


async def test_v2_client_is_told_why_an_order_is_refused(stage, v2):
    def refused(**order) -> str:
        with pytest.raises(PolyApiException) as error:
            v2.create_and_post_order(OrderArgs(token_id=stage.up, side="BUY", **order))
        assert error.value.status_code == 400
        return error.value.error_msg["error"]

    def scenario() -> None:
        assert refused(price=0.05, size=3).endswith("Size (3) lower than the minimum: 5")
        assert refused(price=0.5, size=100_000) == "not enough balance / allowance"
        v2.cancel_all()

    await asyncio.to_thread(scenario)


async def test_a_tick_cached_before_it_changed_is_refused_with_the_new_one(stage, v2):
    """The client caches ticks for ever; when a market's tick grows, its orders are off grid."""
    await stage.fault("tick-change", slug=stage.window.market.slug, tick="0.001")

    def place() -> dict:
        order = v2.create_order(OrderArgs(token_id=stage.up, side="BUY", price=0.055, size=10))
        return v2.post_order(order)

    assert (await asyncio.to_thread(place))["status"] == "live"
    await stage.fault("tick-change", slug=stage.window.market.slug, tick="0.01")
    with pytest.raises(PolyApiException) as error:
        await asyncio.to_thread(place)
    assert "breaks minimum tick size rule: 0.01" in error.value.error_msg["error"]


async def test_the_retired_client_reads_but_its_orders_are_refused(stage):
    def scenario() -> None:
        client = RetiredClient(stage.url + "/clob", 137, key=KEY)
        client.set_api_creds(client.create_or_derive_api_creds())
        assert client.get_ok() == "OK"
        assert client.get_order_book(stage.up).asset_id == stage.up
        assert client.get_midpoint(stage.up)["mid"]
        assert client.get_orders() == []
        with pytest.raises(RetiredException) as error:
            client.create_and_post_order(
                RetiredOrderArgs(token_id=stage.up, price=0.05, size=10, side="BUY")
            )
        assert error.value.status_code == 400
        assert error.value.error_msg == {
            "error": "invalid order version, please use the latest clob-client"
        }

    await asyncio.to_thread(scenario)
    assert (await stage.ledger())["orders"] == []
