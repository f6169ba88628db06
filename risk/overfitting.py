"""How much of a Sharpe ratio is luck: of one track record, of the best of many, of a search.

Sources: Bailey and Lopez de Prado (2012), "The Sharpe ratio efficient frontier", J. Risk 15(2);
the same (2014), "The deflated Sharpe ratio", J. Portfolio Management 40(5); Bailey, Borwein,
Lopez de Prado and Zhu (2017), "The probability of backtest overfitting", J. Computational
Finance 20(4). Every Sharpe ratio here is per period, not annualised.
"""

from dataclasses import dataclass
from itertools import combinations
from math import comb, e, isfinite, nan, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]

from models.errors import BadValue
from risk.performance import Floats

EULER_GAMMA = 0.5772156649015329
MAX_COMBINATIONS = 20_000
"""More ways to split than this are refused; 16 blocks have 12 870."""


def sharpe_error(sharpe: float, observations: int, skew: float = 0.0, kurt: float = 3.0) -> float:
    """Standard error of an estimated Sharpe ratio, whatever the distribution (Mertens 2002).

    ``sqrt((1 - skew * SR + (kurt - 1) / 4 * SR ** 2) / (n - 1))``; `kurt` is 3 for a normal
    distribution. NaN for fewer than two observations.

    Raises
    ------
    BadValue
        A value is not finite, or no distribution has such a skewness and kurtosis.
    """
    if not all(isfinite(value) for value in (sharpe, skew, kurt)):
        raise BadValue(f"sharpe={sharpe}, skew={skew}, kurt={kurt} must be finite")
    if kurt < 1 + skew * skew - 1e-9:
        raise BadValue(f"kurt={kurt} is below 1 + skew ** 2 = {1 + skew * skew}: impossible")
    if observations < 2:
        return nan
    variance = 1 - skew * sharpe + (kurt - 1) / 4 * sharpe * sharpe
    return sqrt(max(variance, 0.0) / (observations - 1))


def probabilistic_sharpe(
    sharpe: float,
    observations: int,
    skew: float = 0.0,
    kurt: float = 3.0,
    benchmark: float = 0.0,
) -> float:
    """Probability that the true Sharpe ratio is above `benchmark`, all per period.

    NaN for fewer than two observations. Raises `BadValue` as `sharpe_error`.
    """
    error = sharpe_error(sharpe, observations, skew, kurt)
    if not error > 0:
        return nan if error != error else float(sharpe > benchmark)
    return float(ndtr((sharpe - benchmark) / error))


def expected_best_sharpe(trials: int, variance: float) -> float:
    """Sharpe ratio to expect of the best of `trials` without any edge.

    Parameters
    ----------
    trials
        Independent ones; what was tried and thrown away counts.
    variance
        Variance of the trials' Sharpe ratios, per period.
    """
    if trials < 1 or not variance >= 0 or not isfinite(variance):
        raise BadValue(f"trials={trials}, variance={variance}: at least 1 and 0 needed")
    if trials == 1:
        return 0.0
    high, higher = ndtri(1 - 1 / trials), ndtri(1 - 1 / (trials * e))
    return float(sqrt(variance) * ((1 - EULER_GAMMA) * high + EULER_GAMMA * higher))


def deflated_sharpe(
    sharpe: float,
    observations: int,
    trials: int,
    variance: float,
    skew: float = 0.0,
    kurt: float = 3.0,
) -> float:
    """Probability that the true Sharpe ratio of the best of `trials` is above zero's luck.

    `probabilistic_sharpe` with what the best of that many trials would show without any edge as
    its benchmark. Above 0.95 is commonly asked for.
    """
    lucky = expected_best_sharpe(trials, variance)
    return probabilistic_sharpe(sharpe, observations, skew, kurt, lucky)


@dataclass(frozen=True, slots=True)
class Overfitting:
    """What combinatorially symmetric cross-validation found."""

    probability: float
    """How often the best of one half is below the median of the other half (ties half)."""
    logits: Floats
    """One a split: ``ln(w / (1 - w))`` of the relative rank ``w`` of the best, out of sample."""
    slope: float
    """Of the best's Sharpe ratio out of sample on that in sample; NaN when it never differs."""
    loss: float
    """How often the best of one half has a mean below zero in the other."""


def backtest_overfitting(returns: npt.ArrayLike, blocks: int = 16) -> Overfitting:
    """Estimate the probability of backtest overfitting of a search (CSCV).

    The rows are cut into equal blocks; for every choice of half of them the configuration with
    the best Sharpe ratio there is ranked among all in the other half.

    Parameters
    ----------
    returns
        Rows of equal periods, one column a configuration tried; at least 2 columns.
    blocks
        An even number; rows left over by equal blocks are cut from the beginning.

    Raises
    ------
    BadValue
        Wrong shape or number of blocks, fewer than 2 rows a block, a value that is not finite.
    """
    table = np.asarray(returns, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        raise BadValue(f"returns: shape {table.shape}; give rows of periods, 2 columns or more")
    if blocks < 2 or blocks % 2 or comb(blocks, blocks // 2) > MAX_COMBINATIONS:
        raise BadValue(f"blocks={blocks} must be even, from 2 to 16")
    length = table.shape[0] // blocks
    if length < 2:
        raise BadValue(f"returns: {table.shape[0]} rows are too few for {blocks} blocks of 2")
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        raise BadValue(f"returns[{row}, {column}] is {table[row, column]}; all must be finite")
    cut = table[table.shape[0] - length * blocks :].reshape(blocks, length, -1)
    # Taking each column's mean off first keeps the difference of squares exact.
    centre = table.mean(axis=0)
    sums = (cut - centre).sum(axis=1)
    squares = ((cut - centre) ** 2).sum(axis=1)
    half = blocks // 2
    chosen = np.zeros((comb(blocks, half), blocks))
    for row, picked in enumerate(combinations(range(blocks), half)):
        chosen[row, list(picked)] = 1.0
    count = half * length
    inside = _sharpes(chosen @ sums, chosen @ squares, count, centre)
    outside = _sharpes((1 - chosen) @ sums, (1 - chosen) @ squares, count, centre)
    return _judge(inside, outside)


def _sharpes(sums: Floats, squares: Floats, count: int, centre: Floats) -> Floats:
    """Sharpe ratios by split and configuration; 0 for one that never moved."""
    mean = sums / count
    variance = (squares - count * mean * mean) / (count - 1)
    still = variance <= 1e-18 * (squares / count + centre * centre)
    ratios = (mean + centre) / np.sqrt(np.where(still, 1.0, variance))
    return np.where(still, 0.0, ratios)


def _judge(inside: Floats, outside: Floats) -> Overfitting:
    splits, tried = inside.shape
    best = inside.argmax(axis=1)
    at = np.arange(splits)
    shown, held = inside[at, best], outside[at, best]
    below = (outside < held[:, None]).sum(axis=1)
    equal = (outside == held[:, None]).sum(axis=1)
    rank = (below + (equal + 1) / 2) / (tried + 1)
    logits = np.log(rank / (1 - rank))
    apart = shown - shown.mean()
    spread = float(apart @ apart)
    return Overfitting(
        probability=float((logits < 0).mean() + (logits == 0).mean() / 2),
        logits=logits,
        slope=float(apart @ held) / spread if spread > 1e-24 else nan,
        loss=float((held < 0).mean()),
    )
