"""Value at risk and expected shortfall of a series of results, four ways, and their back-tests.

Results are profits (positive) and losses in any one unit; VaR and ES are losses in that unit, so a
positive VaR of 10 at 95 % says: in one of twenty cases 10 or more is lost. Either may be negative
when even the bad cases win.

Conventions. For `n` observed results sorted from the worst, with ``t = (1 - confidence) n``:

* VaR is the loss of the ``floor(t) + 1``-th worst result: the smallest loss `v` with at least a
  share `confidence` of the results losing no more than `v` (the lower quantile of the loss).
* ES is the mean loss of the worst ``t`` results, the last one counted in part when `t` is not
  whole (C. Acerbi and D. Tasche, "On the coherence of expected shortfall", J. Banking & Finance
  26, 2002). So ES is never below VaR.

CVaR is another name for ES here; for results without atoms they are the same.
"""

from dataclasses import dataclass
from math import floor, isfinite, log, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.stats import chi2  # type: ignore[import-untyped]

from models.errors import BadValue

Floats = npt.NDArray[np.float64]
_NORMAL = NormalDist()
_FAR = 4.0
"""Deviations beyond which a normal practically never goes (once in 30,000)."""


@dataclass(frozen=True, slots=True)
class TailRisk:
    """Loss that is not exceeded with `confidence`, and the mean loss beyond it."""

    confidence: float
    var: float
    es: float


def historical(results: npt.ArrayLike, confidence: float) -> TailRisk:
    """VaR and ES of observed results as they are, each counting the same.

    Raises
    ------
    BadValue
        No results, one that is not finite, or a confidence not between 0 and 1.
    """
    values = np.asarray(results, np.float64)
    _refuse_confidence(confidence)
    if values.ndim != 1 or len(values) == 0:
        _series(values, 1)
    # A tiny margin keeps 0.05 * 1000 from becoming 50 and a hair.
    tail = (1.0 - confidence) * len(values)
    whole = min(floor(tail + 1e-9), len(values) - 1)
    fine, edge, below = _select(values, whole)
    if not fine:
        _series(values, 1)
    return TailRisk(confidence, -edge, -(below + edge * max(0.0, tail - whole)) / tail)


@njit(cache=True)
def _select(values: Floats, rank: int) -> tuple[bool, float, float]:
    """The value of a rank from below and the sum of those before it, by quickselect.

    The first is False where a value is not finite.
    """
    work = values.copy()
    for value in work:
        if not np.isfinite(value):
            return False, 0.0, 0.0
    low, high = 0, len(work) - 1
    while low < high:
        # Median of three: sorted and constant series are common and must not cost squares.
        middle = (low + high) // 2
        first, centre, last = work[low], work[middle], work[high]
        pivot = max(min(first, centre), min(max(first, centre), last))
        left, right = low, high
        while left <= right:
            while work[left] < pivot:
                left += 1
            while work[right] > pivot:
                right -= 1
            if left <= right:
                work[left], work[right] = work[right], work[left]
                left += 1
                right -= 1
        if rank <= right:
            high = right
        elif rank >= left:
            low = left
        else:
            break
    below = 0.0
    for index in range(rank):
        below += work[index]
    return True, work[rank], below


def weighted(results: npt.ArrayLike, weights: npt.ArrayLike, confidence: float) -> TailRisk:
    """As `historical`, where results count by weight: newer ones more, or paths of a simulation.

    Raises `BadValue` also for a weight that is negative or not finite, or where none is positive.
    """
    values, share = _series(results, 1), _series(weights, 1)
    _refuse_confidence(confidence)
    if len(values) != len(share) or (share < 0).any() or not share.sum() > 0:
        raise BadValue(
            f"weights: {len(share)} for {len(values)} results; give one each, none negative"
        )
    order = np.argsort(values, kind="stable")
    values, share = values[order], share[order] / share.sum()
    tail = 1.0 - confidence
    reached = np.cumsum(share)
    at = min(int(np.searchsorted(reached, tail + 1e-12, side="right")), len(values) - 1)
    before = float(reached[at - 1]) if at else 0.0
    total = float(values[:at] @ share[:at]) + float(values[at]) * max(0.0, tail - before)
    return TailRisk(confidence, -float(values[at]), -total / tail)


