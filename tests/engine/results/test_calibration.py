"""Brier score, its parts, and calibration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.results.calibration import calibration, wilson
from models.results import DOWN_WON, UNRESOLVED, UP_WON

WON = {"up": UP_WON, "down": DOWN_WON, "open": UNRESOLVED}


def judge(*said, mids=None, bins=10):
    """Judge forecasts given as (probability, what came), each on a market of its own."""
    columns = {
        "probability": np.array([each[0] for each in said], dtype=np.float64),
        "market": np.arange(len(said), dtype=np.uint16),
    }
    if mids is not None:
        columns["mid_e4"] = np.array(mids, dtype=np.int32)
    winners = np.array([WON[each[1]] for each in said], dtype=np.uint8)
    return calibration(columns, winners, bins)


def test_worked_by_hand():
    found = judge((0.8, "up"), (0.6, "up"), (0.3, "down"), (0.9, "down"))
    assert found.brier == pytest.approx((0.04 + 0.16 + 0.09 + 0.81) / 4)
    assert found.brier_baseline == 0.25
    assert found.skill == pytest.approx(1 - 0.275 / 0.25)
    assert found.log_loss == pytest.approx(-np.log([0.8, 0.6, 0.7, 0.1]).mean())


def test_the_table_of_a_textbook_forecaster():
    """Ten forecasts of 0.2 with two hits and ten of 0.7 with seven are calibrated perfectly."""
    said = [(0.2, "up")] * 2 + [(0.2, "down")] * 8 + [(0.7, "up")] * 7 + [(0.7, "down")] * 3
    found = judge(*said)
    assert found.reliability == pytest.approx(0, abs=1e-15)
    assert found.uncertainty == pytest.approx(0.45 * 0.55)
    assert found.resolution == pytest.approx(0.25**2)
    assert found.within_bins == pytest.approx(0, abs=1e-15)
    assert [(row.forecasts, row.mean, row.happened) for row in found.bins] == [
        (10, pytest.approx(0.2), 0.2),
        (10, pytest.approx(0.7), 0.7),
    ]


def test_a_perfect_forecaster_has_no_error_and_a_wrong_one_no_skill():
    perfect = judge((1.0, "up"), (0.0, "down"))
    assert (perfect.brier, perfect.skill) == (0.0, 1.0)
    wrong = judge((0.0, "up"), (1.0, "down"))
    assert (wrong.brier, wrong.skill) == (1.0, -3.0)
    assert wrong.log_loss == pytest.approx(-np.log(1e-6))


def test_unresolved_markets_and_what_is_no_probability_are_left_out_and_counted():
    found = judge((0.8, "up"), (0.5, "open"), (np.nan, "up"), (1.2, "up"), (-0.1, "down"))
    assert (found.forecasts, found.left_out) == (1, 4)
    assert judge((0.5, "open")) is None
    assert judge() is None


def test_one_outcome_only_leaves_skill_undefined():
    found = judge((0.8, "up"), (0.6, "up"))
    assert found.skill is None
    assert found.brier_baseline == 0


def test_the_market_is_judged_on_the_same_forecasts():
    found = judge((0.8, "up"), (0.2, "up"), (0.1, "down"), mids=[6_000, -1, 3_000])
    assert found.brier_market == pytest.approx((0.16 + 0.09) / 2)
    assert found.brier_beside_market == pytest.approx((0.04 + 0.01) / 2)
    assert judge((0.8, "up")).brier_market is None
    assert judge((0.8, "up"), mids=[-1]).brier_market is None


def test_many_forecasts_of_one_market_are_one_experience():
    """The interval narrows with markets, not with how often one of them was asked about."""
    columns = {"probability": np.full(100, 0.75), "market": np.zeros(100, dtype=np.uint16)}
    (often,) = calibration(columns, np.array([UP_WON], dtype=np.uint8)).bins
    (once,) = judge((0.75, "up")).bins
    assert (often.forecasts, often.markets) == (100, 1)
    assert (often.happened_low, often.happened_high) == (once.happened_low, once.happened_high)


SAID = st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["up", "down"])), min_size=1)


@given(SAID, st.integers(1, 20))
def test_the_parts_add_up_to_the_score(said, bins):
    """The two components within bins, worked out on their own, close the identity."""
    found = judge(*said, bins=bins)
    p = np.array([each[0] for each in said])
    y = np.array([each[1] == "up" for each in said], dtype=float)
    which = np.minimum((p * bins).astype(int), bins - 1)
    variance = covariance = 0.0
    for each in np.unique(which):
        here = which == each
        variance += ((p[here] - p[here].mean()) ** 2).sum() / len(p)
        covariance += ((p[here] - p[here].mean()) * (y[here] - y[here].mean())).sum() / len(p)
    assert found.within_bins == pytest.approx(variance - 2 * covariance, abs=1e-12)
    parts = found.reliability - found.resolution + found.uncertainty + found.within_bins
    assert found.brier == pytest.approx(parts, abs=1e-12)


@given(SAID)
def test_the_other_outcome_is_judged_alike(said):
    other = [(1 - p, "down" if came == "up" else "up") for p, came in said]
    here, there = judge(*said), judge(*other)
    assert here.brier == pytest.approx(there.brier, abs=1e-9)
    assert here.log_loss == pytest.approx(there.log_loss, rel=1e-6, abs=1e-6)


def test_wilsons_interval_is_the_published_one():
    """Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I."""
    for hits, trials, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
                                    (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):  # fmt: skip
        assert wilson(hits / trials, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500), st.data())
def test_an_interval_holds_its_frequency(trials, data):
    rate = data.draw(st.integers(0, trials)) / trials
    low, high = wilson(rate, trials)
    assert 0 <= low <= rate + 1e-12
    assert rate - 1e-12 <= high <= 1
