import csv
from statistics import NormalDist

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from models.errors import BadValue
from models.settings import Settings
from risk.var import (
    christoffersen,
    conditional_coverage,
    cornish_fisher,
    decay_weights,
    filtered_historical,
    historical,
    kupiec,
    monte_carlo,
    normal,
    parametric,
    weighted,
)

DATA = Settings().floor_data_dir
series = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300)
levels = st.sampled_from([0.5, 0.9, 0.95, 0.975, 0.99, 0.999])


# --- historical ---------------------------------------------------------------------------------


@given(results=series, level=levels)
def test_historical_is_the_definition(results: list[float], level: float) -> None:
    found = historical(results, level)
    ordered = np.sort(results)
    tail = (1 - level) * len(results)
    # The smallest observed loss that at least a share `level` of the results do not exceed.
    losses = -ordered[::-1]
    enough = [v for v in losses if np.mean(-ordered <= v) >= level - 1e-12]
    assert found.var == min(enough)
    # Acerbi and Tasche: the mean of the worst `tail` results, the last counted in part.
    whole = int(tail + 1e-9)
    parts = ordered[:whole].sum() + (ordered[whole] * (tail - whole) if whole < len(ordered) else 0)
    assert found.es == pytest.approx(-parts / tail, rel=1e-9, abs=1e-6)
    assert found.es >= found.var - 1e-6


@given(results=series, level=levels, shift=st.floats(-1e5, 1e5), scale=st.floats(0.01, 100))
def test_var_moves_and_scales_with_the_results(
    results: list[float], level: float, shift: float, scale: float
) -> None:
    base, moved = historical(results, level), historical(np.array(results) * scale + shift, level)
    assert moved.var == pytest.approx(base.var * scale - shift, rel=1e-6, abs=1e-3)
    assert moved.es == pytest.approx(base.es * scale - shift, rel=1e-6, abs=1e-3)


@given(
    pairs=st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2),
    level=levels,
)
def test_expected_shortfall_never_punishes_adding_up(
    pairs: list[tuple[float, float]], level: float
) -> None:
    a, b = np.array(pairs).T
    together = historical(a + b, level).es
    assert together <= historical(a, level).es + historical(b, level).es + 1e-6


@given(results=series, level=levels)
def test_equal_weights_are_no_weights(results: list[float], level: float) -> None:
    # Ties at the very quantile are decided the same way only off the grid of counts.
    assume(abs((1 - level) * len(results) % 1 - 0.5) < 0.49)
    plain, heavy = historical(results, level), weighted(results, np.full(len(results), 3.0), level)
    assert heavy.var == plain.var
    assert heavy.es == pytest.approx(plain.es, rel=1e-9, abs=1e-6)


def test_newer_results_count_more_when_they_decay() -> None:
    results = np.concatenate([np.full(500, -10.0), np.full(500, 1.0)])
    assert historical(results, 0.9).var == 10
    assert weighted(results, decay_weights(1000, half_life=50), 0.9).var == -1
    assert decay_weights(3, 1).tolist() == [0.25, 0.5, 1]


# --- parametric ---------------------------------------------------------------------------------


@given(mean=st.floats(-5, 5), deviation=st.floats(0, 10), level=levels, horizon=st.floats(0.1, 50))
def test_normal_is_the_quantile_and_the_tail_mean(
    mean: float, deviation: float, level: float, horizon: float
) -> None:
    found = normal(mean, deviation, level, horizon)
    centre, width = mean * horizon, deviation * horizon**0.5
    assert found.var == pytest.approx(-(norm.ppf(1 - level) * width + centre), abs=1e-6)
    tail = quad(lambda p: norm.ppf(p) * width + centre, 0, 1 - level)[0] / (1 - level)
    assert found.es == pytest.approx(-tail, rel=1e-4, abs=1e-4)


def test_cornish_fisher_of_a_normal_is_normal() -> None:
    grid = np.array([NormalDist().inv_cdf((i + 0.5) / 20_001) for i in range(20_001)])
    for level in (0.95, 0.99):
        bent, straight = cornish_fisher(grid, level), parametric(grid, level)
        assert bent.var == pytest.approx(straight.var, rel=2e-3)
        assert bent.es == pytest.approx(straight.es, rel=2e-3)


@given(skew=st.floats(-0.4, 0.4), heavy=st.floats(0, 0.08), level=st.sampled_from([0.95, 0.99]))
def test_cornish_fisher_shortfall_is_the_mean_of_its_own_quantiles(
    skew: float, heavy: float, level: float
) -> None:
    z = np.array([NormalDist().inv_cdf((i + 0.5) / 501) for i in range(501)])
    results = z + skew * (z * z - 1) / 6 + heavy * (z**3 - 3 * z)
    try:
        whole = cornish_fisher(results, level)
    except BadValue:
        assume(False)
    steps = np.linspace(level, 1, 201)[:-1] + (1 - level) / 400
    mean = np.mean([cornish_fisher(results, float(step)).var for step in steps])
    assert whole.es == pytest.approx(float(mean), rel=1e-2)


