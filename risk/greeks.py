"""Prices and Greeks of European options and digitals, over arrays, in closed form.

Vanilla: F. Black and M. Scholes, "The Pricing of Options and Corporate Liabilities", J. Political
Economy 81 (1973), with R. Merton's continuous dividend yield. Cash- and asset-or-nothing: M.
Reiner and E. Rubinstein, "Unscrambling the binary code", Risk 4 (1991). In all of them::

    d1 = (ln(S / K) + (r - q + sigma^2 / 2) T) / (sigma sqrt(T)),   d2 = d1 - sigma sqrt(T)

*Limits.* With no time left or no volatility the price is what the forward pays, discounted, and
delta, gamma and vega of a digital are 0, of a vanilla 0 but for the delta (and the discounting in
theta and rho). Exactly at the strike a call-like digital pays (the venue's tie is Up) and a
put-like one does not, so that the two always add up to the discounted 1; the true delta and gamma
there are infinite, and 0 is returned. Close to expiry at the strike they are large and finite as
long as ``sigma sqrt(T)`` is a normal number. Inputs that make no sense give NaN in that place
alone.
"""

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr  # type: ignore[import-untyped]

from models.errors import BadValue
from risk.digital import TWAP_S

Floats = npt.NDArray[np.float64]
_ROOT_TWO_PI = sqrt(2 * pi)


@dataclass(frozen=True, slots=True)
class Greeks:
    """A price and its derivatives, arrays of one shape.

    ``delta`` by spot, ``gamma`` twice by spot, ``vega`` by volatility (for 1.00 of it), ``theta``
    by the passing of time (negative where time costs) and ``rho`` by the interest rate, in the
    units of time and volatility that went in.
    """

    price: Floats
    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    rho: Floats


@dataclass(slots=True)
class _Terms:
    """What all formulas share. `live` is where there is time and volatility."""

    spot: Floats
    strike: Floats
    years: Floats
    vol: Floats
    rate: Floats
    dividend: Floats
    valid: npt.NDArray[np.bool_]
    live: npt.NDArray[np.bool_]
    sign: Floats
    root: Floats
    d1: Floats
    d2: Floats
    discount: Floats
    carried: Floats
    """``exp(-q T)``"""


def vanilla(
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    volatility: npt.ArrayLike,
    rate: npt.ArrayLike = 0.0,
    dividend: npt.ArrayLike = 0.0,
    call: npt.ArrayLike = True,
) -> Greeks:
    """Black-Scholes-Merton calls and puts. Arguments broadcast together.

    Parameters
    ----------
    years, volatility, rate, dividend
        Time to expiry in years; the others a year, as fractions, continuous.
    """
    t = _terms(spot, strike, years, volatility, rate, dividend, call)
    forward = t.spot * t.carried
    cash = t.strike * t.discount
    side1, side2 = ndtr(t.sign * t.d1), ndtr(t.sign * t.d2)
    density = _density(t.d1)
    with np.errstate(divide="ignore", invalid="ignore"):
        gamma = np.where(t.live, t.carried * density / (t.spot * t.root), 0.0)
        decay = np.where(t.live, forward * density * t.root / (2 * t.years), 0.0)
    return _checked(
        t,
        price=t.sign * (forward * side1 - cash * side2),
        delta=t.sign * t.carried * side1,
        gamma=gamma,
        vega=np.where(t.live, forward * density * np.sqrt(t.years), 0.0),
        theta=t.sign * (t.dividend * forward * side1 - t.rate * cash * side2) - decay,
        rho=t.sign * cash * t.years * side2,
    )


def digital(
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    volatility: npt.ArrayLike,
    rate: npt.ArrayLike = 0.0,
    dividend: npt.ArrayLike = 0.0,
    call: npt.ArrayLike = True,
) -> Greeks:
    """Cash-or-nothing options that pay 1 at or above (call) or below (put) the strike."""
    t = _terms(spot, strike, years, volatility, rate, dividend, call)
    price = t.discount * ndtr(t.sign * t.d2)
    weight = t.sign * t.discount * _density(t.d2)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = weight / (t.spot * t.root)
        gamma = -slope * t.d1 / (t.spot * t.root)
        vega = -weight * t.d1 / t.vol
        drift = (t.rate - t.dividend) / t.root
        theta = weight * (t.d1 / (2 * t.years) - drift)
        rho = weight * np.sqrt(t.years) / t.vol
    return _checked(
        t,
        price=price,
        delta=np.where(t.live, slope, 0.0),
        gamma=np.where(t.live, gamma, 0.0),
        vega=np.where(t.live, vega, 0.0),
        theta=t.rate * price + np.where(t.live, theta, 0.0),
        rho=-t.years * price + np.where(t.live, rho, 0.0),
    )


