"""The venue client over the real SDK, against a scripted venue that plays faults."""

import asyncio
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from models.errors import (
    BadValue,
    VenueError,
    VenueRejected,
    VenueUnavailable,
    VenueUnknown,
)
from models.markets import Market, Side, taker_fee_e6
from models.orders import OrderRequest, OrderState, Role, SignedOrder, TimeInForce
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.limits import Limits
from venue.polymarket.registry import NotListed

OK = {"success": True, "errorMsg": "", "orderID": "", "status": "live", "makingAmount": "",
      "takingAmount": "", "tradeIDs": [], "transactionsHashes": []}  # fmt: skip
Build = Callable[..., OrderRequest]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def scripted(shared_venue: Any) -> Any:
    """The module's scripted venue, reset."""
    server, _ = shared_venue
    server.plays.clear()
    server.heard.clear()
    server.plays["GET /balance-allowance/update"] = [(200, {})]
    return server


@pytest_asyncio.fixture(loop_scope="module")
async def venue(shared_venue: Any, scripted: Any) -> PolymarketVenue:
    """A fresh venue over the module's open session, with fresh rate limits."""
    _, connected = shared_venue
    session = copy.copy(connected._session)
    session.limits = Limits()
    return PolymarketVenue(session, "tester")


def accept(order: SignedOrder, **changes: Any) -> tuple[int, Any]:
    return 200, OK | {"orderID": order.order_id} | changes


# --- signing ----------------------------------------------------------------------------------


async def test_signing_sends_nothing_and_is_never_the_same_twice(
    venue: PolymarketVenue, scripted: Any, market: Market, request_of: Build
) -> None:
    orders = [await venue.sign(request_of(), market) for _ in range(5)]
    assert len({order.order_id for order in orders}) == 5
    assert (orders[0].maker_amount_e6, orders[0].taker_amount_e6) == (4_800_000, 10_000_000)
    assert scripted.heard == []


async def test_a_request_off_the_grid_is_a_bad_value(
    venue: PolymarketVenue, market: Market, request_of: Build
) -> None:
    with pytest.raises(BadValue, match=r"0\.485"):
        await venue.sign(request_of(price_e4=4850), market)


async def test_the_same_order_is_posted_again_after_json_and_holds_no_secret(
    venue: PolymarketVenue, scripted: Any, market: Market, request_of: Build
) -> None:
    order = await venue.sign(request_of(post_only=True), market)
    text = json.dumps(order.payload)
    creds = venue.credentials
    assert not any(secret in text for secret in (creds.key, creds.secret, creds.passphrase))
    again = replace(order, payload=json.loads(text))
    scripted.plays["POST /order"] = [accept(order)]
    await venue.submit(order)
    await venue.submit(again)
    first, second = (heard.body for heard in scripted.calls("POST /order"))
    assert first == second
    assert first["postOnly"] is True
    assert first["order"]["makerAmount"] == "4800000"


@pytest.mark.parametrize("payload", [{}, {"salt": 1}, {"salt": 1, "odd": 2}])
async def test_a_payload_that_is_not_an_order_is_refused(
    venue: PolymarketVenue, market: Market, request_of: Build, payload: dict[str, Any]
) -> None:
    order = replace(await venue.sign(request_of(), market), payload=payload)
    with pytest.raises(BadValue, match="not a signed order"):
        await venue.submit(order)


# --- submitting -------------------------------------------------------------------------------


