"""Figures of trades that are over."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadValue
from risk import outcomes

PNL = st.lists(st.integers(-(10**12), 10**12), max_size=40)


def test_worked_by_hand():
    pnl = [30, -10, 0, -10, -5, 20]
    assert outcomes.win_rate(pnl) == pytest.approx(2 / 6)
    assert outcomes.profit_factor(pnl) == 2.0
    assert outcomes.expectancy(pnl) == pytest.approx(25 / 6)
    assert outcomes.longest_losing_streak(pnl) == 2
    assert outcomes.turnover(3_000, 1_000) == 3.0


def test_what_has_nothing_to_divide_by_is_undefined():
    none = np.empty(0, dtype=np.int64)
    for figure in (outcomes.win_rate, outcomes.profit_factor, outcomes.expectancy):
        assert math.isnan(figure(none))
    assert math.isnan(outcomes.profit_factor([5, 0]))
    assert outcomes.longest_losing_streak(none) == 0


@given(PNL)
def test_they_agree_with_each_other(pnl):
    amounts = np.array(pnl, dtype=np.int64)
    if not pnl:
        return
    assert outcomes.expectancy(amounts) * len(pnl) == pytest.approx(sum(pnl), abs=1e-3)
    factor = outcomes.profit_factor(amounts)
    if not math.isnan(factor):
        assert (factor > 1) == (sum(pnl) > 0) or factor == pytest.approx(1)
    losers = sum(1 for each in pnl if each < 0)
    assert (losers > 0) <= outcomes.longest_losing_streak(amounts) <= losers


def test_money_is_whole():
    with pytest.raises(BadValue, match="float64"):
        outcomes.win_rate([0.5, 1.0])
    with pytest.raises(BadValue, match="capital_e6=0"):
        outcomes.turnover(1, 0)