def asset_or_nothing(
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    volatility: npt.ArrayLike,
    rate: npt.ArrayLike = 0.0,
    dividend: npt.ArrayLike = 0.0,
    call: npt.ArrayLike = True,
) -> Floats:
    """Price of options that pay the asset itself at or above (call) or below (put) the strike."""
    t = _terms(spot, strike, years, volatility, rate, dividend, call)
    price: Floats = np.where(t.valid, t.spot * t.carried * ndtr(t.sign * t.d1), np.nan)
    return price


def up_greeks(
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    volatility: npt.ArrayLike,
    seconds_left: npt.ArrayLike,
    average_so_far: npt.ArrayLike | None = None,
    averaging_s: float = 0.0,
) -> Greeks:
    """Greeks of a share of Up, in the venue's own units.

    Parameters
    ----------
    volatility
        Per square root of a second; vega is for 1.00 of that.
    seconds_left
        Theta is per second; rho is zero.
    average_so_far
        Mean of the averaging time that has passed; spot stands in where it is not given.
    averaging_s
        0 for markets settled by the price at the end, `TWAP_S` for those settled by an average.
        `risk.digital` has the formulas: the average's variance takes the place of
        ``sigma^2 T``, and within the averaging time the strike that of what the rest must reach.

    Raises
    ------
    BadValue
        The averaging time is negative or not finite.
    """
    if not 0 <= averaging_s < np.inf:
        raise BadValue(f"averaging_s={averaging_s!r} must be finite and at least zero")
    known = spot if average_so_far is None else average_so_far
    s, k, vol, left, mean = np.broadcast_arrays(
        *(np.asarray(x, np.float64) for x in (spot, strike, volatility, seconds_left, known))
    )
    left = np.maximum(left, 0.0)
    within = left < averaging_s
    with np.errstate(divide="ignore", invalid="ignore"):
        # What the mean of the rest must reach, and how fast that moves when spot stands still.
        needed = np.where(
            within & (left > 0), (averaging_s * k - (averaging_s - left) * mean) / left, k
        )
        price_now = np.where(within & (left == 0), mean, s)
        sure = needed <= 0
        barrier = np.where(sure, k, needed)
        time = np.where(within, left / 3, left - averaging_s * 2 / 3)
        pace = np.where(within, 1 / 3, 1.0)
        variance = vol * vol * time
        root = np.sqrt(variance)
        live = (root > 0) & ~sure
        d2 = (np.log(price_now / barrier) - variance / 2) / root
        d1 = d2 + root
        density = np.where(live, _density(np.where(live, d2, 0.0)), 0.0)
        slope = density / (s * root)
        creep = np.where(within, (barrier - s) / (barrier * left), 0.0)
        theta = density * (d1 * pace / (2 * time) - creep / root)
        price = np.where(live, ndtr(d2), (price_now >= barrier) | sure)
        values = {
            "price": price,
            "delta": np.where(live, slope, 0.0),
            "gamma": np.where(live, -slope * d1 / (s * root), 0.0),
            "vega": np.where(live, -density * d1 / vol, 0.0),
            "theta": np.where(live, theta, 0.0),
            "rho": np.zeros_like(s),
        }
    valid = (s > 0) & (k > 0) & (vol >= 0) & np.isfinite(s) & np.isfinite(k) & np.isfinite(vol)
    valid &= np.isfinite(left) & (~within | ((mean > 0) & np.isfinite(mean)))
    return Greeks(**{name: np.where(valid, value, np.nan) for name, value in values.items()})


def _terms(
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    volatility: npt.ArrayLike,
    rate: npt.ArrayLike,
    dividend: npt.ArrayLike,
    call: npt.ArrayLike,
) -> _Terms:
    inputs = (spot, strike, years, volatility, rate, dividend)
    s, k, t, vol, r, q, up = np.broadcast_arrays(
        *(np.asarray(x, np.float64) for x in inputs), np.asarray(call, np.bool_)
    )
    valid = (s > 0) & (k > 0) & (t >= 0) & (vol >= 0)
    for x in (s, k, t, vol, r, q):
        valid = valid & np.isfinite(x)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        root = vol * np.sqrt(t)
        live = root > 0
        moneyness = np.log(s / k) + (r - q) * t
        certain = np.where(moneyness >= 0, np.inf, -np.inf)
        d1 = np.where(live, moneyness / root + root / 2, certain)
        d2 = np.where(live, d1 - root, certain)
        discount, carried = np.exp(-r * t), np.exp(-q * t)
    sign = np.where(up, 1.0, -1.0)
    return _Terms(s, k, t, vol, r, q, valid, live, sign, root, d1, d2, discount, carried)


def _density(x: Floats) -> Floats:
    result: Floats = np.exp(-0.5 * x * x) / _ROOT_TWO_PI
    return result


def _checked(t: _Terms, **values: Floats) -> Greeks:
    return Greeks(**{name: np.where(t.valid, value, np.nan) for name, value in values.items()})


__all__ = ["TWAP_S", "Greeks", "asset_or_nothing", "digital", "up_greeks", "vanilla"]
