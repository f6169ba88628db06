"""A feed that listens before its trader does: nothing is lost, nothing comes twice."""

from dataclasses import replace

import pytest

from engine.ports import Sink
from models.events import (
    BookSnapshot,
    Channel,
    FeedEvent,
    FeedState,
    FeedStatus,
    OrderUpdate,
    SpotSource,
    SpotTick,
)
from models.markets import FeeSchedule, Market
from models.orders import OrderState
from models.units import SECOND_NS
from tasks import early_feed
from tasks.early_feed import EarlyFeed

FAR_NS = 4_000_000_000 * SECOND_NS
MARKET = Market(
    condition_id="0xm",
    slug="btc-updown-15m-1800000000",
    question="Bitcoin up or down?",
    asset="BTC",
    timeframe="15m",
    up_token="1",
    down_token="2",
    start_ns=FAR_NS,
    end_ns=FAR_NS + 900 * SECOND_NS,
    tick_e4=100,
    min_size_e6=5_000_000,
    fee=FeeSchedule(70_000),
)
OVER = replace(MARKET, condition_id="0xold", start_ns=SECOND_NS, end_ns=2 * SECOND_NS)


class Wire:
    """A feed that says what it is told to say."""

    def __init__(self) -> None:
        self.watched: list[str] = []
        self.left: list[str] = []
        self.starts = 0
        self.closed = 0

    async def start(self, sink: Sink) -> None:
        self.say = sink
        self.starts += 1

    async def watch(self, market: Market) -> None:
        self.watched.append(market.condition_id)

    async def unwatch(self, market: Market) -> None:
        self.left.append(market.condition_id)

    async def close(self) -> None:
        self.closed += 1


def book(ts_ns: int, condition_id: str = "0xm") -> BookSnapshot:
    return BookSnapshot(ts_ns, ts_ns, condition_id, "1", ((4_000, 1),), ((6_000, 1),))


def tick(ts_ns: int) -> SpotTick:
    return SpotTick(ts_ns, ts_ns, "BTC", SpotSource.CHAINLINK, 1)


def status(state: FeedState) -> FeedStatus:
    return FeedStatus(1, 1, Channel.MARKET, state)


def own_order() -> OrderUpdate:
    return OrderUpdate(1, 1, "0xorder", "0xm", OrderState.LIVE, 0)


async def test_prices_come_at_the_start_and_books_with_their_market_each_once() -> None:
    wire, heard = Wire(), list[FeedEvent]()
    feed = EarlyFeed(wire)
    await feed.begin()
    await feed.look_at(MARKET)
    early: list[FeedEvent] = [tick(1), book(2), tick(3), book(4)]
    for event in [*early, own_order()]:
        wire.say(event)
    await feed.start(heard.append)
    assert heard == [early[0], early[2]]
    # Not watched yet: kept on; our own orders are heard at once.
    wire.say(book(5))
    wire.say(own_order())
    assert heard[2:] == [own_order()]
    await feed.watch(MARKET)
    assert heard[3:] == [early[1], early[3], book(5)]
    wire.say(book(6))
    assert heard[-1] == book(6)
    assert (wire.starts, wire.watched, wire.left) == (1, ["0xm"], [])


async def test_what_came_before_a_lost_connection_is_forgotten() -> None:
    wire, heard = Wire(), list[FeedEvent]()
    feed = EarlyFeed(wire)
    await feed.begin()
    await feed.look_at(MARKET)
    wire.say(book(1))
    wire.say(status(FeedState.DOWN))
    wire.say(status(FeedState.UP))
    wire.say(book(2))
    await feed.start(heard.append)
    await feed.watch(MARKET)
    assert heard == [status(FeedState.DOWN), status(FeedState.UP), book(2)]


async def test_too_much_to_keep_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_feed, "MOST_EVENTS", 2)
    wire, heard = Wire(), list[FeedEvent]()
    feed = EarlyFeed(wire)
    await feed.begin()
    await feed.look_at(MARKET)
    for number in range(4):
        wire.say(book(number))
    await feed.start(heard.append)
    await feed.watch(MARKET)
    assert heard == []
    assert (wire.watched, wire.left) == (["0xm", "0xm"], ["0xm"])


async def test_a_market_that_ended_meanwhile_is_left() -> None:
    wire, heard = Wire(), list[FeedEvent]()
    feed = EarlyFeed(wire)
    await feed.begin()
    await feed.look_at(OVER)
    await feed.start(heard.append)
    await feed.watch(MARKET)
    assert wire.left == ["0xold"]
    wire.say(book(1))
    assert heard == [book(1)]


async def test_it_is_closed_once_however_often_it_is_asked() -> None:
    wire = Wire()
    feed = EarlyFeed(wire)
    await feed.close()
    assert wire.closed == 0
    await feed.begin()
    await feed.close()
    await feed.close()
    assert wire.closed == 1
