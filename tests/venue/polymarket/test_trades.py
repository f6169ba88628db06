import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import VenueUnknown
from models.markets import FeeSchedule, Side, taker_fee_e6
from models.orders import OrderState, Role, TradeStatus
from models.settings import Settings
from venue.polymarket.orders import WireOrder, order_update, parse_order, state_of
from venue.polymarket.trades import Party, WireMaker, WireTrade, read_wire, trade_of

ME = Party(wallet="0xa3D82Ed56F4c68d2328Fb8c29e568Ba2cAF7d7c8", api_key="key-1")
FEE = FeeSchedule(70_000, 1, 200_000)
UP, DOWN = "1001", "2002"


def decimal_text(value: int, decimals: int) -> str:
    return f"{Decimal(value).scaleb(-decimals):f}"


def sample(name: str) -> Any:
    folder = Settings().floor_data_dir / "polymarket_api_samples" / "ws_messages"
    return json.loads((folder / f"{name}.json").read_text())


def maker(**fields: Any) -> WireMaker:
    base = WireMaker(
        order_id="0xm", maker_address=ME.wallet.lower(), matched_amount="10", price="0.40",
        asset_id=UP, side="SELL",
    )  # fmt: skip
    return msgspec.structs.replace(base, **fields)


def trade(**fields: Any) -> WireTrade:
    base = WireTrade(
        id="t1", taker_order_id="0xt", market="0xc", asset_id=UP, side="BUY", size="10",
        price="0.40", status="MATCHED", match_time="1725958681", maker_address="0xother",
        trader_side="MAKER", maker_orders=[maker()],
    )  # fmt: skip
    return msgspec.structs.replace(base, **fields)


# --- recorded messages ------------------------------------------------------------------------


def test_recorded_taker_trade() -> None:
    wire = read_wire(sample("user_trade2"))
    parsed = trade_of(wire, ME, FEE)
    (leg,) = parsed.legs
    assert (leg.role, leg.side, leg.size_e6, leg.cash_e6) == (
        Role.TAKER, Side.BUY, 5_000_000, 2_600_000,
    )  # fmt: skip
    assert leg.fee_e6 == taker_fee_e6(5200, 5_000_000, FEE)
    assert leg.order_id.startswith("0x5b605a0e")
    assert parsed.matched_ns == 1_725_958_681_000_000_000
    assert parsed.transaction_hash.startswith("0xa667ef3b")


def test_recorded_maker_trades_use_our_rows_not_the_top_level() -> None:
    (leg,) = trade_of(read_wire(sample("user_trade3")), ME, FEE).legs
    assert (leg.role, leg.side, leg.cash_e6, leg.fee_e6) == (Role.MAKER, Side.BUY, 2_565_000, 0)
    legs = trade_of(read_wire(sample("user_trade4")), ME, FEE).legs
    assert [leg.order_id[:8] for leg in legs] == ["0x3ad09f", "0x67b598"]
    assert [leg.cash_e6 for leg in legs] == [2_000_000, 1_500_000]


def test_recorded_trade_of_strangers_has_no_legs_of_ours() -> None:
    stranger = Party(wallet="0x" + "99" * 20, api_key="key-9")
    assert trade_of(read_wire(sample("user_trade1")), stranger, FEE).legs == ()


def test_recorded_sweep_over_both_tokens_costs_the_sum_of_its_rows() -> None:
    wire = msgspec.structs.replace(read_wire(sample("user_trade1")), trader_side="TAKER")
    rows = wire.maker_orders or []
    assert {row.asset_id for row in rows} > {wire.asset_id}
    total = sum(round(float(row.matched_amount) * 1e6) for row in rows)
    taker = trade_of(msgspec.structs.replace(wire, size=decimal_text(total, 6)), ME, FEE).legs[-1]
    assert taker.role is Role.TAKER
    assert taker.cash_e6 == total * 518 // 1000


# --- whose legs -------------------------------------------------------------------------------


def test_a_trade_between_two_of_our_agents_has_both_legs() -> None:
    legs = trade_of(trade(trader_side="TAKER", maker_address=ME.wallet), ME, FEE).legs
    assert [(leg.role, leg.side) for leg in legs] == [
        (Role.MAKER, Side.SELL),
        (Role.TAKER, Side.BUY),
    ]
    assert legs[0].cash_e6 == legs[1].cash_e6 == 4_000_000


def test_a_makers_view_with_our_address_on_top_does_not_make_us_the_taker() -> None:
    (leg,) = trade_of(trade(maker_address=ME.wallet), ME, FEE).legs
    assert leg.role is Role.MAKER


@pytest.mark.parametrize(("address", "owner", "ours"), [
    (ME.wallet.upper().replace("0X", "0x"), "", True), ("0xother", ME.api_key, False),
    ("", ME.api_key, True), ("", "key-2", False), ("", "", False),
])  # fmt: skip
def test_a_row_is_ours_by_address_and_by_key_only_without_one(
    address: str, owner: str, ours: bool
) -> None:
    row = maker(maker_address=address, owner=owner)
    assert bool(trade_of(trade(maker_orders=[row]), ME, FEE).legs) is ours


