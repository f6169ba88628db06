"""How well a series of returns did: ratios over numpy, every one with its definition.

`returns` are simple returns of equal periods, ``r[t] = equity[t] / equity[t - 1] - 1``; how many
periods make a year is always said by the caller, never assumed. `risk.sampling` makes such series
from equity noted at irregular times.

Definitions are those of empyrical, with which the tests agree to 1e-9, except:

* Input that is empty, not one-dimensional or not finite is a `BadValue`; nothing is left out
  silently. (empyrical drops NaN.)
* What is undefined is NaN: a ratio to a dispersion of zero, a dispersion of fewer than two
  returns. (empyrical gives infinities there.)
* A return below -1 is a `BadValue`: more than everything can't be lost.
* `omega` and `sortino` take their threshold per period, empyrical's omega per year.
"""

from dataclasses import dataclass
from math import exp, inf, isfinite, log1p, nan, sqrt

import numpy as np
import numpy.typing as npt
from numba import njit

from models.errors import BadValue

Floats = npt.NDArray[np.float64]


def checked(values: npt.ArrayLike, name: str = "returns") -> Floats:
    """Return `values` as floats.

    Raises
    ------
    BadValue
        They are empty, not one-dimensional, or one of them is not finite; names the first.
    """
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise BadValue(f"{name}: shape {array.shape}; give one series with at least one value")
    if not np.isfinite(array).all():
        at = int(np.flatnonzero(~np.isfinite(array))[0])
        raise BadValue(f"{name}[{at}] is {array[at]}; every value must be finite")
    return array


def defined(value: float) -> float | None:
    """Return `value`, None where it is not finite, as JSON needs it."""
    return value if isfinite(value) else None


def _yearly(periods_per_year: float) -> float:
    if not periods_per_year > 0 or not isfinite(periods_per_year):
        raise BadValue(f"periods_per_year={periods_per_year!r} must be finite and above zero")
    return periods_per_year


# Sums may be taken in any order, which lets the compiler add several values at once.
_ANY_ORDER = {"reassoc"}


@njit(cache=True, fastmath=_ANY_ORDER)
def _moments(array: Floats) -> tuple[float, float]:
    mean = array.mean()
    squares = 0.0
    for value in array:
        squares += (value - mean) * (value - mean)
    return mean, squares


@njit(cache=True, fastmath=_ANY_ORDER)
def _squares_below(array: Floats, target: float) -> float:
    squares = 0.0
    for value in array:
        below = min(value - target, 0.0)
        squares += below * below
    return squares


@njit(cache=True)
def _deepest(array: Floats) -> float:
    """Deepest fall of the compounded wealth; above 0 where a return is below -1."""
    # Wealth as a part of its peak is all it takes, and can't overflow as wealth could.
    part = lowest = 1.0
    for value in array:
        if value < -1.0:
            return 1.0
        part = min(part * (1.0 + value), 1.0)
        lowest = min(lowest, part)
    return lowest - 1.0


def _deviation(array: Floats) -> tuple[float, float]:
    """Mean and sample standard deviation; exactly zero for a constant series."""
    mean, squares = _moments(array)
    if array.size < 2:
        return mean, nan
    deviation = sqrt(squares / (array.size - 1))
    # The rounding of a mean leaves a constant series with a deviation of some 1e-16 of its size.
    if deviation <= 1e-12 * abs(mean) and array.min() == array.max():
        return mean, 0.0
    return mean, deviation


def volatility(returns: npt.ArrayLike, periods_per_year: float) -> float:
    """Sample standard deviation of the returns, times the root of the periods in a year."""
    return _deviation(checked(returns))[1] * sqrt(_yearly(periods_per_year))


def sharpe(returns: npt.ArrayLike, periods_per_year: float, risk_free: float = 0.0) -> float:
    """Sharpe ratio of a year: mean over sample deviation of ``returns - risk_free``.

    `risk_free` is per period. Source: Sharpe (1994), "The Sharpe ratio", J. Portfolio Management.
    NaN for a constant series and for fewer than two returns.
    """
    mean, deviation = _deviation(checked(returns))
    if not deviation > 0:
        return nan
    return (mean - risk_free) / deviation * sqrt(_yearly(periods_per_year))


def downside_deviation(
    returns: npt.ArrayLike, periods_per_year: float, target: float = 0.0
) -> float:
    """Root of the mean square of what falls short of `target` (per period), of a year.

    Returns above the target count as zeros, they are not left out.
    """
    array = checked(returns)
    return sqrt(_squares_below(array, target) / array.size) * sqrt(_yearly(periods_per_year))


def sortino(returns: npt.ArrayLike, periods_per_year: float, target: float = 0.0) -> float:
    """Mean excess over `target` (per period) by the downside deviation, of a year.

    NaN when no return falls short of the target, and for fewer than two returns. Source: Sortino
    and Price (1994), "Performance measurement in a downside risk framework", J. Investing.
    """
    array = checked(returns)
    short = sqrt(_squares_below(array, target) / array.size)
    if not short > 0 or array.size < 2:
        return nan
    return (float(array.mean()) - target) / short * sqrt(_yearly(periods_per_year))


def _refuse_overdraft(array: Floats) -> None:
    if array.min() < -1:
        at = int(array.argmin())
        raise BadValue(f"returns[{at}] is {array[at]}; a return below -1 loses more than there is")


