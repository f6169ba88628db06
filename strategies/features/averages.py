"""Moving averages: SMA, EMA, MACD."""

from math import nan
from typing import ClassVar

from models.errors import BadValue
from strategies.features.base import LIMIT, ValueIndicator, refuse, whole_period
from strategies.features.sums import RollingSum


class Sma(ValueIndicator):
    """Simple moving average: mean of the last `period` samples."""

    __slots__ = ("_sum", "period", "value")
    STATE: ClassVar[tuple[str, ...]] = ("_sum", "pending", "value")

    def __init__(self, period: int) -> None:
        self._sum = RollingSum(period)
        self.period = period
        self.reset()

    def reset(self) -> None:
        self._sum.reset()
        self.pending = None
        self.value = nan

    def update(self, value: float) -> float:
        self.value = self._sum.update(value) / self.period
        return self.value


class Ema(ValueIndicator):
    """Exponential moving average with weight ``2 / (period + 1)`` for the newest sample.

    Seeded by the mean of the first `period` samples, NaN before (TA-Lib's convention).
    """

    __slots__ = ("_alpha", "_count", "_seed", "period", "value")
    STATE: ClassVar[tuple[str, ...]] = ("_count", "_seed", "pending", "value")

    def __init__(self, period: int) -> None:
        self.period = whole_period("period", period)
        self._alpha = 2.0 / (period + 1)
        self.reset()

    def reset(self) -> None:
        self._count = 0
        self._seed = 0.0
        self.pending = None
        self.value = nan

    def update(self, value: float) -> float:
        if not -LIMIT < value < LIMIT:
            raise refuse(self, value)
        if self._count >= self.period:
            self.value += self._alpha * (value - self.value)
            return self.value
        self._count += 1
        self._seed += value
        if self._count == self.period:
            self.value = self._seed / self.period
        return self.value


class Macd(ValueIndicator):
    """Moving average convergence/divergence (Appel): a fast EMA less a slow one.

    As in TA-Lib both averages start at the same sample, number `slow`: the fast one is seeded by
    the mean of the `fast` samples before it. `signal` is the EMA of the line. All parts are NaN
    until the signal is warm, after ``slow + signal - 1`` samples. The averages are of distances
    from the first sample, which changes nothing but the digits lost to a large price.

    Attributes
    ----------
    value
        The line: fast less slow.
    signal, histogram
        The line's EMA, and the line less it.
    """

    __slots__ = (
        "_base", "_fast", "_signal", "_skip", "_slow", "fast", "histogram",
        "signal", "signal_period", "slow", "value",
    )  # fmt: skip
    PARTS: ClassVar[tuple[str, ...]] = ("value", "signal", "histogram")
    CONFIG: ClassVar[tuple[str, ...]] = ("fast", "slow", "signal_period")
    STATE: ClassVar[tuple[str, ...]] = (
        "_fast", "_slow", "_signal", "_skip", "_base", "pending", "value", "signal", "histogram",
    )  # fmt: skip

    def __init__(self, fast: int = 12, slow: int = 26, signal_period: int = 9) -> None:
        self.fast = whole_period("fast", fast, least=2)
        self.slow = whole_period("slow", slow, least=2)
        self.signal_period = whole_period("signal_period", signal_period)
        if fast >= slow:
            raise BadValue(f"fast={fast} must be less than slow={slow}")
        self._fast, self._slow, self._signal = Ema(fast), Ema(slow), Ema(signal_period)
        self.reset()

    def reset(self) -> None:
        for average in (self._fast, self._slow, self._signal):
            average.reset()
        self._skip = self.slow - self.fast
        self._base = nan
        self.pending = None
        self.value = self.signal = self.histogram = nan

    def update(self, value: float) -> float:
        if not -LIMIT < value < LIMIT:
            raise refuse(self, value)
        if self._base != self._base:
            self._base = value
        value -= self._base
        slow = self._slow.update(value)
        if self._skip:
            self._skip -= 1
            return nan
        fast = self._fast.update(value)
        if slow != slow:
            return nan
        line = fast - slow
        signal = self._signal.update(line)
        if signal == signal:
            self.value, self.signal, self.histogram = line, signal, line - signal
        return self.value