def test_without_a_trader_side_the_address_decides() -> None:
    parsed = trade_of(trade(trader_side="", maker_address=ME.wallet, maker_orders=[]), ME, FEE)
    assert [leg.role for leg in parsed.legs] == [Role.TAKER]


# --- money ------------------------------------------------------------------------------------


def test_maker_on_the_complementary_token_keeps_its_own_token_and_price() -> None:
    row = maker(asset_id=DOWN, price="0.6", side="")
    (leg,) = trade_of(trade(maker_orders=[row]), ME, FEE).legs
    assert (leg.token_id, leg.side, leg.cash_e6) == (DOWN, Side.BUY, 6_000_000)


@pytest.mark.parametrize(("asset", "taker", "side"), [
    (UP, "BUY", Side.SELL), (UP, "SELL", Side.BUY), ("", "BUY", Side.SELL),
    (DOWN, "BUY", Side.BUY), (DOWN, "SELL", Side.SELL),
])  # fmt: skip
def test_a_row_without_side_follows_from_its_token(asset: str, taker: str, side: Side) -> None:
    row = maker(asset_id=asset, side="")
    (leg,) = trade_of(trade(maker_orders=[row], side=taker), ME, FEE).legs
    assert leg.side is side


sizes = st.integers(1, 10**11)
prices = st.integers(1, 9999)


@given(prices, st.lists(st.tuples(sizes, st.booleans()), min_size=1, max_size=5))
def test_every_leg_is_its_own_price_times_its_own_size_rounded_down(
    price: int, rows: list[tuple[int, bool]]
) -> None:
    makers = [
        maker(
            order_id=f"0x{number}",
            matched_amount=decimal_text(size, 6),
            price=decimal_text(10_000 - price if other else price, 4),
            asset_id=DOWN if other else UP,
            side="",
        )
        for number, (size, other) in enumerate(rows)
    ]
    total = sum(size for size, _ in rows)
    wire = trade(
        trader_side="TAKER", size=decimal_text(total, 6), price=decimal_text(price, 4),
        maker_orders=makers,
    )  # fmt: skip
    *maker_legs, taker = trade_of(wire, ME, FEE).legs
    for leg in maker_legs:
        own = price if leg.token_id == UP else 10_000 - price
        assert leg.cash_e6 == own * leg.size_e6 // 10_000
    assert taker.cash_e6 == price * total // 10_000
    assert taker.fee_e6 == taker_fee_e6(price, total, FEE)
    assert all(leg.fee_e6 == 0 for leg in maker_legs)


@pytest.mark.parametrize("rows", [[], None, [maker(matched_amount="3")]])
def test_without_all_rows_the_takers_cash_is_price_times_size(rows: Any) -> None:
    wire = trade(trader_side="TAKER", maker_orders=rows, price="0.123", size="7.000001")
    taker = trade_of(wire, ME, FEE).legs[-1]
    assert taker.cash_e6 == 861_000
    assert taker.fee_e6 == taker_fee_e6(1230, 7_000_001, FEE)


# --- odd messages -----------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "status"), [
    ("MATCHED", TradeStatus.MATCHED), ("TRADE_STATUS_MINED", TradeStatus.MINED),
    ("confirmed", TradeStatus.CONFIRMED), ("RETRYING", TradeStatus.RETRYING),
    ("TRADE_STATUS_FAILED", TradeStatus.FAILED), ("", TradeStatus.MATCHED),
    ("[MATCHED_NOT_BROADCASTED]", TradeStatus.MATCHED),
])  # fmt: skip
def test_statuses_in_every_spelling(text: str, status: TradeStatus) -> None:
    assert trade_of(trade(status=text), ME, FEE).status is status


@pytest.mark.parametrize("wire", [
    trade(status="TELEPORTED"), trade(maker_orders=[maker(price="x")]),
    trade(maker_orders=[maker(order_id="")]), trade(maker_orders=[maker(matched_amount="")]),
    trade(trader_side="TAKER", taker_order_id=""), trade(trader_side="TAKER", side="HOLD"),
])  # fmt: skip
def test_money_that_cannot_be_read_is_not_guessed(wire: WireTrade) -> None:
    with pytest.raises(VenueUnknown, match="t1"):
        trade_of(wire, ME, FEE)


@pytest.mark.parametrize("row", [None, [], {"id": "x"}, {"market": "y"}, {"id": ["x"]}])
def test_a_row_that_is_no_trade(row: Any) -> None:
    with pytest.raises(VenueUnknown):
        read_wire(row)


