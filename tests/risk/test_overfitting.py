"""Luck, told from skill: published examples, and searches of which the truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadValue
from risk import overfitting
from risk.overfitting import backtest_overfitting, deflated_sharpe, probabilistic_sharpe

# --- published examples ----------------------------------------------------------------------


def test_the_example_of_the_efficient_frontier():
    """Bailey and Lopez de Prado (2012): 24 monthly returns, a Sharpe ratio of 0.458 a month."""
    assert probabilistic_sharpe(0.458, 24) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


def test_the_example_of_the_deflated_sharpe_ratio():
    """Bailey and Lopez de Prado (2014): 5 years of 250 days, 2.5 a year, the best of 100."""
    sharpe, variance = 2.5 / math.sqrt(250), 0.5 / 250
    assert overfitting.expected_best_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(sharpe, 1_250, 100, variance, -3, 10) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(sharpe, 1_250, 46, variance, -3, 10) == pytest.approx(0.9505, abs=5e-5)
    assert deflated_sharpe(sharpe, 1_250, 88, variance) == pytest.approx(0.9505, abs=5e-5)


# --- what must hold --------------------------------------------------------------------------

RATIOS = st.floats(-1, 1)


@given(RATIOS, st.integers(2, 5_000), RATIOS)
def test_above_and_below_are_one_whole(sharpe, observations, benchmark):
    above = probabilistic_sharpe(sharpe, observations, benchmark=benchmark)
    below = probabilistic_sharpe(-sharpe, observations, benchmark=-benchmark)
    assert above + below == pytest.approx(1)


@given(st.floats(0.01, 1), st.integers(2, 1_000))
def test_a_longer_record_is_surer(sharpe, observations):
    shorter = probabilistic_sharpe(sharpe, observations)
    assert probabilistic_sharpe(sharpe, observations * 2) >= shorter > 0.5


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_more_trials_deflate_more(trials, variance):
    one = deflated_sharpe(0.1, 500, trials, variance)
    assert deflated_sharpe(0.1, 500, trials * 2, variance) <= one + 1e-12


def test_one_trial_is_not_deflated():
    assert deflated_sharpe(0.1, 500, 1, 0.5) == probabilistic_sharpe(0.1, 500)


def test_the_best_of_many_without_edge_is_as_large_as_expected():
    rng = np.random.default_rng(2)
    best = rng.normal(0, 0.05, (4_000, 50)).max(axis=1).mean()
    assert overfitting.expected_best_sharpe(50, 0.05**2) == pytest.approx(best, rel=0.02)


def test_the_error_is_that_of_many_samples():
    samples = np.random.default_rng(3).normal(0.1, 1, (4_000, 250))
    ratios = samples.mean(axis=1) / samples.std(axis=1, ddof=1)
    assert overfitting.sharpe_error(0.1, 250) == pytest.approx(ratios.std(), rel=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: probabilistic_sharpe(math.nan, 10), "must be finite"),
        (lambda: probabilistic_sharpe(0.1, 10, 3, 3), "impossible"),
        (lambda: overfitting.expected_best_sharpe(0, 1), "trials=0"),
        (lambda: overfitting.expected_best_sharpe(5, -1), "variance=-1"),
        (lambda: overfitting.expected_best_sharpe(5, math.nan), "variance=nan"),
    ],
)
def test_bad_values_are_refused(call, message):
    with pytest.raises(BadValue, match=message):
        call()


def test_one_observation_says_nothing():
    assert math.isnan(probabilistic_sharpe(0.1, 1))


# --- searches --------------------------------------------------------------------------------


def test_the_best_of_noise_is_overfitted_every_second_time():
    found = [
        backtest_overfitting(np.random.default_rng(seed).normal(size=(480, 40)), 10).probability
        for seed in range(40)
    ]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


def test_noise_does_not_survive_deflation():
    tried = np.random.default_rng(6).normal(size=(1_000, 100))
    ratios = tried.mean(axis=0) / tried.std(axis=0, ddof=1)
    best, variance = float(ratios.max()), float(ratios.var(ddof=1))
    assert probabilistic_sharpe(best, 1_000) > 0.95
    assert deflated_sharpe(best, 1_000, 100, variance) < 0.9


def test_a_real_edge_is_not_called_overfitted():
    tried = np.random.default_rng(7).normal(size=(1_000, 40))
    tried[:, 11] += 0.25
    found = backtest_overfitting(tried)
    assert found.probability < 0.01
    assert found.loss < 0.01
    assert len(found.logits) == 12_870


def test_what_paid_in_one_half_and_cost_in_the_other_is_overfitted():
    """Each configuration wins in blocks of its own and loses it again in the others."""
    rng = np.random.default_rng(8)
    tried = rng.normal(0, 0.1, (160, 16))
    for column in range(16):
        tried[:, column] -= 0.2
        tried[column * 10 : column * 10 + 10, column] += 3.2
    found = backtest_overfitting(tried, 16)
    assert found.probability > 0.95
    assert found.loss > 0.95


def test_it_is_the_textbook_procedure():
    """Beside the procedure written out plainly, with its loops."""
    from itertools import combinations

    tried = np.random.default_rng(9).normal(0.02, 1, (61, 5))
    cut = tried[1:].reshape(6, 10, 5)
    logits = []
    for picked in combinations(range(6), 3):
        inside = np.concatenate([cut[block] for block in picked])
        outside = np.concatenate([cut[block] for block in range(6) if block not in picked])
        best = (inside.mean(axis=0) / inside.std(axis=0, ddof=1)).argmax()
        ranks = (outside.mean(axis=0) / outside.std(axis=0, ddof=1)).argsort().argsort() + 1
        share = ranks[best] / 6
        logits.append(math.log(share / (1 - share)))
    found = backtest_overfitting(tried, 6)
    assert found.logits.tolist() == pytest.approx(logits)
    assert found.probability == pytest.approx(
        np.mean([1.0 if logit < 0 else 0.5 if logit == 0 else 0.0 for logit in logits])
    )


@given(st.integers(0, 1_000), st.floats(0.001, 1_000))
def test_the_scale_of_returns_does_not_matter(seed, scale):
    tried = np.random.default_rng(seed).normal(size=(40, 6))
    here, there = backtest_overfitting(tried, 4), backtest_overfitting(tried * scale, 4)
    assert here.probability == there.probability
    assert here.logits.tolist() == pytest.approx(there.logits.tolist())


def test_configurations_that_never_trade_are_even():
    found = backtest_overfitting(np.zeros((40, 4)), 4)
    assert found.probability == 0.5
    assert math.isnan(found.slope)


@pytest.mark.parametrize(
    ("returns", "blocks", "message"),
    [
        (np.zeros(10), 4, "give rows of periods"),
        (np.zeros((10, 1)), 4, "2 columns or more"),
        (np.zeros((40, 3)), 5, "blocks=5"),
        (np.zeros((40, 3)), 30, "blocks=30"),
        (np.zeros((7, 3)), 4, "7 rows are too few for 4 blocks"),
        (np.array([[0.0, 1.0]] * 7 + [[0.0, math.nan]]), 4, r"returns\[7, 1\] is nan"),
    ],
)
def test_bad_searches_are_refused(returns, blocks, message):
    with pytest.raises(BadValue, match=message):
        backtest_overfitting(returns, blocks)