@pytest.mark.parametrize(("tif", "reply", "state"), [
    (TimeInForce.GTC, {"status": "live"}, OrderState.LIVE),
    (TimeInForce.GTC, {"status": "delayed"}, OrderState.DELAYED),
    (TimeInForce.GTC, {"status": "matched", "makingAmount": "4.8", "takingAmount": "10"},
     OrderState.FILLED),
    (TimeInForce.GTC, {"status": "matched", "makingAmount": "2.4", "takingAmount": "5"},
     OrderState.LIVE),
    (TimeInForce.GTC, {"status": "matched"}, OrderState.UNKNOWN),
    (TimeInForce.FAK, {"status": "matched", "makingAmount": "2.4", "takingAmount": "5"},
     OrderState.FILLED),
    (TimeInForce.FAK, {"status": "delayed"}, OrderState.DELAYED),
    (TimeInForce.GTC, {"status": "unmatched"}, OrderState.UNKNOWN),
])  # fmt: skip
async def test_accepted(
    venue: PolymarketVenue, scripted: Any, market: Market, request_of: Build,
    tif: TimeInForce, reply: dict[str, Any], state: OrderState,
) -> None:  # fmt: skip
    heard: list[str] = []
    venue.on_accepted = heard.append
    order = await venue.sign(request_of(tif=tif), market)
    scripted.plays["POST /order"] = [accept(order, tradeIDs=["t1"], **reply)]
    ack = await venue.submit(order)
    assert (ack.order_id, ack.state) == (order.order_id, state)
    if state is not OrderState.UNKNOWN:
        assert ack.trade_ids == ("t1",)
        assert heard == [order.order_id]
    else:
        assert len(scripted.calls("POST /order")) == 1


async def test_a_sold_order_counts_the_shares_it_gave(
    venue: PolymarketVenue, scripted: Any, market: Market, request_of: Build
) -> None:
    order = await venue.sign(request_of(side=Side.SELL), market)
    part = {"status": "matched", "makingAmount": "9.99", "takingAmount": "4.7952"}
    scripted.plays["POST /order"] = [accept(order, **part)]
    assert (await venue.submit(order)).state is OrderState.LIVE


@pytest.mark.parametrize(("reply", "error", "detail"), [
    ((400, {"error": "not enough balance / allowance"}), VenueRejected, "balance"),
    ((400, {"error": "order 0x is invalid. Duplicated."}), VenueRejected, "duplicate"),
    ((400, {"error": "never seen before"}), VenueRejected, "other"),
    ((200, OK | {"success": False, "errorMsg": "not enough balance / allowance"}),
     VenueRejected, "balance"),
    ((200, OK | {"errorMsg": "order couldn't be fully filled. FOK orders are fully filled or "
                             "killed."}), VenueRejected, "unmatched"),
    ((425, {"error": "restarting"}), VenueUnavailable, "restarting"),
    ((503, {"error": "post-only mode: only post-only orders and cancels are allowed",
            "code": "post_only_mode", "retry_after_seconds": 79}), VenueUnavailable, "post_only"),
    ((503, {"error": "Trading is currently cancel-only. New orders are not accepted, but cancels "
                     "are allowed."}), VenueUnavailable, "cancel_only"),
    ((503, {"error": "Trading is currently disabled. Check polymarket.com for updates"}),
     VenueUnavailable, "disabled"),
    ((403, "Access denied"), VenueUnavailable, "disabled"),
    ((429, {"error": "Too Many Requests"}), VenueUnavailable, "rate_limited"),
    ((500, {"error": "could not run the execution"}), VenueUnknown, None),
    ((503, "upstream"), VenueUnknown, None),
    ((502, "<html>bad gateway</html>"), VenueUnknown, None),
    ((200, "not json"), VenueUnknown, None),
    ((200, {}), VenueUnknown, None),
    ((200, []), VenueUnknown, None),
    ((200, OK | {"orderID": None}), VenueUnknown, None),
    ((200, OK | {"orderID": ""}), VenueUnknown, None),
    ((200, OK | {"orderID": "0xother"}), VenueUnknown, None),
    ((200, OK | {"status": "novel"}), VenueUnknown, None),
    ((200, OK | {"success": False, "errorMsg": "never seen before"}), VenueUnknown, None),
])  # fmt: skip
async def test_not_accepted(
    venue: PolymarketVenue, scripted: Any, market: Market, request_of: Build,
    reply: Any, error: type[VenueError], detail: str | None,
) -> None:  # fmt: skip
    order = await venue.sign(request_of(), market)
    scripted.plays["POST /order"] = [reply]
    with pytest.raises(error) as caught:
        await venue.submit(order)
    if isinstance(caught.value, VenueRejected):
        assert caught.value.code == detail
    elif isinstance(caught.value, VenueUnavailable):
        assert caught.value.mode == detail
    assert len(scripted.calls("POST /order")) == 1, "a submit is never repeated by itself"


