"""Fair values of digitals against scipy, simulated paths and their limits."""

from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from models.errors import BadValue
from risk.digital import (
    up_probabilities,
    up_probabilities_twap,
    up_probability,
    up_probability_twap,
)

prices = st.floats(0.01, 1e7)
moneyness = st.floats(0.9, 1.1)
volatilities = st.floats(1e-6, 1e-3)
seconds = st.floats(0.5, 14_400)


@given(prices, moneyness, volatilities, seconds)
def test_boundary_value_is_the_normal_probability_of_d2(spot, ratio, volatility, left):
    strike = spot * ratio
    deviation = volatility * sqrt(left)
    expected = norm.cdf((np.log(spot / strike) - deviation**2 / 2) / deviation)
    assert up_probability(spot, strike, volatility, left) == pytest.approx(expected, abs=1e-12)


@given(prices, moneyness, volatilities, seconds)
def test_scalar_and_array_forms_agree(spot, ratio, volatility, left):
    strike = spot * ratio
    scalar = up_probability(spot, strike, volatility, left)
    assert up_probabilities(spot, strike, volatility, left) == pytest.approx(scalar, abs=1e-12)
    averaged = up_probability_twap(spot, strike, volatility, left, spot)
    array = up_probabilities_twap(spot, strike, volatility, left, spot)
    assert array == pytest.approx(averaged, abs=1e-12)


@given(prices, prices, volatilities, seconds)
def test_a_higher_spot_never_makes_up_less_likely(spot, strike, volatility, left):
    for value in (up_probability, up_probability_twap):
        low = value(spot, strike, volatility, left)
        high = value(spot * 1.001, strike, volatility, left)
        assert 0.0 <= low <= high <= 1.0


@pytest.mark.parametrize("left", [0.0, -5.0])
@pytest.mark.parametrize(("spot", "expected"), [(99.99, 0.0), (100.0, 1.0), (100.01, 1.0)])
def test_at_expiry_only_the_tie_rule_is_left(spot, expected, left):
    assert up_probability(spot, 100.0, 1e-4, left) == expected
    assert up_probability_twap(90.0, 100.0, 1e-4, left, average_so_far=spot) == expected
    assert up_probabilities(spot, 100.0, 1e-4, left) == expected
    assert up_probabilities_twap(90.0, 100.0, 1e-4, left, spot) == expected


def test_without_volatility_the_value_is_certain():
    assert up_probability(100.0, 100.0, 0.0, 300) == 1.0
    assert up_probability(99.99, 100.0, 0.0, 300) == 0.0


def test_value_approaches_the_tie_rule_as_time_runs_out():
    assert up_probability(100.01, 100.0, 1e-4, 1e-9) == pytest.approx(1.0)
    assert up_probability(99.99, 100.0, 1e-4, 1e-9) == pytest.approx(0.0)
    assert up_probability(100.0, 100.0, 1e-4, 1e-9) == pytest.approx(0.5, abs=1e-6)


def test_both_branches_of_the_average_meet_where_averaging_begins():
    before = up_probability_twap(100.02, 100.0, 1e-4, 60.0)
    after = up_probability_twap(100.02, 100.0, 1e-4, 60.0 - 1e-9, average_so_far=50.0)
    assert before == pytest.approx(after, abs=1e-6)


def test_an_average_that_is_already_decided_is_certain():
    assert up_probability_twap(1.0, 100.0, 1e-4, 1.0, average_so_far=200.0) == 1.0
    assert up_probability_twap(100.0, 100.0, 1e-4, 1.0, average_so_far=50.0) < 1e-12


@pytest.mark.parametrize(
    ("left", "spot", "so_far"),
    [(600.0, 100.05, None), (90.0, 99.95, None), (60.0, 100.02, None), (25.0, 100.01, 99.99)],
)
def test_average_settlement_agrees_with_simulated_paths(left, spot, so_far):
    """40,000 paths of 60 steps a minute; the tolerance is four standard errors plus the step."""
    strike, volatility, paths, per_s = 100.0, 1e-4, 40_000, 4
    rng = np.random.default_rng(7)
    inside = min(left, 60.0)
    steps = round(inside * per_s)
    start = spot * np.exp(_noise(rng, volatility, left - inside, paths))
    noise = rng.standard_normal((paths, steps)) * volatility / sqrt(per_s)
    path = start[:, None] * np.exp(np.cumsum(noise - volatility**2 / per_s / 2, axis=1))
    middle = (np.column_stack([start, path[:, :-1]]) + path) / 2
    mean = middle.mean(axis=1)
    if so_far is not None:
        mean = (so_far * (60.0 - left) + mean * left) / 60.0
    simulated = float((mean >= strike).mean())
    value = up_probability_twap(spot, strike, volatility, left, so_far)
    assert value == pytest.approx(simulated, abs=4 * sqrt(0.25 / paths))


def _noise(rng, volatility, seconds_, paths):
    draw = rng.standard_normal(paths) * volatility * sqrt(seconds_)
    return draw - volatility**2 * seconds_ / 2


@pytest.mark.parametrize(
    "arguments",
    [
        (float("nan"), 100.0, 1e-4, 60.0),
        (0.0, 100.0, 1e-4, 60.0),
        (100.0, -1.0, 1e-4, 60.0),
        (100.0, float("inf"), 1e-4, 60.0),
        (100.0, 100.0, -1e-4, 60.0),
        (100.0, 100.0, float("nan"), 60.0),
        (100.0, 100.0, 1e-4, float("nan")),
    ],
)
def test_bad_input_is_refused_by_name_and_nan_in_arrays(arguments):
    with pytest.raises(BadValue, match="must be"):
        up_probability(*arguments)
    with pytest.raises(BadValue, match="must be"):
        up_probability_twap(*arguments)
    assert isnan(up_probabilities(*arguments))
    assert isnan(up_probabilities_twap(*arguments))


def test_bad_averages_are_refused():
    with pytest.raises(BadValue, match="average_so_far"):
        up_probability_twap(100.0, 100.0, 1e-4, 10.0, average_so_far=0.0)
    with pytest.raises(BadValue, match="averaging_s"):
        up_probability_twap(100.0, 100.0, 1e-4, 10.0, averaging_s=0.0)
    assert isnan(up_probabilities_twap(100.0, 100.0, 1e-4, 10.0, np.nan))


def test_arrays_broadcast():
    values = up_probabilities(np.array([99.0, 100.0, 101.0])[:, None], 100.0, 1e-4, [60.0, 600.0])
    assert values.shape == (3, 2)
    assert (np.diff(values, axis=0) > 0).all()
