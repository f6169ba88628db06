"""Fair value of an up/down share: a cash-or-nothing digital over minutes.

A share pays 1 pUSD when the settlement price is at or above the strike, so its fair value is a
probability. Over minutes interest and drift are far below the noise and taken as zero: spot is
a martingale, ``dS = sigma S dW``, with the volatility `sigma` per square root of a second.

*Boundary settlement* compares the price at the end with the strike (Reiner and Rubinstein 1991,
"Unscrambling the binary code", Risk 4(9); cash-or-nothing with zero rates)::

    P(Up) = N(d2),   d2 = (ln(S / K) - v / 2) / sqrt(v),   v = sigma^2 tau

*TWAP settlement* compares the average over the last ``w`` seconds. Before the averaging begins,
a Brownian path's average over ``[T - w, T]`` has the variance of the time up to the averaging
plus a third of the averaging time::

    v = sigma^2 ((tau - w) + w / 3) = sigma^2 (tau - 2 w / 3)

Once it has begun, ``e = w - tau`` seconds with the mean ``a`` are fixed and only the rest is
random: ``A >= K`` exactly when the mean of the rest is at or above ``(w K - e a) / tau``, and
that mean has ``v = sigma^2 tau / 3``. In both cases the average, a sum of lognormals, is taken
as lognormal with the exact mean and that variance (Levy 1992, "Pricing European average rate
currency options", J. Int. Money and Finance 11); at ``sigma sqrt(w)`` of a few basis points the
error is far below a tick. The venue averages 60 whole-second prices; the continuous average used
here has 2.4 % less variance within the averaging minute.

A tie is Up. At expiry, or with no volatility, the value is exactly 0 or 1.
"""

from math import erfc, isfinite, log, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr  # type: ignore[import-untyped]

from models.errors import BadValue

TWAP_S = 60.0
"""The venue's averaging time in seconds."""

_ROOT_HALF = sqrt(0.5)
Floats = npt.NDArray[np.float64]


def up_probability(spot: float, strike: float, volatility: float, seconds_left: float) -> float:
    """Probability that a market settled by the boundary price ends Up.

    Parameters
    ----------
    spot, strike
        Prices in the same unit, above zero.
    volatility
        Standard deviation of log returns per square root of a second.
    seconds_left
        Time to the end; at zero or below only the tie rule is left.

    Raises
    ------
    BadValue
        A price is not finite and above zero, or the volatility not finite and at least zero.
    """
    _refuse_bad(spot, strike, volatility, seconds_left)
    return _probability(spot, strike, volatility * volatility * max(0.0, seconds_left))


def up_probability_twap(
    spot: float,
    strike: float,
    volatility: float,
    seconds_left: float,
    average_so_far: float | None = None,
    averaging_s: float = TWAP_S,
) -> float:
    """Probability that a market settled by the average of its last seconds ends Up.

    Parameters
    ----------
    average_so_far
        Mean price of the part of the averaging time that has passed; needed only within it,
        the spot price stands in when it is unknown.
    averaging_s
        Length of the average in seconds, above zero.

    Raises
    ------
    BadValue
        As `up_probability`; also for an average or an averaging time that is not above zero.
    """
    _refuse_bad(spot, strike, volatility, seconds_left)
    if not averaging_s > 0 or not isfinite(averaging_s):
        raise BadValue(f"averaging_s={averaging_s!r} must be finite and above zero")
    variance = volatility * volatility
    if seconds_left >= averaging_s:
        return _probability(spot, strike, variance * (seconds_left - averaging_s * 2 / 3))
    known = spot if average_so_far is None else average_so_far
    if not known > 0 or not isfinite(known):
        raise BadValue(f"average_so_far={known!r} must be finite and above zero")
    left = max(0.0, seconds_left)
    if left == 0:
        return 1.0 if known >= strike else 0.0
    needed = (averaging_s * strike - (averaging_s - left) * known) / left
    if needed <= 0:
        return 1.0
    return _probability(spot, needed, variance * left / 3)


def up_probabilities(
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    volatility: npt.ArrayLike,
    seconds_left: npt.ArrayLike,
) -> Floats:
    """`up_probability` over arrays that broadcast together; NaN where an input is not valid."""
    s, k, vol, left = _arrays(spot, strike, volatility, seconds_left)
    return _probabilities(s, k, vol, vol * vol * np.maximum(left, 0.0))


def up_probabilities_twap(
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    volatility: npt.ArrayLike,
    seconds_left: npt.ArrayLike,
    average_so_far: npt.ArrayLike | None = None,
    averaging_s: float = TWAP_S,
) -> Floats:
    """`up_probability_twap` over arrays that broadcast together; NaN for inputs not valid."""
    known = spot if average_so_far is None else average_so_far
    s, k, vol, left, mean = _arrays(spot, strike, volatility, seconds_left, known)
    left = np.maximum(left, 0.0)
    begun = left < averaging_s
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = (averaging_s * k - (averaging_s - left) * mean) / left
    time = np.where(begun, left / 3, left - averaging_s * 2 / 3)
    ended = begun & (left == 0)
    sure = begun & ~ended & (needed <= 0)
    barrier = np.where(begun & ~ended & ~sure, needed, k)
    price = np.where(ended, mean, s)
    result = _probabilities(price, barrier, vol, vol * vol * np.where(ended, 0.0, time))
    valid = np.isfinite(result) & (~begun | ((mean > 0) & np.isfinite(mean)))
    return np.where(valid, np.where(sure, 1.0, result), np.nan)


def _refuse_bad(spot: float, strike: float, volatility: float, seconds_left: float) -> None:
    for name, value in (("spot", spot), ("strike", strike)):
        if not value > 0 or not isfinite(value):
            raise BadValue(f"{name}={value!r} must be finite and above zero")
    if not volatility >= 0 or not isfinite(volatility):
        raise BadValue(f"volatility={volatility!r} must be finite and at least zero")
    if not isfinite(seconds_left):
        raise BadValue(f"seconds_left={seconds_left!r} must be finite")


def _probability(spot: float, strike: float, variance: float) -> float:
    deviation = sqrt(variance)
    if deviation == 0:
        return 1.0 if spot >= strike else 0.0
    d2 = (log(spot / strike) - variance / 2) / deviation
    return 0.5 * erfc(-d2 * _ROOT_HALF)


def _arrays(*values: npt.ArrayLike) -> list[Floats]:
    return list(np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values)))


def _probabilities(spot: Floats, strike: Floats, volatility: Floats, variance: Floats) -> Floats:
    deviation = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        d2 = (np.log(spot / strike) - variance / 2) / deviation
    result = np.where(deviation == 0, (spot >= strike).astype(np.float64), ndtr(d2))
    valid = (spot > 0) & (strike > 0) & (volatility >= 0)
    finite = np.isfinite(spot) & np.isfinite(strike) & np.isfinite(variance)
    return np.where(valid & finite, result, np.nan)
