"""Cutting, merging, checking and mending tapes, against slow books kept row by row."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import BadValue
from models.events import FeedEvent, TickSizeChange
from models.tape import DTYPES, SPOT_SOURCES, Row, Tape
from store.tape import check_tape, cut, merge, synthetic, tape_from_events, uncross, write_tape
from store.tape.columns import filled, joined, picked, tape_of
from store.tape.order import with_gaps
from store.tape.rules import RULES, Findings
from tests.store.tape.made import MARKETS, START_NS, feeds, market

State = tuple[dict[int, dict[tuple[int, int], int]], dict[int, int], dict[tuple[int, int], int]]


def state_at(tape: Tape, before_ns: int) -> State:
    """Books by market, ticks that were told, and spot by asset and source, the slow way."""
    books: dict[int, dict[tuple[int, int], int]] = {}
    ticks: dict[int, int] = {}
    spots: dict[tuple[int, int], int] = {}
    for i in range(int(np.searchsorted(tape.recv_ns, before_ns))):
        number, side = int(tape.market[i]), int(tape.side[i])
        price, size = int(tape.price[i]), int(tape.size[i])
        match Row(int(tape.kind[i])):
            case Row.CLEAR:
                books[number] = {}
            case Row.LEVEL if number in books:
                books[number][side, price] = size
            case Row.DARK:
                books.clear()
            case Row.TICK:
                ticks[number] = price
            case Row.SPOT:
                spots[number, side] = size
    for number, levels in books.items():
        books[number] = {at: size for at, size in levels.items() if size}
    return books, ticks, spots


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=feeds(), data=st.data())
def test_a_part_begins_with_all_that_was_known(
    events: list[FeedEvent], data: st.DataObject, tmp_path: Path
) -> None:
    tape = tape_from_events(events, MARKETS)
    end = (int(tape.recv_ns[-1]) if len(tape) else START_NS) + 2
    start_ns = data.draw(st.integers(START_NS, end))
    part = cut(tape, start_ns)
    rest = int(np.searchsorted(tape.recv_ns, start_ns))
    resolved = set(tape.market[:rest][tape.kind[:rest] == Row.RESOLVED].tolist())
    told = set(tape.market[rest:][np.isin(tape.kind[rest:], (Row.CLEAR, Row.LEVEL))].tolist())
    books, ticks, spots = state_at(tape, start_ns)
    head = len(part) - (len(tape) - rest)
    now = state_at(tape_of(picked_rows(part, head), part.markets, part.assets), end + 1)
    if rest:
        assert now[0] == {m: books[m] for m in books if m in told and m not in resolved}
        assert now[1] == {m: tick for m, tick in ticks.items() if m not in resolved}
        assert now[2] == spots
    else:
        assert head == 0
    for name in DTYPES:
        np.testing.assert_array_equal(getattr(part, name)[head:], getattr(tape, name)[rest:])
    filed = cut(tape, start_ns, None, tmp_path / "part")
    for name in DTYPES:
        np.testing.assert_array_equal(getattr(filed, name), getattr(part, name))


def picked_rows(tape: Tape, stop: int) -> dict[str, np.ndarray]:
    return {name: getattr(tape, name)[:stop] for name in DTYPES}


@given(feeds(), st.integers(0, 10**10), st.integers(0, 10**10))
def test_parts_side_by_side_hold_every_row_once(
    events: list[FeedEvent], one: int, other: int
) -> None:
    tape = tape_from_events(events, MARKETS)
    first, second = sorted((START_NS + one, START_NS + other))
    a, b, c = cut(tape, None, first), cut(tape, first, second), cut(tape, second)
    starts = [np.searchsorted(tape.recv_ns, at) for at in (first, second)]
    assert len(a) == starts[0]
    assert len(b) >= starts[1] - starts[0]
    assert len(c) >= len(tape) - starts[1]
    with pytest.raises(BadValue, match="before start"):
        cut(tape, second + 1, second)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(events=feeds(), choices=st.lists(st.integers(0, 2), min_size=30, max_size=30))
def test_merging_what_was_taken_apart_gives_it_back(
    events: list[FeedEvent], choices: list[int], tmp_path: Path
) -> None:
    parts: list[list[FeedEvent]] = [[], [], []]
    for event, choice in zip(events, choices, strict=False):
        # One source tells the ticks: what repeats the tick it knows of is no news to a source.
        parts[0 if isinstance(event, TickSizeChange) else choice].append(event)
    tapes = [replace(tape_from_events(part, MARKETS), reports=()) for part in parts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["store.tape.merge"], "_BLOCK", 3)
        merged = merge(tapes, tmp_path / "m")
    whole = tape_from_events(events, MARKETS)
    for name in ("recv_ns", "kind", "side", "price", "size"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))
    spot = whole.kind == Row.SPOT
    assert [merged.assets[i] for i in merged.market[spot]] == [
        whole.assets[i] for i in whole.market[spot]
    ]
    told = ~spot & (whole.kind != Row.DARK)
    np.testing.assert_array_equal(merged.market[told], whole.market[told])
    assert (merged.ts_ns <= merged.recv_ns).all()
    assert (np.diff(merged.ts_ns) >= 0).all()


def test_tapes_that_disagree_are_not_merged(tmp_path: Path) -> None:
    one = tape_of(filled(0), (market(0),), ())
    other = tape_of(filled(0), (replace(market(0), tick_e4=10),), ())
    with pytest.raises(BadValue, match="described in two ways"):
        merge([one, other], tmp_path / "m")
    with pytest.raises(BadValue, match="levels a side"):
        merge([one, replace(one, depth=5)], tmp_path / "m")
    with pytest.raises(BadValue, match="no tape"):
        merge([], tmp_path / "m")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(events=feeds())
def test_no_book_is_crossed_after_mending(events: list[FeedEvent], tmp_path: Path) -> None:
    tape = tape_from_events(events, MARKETS)
    write_tape(tape, tmp_path / "a")
    before = check_tape(tmp_path / "a", gap_s=1e6).counts.get("crossed_book", 0)
    mended = uncross(tape, tmp_path / "b")
    assert check_tape(tmp_path / "b", gap_s=1e6).counts.get("crossed_book", 0) == 0
    counted = mended.reports[-1].counts.get("crossed_book", 0)
    assert (counted > 0) == (before > 0)
    added = len(mended) - len(tape)
    assert added >= counted
    if not before:
        for name in DTYPES:
            np.testing.assert_array_equal(getattr(mended, name), getattr(tape, name))


def test_a_finished_tapes_oddities_are_counted_by_rule(tmp_path: Path) -> None:
    at = MARKETS[0].start_ns
    end = MARKETS[0].end_ns

    def row(ns: int, kind: Row, **values: int) -> dict[str, np.ndarray]:
        return filled(1, ts_ns=ns, kind=int(kind), **values)

    level = {"kind": Row.LEVEL, "price": 4_000, "size": 5}
    rows = [
        row(at, Row.CLEAR),
        row(at, **level), row(at, **level),
        row(at + 1, Row.LEVEL, side=1, price=3_900, size=5),
        row(at + 2, Row.LEVEL, side=1, price=3_900),
        row(at + 3, Row.LEVEL, price=10_000, size=5),
        row(at + 4, Row.TRADE, price=4_000),
        row(at + 70 * 10**9, Row.DARK),
        row(at + 200 * 10**9, Row.CLEAR),
        row(end, Row.LEVEL, price=100, size=5),
    ]  # fmt: skip
    write_tape(tape_of(joined(rows), MARKETS, ()), tmp_path / "t")
    report = check_tape(tmp_path / "t", gap_s=60)
    assert dict(report.counts) == {
        "crossed_book": 1, "duplicate_row": 1, "gap": 2, "late_row": 1,
        "negative_size": 1, "off_grid_price": 1,
    }  # fmt: skip
    assert set(report.counts) <= set(RULES)


@given(st.lists(st.integers(0, 100), min_size=2, max_size=30))
def test_a_gap_is_told_as_darkness(steps: list[int]) -> None:
    stamps = START_NS + np.cumsum(steps)
    findings = Findings("gaps")
    columns = with_gaps(filled(len(steps), ts_ns=stamps, kind=int(Row.CLEAR)), 60, findings)
    tape = tape_of(columns, MARKETS, ())
    dark = np.flatnonzero(tape.kind == Row.DARK)
    assert len(dark) == sum(step > 60 for step in steps[1:])
    assert findings.report(0).counts.get("gap", 0) == len(dark)
    for i in dark:
        assert tape.recv_ns[i] == tape.recv_ns[i - 1] + 60 < tape.recv_ns[i + 1]
    np.testing.assert_array_equal(tape.recv_ns[tape.kind == Row.CLEAR], stamps)


@pytest.mark.parametrize("markets", [1, 3])
def test_synthetic_tapes_are_sound_and_the_same_by_seed(markets: int, tmp_path: Path) -> None:
    events, rate = 30_000, 20.0
    tape = synthetic(tmp_path / "a", events, markets=markets, rate_per_s=rate, timeframe="5m")
    assert len(tape) == events
    assert dict(check_tape(tmp_path / "a").counts) == {}
    synthetic(tmp_path / "b", events, markets=markets, rate_per_s=rate, timeframe="5m")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    other = synthetic(tmp_path / "c", events, markets=markets, seed=8, timeframe="5m")
    assert not np.array_equal(other.size, tape.size)
    share = np.bincount(tape.kind, minlength=7) / events
    assert share[Row.LEVEL] > 0.85
    assert 0.01 < share[Row.TRADE] < 0.1
    assert 0.01 < share[Row.SPOT] < 0.1
    seconds = (tape.ts_ns[-1] - tape.ts_ns[0]) / 1e9
    messages = len(np.unique(tape.ts_ns))
    assert messages / seconds == pytest.approx(rate, rel=0.05)
    assert len(tape.winners()) == markets * int(seconds // 300)
    for number, each in enumerate(tape.markets):
        spots = tape.size[(tape.kind == Row.SPOT) & (tape.market == number % markets)]
        assert len(spots) > 0
        rows = (tape.market == number) & np.isin(tape.kind, (Row.LEVEL, Row.TRADE, Row.CLEAR))
        assert tape.ts_ns[rows].min() == each.start_ns
        assert tape.ts_ns[rows].max() < each.end_ns


@pytest.mark.parametrize(
    "wrong",
    [{"events": 0}, {"markets": 0}, {"rate_per_s": 0.0}, {"timeframe": "7m"}, {"start_s": 1}],
)
def test_a_synthetic_tapes_parameters_are_checked(wrong: dict, tmp_path: Path) -> None:
    with pytest.raises(BadValue):
        synthetic(tmp_path / "t", **{"events": 10, **wrong})
    assert not (tmp_path / "t").exists()


def test_spot_sources_keep_their_numbers() -> None:
    # Files hold the numbers: a source may be added at the end, never moved.
    assert [source.value for source in SPOT_SOURCES] == ["chainlink", "binance", "twap60"]
    assert [row.value for row in Row] == list(range(7))
    assert picked(filled(2, size=[1, 2]), slice(1, 2))["size"].tolist() == [2]