def decay_weights(count: int, half_life: float) -> Floats:
    """Weights that halve every `half_life` results into the past; the newest is last and 1."""
    if count < 1 or not half_life > 0:
        raise BadValue(f"count={count} and half_life={half_life!r} must be above zero")
    ages = np.arange(count - 1, -1, -1, dtype=np.float64)
    weights: Floats = np.exp2(-ages / half_life)
    return weights


def normal(mean: float, deviation: float, confidence: float, horizon: float = 1.0) -> TailRisk:
    """VaR and ES of a normal result.

    Parameters
    ----------
    mean, deviation
        Of one period.
    horizon
        Periods; independent ones: the mean grows with them, the deviation with their root.
    """
    _refuse_confidence(confidence)
    if not (isfinite(mean) and isfinite(deviation) and deviation >= 0 and horizon > 0):
        raise BadValue(
            f"mean={mean!r} and deviation={deviation!r} must be finite, the deviation at least 0 "
            f"and horizon={horizon!r} above 0"
        )
    centre, width = mean * horizon, deviation * sqrt(horizon)
    z = _NORMAL.inv_cdf(confidence)
    return TailRisk(
        confidence, z * width - centre, width * _NORMAL.pdf(z) / (1 - confidence) - centre
    )


def parametric(results: npt.ArrayLike, confidence: float, horizon: float = 1.0) -> TailRisk:
    """`normal` with the mean and (n - 1) deviation of a series of at least two results."""
    values = _series(results, 2)
    return normal(float(values.mean()), float(values.std(ddof=1)), confidence, horizon)


def cornish_fisher(results: npt.ArrayLike, confidence: float) -> TailRisk:
    """VaR and ES of a normal bent to the series' skewness and excess kurtosis.

    Source: E. Cornish and R. Fisher, "Moments and cumulants in the specification of
    distributions", Rev. Int. Stat. Inst. 5 (1938), the expansion to fourth order; ES is the same
    expansion averaged over the tail, with the closed-form tail moments of the normal.

    Raises
    ------
    BadValue
        Fewer than four results, all of them equal, or moments so far from normal that the bent
        quantile function no longer rises (Maillard 2012, "A user's guide to the Cornish Fisher
        expansion"): use `historical` there.
    """
    values = _series(results, 4)
    _refuse_confidence(confidence)
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    if deviation <= 1e-12 * max(1.0, abs(mean)):
        raise BadValue("results are all the same; there is no tail to measure")
    scaled = (values - mean) / float(values.std())
    skew, excess = float((scaled**3).mean()), float((scaled**4).mean()) - 3.0
    if not _rises(skew, excess):
        raise BadValue(
            f"skewness {skew:.2f} and excess kurtosis {excess:.2f} are too far from normal for "
            "Cornish-Fisher; use the historical method"
        )
    tail = 1.0 - confidence
    z = _NORMAL.inv_cdf(tail)
    bent = _bend(z, z * z, z**3, skew, excess)
    # E[Z^k | Z < z] of the standard normal, from its density h over the tail's probability.
    h = _NORMAL.pdf(z) / tail
    mean_bent = _bend(-h, 1 - z * h, -(z * z + 2) * h, skew, excess)
    return TailRisk(confidence, -(mean + deviation * bent), -(mean + deviation * mean_bent))


