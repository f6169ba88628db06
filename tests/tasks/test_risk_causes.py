"""Peaks and days that drawdowns are measured by."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.units import DAY_NS, SECOND_NS
from tasks.risk_causes import Peaks, agent_losses

money = st.integers(-(10**12), 10**12)


@given(st.lists(st.tuples(money, st.integers(1, 10**12)), min_size=1, max_size=30))
def test_a_peak_is_never_below_equity_and_capital_moves_both(steps: list[tuple[int, int]]) -> None:
    peaks, best = Peaks(), None
    for number, (result, capital) in enumerate(steps):
        best = result if best is None else max(best, result)
        equity, peak = peaks.agent("a", capital + result, capital, 0, number + 1)
        assert peak >= equity
        # Measured without capital, the peak is the best result so far.
        assert peak - capital == best
    assert Peaks.of(peaks.row()) == peaks


@given(st.lists(st.tuples(money, st.integers(1, 10**12), st.integers(0, 40)), max_size=30))
def test_the_days_result_begins_anew_every_day_whatever_capital_does(
    steps: list[tuple[int, int, int]],
) -> None:
    peaks, now, first = Peaks(), 5 * DAY_NS, 0
    day = -1
    for result, capital, hours in steps:
        now += hours * 3_600 * SECOND_NS
        if now // DAY_NS != day:
            day, first = now // DAY_NS, result
        equity, base, pnl = peaks.floor_day(capital + result, capital, 0, now)
        assert (pnl, equity - base) == (result - first, result - first)


def test_after_a_trip_the_base_is_what_is_left_and_the_days_result_stays() -> None:
    peaks = Peaks()
    peaks.floor_day(1_000, 1_000, 0, 1)
    assert peaks.floor_day(800, 1_000, 0, 2) == (800, 1_000, -200)
    assert peaks.floor_day(800, 1_000, 3, 4) == (800, 800, -200)
    assert peaks.floor_day(700, 1_000, 3, 5) == (700, 800, -300)
    peaks.agent("a", 1_000, 1_000, 0, 1)
    assert peaks.agent("a", 700, 1_000, 0, 2) == (700, 1_000)
    assert peaks.agent("a", 700, 1_000, 3, 4) == (700, 700)


@pytest.mark.parametrize("row", [None, 7, {}, {"agents": 3}, {"agents": {"a": [1]}, "day": "x"}])
def test_a_row_that_makes_no_sense_begins_anew(row: Any) -> None:
    assert Peaks.of(row) == Peaks()


def test_losses_before_the_mark_are_not_counted_again() -> None:
    results = [(at, -1_000_000) for at in range(1, 6)]
    assert agent_losses(results, 0, 5) == "5 losses in a row, $5.00 together"
    assert agent_losses(results, 1, 5) == ""