@pytest.mark.parametrize(("reply", "failed"), [
    ((425, {"error": "restarting"}), 0),
    ((503, {"error": "post-only mode: only post-only orders", "code": "post_only_mode"}), 0),
    ((503, {"error": "Trading is currently cancel-only."}), 0),
    ((503, {"error": "Trading is currently disabled."}), 1),
    ((500, {"error": "could not run the execution"}), 1),
    ((400, {"error": "not enough balance / allowance"}), 0),
])  # fmt: skip
async def test_modes_the_venue_announces_are_no_failures_of_it(
    venue: PolymarketVenue, scripted: Any, market: Market, request_of: Build,
    reply: Any, failed: int,
) -> None:  # fmt: skip
    order = await venue.sign(request_of(), market)
    before = venue.calls[1]
    scripted.plays["POST /order"] = [reply]
    with pytest.raises(VenueError):
        await venue.submit(order)
    assert venue.calls[1] - before == failed


async def test_retry_after_is_honoured_before_anything_is_sent_again(
    venue: PolymarketVenue, scripted: Any, market: Market, request_of: Build
) -> None:
    def refuse(_request: web.Request, _body: Any) -> web.Response:
        return web.json_response({"error": "slow"}, status=429, headers={"Retry-After": "30"})

    order = await venue.sign(request_of(), market)
    scripted.plays["POST /order"] = [refuse, accept(order)]
    for _ in range(2):
        with pytest.raises(VenueUnavailable) as caught:
            await venue.submit(order)
        assert caught.value.mode == "rate_limited"
        assert caught.value.retry_after_s == pytest.approx(30, abs=1)
    assert len(scripted.calls("POST /order")) == 1
    scripted.plays["DELETE /orders"] = [(200, {"canceled": ["0x1"], "not_canceled": {}})]
    assert (await venue.cancel(["0x1"])).cancelled == ("0x1",), "cancels have a limit of their own"


async def test_an_order_that_waits_for_its_turn_is_held_back_at_the_last_moment(
    venue: PolymarketVenue, scripted: Any, market: Market, request_of: Build
) -> None:
    order = await venue.sign(request_of(), market)
    scripted.plays["POST /order"] = [accept(order)]
    venue._limits.orders.charge(61)  # a second behind
    sending = asyncio.create_task(venue.submit(order))
    await asyncio.sleep(0)
    venue.held = lambda: "the lease is in doubt"
    with pytest.raises(VenueUnavailable, match="lease is in doubt") as caught:
        await sending
    assert caught.value.mode == "suspended"
    assert scripted.calls("POST /order") == []
    venue.held = str
    assert (await venue.submit(order)).state is OrderState.LIVE


async def test_an_answer_that_does_not_come_is_unknown(
    venue: PolymarketVenue, scripted: Any, market: Market, request_of: Build
) -> None:
    async def stall(_request: web.Request, _body: Any) -> web.Response:
        await asyncio.sleep(30)
        return web.json_response(OK)

    venue._session._timeout_s = 0.3
    scripted.plays["POST /order"] = [stall]
    with pytest.raises(VenueUnknown, match="in time"):
        await venue.submit(await venue.sign(request_of(), market))


async def test_a_connection_cut_after_sending_is_unknown(
    venue: PolymarketVenue, scripted: Any, market: Market, request_of: Build
) -> None:
    async def cut(request: web.Request, _body: Any) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    scripted.plays["POST /order"] = [cut]
    with pytest.raises(VenueUnknown):
        await venue.submit(await venue.sign(request_of(), market))


# --- cancelling -------------------------------------------------------------------------------


