"""A tape and the stream of events it was made of are two forms of one thing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.events import (
    BookChange,
    BookSnapshot,
    Channel,
    FeedEvent,
    FeedState,
    FeedStatus,
    OrderUpdate,
    SpotSource,
    SpotTick,
    TickSizeChange,
    TradePrint,
)
from models.markets import Side
from models.orders import OrderState
from models.tape import DTYPES, Row
from store.tape import events_of, tape_from_events
from tests.store.tape.made import MARKETS, START_NS, feeds

UP, DOWN = MARKETS[0].up_token, MARKETS[0].down_token
CID = MARKETS[0].condition_id


@given(feeds())
def test_events_come_back_as_they_were(events: list[FeedEvent]) -> None:
    tape = tape_from_events(events, MARKETS)
    assert list(events_of(tape)) == events
    assert dict(tape.reports[0].counts) == {}


@given(feeds())
def test_rows_come_back_as_they_were(events: list[FeedEvent]) -> None:
    tape = tape_from_events(events, MARKETS)
    again = tape_from_events(events_of(tape), MARKETS)
    for name in DTYPES:
        np.testing.assert_array_equal(getattr(again, name), getattr(tape, name))
    assert again.assets == tape.assets


@given(feeds(), st.data())
def test_a_part_of_a_tape_plays_the_same_events(events: list[FeedEvent], data: st.DataObject):
    tape = tape_from_events(events, MARKETS)
    starts = [0, *(np.flatnonzero(np.diff(tape.recv_ns)) + 1).tolist(), len(tape)]
    cut = data.draw(st.sampled_from(starts))
    assert [*events_of(tape, 0, cut), *events_of(tape, cut)] == events


@pytest.mark.parametrize(
    ("side", "price", "up_side", "up_price"),
    [(Side.BUY, 3_000, 1, 7_000), (Side.SELL, 9_990, 0, 10)],
)
def test_a_print_of_down_stands_in_ups_prices(
    side: Side, price: int, up_side: int, up_price: int
) -> None:
    tape = tape_from_events([TradePrint(1, 2, CID, DOWN, side, price, 7)], MARKETS)
    assert (tape.kind[0], tape.side[0], tape.price[0], tape.size[0]) == (
        Row.TRADE, up_side, up_price, 7,
    )  # fmt: skip


def test_downs_book_and_what_is_not_market_data_are_counted_not_kept() -> None:
    tape = tape_from_events(
        [
            BookSnapshot(1, 1, CID, UP, ((4_000, 5),), ((6_000, 5),)),
            BookSnapshot(1, 1, CID, DOWN, ((4_000, 5),), ((6_000, 5),)),
            BookChange(1, 1, "0xother", UP, ((Side.BUY, 100, 1),)),
            BookChange(1, 1, CID, "77", ((Side.BUY, 100, 1),)),
            OrderUpdate(1, 1, "0x1", CID, OrderState.LIVE, 0),
            TickSizeChange(2, 2, CID, UP, 10),
            TickSizeChange(2, 2, CID, DOWN, 10),
            FeedStatus(3, 3, Channel.MARKET, FeedState.STALE),
            FeedStatus(3, 3, Channel.SPOT, FeedState.DOWN),
        ],
        MARKETS,
    )
    assert tape.kind.tolist() == [Row.CLEAR, Row.LEVEL, Row.LEVEL, Row.TICK, Row.DARK]
    assert dict(tape.reports[0].counts) == {
        "mirror_row": 1, "not_market_data": 1, "unknown_token": 2,
    }  # fmt: skip
    assert tape.reports[0].samples["unknown_token"] == ("market 0xother", "token 77")


def test_what_was_received_first_stays_first_and_its_time_is_mended() -> None:
    ticks = [
        SpotTick(START_NS + ts, START_NS + recv, "BTC", SpotSource.CHAINLINK, price)
        for ts, recv, price in [(50, 100, 1), (40, 200, 2), (310, 300, 3), (290, 250, 4)]
    ]
    tape = tape_from_events(ticks, MARKETS)
    assert tape.size.tolist() == [1, 2, 4, 3]
    assert (tape.recv_ns - START_NS).tolist() == [100, 200, 250, 300]
    assert (tape.ts_ns - START_NS).tolist() == [50, 50, 250, 300]
    assert dict(tape.reports[0].counts) == {"clock_skew": 2, "time_backwards": 1}
