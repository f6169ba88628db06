"""P&L by hour and by time left: every cent of the resolved windows, once."""

import numpy as np
import pytest
from hypothesis import given

from engine.results.buckets import by_hour, by_time_left, fill_pnl_e6, range_label
from models.results import DOWN_WON, UNRESOLVED, UP_WON
from models.units import SECOND_NS, SHARE
from tests.engine.results.runs import START_NS, market, runs, tables

PRICE = 400_000
"""What a fill of one share costs here, e6."""


def fills(*rows):
    """Fills of one share at 40 cents with a fee of 1 cent: (second, outcome, side)."""
    return tables(
        fills=[
            {
                "time_ns": START_NS + second * SECOND_NS, "agent": 0, "market": 0, "order_id": "",
                "outcome": outcome, "side": side, "maker": False, "size_e6": SHARE,
                "cash_e6": PRICE, "fee_e6": 10_000, "mid_e4": -1, "mid_1s_e4": -1,
                "mid_5s_e4": -1, "mid_30s_e4": -1,
            }
            for second, outcome, side in rows
        ]
    )["fills"]  # fmt: skip


@pytest.mark.parametrize(
    ("winner", "outcome", "side", "pnl"),
    [
        (UP_WON, 0, 0, 590_000),
        (UP_WON, 0, 1, -610_000),
        (UP_WON, 1, 0, -410_000),
        (UP_WON, 1, 1, 390_000),
        (DOWN_WON, 1, 0, 590_000),
        (DOWN_WON, 0, 0, -410_000),
        (UNRESOLVED, 0, 0, 0),
    ],
)
def test_what_a_fill_brought(winner, outcome, side, pnl):
    found = fill_pnl_e6(fills((0, outcome, side)), np.array([winner], dtype=np.uint8))
    assert found.tolist() == [pnl]


def test_hours_are_of_the_day_whatever_the_day():
    rows = fills((10, 0, 0), (3_600, 0, 0), (86_400 + 20, 1, 0))
    found = by_hour(rows, np.array([UP_WON], dtype=np.uint8))
    assert [(row.label, row.fills, row.pnl_e6) for row in found] == [
        ("00:00", 2, 590_000 - 410_000),
        ("01:00", 1, 590_000),
    ]


def test_time_left_is_sorted_into_ranges_and_what_is_late_is_last_minute():
    rows = fills((0, 0, 0), (895, 0, 0), (890, 0, 0), (901, 0, 0), (600, 0, 0))
    found = by_time_left(rows, np.array([UP_WON], dtype=np.uint8), (market(0),))
    assert [(row.label, row.low, row.high, row.fills) for row in found] == [
        ("0-10 s", 0, 10, 2),
        ("10-30 s", 10, 30, 1),
        ("5-10 min", 300, 600, 1),
        ("15-30 min", 900, 1_800, 1),
    ]


def test_ranges_are_named_in_the_unit_that_suits_them():
    assert range_label(30, 60) == "30-60 s"
    assert range_label(60, 120) == "1-2 min"
    assert range_label(14_400, None) == "240 min or more"


@given(runs())
def test_buckets_add_up_to_the_windows_that_resolved(result):
    rows, windows = result.tables["fills"], result.tables["windows"]
    settled = windows["winner"] != UNRESOLVED
    expected = int(windows["pnl_e6"][settled].sum())
    winners = result.resolved()
    known = winners[rows["market"]] != UNRESOLVED
    for buckets in (by_hour(rows, winners), by_time_left(rows, winners, result.markets)):
        assert sum(bucket.pnl_e6 for bucket in buckets) == expected
        assert sum(bucket.fees_e6 for bucket in buckets) == int(windows["fees_e6"][settled].sum())
        assert sum(bucket.fills for bucket in buckets) == int(known.sum())


@given(runs())
def test_fills_of_a_window_bring_its_pnl(result):
    rows, windows = result.tables["fills"], result.tables["windows"]
    pnl = fill_pnl_e6(rows, result.resolved())
    for at in np.flatnonzero(windows["winner"] != UNRESOLVED):
        mine = (rows["agent"] == windows["agent"][at]) & (rows["market"] == windows["market"][at])
        assert int(pnl[mine].sum()) == windows["pnl_e6"][at]