def monte_carlo(
    means: npt.ArrayLike,
    covariance: npt.ArrayLike,
    amounts: npt.ArrayLike,
    confidence: float,
    paths: int = 100_000,
    seed: int = 7,
) -> TailRisk:
    """VaR and ES of a portfolio whose instruments' results are jointly normal, by simulation.

    Parameters
    ----------
    means, covariance, amounts
        Of `k` instruments: shapes (k,), (k, k) and (k,).

    Raises
    ------
    BadValue
        Shapes that do not fit, values not finite, or a covariance that is none.
    """
    mu, cov, held = _series(means, 1), np.asarray(covariance, np.float64), _series(amounts, 1)
    if cov.shape != (len(mu), len(mu)) or len(held) != len(mu) or paths < 1:
        raise BadValue(
            f"means {mu.shape}, covariance {cov.shape} and amounts {held.shape} do not fit; "
            f"paths={paths}"
        )
    root = covariance_root(cov)
    draws = np.random.default_rng(seed).standard_normal((paths, len(mu)))
    return historical(draws @ (root.T @ held) + mu @ held, confidence)


def covariance_root(covariance: Floats) -> Floats:
    """A matrix `L` with ``L L' = covariance``; works for singular ones too.

    Raises `BadValue` where it is not symmetric, not finite, or has a negative eigenvalue.
    """
    if not np.isfinite(covariance).all() or not np.allclose(covariance, covariance.T):
        raise BadValue("covariance must be finite and symmetric")
    values, vectors = np.linalg.eigh(covariance)
    if values.min(initial=0.0) < -1e-9 * max(1.0, float(np.abs(values).max(initial=0.0))):
        raise BadValue(f"covariance has the negative eigenvalue {values.min():.3g}")
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


# --- back-tests -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BackTest:
    """A likelihood-ratio test: small `p_value` (below 0.05, say) speaks against the model."""

    name: str
    statistic: float
    p_value: float


def kupiec(observations: int, violations: int, confidence: float) -> BackTest:
    """Whether there are as many violations as there should be (proportion of failures).

    Source: P. Kupiec, "Techniques for verifying the accuracy of risk measurement models", J.
    Derivatives 3 (1995). One degree of freedom.
    """
    _refuse_confidence(confidence)
    if not 0 <= violations <= observations or observations < 1:
        raise BadValue(f"{violations} violations in {observations} observations cannot be")
    expected, seen = 1 - confidence, violations / observations
    ratio = -2 * (
        _log_likelihood(observations - violations, violations, expected)
        - _log_likelihood(observations - violations, violations, seen)
    )
    ratio = max(0.0, ratio)
    return BackTest("kupiec", ratio, float(chi2.sf(ratio, 1)))


def christoffersen(violated: npt.ArrayLike) -> BackTest:
    """Whether violations come in clusters: independence against a first-order Markov chain.

    Source: P. Christoffersen, "Evaluating interval forecasts", Int. Economic Review 39 (1998).
    One degree of freedom; without a violation, or with nothing else, the statistic is 0.
    """
    hits = _hits(violated)
    before, after = hits[:-1], hits[1:]
    n11 = int(np.sum(before & after))
    n10 = int(np.sum(before & ~after))
    n01 = int(np.sum(~before & after))
    n00 = len(before) - n11 - n10 - n01
    moves = n01 + n11
    apart = _log_likelihood(n00, n01, n01 / max(1, n00 + n01)) + _log_likelihood(
        n10, n11, n11 / max(1, n10 + n11)
    )
    together = _log_likelihood(n00 + n10, moves, moves / max(1, len(before)))
    ratio = max(0.0, -2 * (together - apart))
    return BackTest("christoffersen", ratio, float(chi2.sf(ratio, 1)))


def conditional_coverage(violated: npt.ArrayLike, confidence: float) -> BackTest:
    """`kupiec` and `christoffersen` together; two degrees of freedom."""
    hits = _hits(violated)
    ratio = (
        kupiec(len(hits), int(hits.sum()), confidence).statistic + christoffersen(hits).statistic
    )
    return BackTest("conditional coverage", ratio, float(chi2.sf(ratio, 2)))


