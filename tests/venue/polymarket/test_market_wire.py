import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.events import BookChange, SpotSource
from models.markets import Side
from models.settings import Settings
from models.units import SPOT_USD
from venue.polymarket.market_wire import (
    WireBook,
    WirePriceChange,
    WirePrint,
    WireTick,
    book_changes,
    decode_books,
    decode_frame,
    snapshot,
    tick_change,
    trade_print,
)
from venue.polymarket.price_wire import TOPICS, asset_of, decode_ticks, subscribe_frames


def sample(name: str) -> bytes:
    folder = Settings().floor_data_dir / "polymarket_api_samples" / "ws_messages"
    return (folder / f"{name}.json").read_bytes()


def one(frame: bytes) -> Any:
    (message,), bad = decode_frame(frame)
    assert bad == 0
    return message


# --- market channel ---------------------------------------------------------------------------


def test_recorded_book_is_sorted_best_first() -> None:
    book = one(sample("book"))
    assert isinstance(book, WireBook)
    event = snapshot(book, 9)
    bids, asks = [p for p, _ in event.bids], [p for p, _ in event.asks]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    assert len(event.bids) == len(book.bids)
    assert len(event.asks) == len(book.asks)


levels = st.lists(
    st.tuples(st.integers(1, 9999), st.integers(0, 10**12)), unique_by=lambda level: level[0]
)


@given(levels, st.randoms())
def test_a_book_comes_out_sorted_whatever_its_order(
    book: list[tuple[int, int]], random: Any
) -> None:
    random.shuffle(book)
    rows = [{"price": f"{p / 10_000:.4f}", "size": f"{s / 10**6:.6f}"} for p, s in book]
    wire = msgspec.convert(
        {"event_type": "book", "market": "m", "asset_id": "a", "bids": rows, "asks": rows,
         "timestamp": "1"}, WireBook,
    )  # fmt: skip
    event = snapshot(wire, 0)
    full = sorted(level for level in book if level[1] > 0)
    assert list(event.asks) == full
    assert list(event.bids) == full[::-1]


def test_recorded_price_change_of_today_and_of_before() -> None:
    (event,) = book_changes(one(sample("price_change_v2")), 9)
    assert event.changes == (
        (Side.BUY, 6000, 3_300_000_000),
        (Side.BUY, 5000, 3_400_000_000),
        (Side.BUY, 7000, 3_400_000_000),
    )
    assert (event.ts_ns, event.recv_ns) == (1_729_084_877_448_000_000, 9)
    (event,) = book_changes(one(sample("price_change")), 9)
    assert event.changes == ((Side.SELL, 5140, 21_574_080_000),)


def test_a_message_with_both_tokens_makes_one_event_each() -> None:
    rows = [
        {"asset_id": token, "price": price, "side": side, "size": "5", "hash": "h"}
        for token, price, side in [("1", "0.4", "BUY"), ("1", "0.5", "BUY"), ("2", "0.6", "SELL")]
    ]
    wire = one(
        json.dumps(
            {"event_type": "price_change", "market": "m", "timestamp": 1, "price_changes": rows}
        ).encode()
    )
    events = book_changes(wire, 0)
    assert [(e.token_id, len(e.changes)) for e in events] == [("1", 2), ("2", 1)]
    assert all(isinstance(e, BookChange) for e in events)


def test_recorded_trade_and_tick_size() -> None:
    wire = one(sample("last_trade_price"))
    assert isinstance(wire, WirePrint)
    event = trade_print(wire, 9)
    assert (event.side, event.price_e4, event.size_e6) == (Side.SELL, 4910, 85_360_000)
    wire = one(sample("tick_size_change"))
    assert isinstance(wire, WireTick)
    assert tick_change(wire, 9).tick_e4 == 10


def test_recorded_rest_book() -> None:
    path = Settings().floor_data_dir / "polymarket_api_samples" / "http_responses" / "book.json"
    (book,) = decode_books(b"[" + path.read_bytes() + b"]")
    event = snapshot(book, 0)
    assert event.bids[0] == (1000, 125_000_000)
    assert event.asks[0] == (1400, 705_000_000)


def test_an_array_of_messages_is_read_like_single_ones() -> None:
    names = ["book", "price_change_v2", "last_trade_price", "tick_size_change"]
    messages, bad = decode_frame(b"[" + b",".join(sample(name) for name in names) + b"]")
    assert [type(m).__name__ for m in messages] == [
        "WireBook", "WirePriceChange", "WirePrint", "WireTick",
    ]  # fmt: skip
    assert bad == 0


