"""Orders in their taker delay when the venue dies: still delayed, then matched."""

import pytest

from engine.matching.audit import imbalances

from .conftest import START_S


async def crossing(stage, trader, kind):
    """Post an order at the best ask, which waits for its taker delay."""
    price, _ = (await stage.book())[1][0]
    status, answer = await trader.post(stage.up, price // 100 + 2, 10, "BUY", kind)
    assert (status, answer["status"]) == (200, "delayed"), answer
    return answer["orderID"]


async def reborn(stage, trader, make_stage, at_s):
    """Leave the venue as kill -9 leaves it, and start another on its disk."""
    stage.sim._heart.cancel()
    stage.sim.world.journal._pending.clear()
    stage.sim.world.journal._orders.clear()
    stage.sim.world.journal._trades.clear()
    await stage.http.close()
    await stage.sim.close()
    again = await make_stage(at_s=at_s, taker_delay_ms=500)
    trader.url, trader.http = again.sim.url, again.http
    return again


async def order_of(trader, order_id):
    orders = {order["order_id"]: order for order in (await trader.ledger())["orders"]}
    return orders[order_id]


@pytest.mark.parametrize("kind", ["GTC", "FAK", "FOK"])
async def test_a_delayed_order_is_still_delayed_and_then_matched(make_stage, kind):
    stage = await make_stage(taker_delay_ms=500)
    trader = await stage.trader()
    order_id = await crossing(stage, trader, kind)
    reserved = (await trader.ledger())["wallets"][trader.address]["reserved_e6"]
    assert reserved > 0
    again = await reborn(stage, trader, make_stage, START_S + 301)
    order = await order_of(trader, order_id)
    assert (order["status"], order["open"]) == ("DELAYED", True)
    assert (await trader.ledger())["wallets"][trader.address]["reserved_e6"] > 0
    status, answer = await trader.send("DELETE", "/order", {"orderID": order_id})
    assert (status, answer["canceled"]) == (200, [])
    assert list(answer["not_canceled"]) == [order_id]
    await again.advance(0.5)
    order = await order_of(trader, order_id)
    assert (order["status"], order["open"]) == ("MATCHED", False)
    ledger = await trader.ledger()
    held = ledger["wallets"][trader.address]
    spent = sum(t["taker"]["cash_e6"] + t["taker"]["fee_e6"] for t in ledger["trades"])
    assert held["cash_e6"] == held["granted_e6"] - spent
    assert held["reserved_e6"] == 0
    assert held["shares_e6"] == {again.up: order["matched_e6"]}
    assert imbalances(again.sim.world.exchange) == []


async def test_a_delayed_order_of_a_window_that_ended_meanwhile_is_over(make_stage):
    stage = await make_stage(taker_delay_ms=500)
    trader = await stage.trader()
    order_id = await crossing(stage, trader, "GTC")
    await reborn(stage, trader, make_stage, START_S + 1_000)
    order = await order_of(trader, order_id)
    assert (order["status"], order["open"]) == ("CANCELED_MARKET_RESOLVED", False)
    held = (await trader.ledger())["wallets"][trader.address]
    assert (held["cash_e6"], held["reserved_e6"]) == (held["granted_e6"], 0)