async def test_cancels_go_in_batches_without_repeats_and_report_refusals(
    venue: PolymarketVenue, scripted: Any
) -> None:
    def cancel(_request: web.Request, ids: Any) -> tuple[int, Any]:
        done = [i for i in ids if i != "0x7"]
        refused = {i: "Order not found or already canceled" for i in ids if i == "0x7"}
        return 200, {"canceled": done, "not_canceled": refused}

    scripted.plays["DELETE /orders"] = [cancel]
    ids = [f"0x{number}" for number in range(150)]
    report = await venue.cancel([*ids, "0x3", "0x4"])
    assert set(report.cancelled) == set(ids) - {"0x7"}
    assert report.refused == {"0x7": "Order not found or already canceled"}
    assert [len(heard.body) for heard in scripted.calls("DELETE /orders")] == [100, 50]


async def test_cancelling_nothing_asks_nothing(venue: PolymarketVenue, scripted: Any) -> None:
    assert (await venue.cancel([])).cancelled == ()
    assert scripted.heard == []


async def test_cancel_all(venue: PolymarketVenue, scripted: Any) -> None:
    scripted.plays["DELETE /cancel-all"] = [(200, {"canceled": ["0x1"], "not_canceled": {}})]
    assert (await venue.cancel_all()).cancelled == ("0x1",)


@pytest.mark.parametrize(("reply", "error"), [
    ((500, {"error": "x"}), VenueUnknown), ((425, {"error": "x"}), VenueUnavailable),
    ((400, {"error": "Invalid orderID"}), VenueUnavailable), ((200, {"odd": 1}), VenueUnknown),
])  # fmt: skip
async def test_a_cancel_is_never_called_rejected(
    venue: PolymarketVenue, scripted: Any, reply: Any, error: type[VenueError]
) -> None:
    scripted.plays["DELETE /orders"] = [reply]
    with pytest.raises(error):
        await venue.cancel(["0x1"])


# --- asking -----------------------------------------------------------------------------------


def order_row(order_id: str = "0x1", **changes: Any) -> dict[str, Any]:
    return {
        "id": order_id, "status": "LIVE", "market": "0xc", "asset_id": "1", "side": "BUY",
        "original_size": "10", "size_matched": "0", "price": "0.48",
    } | changes  # fmt: skip


async def test_one_order(venue: PolymarketVenue, scripted: Any) -> None:
    scripted.plays["GET /data/order/0x1"] = [(200, order_row())]
    found = await venue.order("0x1")
    assert found is not None
    assert (found.state, found.price_e4) == (OrderState.LIVE, 4800)


@pytest.mark.parametrize("reply", [(404, {"error": "Order not found"}), (200, None), (200, {})])
async def test_an_order_that_is_not_open_is_none(
    venue: PolymarketVenue, scripted: Any, reply: Any
) -> None:
    scripted.plays["GET /data/order/0x1"] = [reply]
    assert await venue.order("0x1") is None


@pytest.mark.parametrize("reply", [
    (500, {"error": "x"}), (200, "text"), (200, order_row("0x2")), (200, order_row(price="?")),
    (200, [1]),
])  # fmt: skip
async def test_trouble_is_not_taken_for_a_missing_order(
    venue: PolymarketVenue, scripted: Any, reply: Any
) -> None:
    scripted.plays["GET /data/order/0x1"] = [reply]
    with pytest.raises(VenueUnknown):
        await venue.order("0x1")


def paged(path: str, scripted: Any, *pages: list[Any]) -> None:
    def play(request: web.Request, _body: Any) -> tuple[int, Any]:
        at = int(request.query.get("next_cursor", "0"))
        following = str(at + 1) if at + 1 < len(pages) else "LTE="
        return 200, {"data": pages[at], "next_cursor": following, "limit": 1, "count": 1}

    scripted.plays[path] = [play]


async def test_open_orders_of_all_pages(venue: PolymarketVenue, scripted: Any) -> None:
    paged("GET /data/orders", scripted, [order_row("0x1"), order_row("0x2")], [order_row("0x3")])
    assert [o.order_id for o in await venue.open_orders("0xc")] == ["0x1", "0x2", "0x3"]
    assert [h.query["market"] for h in scripted.calls("GET /data/orders")] == ["0xc", "0xc"]