def filtered_historical(
    returns: npt.ArrayLike, confidence: float, window: int = 1_000, decay: float = 0.97
) -> Floats:
    """VaR forecasts for each return from those before it; NaN for the first `window`.

    Past returns are divided by the volatility there was (exponentially weighted, as RiskMetrics
    1996) and multiplied by the volatility there is: the tail is the market's own, its width
    today's. Source: G. Barone-Adesi, K. Giannopoulos and L. Vosper, "VaR without correlations for
    portfolios of derivative securities", J. Futures Markets 19 (1999).

    Raises
    ------
    BadValue
        Fewer returns than the window and one; a window below 50, a decay not between 0 and 1.
    """
    values = _series(returns, 1)
    _refuse_confidence(confidence)
    if window < 50 or len(values) <= window or not 0 < decay < 1:
        raise BadValue(
            f"{len(values)} returns with window={window} (at least 50) and decay={decay!r} "
            "(between 0 and 1): give more returns than the window"
        )
    variance = np.empty(len(values) + 1)
    variance[0] = float(np.mean(values[:50] ** 2)) or 1e-18
    for index, value in enumerate(values):
        variance[index + 1] = decay * variance[index] + (1 - decay) * value * value
    width = np.sqrt(np.maximum(variance, 1e-18))
    scaled = values / width[:-1]
    rank = min(floor((1 - confidence) * window + 1e-9), window - 1)
    blocks = np.lib.stride_tricks.sliding_window_view(scaled, window)[:-1]
    forecasts = np.full(len(values), np.nan)
    for first in range(0, len(blocks), 4096):
        part = np.partition(blocks[first : first + 4096], rank, axis=1)[:, rank]
        at = slice(window + first, window + first + len(part))
        forecasts[at] = -part * width[at]
    return forecasts


# --- inside ---------------------------------------------------------------------------------------


def _series(values: npt.ArrayLike, least: int) -> Floats:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or len(array) < least:
        raise BadValue(f"a series of at least {least} numbers is needed, got shape {array.shape}")
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise BadValue(f"value {bad} of the series is {array[bad]}; all must be finite")
    return array


def _hits(violated: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    hits = np.asarray(violated, np.bool_)
    if hits.ndim != 1 or len(hits) < 2:
        raise BadValue(f"at least two observations are needed, got shape {hits.shape}")
    return hits


def _refuse_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise BadValue(f"confidence={confidence!r} must be between 0 and 1, like 0.95")


def _log_likelihood(misses: int, hits: int, probability: float) -> float:
    """Of so many misses and hits; a count of zero adds nothing whatever the probability."""
    result = 0.0
    if misses:
        result += misses * (log(1 - probability) if probability < 1 else -1e300)
    if hits:
        result += hits * (log(probability) if probability > 0 else -1e300)
    return result


def _bend(z1: float, z2: float, z3: float, skew: float, excess: float) -> float:
    """Cornish-Fisher's polynomial from the first three powers of z (or their means)."""
    return (
        z1
        + (z2 - 1) * skew / 6
        + (z3 - 3 * z1) * excess / 24
        - (2 * z3 - 5 * z1) * skew * skew / 36
    )


def _rises(skew: float, excess: float) -> bool:
    """Whether the polynomial rises wherever a normal ever goes: its slope has no root there."""
    square = excess / 8 - skew * skew / 6
    linear = skew / 3
    constant = 1 - excess / 8 + 5 * skew * skew / 36
    lowest = [-_FAR, _FAR]
    if square > 0:
        lowest.append(min(max(-linear / (2 * square), -_FAR), _FAR))
    return all(square * z * z + linear * z + constant > 0 for z in lowest)


__all__ = [
    "BackTest",
    "TailRisk",
    "christoffersen",
    "conditional_coverage",
    "cornish_fisher",
    "covariance_root",
    "decay_weights",
    "filtered_historical",
    "historical",
    "kupiec",
    "monte_carlo",
    "normal",
    "parametric",
    "weighted",
]
