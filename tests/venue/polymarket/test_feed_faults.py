"""The sockets against a scripted venue that drops, freezes, stalls, stutters and babbles."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from polymarket.models import ApiKeyCreds

from models.events import (
    BookChange,
    BookSnapshot,
    FeedState,
    FeedStatus,
    MarketResolved,
    OrderUpdate,
    SpotTick,
    TickSizeChange,
    TradePrint,
    TradeUpdate,
)
from models.markets import FeeSchedule, Market, Outcome, taker_fee_e6
from models.orders import OrderState, TradeStatus
from models.units import SECOND_NS
from venue.polymarket.books import BookSource
from venue.polymarket.market_channel import MarketChannel, MarketTiming
from venue.polymarket.price_channel import PriceChannel, PriceTiming
from venue.polymarket.registry import Markets
from venue.polymarket.trades import Party
from venue.polymarket.user_channel import UserChannel, UserTiming
from venue.polymarket.ws import Backoff, LinkTiming

FAST = LinkTiming(ping_s=0.05, pong_s=0.3, backoff_least_s=0.02, backoff_most_s=0.1)
UP, STALE, DOWN = FeedState.UP, FeedState.STALE, FeedState.DOWN


@pytest.fixture
def running(market: Market) -> Market:
    """The market, in a window that has begun."""
    now = time.time_ns()
    return replace(market, start_ns=now, end_ns=now + 900 * SECOND_NS)


# --- market channel ---------------------------------------------------------------------------


def book(token: str, bid: str = "0.48", ask: str = "0.52", **more: Any) -> dict[str, Any]:
    return {
        "event_type": "book", "market": "0xc", "asset_id": token, "timestamp": "1757908892351",
        "bids": [{"price": "0.01", "size": "5"}, {"price": bid, "size": "30"}],
        "asks": [{"price": "0.99", "size": "5"}, {"price": ask, "size": "25"}],
    } | more  # fmt: skip


def change(token: str, bid: str, ask: str = "0.52") -> dict[str, Any]:
    row = {"asset_id": token, "price": bid, "side": "BUY", "size": "7", "best_bid": bid,
           "best_ask": ask}  # fmt: skip
    return {"event_type": "price_change", "market": "0xc", "timestamp": "1757908892999",
            "price_changes": [row]}  # fmt: skip


def plain(book_message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in book_message.items() if key != "event_type"}


class Books:
    """Answers subscriptions with books, and `POST /books` with what the venue really has."""

    def __init__(self, server: Any, tokens: list[str]) -> None:
        self.server = server
        self.real = {token: book(token) for token in tokens}
        self.dump = True
        server.on_frame = self.on_frame
        server.plays["POST /books"] = [self.rest]

    async def on_frame(self, socket: Any, text: str) -> None:
        frame = json.loads(text)
        if frame.get("operation") == "unsubscribe" or not self.dump:
            return
        books = [self.real[t] for t in frame["assets_ids"] if t in self.real]
        if books:
            await socket.send_str(json.dumps(books))

    def rest(self, _request: Any, asked: Any) -> tuple[int, Any]:
        tokens = [row["token_id"] for row in asked]
        return 200, [plain(self.real[token]) for token in tokens if token in self.real]


@pytest.fixture
def books(scripted: Any, running: Market) -> Books:
    return Books(scripted, [running.up_token, running.down_token])


TIMING = MarketTiming(
    link=FAST, check_s=0.05, snapshot_s=0.2, quiet_s=0.3, recheck_s=0.1, unconfirmed_s=1.0
)


@pytest.fixture
async def channel(scripted: Any, books: Books, recorder: Any) -> AsyncIterator[MarketChannel]:
    source = BookSource(scripted.where)
    opened = MarketChannel(scripted.where.ws_market, source, recorder, TIMING)
    yield opened
    await opened.close()
    await source.close()


async def test_up_comes_after_every_books_snapshot(
    channel: MarketChannel, recorder: Any, running: Market
) -> None:
    await channel.watch(running)
    await recorder.until(lambda: recorder.states() == [UP])
    snapshots = recorder.of(BookSnapshot)
    assert {s.token_id for s in snapshots} == {running.up_token, running.down_token}
    assert isinstance(recorder.events[-1], FeedStatus)
    assert snapshots[0].bids == ((4800, 30_000_000), (100, 5_000_000))
    assert snapshots[0].asks == ((5200, 25_000_000), (9900, 5_000_000))


async def test_all_kinds_of_message_in_one_frame(
    channel: MarketChannel, scripted: Any, recorder: Any, running: Market
) -> None:
    await channel.watch(running)
    await recorder.until(lambda: recorder.states() == [UP])
    up = running.up_token
    await scripted.tell(
        [
            change(up, "0.49"),
            {"event_type": "last_trade_price", "market": "0xc", "asset_id": up, "price": "0.49",
             "side": "BUY", "size": "3", "timestamp": "1"},
            {"event_type": "tick_size_change", "market": "0xc", "asset_id": up,
             "old_tick_size": "0.01", "new_tick_size": "0.001", "timestamp": "1"},
            {"event_type": "best_bid_ask", "market": "0xc", "asset_id": up},
            {"event_type": "new_market", "id": "1"},
            {"event_type": "market_resolved", "market": running.condition_id,
             "winning_asset_id": running.down_token, "winning_outcome": "Down", "timestamp": "1"},
            {"event_type": "market_resolved", "market": "0xsomeone", "winning_asset_id": "3"},
        ]
    )  # fmt: skip
    await recorder.until(lambda: recorder.of(MarketResolved))
    assert recorder.of(BookChange)[0].changes[0][1:] == (4900, 7_000_000)
    assert recorder.of(TradePrint)[0].price_e4 == 4900
    assert recorder.of(TickSizeChange)[0].tick_e4 == 10
    (resolved,) = recorder.of(MarketResolved)
    assert (resolved.condition_id, resolved.winner) == (running.condition_id, Outcome.DOWN)
    assert channel.outlet.unreadable == 0


async def test_a_drop_is_told_and_mended_with_fresh_books(
    channel: MarketChannel, scripted: Any, books: Books, recorder: Any, running: Market
) -> None:
    await channel.watch(running)
    await recorder.until(lambda: recorder.states() == [UP])
    books.real[running.up_token] = book(running.up_token, bid="0.30")
    await scripted.drop()
    await recorder.until(lambda: recorder.states() == [UP, DOWN, UP])
    down = next(i for i, e in enumerate(recorder.events)
                if isinstance(e, FeedStatus) and e.state is DOWN)  # fmt: skip
    again = [e for e in recorder.events[down:] if isinstance(e, BookSnapshot)]
    assert {s.token_id for s in again} == {running.up_token, running.down_token}
    assert next(s for s in again if s.token_id == running.up_token).bids[0][0] == 3000


async def test_changes_before_the_snapshot_are_dropped(
    channel: MarketChannel, scripted: Any, books: Books, recorder: Any, running: Market
) -> None:
    books.dump = False
    up = running.up_token

    async def early(socket: Any, _text: str) -> None:
        for message in (change(up, "0.10"), book(up), change(up, "0.49")):
            await socket.send_str(json.dumps(message))

    scripted.on_frame = early
    await channel.watch(running)
    await recorder.until(lambda: recorder.of(BookChange))
    kinds = [type(e) for e in recorder.events if isinstance(e, BookSnapshot | BookChange)]
    assert kinds[:2] == [BookSnapshot, BookChange]
    assert recorder.of(BookChange)[0].changes[0][1] == 4900


async def test_a_snapshot_the_socket_owes_is_fetched_and_older_changes_ignored(
    channel: MarketChannel, scripted: Any, books: Books, recorder: Any, running: Market
) -> None:
    books.dump = False

    async def half(socket: Any, _text: str) -> None:
        await socket.send_str(json.dumps(book(running.down_token)))

    scripted.on_frame = half
    await channel.watch(running)
    await recorder.until(lambda: UP in recorder.states())
    assert {s.token_id for s in recorder.of(BookSnapshot)} == {
        running.up_token, running.down_token,
    }  # fmt: skip
    assert scripted.calls("POST /books")
    late = change(running.up_token, "0.20") | {"timestamp": "1757908892000"}
    await scripted.tell(late, change(running.up_token, "0.49"))
    await recorder.until(lambda: recorder.of(BookChange))
    assert [c.changes[0][1] for c in recorder.of(BookChange)] == [4900]


async def test_a_socket_that_was_frozen_from_the_start_is_not_believed_when_it_thaws(
    channel: MarketChannel, scripted: Any, books: Books, recorder: Any, running: Market
) -> None:
    books.dump = False
    await channel.watch(running)
    await recorder.until(lambda: UP in recorder.states())
    books.dump = True
    await scripted.tell(change(running.up_token, "0.49"))
    await recorder.until(lambda: recorder.states() == [UP, STALE, DOWN, UP])
    assert recorder.of(BookChange) == []
    assert len(recorder.of(BookSnapshot)) == 4


async def test_a_token_the_venue_does_not_know_yet_holds_up_nobody(
    channel: MarketChannel, books: Books, recorder: Any, running: Market
) -> None:
    await channel.watch(running)
    await recorder.until(lambda: recorder.states() == [UP])
    coming = replace(running, condition_id="0xd", up_token="31", down_token="32")
    await channel.watch(coming)
    await asyncio.sleep(0.3)
    assert recorder.states() == [UP]
    books.real |= {"31": book("31"), "32": book("32")}
    await recorder.until(lambda: {"31", "32"} <= {s.token_id for s in recorder.of(BookSnapshot)})


async def test_only_what_is_watched_is_told(
    channel: MarketChannel, scripted: Any, books: Books, recorder: Any, running: Market
) -> None:
    other = replace(running, condition_id="0xd", up_token="31", down_token="32")
    books.real |= {"31": book("31"), "32": book("32")}
    await channel.watch(running)
    await channel.watch(other)
    await recorder.until(lambda: len(recorder.of(BookSnapshot)) == 4)
    await channel.unwatch(running)
    await scripted.tell(
        book(running.up_token), change(running.up_token, "0.49"), book("99"), change("31", "0.47")
    )
    await recorder.until(lambda: recorder.of(BookChange))
    assert [c.token_id for c in recorder.of(BookChange)] == ["31"]
    assert len(recorder.of(BookSnapshot)) == 4
    await channel.watch(running)
    await recorder.until(lambda: len(recorder.of(BookSnapshot)) == 6)
    operations = [json.loads(f).get("operation") for f in scripted.frames]
    assert operations[-2:] == ["unsubscribe", "subscribe"]


async def test_a_quiet_market_is_not_stale(
    channel: MarketChannel, scripted: Any, recorder: Any, running: Market
) -> None:
    await channel.watch(running)
    await recorder.until(lambda: len(scripted.calls("POST /books")) >= 2)
    assert recorder.states() == [UP]


async def test_a_frozen_socket_with_live_pongs_is_found_by_the_books(
    channel: MarketChannel, scripted: Any, books: Books, recorder: Any, running: Market
) -> None:
    await channel.watch(running)
    await recorder.until(lambda: recorder.states() == [UP])
    books.real[running.up_token] = book(running.up_token, bid="0.40")
    await recorder.until(lambda: recorder.states() == [UP, STALE, DOWN, UP])
    last = [s for s in recorder.of(BookSnapshot) if s.token_id == running.up_token][-1]
    assert last.bids[0][0] == 4000
    stale = next(e for e in recorder.of(FeedStatus) if e.state is STALE)
    assert "while the book moved" in stale.detail


async def test_price_changes_keep_the_comparison_in_step(
    channel: MarketChannel, scripted: Any, books: Books, recorder: Any, running: Market
) -> None:
    await channel.watch(running)
    await recorder.until(lambda: recorder.states() == [UP])
    books.real[running.up_token] = book(running.up_token, bid="0.40")
    await scripted.tell(change(running.up_token, "0.40"))
    seen = len(scripted.calls("POST /books"))
    await recorder.until(lambda: len(scripted.calls("POST /books")) >= seen + 2)
    assert recorder.states() == [UP]


async def test_silence_nobody_can_explain_ends_the_connection(
    channel: MarketChannel, scripted: Any, recorder: Any, running: Market
) -> None:
    await channel.watch(running)
    await recorder.until(lambda: recorder.states() == [UP])
    scripted.plays["POST /books"] = [(500, {})]
    await recorder.until(lambda: recorder.states() == [UP, STALE, DOWN, UP])


async def test_a_window_that_ended_is_not_compared(
    channel: MarketChannel, scripted: Any, books: Books, recorder: Any, running: Market
) -> None:
    ended = replace(running, end_ns=time.time_ns() - 1)
    await channel.watch(ended)
    await recorder.until(lambda: recorder.states() == [UP])
    books.real[running.up_token] = book(running.up_token, bid="0.02")
    await asyncio.sleep(0.8)
    assert recorder.states() == [UP]


async def test_a_socket_without_pongs_is_given_up(
    channel: MarketChannel, scripted: Any, recorder: Any, running: Market
) -> None:
    await channel.watch(running)
    await recorder.until(lambda: recorder.states() == [UP])
    scripted.pong = False
    await recorder.until(lambda: DOWN in recorder.states())
    down = next(e for e in recorder.of(FeedStatus) if e.state is DOWN)
    assert "no PONG" in down.detail
    scripted.pong = True
    await recorder.until(lambda: recorder.states()[-1] is UP)


async def test_a_venue_that_is_away_is_tried_again_and_down_is_told_once(
    channel: MarketChannel, scripted: Any, recorder: Any, running: Market
) -> None:
    scripted.refuse_sockets = True
    await channel.watch(running)
    await recorder.until(lambda: DOWN in recorder.states())
    await asyncio.sleep(0.3)
    assert recorder.states() == [DOWN]
    scripted.refuse_sockets = False
    await recorder.until(lambda: recorder.states() == [DOWN, UP])


async def test_garbage_is_counted_and_the_rest_goes_on(
    channel: MarketChannel, scripted: Any, recorder: Any, running: Market
) -> None:
    await channel.watch(running)
    await recorder.until(lambda: recorder.states() == [UP])
    await scripted.tell(
        "nonsense", "{", "[1, 2]", {"event_type": "tomorrow"}, change(running.up_token, "9.9.9"),
        {"event_type": "book", "asset_id": running.up_token, "market": "0xc",
         "bids": [{"price": "x", "size": "1"}]},
        change(running.up_token, "0.47"),
    )  # fmt: skip
    await recorder.until(lambda: recorder.of(BookChange))
    assert channel.outlet.unreadable == 7
    assert recorder.states() == [UP]
    assert channel.link.failures == 0


async def test_a_sink_that_raises_stops_nothing(
    scripted: Any, books: Books, running: Market
) -> None:
    seen: list[Any] = []

    def sink(event: Any) -> None:
        seen.append(event)
        raise RuntimeError("consumer")

    source = BookSource(scripted.where)
    channel = MarketChannel(scripted.where.ws_market, source, sink, TIMING)
    await channel.watch(running)
    async with asyncio.timeout(5):
        while len(seen) < 3:
            await asyncio.sleep(0.01)
    assert channel.outlet.refused == len(seen)
    assert channel.link.connected
    await channel.close()
    await source.close()


def test_pauses_double_to_the_most_with_jitter_and_start_over() -> None:
    backoff = Backoff(0.25, 30.0)
    pauses = [backoff.pause() for _ in range(12)]
    for number, pause in enumerate(pauses):
        whole = min(30.0, 0.25 * 2**number)
        assert whole / 2 <= pause <= whole
    backoff.reset()
    assert backoff.pause() <= 0.25


# --- user channel -----------------------------------------------------------------------------

WALLET = "0x" + "ab" * 20


class Account:
    """What the user channel needs of a venue client."""

    def __init__(self) -> None:
        self.markets = Markets()
        self.on_accepted: Any = None
        self.fees: dict[str, FeeSchedule] = {}
        self.logins = 0
        self.key = "key-1"

    @property
    def credentials(self) -> ApiKeyCreds:
        return ApiKeyCreds.model_validate({"apiKey": self.key, "secret": "s", "passphrase": "p"})

    @property
    def party(self) -> Party:
        return Party(WALLET, self.key)

    async def fee(self, condition_id: str) -> FeeSchedule:
        return self.fees[condition_id]

    async def check_login(self) -> None:
        self.logins += 1
        self.key = f"key-{self.logins + 1}"


@pytest.fixture
def account(market: Market) -> Account:
    found = Account()
    found.markets.remember(market)
    return found


@pytest.fixture
async def user(scripted: Any, account: Account, recorder: Any) -> AsyncIterator[UserChannel]:
    timing = UserTiming(link=FAST, check_s=0.05, unheard_s=0.4)
    channel = UserChannel(scripted.where.ws_user, account, recorder, timing)
    channel.start()
    yield channel
    await channel.close()


def order_event(**fields: Any) -> dict[str, Any]:
    return {
        "event_type": "order", "type": "PLACEMENT", "id": "0x1", "market": "0xc", "asset_id": "1",
        "side": "BUY", "price": "0.48", "original_size": "10", "size_matched": "0",
        "status": "LIVE", "timestamp": "1725842520990", "associate_trades": None,
    } | fields  # fmt: skip


def trade_event(of: Market, **fields: Any) -> dict[str, Any]:
    return {
        "event_type": "trade", "type": "TRADE", "id": "t1", "status": "MATCHED", "side": "BUY",
        "price": "0.48", "size": "10", "asset_id": of.up_token, "trader_side": "TAKER",
        "market": of.condition_id, "taker_order_id": "0x1", "maker_address": WALLET,
        "maker_orders": [], "match_time": "1725958681", "transaction_hash": None,
        "bucket_index": 0,
    } | fields  # fmt: skip


async def test_logs_in_first_and_is_up_when_the_venue_answers(
    user: UserChannel, scripted: Any, recorder: Any
) -> None:
    await recorder.until(lambda: recorder.states() == [UP])
    assert json.loads(scripted.frames[0]) == {
        "type": "user", "auth": {"apiKey": "key-1", "secret": "s", "passphrase": "p"},
    }  # fmt: skip


async def test_orders_and_trades_come_through_repeated_and_out_of_order(
    user: UserChannel, scripted: Any, recorder: Any, market: Market
) -> None:
    await recorder.until(lambda: recorder.states() == [UP])
    mined, matched = (trade_event(market, status=s) for s in ("MINED", "MATCHED"))
    await scripted.tell([mined, order_event()], matched, matched, order_event(type="UPDATE"))
    await recorder.until(lambda: len(recorder.of(OrderUpdate)) == 2)
    trades = [event.trade for event in recorder.of(TradeUpdate)]
    assert [t.status for t in trades] == [
        TradeStatus.MINED, TradeStatus.MATCHED, TradeStatus.MATCHED,
    ]  # fmt: skip
    (leg,) = trades[0].legs
    assert leg.fee_e6 == taker_fee_e6(4800, 10_000_000, market.fee)


async def test_the_fok_killed_text_and_empty_fields(
    user: UserChannel, scripted: Any, recorder: Any
) -> None:
    await recorder.until(lambda: recorder.states() == [UP])
    text = "CANCELED_order couldn't be fully filled. FOK orders are fully filled or killed."
    await scripted.tell(
        order_event(type="CANCELLATION", status=text, size_matched="", created_at="")
    )
    await recorder.until(lambda: recorder.of(OrderUpdate))
    (update,) = recorder.of(OrderUpdate)
    assert (update.state, update.note) == (OrderState.CANCELLED, text)


async def test_bad_events_are_counted_and_shown_to_nobody(
    user: UserChannel, scripted: Any, recorder: Any, market: Market,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    await recorder.until(lambda: recorder.states() == [UP])
    await scripted.tell(
        [order_event(id=""), order_event(size_matched="x"), 5],
        trade_event(market, status="NOVEL", owner="api-key-id"), trade_event(market, id=""),
        "nonsense", "[", order_event(),
    )  # fmt: skip
    await recorder.until(lambda: recorder.of(OrderUpdate))
    assert user.outlet.unreadable == 7
    assert "api-key-id" not in "".join(capsys.readouterr())


async def test_a_trade_in_an_unknown_market_waits_for_its_fee_alone(
    user: UserChannel, scripted: Any, account: Account, recorder: Any, market: Market
) -> None:
    await recorder.until(lambda: recorder.states() == [UP])
    account.fees["0xnew"] = FeeSchedule()
    await scripted.tell(trade_event(market, market="0xnew"), order_event())
    await recorder.until(lambda: recorder.of(TradeUpdate))
    assert recorder.of(TradeUpdate)[0].trade.legs[0].fee_e6 == 0


async def test_a_trade_between_strangers_is_not_ours_to_tell(
    user: UserChannel, scripted: Any, recorder: Any, market: Market
) -> None:
    await recorder.until(lambda: recorder.states() == [UP])
    await scripted.tell(trade_event(market, trader_side="MAKER"), order_event())
    await recorder.until(lambda: recorder.of(OrderUpdate))
    assert recorder.of(TradeUpdate) == []


async def test_an_accepted_order_not_heard_of_means_frozen(
    user: UserChannel, scripted: Any, account: Account, recorder: Any
) -> None:
    await recorder.until(lambda: recorder.states() == [UP])
    account.on_accepted("0x1")
    account.on_accepted("0x2")
    await scripted.tell(order_event())
    await recorder.until(lambda: recorder.states() == [UP, STALE, DOWN, UP])
    stale = next(e for e in recorder.of(FeedStatus) if e.state is STALE)
    assert "0x2" in stale.detail
    await asyncio.sleep(0.6)
    assert recorder.states() == [UP, STALE, DOWN, UP], "one freeze, one reconnect"


async def test_an_event_that_overtakes_the_answer_to_its_order_is_heard(
    user: UserChannel, scripted: Any, account: Account, recorder: Any
) -> None:
    await recorder.until(lambda: recorder.states() == [UP])
    await scripted.tell(order_event())
    await recorder.until(lambda: recorder.of(OrderUpdate))
    account.on_accepted("0x1")
    await asyncio.sleep(0.6)
    assert recorder.states() == [UP]


async def test_an_order_heard_of_by_its_trade_is_heard_of(
    user: UserChannel, scripted: Any, account: Account, recorder: Any, market: Market
) -> None:
    await recorder.until(lambda: recorder.states() == [UP])
    account.on_accepted("0x1")
    await scripted.tell(trade_event(market))
    await asyncio.sleep(0.6)
    assert recorder.states() == [UP]


async def test_a_refused_key_is_looked_at_and_the_new_one_used(
    user: UserChannel, scripted: Any, account: Account, recorder: Any
) -> None:
    async def refuse_old(socket: Any, text: str) -> None:
        if json.loads(text)["auth"]["apiKey"] == "key-1":
            await socket.close()

    await recorder.until(lambda: recorder.states() == [UP])
    scripted.on_frame = refuse_old
    scripted.pong = False
    await scripted.drop()
    await recorder.until(lambda: account.logins == 1)
    scripted.pong = True
    await recorder.until(lambda: recorder.states()[-1] is UP)
    assert json.loads(scripted.frames[-1])["auth"]["apiKey"] == "key-2"


# --- price stream -----------------------------------------------------------------------------


T = 1_780_730_269_000


def price(symbol: str = "btc/usd", at: int = T, **more: Any) -> dict[str, Any]:
    return {
        "topic": "crypto_prices_chainlink", "type": "update", "timestamp": at,
        "payload": {"symbol": symbol, "timestamp": at, "value": 61035.86},
    } | more  # fmt: skip


@pytest.fixture
async def prices(scripted: Any, recorder: Any) -> AsyncIterator[PriceChannel]:
    link = replace(FAST, pong_s=None)
    channel = PriceChannel(
        scripted.where.ws_prices, recorder, PriceTiming(link=link, check_s=0.05, stale_s=0.4)
    )
    scripted.pong = False
    channel.follow("BTC")
    channel.start()
    yield channel
    await channel.close()


async def test_followed_prices_come_in_order_and_once(
    prices: PriceChannel, scripted: Any, recorder: Any
) -> None:
    await recorder.until(lambda: len(scripted.frames) == 3)
    await scripted.tell(
        price(at=T), price("eth/usd"), price(at=T + 2), price(at=T + 2), price(at=T + 1),
        price(at=T + 3), "",
    )  # fmt: skip
    await recorder.until(lambda: len(recorder.of(SpotTick)) == 3)
    assert [t.ts_ns // 1_000_000 - T for t in recorder.of(SpotTick)] == [0, 2, 3]
    assert recorder.states() == [UP]
    assert prices.outlet.unreadable == 0


async def test_a_stalled_stream_is_stale_and_up_again_with_the_next_price(
    prices: PriceChannel, scripted: Any, recorder: Any
) -> None:
    await recorder.until(lambda: len(scripted.frames) == 3)
    await scripted.tell(price())
    await recorder.until(lambda: recorder.states()[:3] == [UP, STALE, DOWN])
    await recorder.until(lambda: len(scripted.frames) == 6)
    assert UP not in recorder.states()[1:]
    await scripted.tell(price(at=1_780_730_299_000))
    await recorder.until(lambda: recorder.states() == [UP, STALE, DOWN, UP])


async def test_one_series_that_stops_is_missed_though_others_go_on(
    prices: PriceChannel, scripted: Any, recorder: Any
) -> None:
    await recorder.until(lambda: len(scripted.frames) == 3)
    await scripted.tell(price())
    async with asyncio.timeout(5):
        while STALE not in recorder.states():
            await scripted.tell(price("btcusdt", topic="crypto_prices"))
            await asyncio.sleep(0.05)
    detail = next(e for e in recorder.of(FeedStatus) if e.state is STALE).detail
    assert detail.startswith("no chainlink price of BTC")


async def test_a_stream_that_never_begins_is_stale(
    prices: PriceChannel, scripted: Any, recorder: Any
) -> None:
    await recorder.until(lambda: recorder.states()[:1] == [STALE])


async def test_an_error_body_is_counted(prices: PriceChannel, scripted: Any, recorder: Any) -> None:
    await recorder.until(lambda: len(scripted.frames) == 3)
    await scripted.tell({"statusCode": 401, "body": {"message": "Not authorized"}}, price())
    await recorder.until(lambda: recorder.states() == [UP])
    assert prices.outlet.unreadable == 1