def test_moments_too_far_from_normal_are_refused() -> None:
    jumps = np.concatenate([np.random.default_rng(1).normal(0, 1, 500), [-60.0]])
    with pytest.raises(BadValue, match=r"too far from normal.*historical"):
        cornish_fisher(jumps, 0.99)
    with pytest.raises(BadValue, match="all the same"):
        cornish_fisher([3.0] * 10, 0.95)


@given(seed=st.integers(0, 100), level=st.sampled_from([0.9, 0.95, 0.99]))
def test_simulated_normals_have_the_normal_tail(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(3, 3))
    covariance, amounts = mix @ mix.T, rng.normal(size=3)
    means = rng.normal(0, 0.1, 3)
    deviation = float(np.sqrt(amounts @ covariance @ amounts))
    exact = normal(float(means @ amounts), deviation, level)
    found = monte_carlo(means, covariance, amounts, level, paths=40_000, seed=seed)
    # Five standard errors of a quantile and of a tail mean of 40,000 draws.
    error = 5 * deviation * (level * (1 - level) / 40_000) ** 0.5 / norm.pdf(norm.ppf(level))
    assert found.var == pytest.approx(exact.var, abs=error)
    assert found.es == pytest.approx(exact.es, abs=2 * error)


def test_simulation_takes_a_singular_covariance_and_refuses_none() -> None:
    both = monte_carlo([0, 0], [[1, 1], [1, 1]], [1, -1], 0.99, paths=1_000)
    assert both.var == pytest.approx(0, abs=1e-7)
    with pytest.raises(BadValue, match="negative eigenvalue"):
        monte_carlo([0, 0], [[1, 2], [2, 1]], [1, 1], 0.99)
    with pytest.raises(BadValue, match="do not fit"):
        monte_carlo([0], [[1, 0], [0, 1]], [1, 1], 0.99)


# --- back-tests ---------------------------------------------------------------------------------


def test_published_kupiec_values() -> None:
    path = DATA / "reference_tables" / "kupiec_pof_published.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for row in rows:
        found = kupiec(int(row["observations"]), int(row["failures"]), float(row["var_level"]))
        assert found.statistic == pytest.approx(float(row["lr_pof_published"]), abs=5e-6 * 10)
        assert found.p_value == pytest.approx(float(row["pvalue_published"]), abs=5e-6)


def test_kupiec_at_its_ends() -> None:
    assert kupiec(1000, 50, 0.95).statistic == pytest.approx(0, abs=1e-12)
    assert kupiec(1000, 0, 0.95).p_value < 1e-6
    assert kupiec(10, 10, 0.95).p_value < 1e-6
    with pytest.raises(BadValue, match="11 violations in 10"):
        kupiec(10, 11, 0.95)


def test_clusters_are_found_and_independence_is_not_refused() -> None:
    clustered = np.zeros(1000, bool)
    clustered[100:125] = clustered[700:725] = True
    assert christoffersen(clustered).p_value < 1e-6
    assert kupiec(1000, 50, 0.95).p_value > 0.99
    assert conditional_coverage(clustered, 0.95).p_value < 1e-6
    rng = np.random.default_rng(3)
    refused = sum(christoffersen(rng.random(1000) < 0.05).p_value < 0.05 for _ in range(400))
    assert 5 <= refused <= 40  # about 5 % of 400
    assert christoffersen(np.zeros(10, bool)).statistic == 0


@pytest.mark.parametrize("asset", ["BTC", "ETH"])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_recorded_spot_violates_as_often_as_it_should(asset: str, confidence: float) -> None:
    """15-minute returns of a month in which nothing crashed, forecast one by one.

    The band is Kupiec's at 95 %.
    """
    path = DATA / "spot_binance_1m" / f"{asset}USDT_1m_2026-03-23_2026-04-22.parquet"
    closes = pq.read_table(path, columns=["close"]).column("close").to_numpy()[::15]
    returns = np.diff(np.log(closes))
    forecasts = filtered_historical(returns, confidence, window=1_000)
    known = ~np.isnan(forecasts)
    violated = -returns[known] > forecasts[known]
    assert known.sum() == len(returns) - 1_000
    assert kupiec(len(violated), int(violated.sum()), confidence).p_value > 0.05
    assert christoffersen(violated).p_value > 0.01


def test_forecasts_know_only_the_past() -> None:
    rng = np.random.default_rng(5)
    returns = rng.normal(0, 1e-3, 400)
    changed = returns.copy()
    changed[300:] *= 50
    before, after = (filtered_historical(r, 0.95, window=100) for r in (returns, changed))
    assert np.array_equal(before[:301], after[:301], equal_nan=True)
    assert not np.array_equal(before[301:], after[301:])


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "confidence", "fault"),
    [
        ([], 0.95, "at least 1"),
        ([1.0, np.nan], 0.95, "value 1 of the series is nan"),
        ([np.inf, 1.0], 0.95, "value 0 of the series is inf"),
        ([[1.0]], 0.95, r"shape \(1, 1\)"),
        ([1.0], 1.0, "confidence=1.0"),
        ([1.0], float("nan"), "confidence=nan"),
    ],
)
def test_bad_input_is_named(results: list[float], confidence: float, fault: str) -> None:
    with pytest.raises(BadValue, match=fault):
        historical(results, confidence)
