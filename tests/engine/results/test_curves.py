"""Equity curves of runs: what they add up to, their returns, falls and exposure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.results.curves import curve, drawdown, exposure, returns
from models.units import SECOND_NS, USD
from risk import performance
from risk.sampling import periods_per_year
from tests.engine.results.runs import START_NS, made_run, run, runs, tables

HOUR_S = 3_600


def noted(*rows, agents=("alpha",), hours=1.0, capital=None):
    """A run whose equity is noted as (second, agent, equity in USD, exposure in USD)."""
    made = [
        {
            "time_ns": START_NS + int(second * SECOND_NS), "agent": agent, "cash_e6": 0,
            "equity_e6": int(equity * USD), "exposure_e6": int(open_usd * USD),
        }
        for second, agent, equity, open_usd in rows
    ]  # fmt: skip
    return run(
        agents, capital, tables=tables(equity=made),
        end_ns=START_NS + int(hours * HOUR_S) * SECOND_NS,
    )  # fmt: skip


def test_agents_add_up_from_their_capital_on():
    result = noted((10, 0, 1_100, 5), (20, 1, 900, 7), (30, 0, 1_050, 0), agents=("a", "b"))
    line = curve(result, [0, 1])
    assert line.capital_e6 == 2_000 * USD
    assert (line.equity_e6 // USD).tolist() == [2_100, 2_000, 1_950]
    assert (line.exposure_e6 // USD).tolist() == [5, 12, 7]


def test_agents_that_note_the_same_moment_make_one_point():
    result = noted((10, 0, 900, 5), (10, 1, 1_100, 7), agents=("a", "b"))
    line = curve(result, [0, 1])
    assert (line.equity_e6 // USD).tolist() == [2_000]
    assert drawdown(line).depth == 0


def test_rows_out_of_order_are_put_in_order():
    line = curve(noted((30, 0, 3, 0), (10, 0, 1, 0), (20, 0, 2, 0)), [0])
    assert (line.equity_e6 // USD).tolist() == [1, 2, 3]


@given(runs())
def test_the_total_is_the_sum_of_the_agents_at_every_moment(result):
    whole = curve(result, range(len(result.agents)))
    for at, equity in zip(whole.time_ns, whole.equity_e6, strict=True):
        parts = 0
        for agent, capital in enumerate(result.capital_e6):
            line = curve(result, [agent])
            known = np.searchsorted(line.time_ns, at, side="right")
            parts += int(line.equity_e6[known - 1]) if known else capital
        assert parts == equity


def test_returns_are_of_the_grid_and_the_year_of_365_days():
    equity = [1_000, 1_010, 1_005, 1_030, 1_020]
    result = noted(*[(at * 900, 0, value, 0) for at, value in enumerate(equity)])
    found = returns(curve(result, [0]), 900)
    series = np.diff(equity) / np.array(equity[:-1])
    yearly = periods_per_year(900 * SECOND_NS)
    assert yearly == 365 * 96
    assert found.observations == 4
    assert found.sharpe == pytest.approx(performance.sharpe(series, yearly))
    assert found.sortino == pytest.approx(performance.sortino(series, yearly))
    assert found.volatility == pytest.approx(performance.volatility(series, yearly))
    assert found.total == pytest.approx(0.02)


def test_growth_and_calmar_are_of_the_whole_run():
    result = noted((0, 0, 1_000, 0), (30, 0, 900, 0), (60, 0, 1_100, 0), hours=24 * 365)
    found = returns(curve(result, [0]), 86_400)
    assert found.cagr == pytest.approx(0.1)
    assert found.calmar == pytest.approx(0.1 / 0.1)


@given(st.integers(0, 2**32), st.sampled_from([60, 300, 900]))
def test_noting_equity_more_often_changes_no_ratio(seed, period_s):
    """A run's figures come from the grid: a note repeated at other moments says nothing new."""
    result = made_run(seed, agents=1, windows=8)
    thin = curve(result, [0])
    rows = [
        (int(time_ns - START_NS) / SECOND_NS, 0, int(value) / USD, 0)
        for time_ns, value in zip(thin.time_ns, thin.equity_e6, strict=True)
    ]
    dense = []
    for here, there in zip(rows, [*rows[1:], None], strict=True):
        until = there[0] if there else here[0] + 90
        dense.extend((second, *here[1:]) for second in np.linspace(here[0], until, 5)[:-1])
    hours = (result.end_ns - START_NS) / SECOND_NS / HOUR_S
    capital = result.capital_e6
    sparse = returns(curve(noted(*rows, hours=hours, capital=capital), [0]), period_s)
    assert returns(curve(noted(*dense, hours=hours, capital=capital), [0]), period_s) == sparse


def test_ratios_are_undefined_once_everything_is_lost():
    found = returns(curve(noted((10, 0, 0, 0), (2_000, 0, 5, 0)), [0]), 300)
    assert (found.observations, found.sharpe, found.cagr) == (0, None, None)
    assert found.total == pytest.approx(5 / 1_000 - 1)


def test_a_run_without_notes_made_nothing():
    line = curve(noted(), [0])
    found = returns(line, 300)
    assert (found.observations, found.total, found.sharpe) == (12, 0.0, None)
    assert drawdown(line).depth == 0
    assert exposure(line).most_e6 == 0


def test_a_run_shorter_than_a_period_has_no_returns():
    assert returns(curve(noted((1, 0, 1_001, 0), hours=0.05), [0]), 300).observations == 0


def test_the_deepest_fall_in_money_and_time():
    fall = drawdown(curve(noted((60, 0, 1_200, 0), (120, 0, 900, 0), (600, 0, 1_200, 0)), [0]))
    assert fall.depth == pytest.approx(0.25)
    assert fall.depth_e6 == 300 * USD
    assert (fall.peak_ns - START_NS, fall.trough_ns - START_NS) == (60 * SECOND_NS, 120 * SECOND_NS)
    assert fall.recovered_ns == START_NS + 600 * SECOND_NS
    assert fall.length_s == 540


def test_a_fall_from_the_capital_lasts_to_the_end_of_the_run():
    fall = drawdown(curve(noted((600, 0, 900, 0)), [0]))
    assert (fall.depth_e6, fall.recovered_ns, fall.length_s) == (100 * USD, None, 3_600)


def test_exposure_is_weighted_by_time():
    found = exposure(curve(noted((900, 0, 1_000, 40), (2_700, 0, 1_000, 0)), [0]))
    assert (found.most_e6, found.mean_e6) == (40 * USD, 20 * USD)
    assert found.time_exposed == pytest.approx(0.5)


def test_exposure_before_and_after_the_run_does_not_count():
    found = exposure(curve(noted((-600, 0, 1_000, 40), (5_000, 0, 1_000, 99)), [0]))
    assert found.mean_e6 == 40 * USD
    assert found.time_exposed == 1.0
