"""Array forms of the indicators: a whole series in, a whole series out, for research.

Same conventions as the incremental forms, with which they agree to 1e-9; NaN until warm. Every
function takes one-dimensional arrays of finite floats, oldest first, and returns arrays of their
length. Means and deviations look at each window by itself (no running sums, so nothing drifts),
in pieces of a few megabytes: the time is that of samples times period.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import lfilter  # type: ignore[import-untyped]

from models.errors import BadValue
from strategies.features.dispersion import FLAT
from strategies.features.oscillators import FLAT_RSI

Array = npt.NDArray[np.float64]

PIECE = 1 << 18
"""Numbers looked at in one go: 2 MB of floats."""


def sma(values: Array, period: int) -> Array:
    """Mean of the last `period` samples."""
    return _windowed(values, period, lambda near, pivot: near.mean(axis=1) + pivot)


def deviation(values: Array, period: int) -> Array:
    """Population deviation (ddof 0) of the last `period` samples."""
    return _windowed(values, period, lambda near, _: near.std(axis=1))


def ema(values: Array, period: int) -> Array:
    """Weight ``2 / (period + 1)``, seeded by the mean of the first `period` samples."""
    return _smoothed(values, period, 2.0 / (period + 1))


def macd(
    values: Array, fast: int = 12, slow: int = 26, signal_period: int = 9
) -> tuple[Array, Array, Array]:
    """Return line, signal and histogram; both averages start at sample `slow`."""
    line = _unknown(values)
    begin = slow - 1
    if fast >= slow:
        raise BadValue(f"fast={fast} must be less than slow={slow}")
    values = values - values[:1]
    quick = _unknown(values)
    quick[slow - fast :] = ema(values[slow - fast :], fast)
    line[begin:] = (quick - ema(values, slow))[begin:]
    signal = _unknown(values)
    signal[begin:] = ema(line[begin:], signal_period)
    line[np.isnan(signal)] = np.nan
    return line, signal, line - signal


def rsi(values: Array, period: int = 14) -> Array:
    """Wilder's relative strength index; 50 where nothing moved at all."""
    change = np.diff(values)
    rise = _smoothed(np.maximum(change, 0.0), period, 1.0 / period)
    fall = _smoothed(np.maximum(-change, 0.0), period, 1.0 / period)
    moved = rise + fall
    still = moved == 0.0
    found = _unknown(values)
    found[1:] = np.where(still, FLAT_RSI, 100.0 * rise / np.where(still, 1.0, moved))
    return found


def atr(high: Array, low: Array, close: Array, period: int = 14) -> Array:
    """Wilder's average of the true ranges; the first is of the second bar."""
    before = close[:-1]
    ranges = np.maximum(high[1:], before) - np.minimum(low[1:], before)
    found = _unknown(close)
    found[1:] = _smoothed(ranges, period, 1.0 / period)
    return found


def bollinger(values: Array, period: int = 20, width: float = 2.0) -> tuple[Array, Array, Array]:
    """Return upper, middle and lower band."""
    middle = sma(values, period)
    reach = width * deviation(values, period)
    return middle + reach, middle, middle - reach


def z_score(values: Array, period: int) -> Array:
    """Deviations above the mean of the last `period` samples; 0 where the series stands still."""

    def score(near: Array, pivot: Array) -> Array:
        mean, spread = near.mean(axis=1), near.std(axis=1)
        flat = spread <= FLAT * np.maximum(1.0, np.abs(mean + pivot))
        found: Array = (near[:, -1] - mean) / np.where(flat, 1.0, spread)
        return np.where(flat, 0.0, found)

    return _windowed(values, period, score)


def realised_volatility(values: Array, period: int) -> Array:
    """Root of the mean squared log return of the last `period` returns, per sample."""
    found = _unknown(values)
    steps = np.log(values[1:] / values[:-1])
    found[1:] = np.sqrt(_windowed(steps**2, period, lambda near, pivot: near.mean(axis=1) + pivot))
    return found


def micro_price(bid: Array, bid_size: Array, ask: Array, ask_size: Array) -> Array:
    """Mid weighted by the opposite sizes."""
    return (bid * ask_size + ask * bid_size) / (bid_size + ask_size)


def order_flow_imbalance(
    bid: Array, bid_size: Array, ask: Array, ask_size: Array, period: int
) -> Array:
    """Sum of the last `period` contributions of the best level (Cont, Kukanov, Stoikov)."""
    came = np.where(bid[1:] >= bid[:-1], bid_size[1:], 0.0)
    came += np.where(ask[1:] >= ask[:-1], ask_size[:-1], 0.0)
    went = np.where(bid[1:] <= bid[:-1], bid_size[:-1], 0.0)
    went += np.where(ask[1:] <= ask[:-1], ask_size[1:], 0.0)
    found = _unknown(bid)
    found[1:] = period * sma(came - went, period)
    return found


def volume_spike(volumes: Array, period: int, floor: float = 1.0) -> Array:
    """Volume as a multiple of the mean of the `period` samples before it."""
    found = _unknown(volumes)
    found[1:] = volumes[1:] / np.maximum(sma(volumes, period)[:-1], floor)
    return found


def _unknown(like: Array) -> Array:
    return np.full(len(like), np.nan)


def _smoothed(values: Array, period: int, alpha: float) -> Array:
    """First-order smoothing, seeded by the mean of the first `period` samples."""
    if period < 1:
        raise BadValue(f"period={period} must be at least 1")
    found = _unknown(values)
    if len(values) < period:
        return found
    seed = values[:period].mean()
    found[period - 1] = seed
    if len(values) > period:
        rest, _ = lfilter([alpha], [1.0, alpha - 1.0], values[period:], zi=[(1.0 - alpha) * seed])
        found[period:] = rest
    return found


def _windowed(values: Array, period: int, of: Callable[[Array, Array], Array]) -> Array:
    """Apply `of` to every window, its newest sample (the pivot) taken off for exactness."""
    if period < 1:
        raise BadValue(f"period={period} must be at least 1")
    found = _unknown(values)
    if len(values) < period:
        return found
    windows = sliding_window_view(values, period)
    step = max(1, PIECE // period)
    for first in range(0, len(windows), step):
        piece = windows[first : first + step]
        pivot = piece[:, -1]
        at = first + period - 1
        found[at : at + len(piece)] = of(piece - pivot[:, None], pivot)
    return found
