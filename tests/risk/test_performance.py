"""The ratios, beside empyrical and by hand."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.errors import BadValue
from risk import performance as figures

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import empyrical

RETURNS = arrays(
    np.float64,
    st.integers(2, 60),
    elements=st.floats(-0.5, 0.5, allow_subnormal=False).map(lambda value: round(value, 6)),
)
DAY = 365.0


def same(ours: float, theirs: float) -> bool:
    return ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)


# --- beside empyrical ------------------------------------------------------------------------


@given(RETURNS)
def test_ratios_are_those_of_empyrical(returns):
    assume(returns.min() < 0 < returns.std())
    year = {"annualization": DAY}
    assert same(figures.sharpe(returns, DAY), empyrical.sharpe_ratio(returns, **year))
    assert same(figures.sortino(returns, DAY), empyrical.sortino_ratio(returns, **year))
    assert same(figures.volatility(returns, DAY), empyrical.annual_volatility(returns, **year))
    assert same(figures.downside_deviation(returns, DAY), empyrical.downside_risk(returns, **year))
    assert same(figures.max_drawdown(returns), empyrical.max_drawdown(returns))
    assert same(figures.total_return(returns), empyrical.cum_returns_final(returns))
    assert same(figures.omega(returns), empyrical.omega_ratio(returns, annualization=1))


@given(RETURNS, st.floats(1, 400))
def test_growth_is_that_of_empyrical(returns, periods):
    theirs = empyrical.cagr(returns, annualization=periods)
    assume(abs(theirs) < 1e6)
    assert figures.cagr(returns, periods) == pytest.approx(theirs, rel=1e-9, abs=1e-9)
    if figures.max_drawdown(returns) < -1e-6:
        assert figures.calmar(returns, periods) == pytest.approx(
            empyrical.calmar_ratio(returns, annualization=periods), rel=1e-9, abs=1e-9
        )


@given(RETURNS, st.floats(-0.01, 0.01))
def test_a_rate_or_target_per_period_is_taken_off_each_return(returns, rate):
    assume(returns.std() > 1e-9 and (returns < rate).any())
    assert same(
        figures.sharpe(returns, DAY, rate), empyrical.sharpe_ratio(returns, rate, annualization=DAY)
    )
    assert same(
        figures.sortino(returns, DAY, rate),
        empyrical.sortino_ratio(returns, rate, annualization=DAY),
    )


@given(RETURNS)
def test_tail_ratio_is_that_of_empyrical(returns):
    assume(np.percentile(returns, 5) != 0)
    assert same(figures.tail_ratio(returns), empyrical.tail_ratio(returns))


@given(st.data())
def test_alpha_and_beta_are_those_of_empyrical(data):
    benchmark = data.draw(RETURNS)
    returns = data.draw(
        arrays(np.float64, len(benchmark), elements=st.floats(-0.02, 0.02).map(lambda v: v))
    )
    assume(benchmark.std() > 1e-4)
    alpha, beta = figures.alpha_beta(returns, benchmark, 12.0, 0.0001)
    their_alpha, their_beta = empyrical.alpha_beta_aligned(
        returns, benchmark, 0.0001, annualization=12.0
    )
    assert same(beta, float(their_beta))
    assume(abs(their_alpha) < 1e6 and not math.isnan(their_alpha))
    assert alpha == pytest.approx(float(their_alpha), rel=1e-9, abs=1e-9)


def test_moments_are_those_of_scipy():
    from scipy import stats

    returns = np.random.default_rng(5).standard_t(5, 400)
    assert figures.skewness(returns) == pytest.approx(stats.skew(returns), rel=1e-9)
    assert figures.kurtosis(returns) == pytest.approx(
        stats.kurtosis(returns, fisher=False), rel=1e-9
    )


# --- by hand ---------------------------------------------------------------------------------


def test_worked_by_hand():
    returns = [0.1, -0.5, 0.2]
    assert figures.max_drawdown(returns) == pytest.approx(-0.5)
    assert figures.total_return(returns) == pytest.approx(1.1 * 0.5 * 1.2 - 1)
    assert figures.omega(returns) == pytest.approx(0.3 / 0.5)
    assert figures.sortino(returns, 1) == pytest.approx((-0.2 / 3) / math.sqrt(0.25 / 3))


def test_a_first_loss_is_a_drawdown_too():
    assert figures.max_drawdown([-0.25, 0.1]) == pytest.approx(-0.25)


def test_beta_of_a_multiple_is_the_multiple_and_alpha_what_is_added():
    benchmark = np.random.default_rng(1).normal(0, 0.01, 500)
    alpha, beta = figures.alpha_beta(2.5 * benchmark + 0.001, benchmark, 12)
    assert beta == pytest.approx(2.5)
    assert alpha == pytest.approx(1.001**12 - 1)


def test_wealth_beyond_a_float_has_a_drawdown_still():
    assert figures.max_drawdown([9.0] * 500 + [-0.5, 1.0]) == pytest.approx(-0.5)


def test_losing_everything_is_the_end():
    assert figures.cagr([0.5, -1.0], 2) == -1.0
    assert figures.max_drawdown([0.5, -1.0]) == -1.0


def test_growth_too_large_for_a_float_is_infinite():
    assert figures.annualised(1.0, 1e-6) == math.inf
    assert figures.defined(figures.annualised(1.0, 1e-6)) is None


# --- undefined and refused -------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 0.01, -0.003, 1e-300, 0.1 + 0.2])
@pytest.mark.parametrize("count", [2, 7, 1_000])
def test_a_constant_series_has_no_sharpe_ratio(value, count):
    series = np.full(count, value)
    assert math.isnan(figures.sharpe(series, DAY))
    assert math.isnan(figures.skewness(series))
    assert figures.volatility(series, DAY) == 0.0


def test_one_return_has_no_deviation():
    for ratio in (figures.sharpe, figures.sortino, figures.volatility):
        assert math.isnan(ratio([-0.1], DAY))


def test_without_a_loss_what_divides_by_losses_is_undefined():
    gains = [0.1, 0.0, 0.2]
    assert math.isnan(figures.sortino(gains, DAY))
    assert math.isnan(figures.calmar(gains, DAY))
    assert math.isnan(figures.omega(gains))
    assert math.isnan(figures.tail_ratio([0.0, 0.0]))
    assert figures.max_drawdown(gains) == 0.0


ALL = [
    lambda r: figures.sharpe(r, DAY),
    lambda r: figures.sortino(r, DAY),
    lambda r: figures.volatility(r, DAY),
    lambda r: figures.downside_deviation(r, DAY),
    lambda r: figures.cagr(r, DAY),
    lambda r: figures.calmar(r, DAY),
    figures.max_drawdown,
    figures.total_return,
    figures.omega,
    figures.tail_ratio,
    figures.skewness,
    lambda r: figures.alpha_beta(r, r, DAY),
]


@pytest.mark.parametrize("figure", ALL)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "at least one value"),
        ([[0.1, 0.2]], "give one series"),
        ([0.1, math.nan, 0.2], r"returns\[1\] is nan"),
        ([0.1, 0.2, -math.inf], r"returns\[2\] is -inf"),
    ],
)
def test_bad_series_are_refused_by_name(figure, bad, message):
    with pytest.raises(BadValue, match=message):
        figure(bad)


def test_large_values_whose_squares_overflow_are_not_called_infinite():
    assert figures.checked([1e200, -1e200]).tolist() == [1e200, -1e200]


def test_more_than_everything_can_not_be_lost():
    with pytest.raises(BadValue, match=r"returns\[1\] is -1.5"):
        figures.max_drawdown([0.1, -1.5])


@pytest.mark.parametrize("periods", [0, -1, math.nan, math.inf])
def test_a_year_needs_periods(periods):
    with pytest.raises(BadValue, match="periods_per_year"):
        figures.sharpe([0.1, 0.2], periods)


def test_series_of_different_length_are_refused():
    with pytest.raises(BadValue, match="benchmark has 1 returns, the series 2"):
        figures.alpha_beta([0.1, 0.2], [0.1], DAY)


# --- drawdown --------------------------------------------------------------------------------


def test_drawdown_says_when():
    fall = figures.drawdown([100, 120, 90, 60, 119, 120, 130, 129])
    assert (fall.peak, fall.trough, fall.recovered) == (1, 3, 5)
    assert fall.depth == pytest.approx(0.5)


def test_drawdown_that_is_not_over():
    assert figures.drawdown([100, 90, 95]).recovered is None


def test_a_curve_that_never_falls_has_no_drawdown():
    assert figures.drawdown([1, 1, 2]) == figures.Drawdown(0.0, 0, 0, 0)


def test_drawdown_of_more_than_everything():
    assert figures.drawdown([100, -20]).depth == pytest.approx(1.2)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=60))
def test_drawdown_is_the_deepest_of_all_pairs(curve):
    fall = figures.drawdown(curve)
    deepest = max(
        1 - low / max(curve[: at + 1]) for at, low in enumerate(curve)
    )  # every fall from the highest before it
    assert fall.depth == pytest.approx(deepest, abs=1e-12)
    assert curve[fall.peak] == max(curve[: fall.trough + 1])
    if len(curve) > 1:
        returns = np.diff(curve) / np.array(curve[:-1])
        assert figures.max_drawdown(returns) == pytest.approx(-fall.depth, abs=1e-9)