def max_drawdown(returns: npt.ArrayLike) -> float:
    """Deepest fall of the compounded wealth below its highest so far (at first 1), at most 0.

    The sign is empyrical's; `drawdown`, which also says when, has a depth of at least 0.
    """
    array = checked(returns)
    deepest = float(_deepest(array))
    if deepest > 0:
        _refuse_overdraft(array)
    return deepest


def total_return(returns: npt.ArrayLike) -> float:
    """Compounded return of the whole series."""
    array = checked(returns)
    _refuse_overdraft(array)
    return float((array + 1.0).prod()) - 1.0


def annualised(growth: float, years: float) -> float:
    """Compound yearly rate of a total return `growth` made in `years`.

    -1 after losing everything; infinite where a float can't hold it, which extrapolating the
    return of minutes to a year soon reaches.
    """
    if not years > 0 or not growth >= -1:
        raise BadValue(f"growth={growth!r}, years={years!r}: at least -1 and above zero needed")
    if growth == -1:
        return -1.0
    try:
        return exp(log1p(growth) / years) - 1.0
    except OverflowError:
        return inf


def cagr(returns: npt.ArrayLike, periods_per_year: float) -> float:
    """Compound annual growth rate; see `annualised`."""
    array = checked(returns)
    return annualised(total_return(array), array.size / _yearly(periods_per_year))


def calmar(returns: npt.ArrayLike, periods_per_year: float) -> float:
    """Compound annual growth rate by the depth of the deepest drawdown. NaN without a drawdown.

    Source: Young (1991), "Calmar ratio: a smoother tool", Futures. Over the whole series rather
    than its last 36 months.
    """
    depth = max_drawdown(returns)
    return cagr(returns, periods_per_year) / -depth if depth < 0 else nan


def omega(returns: npt.ArrayLike, threshold: float = 0.0) -> float:
    """What exceeds `threshold` (per period) by what falls short of it. NaN when nothing does.

    Source: Keating and Shadwick (2002), "A universal performance measure".
    """
    apart = checked(returns) - threshold
    short = -float(apart[apart < 0].sum())
    return float(apart[apart > 0].sum()) / short if short > 0 else nan


def tail_ratio(returns: npt.ArrayLike) -> float:
    """Size of the 95th percentile by that of the 5th (linear between ranks); NaN when it is 0."""
    low, high = np.percentile(checked(returns), (5.0, 95.0))
    return abs(float(high)) / abs(float(low)) if low else nan


def skewness(returns: npt.ArrayLike) -> float:
    """Third standardised moment of the sample, not corrected for its size. NaN when constant."""
    return _standardised(checked(returns), 3)


def kurtosis(returns: npt.ArrayLike) -> float:
    """Fourth standardised moment, 3 for a normal distribution. NaN when constant."""
    return _standardised(checked(returns), 4)


def _standardised(array: Floats, power: int) -> float:
    mean, deviation = _deviation(array)
    if not deviation > 0:
        return nan
    scale = deviation * sqrt((array.size - 1) / array.size)
    return float((((array - mean) / scale) ** power).mean())


def alpha_beta(
    returns: npt.ArrayLike,
    benchmark: npt.ArrayLike,
    periods_per_year: float,
    risk_free: float = 0.0,
) -> tuple[float, float]:
    """Least-squares line of the excess returns on the benchmark's: alpha of a year, and beta.

    Alpha compounds: ``(1 + alpha per period) ** periods_per_year - 1``. Both NaN for a constant
    benchmark (a variance below 1e-30) and for fewer than two returns.
    """
    ours, theirs = checked(returns), checked(benchmark, "benchmark")
    if ours.size != theirs.size:
        raise BadValue(f"benchmark has {theirs.size} returns, the series {ours.size}")
    apart = theirs - theirs.mean()
    variance = float(apart.dot(apart)) / ours.size
    if ours.size < 2 or variance < 1e-30:
        return nan, nan
    beta = float(apart.dot(ours)) / ours.size / variance
    a_period = float((ours - risk_free - beta * (theirs - risk_free)).mean())
    return annualised(a_period, 1.0 / _yearly(periods_per_year)), beta


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall of a curve below its highest so far; positions are indices into it."""

    depth: float
    """Fraction of the peak that was lost, at least 0; above 1 when the curve fell below zero."""
    peak: int
    trough: int
    recovered: int | None
    """Where the curve first stood at the peak again; None while it hasn't."""


def drawdown(equity: npt.ArrayLike) -> Drawdown:
    """Find the deepest drawdown of an equity curve (amounts, the first above zero).

    The first of several equally deep ones. A curve that never falls has depth 0 with peak, trough
    and recovery at its beginning.
    """
    curve = checked(equity, "equity")
    if not curve[0] > 0:
        raise BadValue(f"equity[0] is {curve[0]}; it must be above zero")
    peaks = np.maximum.accumulate(curve)
    depths = 1.0 - curve / peaks
    trough = int(depths.argmax())
    if not depths[trough] > 0:
        return Drawdown(0.0, 0, 0, 0)
    peak = int(np.searchsorted(peaks, peaks[trough]))
    above = np.flatnonzero(curve[trough:] >= peaks[trough])
    recovered = trough + int(above[0]) if above.size else None
    return Drawdown(float(depths[trough]), peak, trough, recovered)
