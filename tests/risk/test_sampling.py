"""Equity on a declared grid: ratios do not depend on how often somebody looked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadValue
from models.units import SECOND_NS, USD
from risk.performance import sharpe
from risk.sampling import YEAR_NS, on_grid, periods_per_year, simple_returns

HOUR = 3_600 * SECOND_NS
START = 1_771_632_000 * SECOND_NS


def read(times, values, end=4, period=1, first=7):
    return on_grid(np.array(times), np.array(values), 0, end, period, first).tolist()


def test_the_last_value_at_or_before_each_point_counts():
    assert read([1, 1, 3], [10, 20, 30]) == [7, 20, 20, 30, 30]


def test_nothing_noted_is_the_first_value_throughout():
    assert read([], []) == [7] * 5


def test_a_last_period_that_is_not_whole_is_left_out():
    assert read([1], [10], end=5, period=2) == [7, 10, 10]


def test_a_run_of_no_length_is_one_point():
    assert read([0], [10], end=0) == [10]


@pytest.mark.parametrize(
    ("times", "values", "end", "period", "message"),
    [
        ([1, 2], [1], 4, 1, "2 times for 1 values"),
        ([2, 1], [1, 2], 4, 1, "time goes backwards at row 1"),
        ([1], [1], 4, 0, "is no grid"),
        ([1], [1], -1, 1, "is no grid"),
    ],
)
def test_bad_curves_are_refused(times, values, end, period, message):
    with pytest.raises(BadValue, match=message):
        read(times, values, end, period)


def test_a_year_has_365_days():
    assert periods_per_year(24 * HOUR) == 365
    assert periods_per_year(HOUR) == 8_760
    assert periods_per_year(YEAR_NS) == 1
    with pytest.raises(BadValue, match="period_ns=0"):
        periods_per_year(0)


def test_there_are_no_returns_once_everything_is_lost():
    assert simple_returns([100, 0, 50]) is None
    assert simple_returns([100]) is None
    assert simple_returns([100, 150, 75]).tolist() == [0.5, -0.5]


def walk(seed, seconds):
    """Equity that changes every second."""
    steps = np.random.default_rng(seed).integers(-100_000, 100_300, seconds)
    return 1_000 * USD + np.cumsum(steps)


def ratio(equity, rows, period, end):
    """Sharpe ratio of the curve noted at the seconds `rows`."""
    grid = on_grid(
        START + rows * SECOND_NS, equity[rows], START, START + end * SECOND_NS,
        period * SECOND_NS, 0,
    )  # fmt: skip
    return sharpe(simple_returns(grid), periods_per_year(period * SECOND_NS))


@given(st.integers(0, 2**16), st.sampled_from([60, 300, 900]), st.floats(0, 1))
def test_sharpe_does_not_depend_on_how_often_equity_was_noted(seed, period, share):
    """Once a period, every second, or now and then in between: the very same ratio."""
    seconds = 7_200
    equity, every = walk(seed, seconds), np.arange(seconds)
    end = seconds - period
    once = ratio(equity, every[::period], period, end)
    chosen = np.random.default_rng(seed).random(seconds) < share
    chosen[::period] = True
    twice = np.repeat(every, 2)
    for rows in (every, twice, every[chosen]):
        assert ratio(equity, rows, period, end) == once


def test_the_root_of_252_on_ticks_would_be_wrong():
    """What this grid is for: the same run, noted ten times as often, would have had another."""
    equity = walk(4, 36_000)
    wrong = [sharpe(np.diff(equity[::step]) / equity[::step][:-1], 252) for step in (1, 10)]
    assert abs(wrong[1]) > 2 * abs(wrong[0])