@pytest.mark.parametrize("frame", [b"", b"nonsense", b"{", b"\xff\xfe", b"PONGS"])
def test_garbage_is_counted_not_raised(frame: bytes) -> None:
    assert decode_frame(frame) == ([], 1)


def test_one_bad_object_spoils_no_other() -> None:
    items = [
        b'{"event_type":"tomorrow","x":1}',
        sample("last_trade_price"),
        b'{"event_type":"book","market":"m"}',
        b'{"no":"type"}',
        b"7",
    ]
    messages, bad = decode_frame(b"[" + b",".join(items) + b"]")
    assert [type(m) for m in messages] == [WirePrint]
    assert bad == 4


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["event_type", "market", "asset_id", "price_changes", "bids", "timestamp"])
        , inner | st.sampled_from(["book", "price_change"]), max_size=5),
    max_leaves=10,
))  # fmt: skip
def test_any_json_is_read_or_counted(value: Any) -> None:
    messages, bad = decode_frame(json.dumps(value).encode())
    assert len(messages) + bad == (len(value) if isinstance(value, list) else 1)


def test_a_level_that_is_no_number_is_a_value_error() -> None:
    wire = WirePriceChange(market="m", asset_id="1", price="x", side="BUY", size="1")
    with pytest.raises(ValueError, match="'x'"):
        book_changes(wire, 0)


# --- price stream -----------------------------------------------------------------------------


def price(topic: str, **payload: Any) -> bytes:
    base = {"symbol": "btc/usd", "timestamp": 1_780_730_269_000, "value": 61035.86}
    return json.dumps(
        {"topic": topic, "type": "update", "timestamp": 1, "payload": base | payload}
    ).encode()


def test_chainlink_is_scaled_by_1e18_and_binance_is_not() -> None:
    (tick,), _ = decode_ticks(
        price("crypto_prices_chainlink", full_accuracy_value="61035860000000000000000"), 5
    )
    assert (tick.asset, tick.source) == ("BTC", SpotSource.CHAINLINK)
    assert tick.price_e8 == 6_103_586_000_000
    assert (tick.ts_ns, tick.recv_ns) == (1_780_730_269_000_000_000, 5)
    (tick,), _ = decode_ticks(
        price("crypto_prices", symbol="ethusdt", value=2500.5, full_accuracy_value="2500.50000000"),
        5,
    )
    assert (tick.asset, tick.source) == ("ETH", SpotSource.BINANCE)
    assert tick.price_e8 == 2500 * SPOT_USD + SPOT_USD // 2


def test_below_1e8_is_rounded_half_even() -> None:
    frame = price("crypto_prices_twap_sixty", full_accuracy_value="61035860000000005000000")
    (tick,), _ = decode_ticks(frame, 0)
    assert tick.price_e8 == 6_103_586_000_000
    assert tick.source is SpotSource.TWAP_60


@pytest.mark.parametrize("value", [None, "", "61035860000000000000000000", "6"])
def test_a_missing_or_absurd_exact_value_falls_back_to_the_rounded_one(value: Any) -> None:
    (tick,), bad = decode_ticks(price("crypto_prices_chainlink", full_accuracy_value=value), 0)
    assert (tick.price_e8, bad) == (6_103_586_000_000, 0)


@pytest.mark.parametrize(
    "frame",
    [
        b"", b"  ", price("equity_prices"),
        b'{"topic":"crypto_prices","type":"subscribe","payload":{"symbol":"btc/usd","data":[]}}',
    ],
)  # fmt: skip
def test_what_we_did_not_ask_for_is_passed_over(frame: bytes) -> None:
    assert decode_ticks(frame, 0) == ([], 0)


@pytest.mark.parametrize(
    "frame",
    [
        b'{"statusCode":401,"body":{"message":"Not authorized"}}', b"nonsense", b"7",
        price("crypto_prices", value=None), price("crypto_prices", value=-1),
        price("crypto_prices", symbol="btceur"), price("crypto_prices", value="x"),
        price("crypto_prices", value=0),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_counted(frame: bytes) -> None:
    assert decode_ticks(frame, 0) == ([], 1)


def test_each_topic_is_asked_for_in_a_frame_of_its_own_without_filter() -> None:
    frames = [json.loads(frame) for frame in subscribe_frames()]
    assert [f["subscriptions"][0]["topic"] for f in frames] == list(TOPICS)
    assert all(len(f["subscriptions"]) == 1 for f in frames)
    assert all("filters" not in f["subscriptions"][0] for f in frames)


@pytest.mark.parametrize(("symbol", "asset"), [
    ("btc/usd", "BTC"), ("ETHUSDT", "ETH"), ("solusd", "SOL"),
])  # fmt: skip
def test_assets(symbol: str, asset: str) -> None:
    assert asset_of(symbol) == asset