async def test_half_a_listing_is_no_listing(venue: PolymarketVenue, scripted: Any) -> None:
    scripted.plays["GET /data/orders"] = [
        (200, {"data": [order_row()], "next_cursor": "MQ=="}),
        (502, "bad gateway"),
    ]
    with pytest.raises(VenueUnknown):
        await venue.open_orders()


@pytest.mark.parametrize("body", [{}, [], {"data": None}, {"data": [None]}])
async def test_a_listing_of_another_shape_is_unknown(
    venue: PolymarketVenue, scripted: Any, body: Any
) -> None:
    scripted.plays["GET /data/orders"] = [(200, body)]
    with pytest.raises(VenueUnknown):
        await venue.open_orders()


def trade_row(venue: PolymarketVenue, market: Market, **changes: Any) -> dict[str, Any]:
    return {
        "id": "t1", "taker_order_id": "0xt", "market": market.condition_id,
        "asset_id": market.up_token, "side": "BUY", "size": "10", "price": "0.48",
        "status": "MATCHED", "match_time": "1725958681", "maker_address": venue.wallet,
        "trader_side": "TAKER", "maker_orders": [],
    } | changes  # fmt: skip


async def test_trades_oldest_first_with_the_markets_fee(
    venue: PolymarketVenue, scripted: Any, market: Market
) -> None:
    rows = [
        trade_row(venue, market, id="t2", match_time="1725958690"),
        trade_row(venue, market),
        trade_row(venue, market, id="t3", trader_side="MAKER"),
    ]
    paged("GET /data/trades", scripted, rows)
    fee = {"fd": {"r": 0.07, "e": 1, "to": True}}
    scripted.plays[f"GET /clob-markets/{market.condition_id}"] = [(200, fee)]
    trades = await venue.trades(condition_id=market.condition_id, after_s=1725958000)
    assert [trade.trade_id for trade in trades] == ["t1", "t2"], "others' trades are left out"
    (leg,) = trades[0].legs
    assert (leg.role, leg.cash_e6) == (Role.TAKER, 4_800_000)
    assert leg.fee_e6 == taker_fee_e6(4800, 10_000_000, market.fee)
    (asked,) = scripted.calls("GET /data/trades")
    assert asked.query == {"market": market.condition_id, "after": "1725958000"}
    assert len(scripted.calls(f"GET /clob-markets/{market.condition_id}")) == 1


async def test_a_trade_on_two_pages_counts_once_with_its_latest_status(
    venue: PolymarketVenue, scripted: Any, market: Market
) -> None:
    venue.markets.remember(market)
    newer, older = (trade_row(venue, market, status=s) for s in ("CONFIRMED", "MATCHED"))
    paged("GET /data/trades", scripted, [newer], [older])
    (trade,) = await venue.trades()
    assert trade.status == "CONFIRMED"


async def test_no_fee_is_asked_for_where_others_took(
    venue: PolymarketVenue, scripted: Any, market: Market
) -> None:
    made = {
        "order_id": "0xm", "maker_address": venue.wallet, "matched_amount": "10", "price": "0.48",
        "asset_id": market.up_token, "side": "SELL",
    }  # fmt: skip
    row = trade_row(venue, market, trader_side="MAKER", maker_orders=[made])
    paged("GET /data/trades", scripted, [row])
    (trade,) = await venue.trades()
    assert [(leg.role, leg.fee_e6) for leg in trade.legs] == [(Role.MAKER, 0)]
    assert scripted.calls(f"GET /clob-markets/{market.condition_id}") == []


async def test_a_market_nobody_knows_any_more_keeps_no_other_trade_from_being_read(
    venue: PolymarketVenue, scripted: Any, market: Market
) -> None:
    """But whoever asks for that very market is told."""
    gone = "0x" + "9" * 64
    venue.markets.remember(market)
    rows = [trade_row(venue, market, id="t0") | {"market": gone}, trade_row(venue, market)]
    paged("GET /data/trades", scripted, rows)
    scripted.plays[f"GET /clob-markets/{gone}"] = [(404, {"error": "market not found"})]
    assert [trade.trade_id for trade in await venue.trades()] == ["t1"]
    with pytest.raises(NotListed, match=gone):
        await venue.trades(condition_id=gone)