@pytest.mark.parametrize(("fields", "ns"), [
    ({"match_time": "", "matchtime": "1725958681"}, 1_725_958_681_000_000_000),
    ({"match_time_nano": "1725958681000000005"}, 1_725_958_681_000_000_005),
    ({"match_time": "", "timestamp": "1725958682125"}, 1_725_958_682_125_000_000),
    ({"match_time": 1725958681}, 1_725_958_681_000_000_000),
])  # fmt: skip
def test_match_time_in_every_spelling(fields: dict[str, Any], ns: int) -> None:
    assert trade_of(trade(**fields), ME, FEE).matched_ns == ns


# --- orders -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "matched", "state"), [
    ("LIVE", 0, OrderState.LIVE), ("ORDER_STATUS_LIVE", 0, OrderState.LIVE),
    ("live", 4, OrderState.PARTIAL), ("LIVE", 10, OrderState.FILLED),
    ("MATCHED", 10, OrderState.FILLED), ("MATCHED", 4, OrderState.PARTIAL),
    ("DELAYED", 0, OrderState.DELAYED), ("UNMATCHED", 0, OrderState.LIVE),
    ("CANCELED", 4, OrderState.CANCELLED), ("CANCELLED", 0, OrderState.CANCELLED),
    ("CANCELED_MARKET_RESOLVED", 0, OrderState.CANCELLED),
    ("CANCELED_EXPIRED_ORDER", 0, OrderState.EXPIRED), ("INVALID", 0, OrderState.CANCELLED),
    ("CANCELED_order couldn't be fully filled. FOK orders are fully filled or killed.", 0,
     OrderState.CANCELLED),
    ("", 0, OrderState.UNKNOWN), ("SOMETHING_NEW", 0, OrderState.UNKNOWN),
])  # fmt: skip
def test_order_states(status: str, matched: int, state: OrderState) -> None:
    assert state_of(status, 10, matched) is state


ROW = {
    "id": "0x1", "status": "LIVE", "owner": "k", "maker_address": "0xa", "market": "0xc",
    "asset_id": UP, "side": "BUY", "original_size": "10", "size_matched": "2.5", "price": "0.48",
    "outcome": "Up", "expiration": "0", "order_type": "GTC", "associate_trades": [],
    "created_at": 1700000000,
}  # fmt: skip


def test_an_open_order_row() -> None:
    order = parse_order(ROW)
    assert (order.order_id, order.token_id, order.side) == ("0x1", UP, Side.BUY)
    assert (order.price_e4, order.original_size_e6, order.size_matched_e6) == (
        4800, 10_000_000, 2_500_000,
    )  # fmt: skip
    assert order.state is OrderState.PARTIAL


@pytest.mark.parametrize(
    "change", [{"id": ""}, {"side": "HOLD"}, {"price": "1e-2"}, {"original_size": ["1"]},
               {"asset_id": ""}],
)  # fmt: skip
def test_an_order_row_that_cannot_be_read_is_not_guessed(change: dict[str, Any]) -> None:
    with pytest.raises(VenueUnknown):
        parse_order(ROW | change)


def event(name: str, **fields: Any) -> WireOrder:
    return msgspec.convert(sample(name) | fields, WireOrder, strict=False)


def test_recorded_placement_and_cancellation() -> None:
    placed = order_update(event("order_placement"), 7)
    assert placed is not None
    assert (placed.state, placed.size_matched_e6, placed.recv_ns) == (OrderState.LIVE, 0, 7)
    assert placed.ts_ns == 1_725_842_520_990_000_000
    gone = order_update(event("order_cancel"), 7)
    assert gone is not None
    assert gone.state is OrderState.CANCELLED
    assert gone.size_matched_e6 == 5_000_000


@pytest.mark.parametrize(("fields", "state"), [
    ({"type": "UPDATE", "size_matched": "2"}, OrderState.PARTIAL),
    ({"type": "UPDATE", "size_matched": "5"}, OrderState.FILLED),
    ({"type": "UPDATE", "status": "", "size_matched": "2"}, OrderState.PARTIAL),
    ({"type": "UPDATE", "status": "MATCHED", "size_matched": "5"}, OrderState.FILLED),
    ({"type": "CANCELLATION", "status": ""}, OrderState.CANCELLED),
    ({"type": "CANCELLATION", "status": "LIVE"}, OrderState.CANCELLED),
    ({"type": "CANCELLATION", "status": "CANCELED_EXPIRED_ORDER"}, OrderState.EXPIRED),
    ({"type": "PLACEMENT", "status": "DELAYED"}, OrderState.DELAYED),
    ({"type": "SURPRISE", "status": "NEW"}, OrderState.UNKNOWN),
    ({"status": "CANCELED_order couldn't be fully filled.", "size_matched": "",
      "created_at": "", "type": "CANCELLATION"}, OrderState.CANCELLED),
])  # fmt: skip
def test_order_events(fields: dict[str, Any], state: OrderState) -> None:
    update = order_update(event("order_placement", **fields), 1)
    assert update is not None
    assert update.state is state
    assert update.note == fields.get("status", "LIVE")


def test_an_event_without_an_order_is_none() -> None:
    assert order_update(event("order_placement", id=""), 1) is None
