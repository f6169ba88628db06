import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.errors import BadValue
from models.settings import Settings
from risk.analytics import concentration, contributions, covariance, shrunk_covariance

returns = arrays(
    np.float64,
    st.tuples(st.integers(2, 30), st.integers(1, 6)),
    elements=st.floats(-1, 1).map(lambda x: round(x, 6)),
)


@given(values=returns)
def test_the_sample_covariance_is_the_definition(values: np.ndarray) -> None:
    found = covariance(values).matrix
    centred = values - values.mean(axis=0)
    assert np.allclose(found, centred.T @ centred / (len(values) - 1), atol=1e-12)


@given(values=returns)
def test_shrinking_keeps_the_variance_and_never_makes_it_worse_conditioned(
    values: np.ndarray,
) -> None:
    found = shrunk_covariance(values)
    sample = np.cov(values, rowvar=False, ddof=0).reshape(values.shape[1], -1)
    assert 0 <= found.shrinkage <= 1
    assert np.trace(found.matrix) == pytest.approx(np.trace(sample), abs=1e-9)
    mine, plain = np.linalg.eigvalsh(found.matrix), np.linalg.eigvalsh(sample)
    assert mine.min() >= plain.min() - 1e-12
    assert mine.max() <= plain.max() + 1e-12


@given(values=returns)
def test_the_noise_is_the_mean_distance_of_single_observations(values: np.ndarray) -> None:
    """The estimator once more, observation by observation, as the paper has it."""
    count, width = values.shape
    centred = values - values.mean(axis=0)
    sample = centred.T @ centred / count
    target = np.trace(sample) / width * np.eye(width)
    spread = ((sample - target) ** 2).sum() / width
    noise = sum(((np.outer(x, x) - sample) ** 2).sum() / width for x in centred) / count**2
    if spread > 1e-12:
        expected = min(noise, spread) / spread
        assert shrunk_covariance(values).shrinkage == pytest.approx(expected, abs=1e-6)


def test_with_many_observations_the_pull_fades() -> None:
    rng = np.random.default_rng(1)
    root = np.array([[1.0, 0], [0.9, 0.4]])
    few, many = (shrunk_covariance(rng.normal(size=(n, 2)) @ root.T) for n in (12, 20_000))
    assert many.shrinkage < 0.001 < few.shrinkage
    assert np.allclose(many.matrix, root @ root.T, atol=0.05)


def test_bitcoin_and_ether_move_together() -> None:
    folder = Settings().floor_data_dir / "spot_binance_1m"
    closes = [
        pq.read_table(folder / f"{asset}USDT_1m_2026-03-23_2026-04-22.parquet", columns=["close"])
        .column("close")
        .to_numpy()
        for asset in ("BTC", "ETH")
    ]
    moves = np.diff(np.log(np.column_stack(closes)), axis=0)
    found = shrunk_covariance(moves)
    assert 0.7 < found.correlation[0, 1] < 0.95
    assert found.correlation[0, 1] == pytest.approx(np.corrcoef(moves.T)[0, 1], abs=0.01)


def test_a_series_that_stands_still_correlates_with_nothing() -> None:
    found = covariance([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]]).correlation
    assert found.tolist() == [[1, 0], [0, 1]]


@given(values=returns, seed=st.integers(0, 99))
def test_components_add_up_to_the_deviation(values: np.ndarray, seed: int) -> None:
    matrix = covariance(values).matrix
    held = np.random.default_rng(seed).normal(size=values.shape[1])
    found = contributions(held, matrix)
    assert found.component.sum() == pytest.approx(found.deviation, abs=1e-9)
    direct = float(np.std(values @ held, ddof=1))
    assert found.deviation == pytest.approx(direct, abs=1e-7)
    if found.deviation > 1e-3:
        assert found.share.sum() == pytest.approx(1)
        for index in range(len(held)):
            more = held.copy()
            more[index] += 1e-6
            slope = (contributions(more, matrix).deviation - found.deviation) / 1e-6
            assert found.marginal[index] == pytest.approx(slope, abs=1e-3)


@given(count=st.integers(1, 40), size=st.floats(0.01, 1e6), sign=st.sampled_from([-1, 1]))
def test_equal_positions_are_as_concentrated_as_their_number_says(
    count: int, size: float, sign: int
) -> None:
    assert concentration([sign * size] * count) == pytest.approx(1 / count)
    assert concentration([size] + [0.0] * count) == 1
    assert concentration([]) == 0


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (lambda: covariance([[1.0]]), r"shape \(1, 1\)"),
        (lambda: shrunk_covariance([[1.0], [np.nan]]), "return 1 of series 0 is nan"),
        (lambda: contributions([1, 2], [[1.0]]), "do not fit"),
        (lambda: contributions([1.0], [[-1.0]]), "negative variance"),
        (lambda: contributions([np.inf], [[1.0]]), "finite"),
        (lambda: concentration([np.nan]), "finite"),
    ],
)
def test_bad_input_is_named(call, fault: str) -> None:
    with pytest.raises(BadValue, match=fault):
        call()