async def test_a_fee_nobody_can_tell_is_unknown(
    venue: PolymarketVenue, scripted: Any, market: Market
) -> None:
    paged("GET /data/trades", scripted, [trade_row(venue, market)])
    scripted.plays[f"GET /clob-markets/{market.condition_id}"] = [(500, {"error": "x"})]
    with pytest.raises(VenueUnknown):
        await venue.trades()


# --- money ------------------------------------------------------------------------------------


async def test_balances_are_refreshed_first(venue: PolymarketVenue, scripted: Any) -> None:
    body = {"balance": "123456789", "allowances": {}}
    scripted.plays["GET /balance-allowance"] = [(200, body)]
    assert await venue.cash_e6() == 123_456_789
    assert await venue.shares_e6("9" * 77) == 123_456_789
    assert [heard.path for heard in scripted.heard] == [
        "/balance-allowance/update",
        "/balance-allowance",
    ] * 2
    assert [heard.query["asset_type"] for heard in scripted.heard] == [
        "COLLATERAL", "COLLATERAL", "CONDITIONAL", "CONDITIONAL",
    ]  # fmt: skip
    assert scripted.heard[-1].query["signature_type"] == "0"


async def test_a_failed_refresh_leaves_the_cached_balance(
    venue: PolymarketVenue, scripted: Any
) -> None:
    scripted.plays["GET /balance-allowance/update"] = [(500, {"error": "x"})]
    scripted.plays["GET /balance-allowance"] = [(200, {"balance": "5", "allowances": {}})]
    assert await venue.cash_e6() == 5
    scripted.plays["GET /balance-allowance"] = [(200, {"balance": "lots"})]
    with pytest.raises(VenueUnknown):
        await venue.cash_e6()


# --- heartbeats -------------------------------------------------------------------------------


async def test_heartbeats_name_their_predecessor(venue: PolymarketVenue, scripted: Any) -> None:
    scripted.plays["POST /v1/heartbeats"] = [
        (200, {"heartbeat_id": "a"}),
        (200, {"heartbeat_id": "b"}),
    ]
    await asyncio.gather(venue.heartbeat(), venue.heartbeat())
    sent = [heard.body["heartbeat_id"] for heard in scripted.calls("POST /v1/heartbeats")]
    assert sent == ["", "a"]


@pytest.mark.parametrize(("mismatch", "retry"), [
    ({"error_msg": "Invalid Heartbeat ID", "heartbeat_id": "x"}, "x"),
    ({"error": "Invalid Heartbeat ID", "error_msg": "Invalid Heartbeat ID",
      "heartbeat_id": "x"}, "x"),
    ({"error": "Invalid Heartbeat ID"}, ""),
])  # fmt: skip
async def test_after_a_restart_the_venue_says_which_it_expects(
    venue: PolymarketVenue, scripted: Any, mismatch: Any, retry: str
) -> None:
    scripted.plays["POST /v1/heartbeats"] = [(400, mismatch), (200, {"heartbeat_id": "y"})]
    await venue.heartbeat()
    await venue.heartbeat()
    sent = [heard.body["heartbeat_id"] for heard in scripted.calls("POST /v1/heartbeats")]
    assert sent == ["", retry, "y"]


@pytest.mark.parametrize(("reply", "error"), [
    ((500, {"error": "x"}), VenueUnknown), ((400, {"error": "x"}), VenueUnavailable),
    ((200, {}), VenueUnknown),
])  # fmt: skip
async def test_a_failed_heartbeat_says_so(
    venue: PolymarketVenue, scripted: Any, reply: Any, error: type[VenueError]
) -> None:
    scripted.plays["POST /v1/heartbeats"] = [reply]
    with pytest.raises(error):
        await venue.heartbeat()
