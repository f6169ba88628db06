"""The market-data book: equal to a plain dictionary under any stream of messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.book import Ladder
from models.events import BookChange, BookSnapshot
from models.markets import Side

LEVELS = st.dictionaries(st.integers(1, 9_999), st.integers(0, 10**9), max_size=12)
CHANGES = st.lists(
    st.tuples(st.sampled_from(tuple(Side)), st.integers(1, 9_999), st.integers(0, 10**9)),
    max_size=20,
)


def snapshot(
    bids: dict[int, int] | list[tuple[int, int]], asks: dict[int, int] | list[tuple[int, int]]
) -> BookSnapshot:
    pairs = (tuple(dict(bids).items()), tuple(dict(asks).items()))
    return BookSnapshot(1, 2, "m", "up", *pairs)


def change(*changes: tuple[Side, int, int], ts_ns: int = 3) -> BookChange:
    return BookChange(ts_ns, ts_ns + 1, "m", "up", tuple(changes))


@given(bids=LEVELS, asks=LEVELS, changes=st.lists(CHANGES, max_size=5), depth=st.integers(0, 15))
def test_ladder_equals_a_dictionary(
    bids: dict[int, int], asks: dict[int, int], changes: list, depth: int
) -> None:
    ladder = Ladder()
    ladder.apply(snapshot(bids, asks))
    sizes = {(Side.BUY, price): size for price, size in bids.items()}
    sizes |= {(Side.SELL, price): size for price, size in asks.items()}
    for step in changes:
        ladder.apply(change(*step))
        sizes.update({(side, price): size for side, price, size in step})
    plain_bids = sorted(
        ((p, s) for (w, p), s in sizes.items() if w is Side.BUY and s), reverse=True
    )
    plain_asks = sorted((p, s) for (w, p), s in sizes.items() if w is Side.SELL and s)
    assert ladder.bids(None) == plain_bids
    assert ladder.asks(None) == plain_asks
    assert ladder.bids(depth) == plain_bids[:depth]
    assert ladder.asks(depth) == plain_asks[:depth]
    assert ladder.bid_e4 == (plain_bids[0][0] if plain_bids else None)
    assert ladder.ask_e4 == (plain_asks[0][0] if plain_asks else None)
    assert ladder.bid_size_e6 == (plain_bids[0][1] if plain_bids else 0)
    assert ladder.ask_size_e6 == (plain_asks[0][1] if plain_asks else 0)
    mirror = ladder.mirrored
    assert mirror.bids(depth) == [(10_000 - p, s) for p, s in plain_asks[:depth]]
    assert mirror.asks(depth) == [(10_000 - p, s) for p, s in plain_bids[:depth]]
    for side, price in list(sizes)[:3]:
        assert ladder.size_at(side, price) == sizes[side, price]
        assert mirror.size_at(side.opposite, 10_000 - price) == sizes[side, price]


def test_levels_are_sorted_whatever_order_the_venue_sends() -> None:
    ladder = Ladder()
    ladder.apply(snapshot([(4_800, 3), (4_900, 1), (4_700, 2)], [(5_300, 1), (5_100, 2)]))
    assert ladder.bids() == [(4_900, 1), (4_800, 3), (4_700, 2)]
    assert ladder.asks() == [(5_100, 2), (5_300, 1)]


def test_mirror_is_a_live_view_of_the_other_token() -> None:
    ladder = Ladder()
    mirror = ladder.mirrored
    assert (mirror.bid_e4, mirror.ask_e4, mirror.mid, mirror.ready) == (None, None, None, False)
    ladder.apply(snapshot([(4_800, 3)], [(5_100, 2)]))
    assert (mirror.bid_e4, mirror.bid_size_e6) == (4_900, 2)
    assert (mirror.ask_e4, mirror.ask_size_e6) == (5_200, 3)
    assert mirror.mid == pytest.approx(0.505)
    assert ladder.mid == pytest.approx(0.495)
    assert mirror.spread_e4 == ladder.spread_e4 == 300
    assert (mirror.ts_ns, mirror.recv_ns, mirror.ready) == (1, 2, True)


def test_crossed_book_is_told() -> None:
    ladder = Ladder()
    ladder.apply(snapshot([(4_800, 3)], [(5_100, 2)]))
    assert not ladder.crossed
    ladder.apply(change((Side.BUY, 5_100, 1)))
    assert ladder.crossed
    assert ladder.mirrored.crossed


def test_change_before_a_snapshot_is_kept_but_not_ready() -> None:
    ladder = Ladder()
    ladder.apply(change((Side.BUY, 4_000, 1)))
    assert not ladder.ready
    assert ladder.bids() == [(4_000, 1)]
    ladder.apply(snapshot([(4_100, 1)], []))
    assert ladder.ready
    assert ladder.bids() == [(4_100, 1)]
    ladder.clear()
    assert not ladder.ready
    assert ladder.bids() == []


def test_clocks_are_those_of_the_last_message() -> None:
    ladder = Ladder()
    ladder.apply(snapshot([], []))
    assert (ladder.ts_ns, ladder.recv_ns) == (1, 2)
    ladder.apply(change(ts_ns=9))
    assert (ladder.ts_ns, ladder.recv_ns) == (9, 10)


def test_removing_an_absent_level_does_nothing() -> None:
    ladder = Ladder()
    ladder.set(Side.BUY, 4_000, 0)
    ladder.set(Side.SELL, 6_000, 0)
    assert ladder.bids() == ladder.asks() == []
