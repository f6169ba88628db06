"""How far a series strays: Bollinger bands, z-score, realised volatility."""

from math import log, nan, sqrt
from typing import ClassVar

from models.errors import BadValue
from strategies.features.base import LIMIT, ValueIndicator, refuse
from strategies.features.sums import RollingMoments, RollingSum

FLAT = 1e-12
"""A deviation below this part of the mean (or of 1) is rounding noise: the series stands still."""


class Bollinger(ValueIndicator):
    """Bollinger bands: mean of the last `period` samples, plus and minus `width` deviations.

    Population deviation (ddof 0), as Bollinger and TA-Lib have it.

    Attributes
    ----------
    value
        The middle band, the mean.
    upper, lower
        The bands.
    """

    __slots__ = ("_moments", "lower", "period", "upper", "value", "width")
    PARTS: ClassVar[tuple[str, ...]] = ("value", "upper", "lower")
    CONFIG: ClassVar[tuple[str, ...]] = ("period", "width")
    STATE: ClassVar[tuple[str, ...]] = ("_moments", "pending", "value", "upper", "lower")

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        if not 0.0 < width < LIMIT:
            raise BadValue(f"width={width!r} must be a positive number of deviations")
        self._moments = RollingMoments(period)
        self.period = period
        self.width = width
        self.reset()

    def reset(self) -> None:
        self._moments.reset()
        self.pending = None
        self.value = self.upper = self.lower = nan

    def update(self, value: float) -> float:
        moments = self._moments
        if moments.update(value):
            reach = self.width * moments.deviation
            self.value = mean = moments.mean
            self.upper = mean + reach
            self.lower = mean - reach
        return self.value


class ZScore(ValueIndicator):
    """Deviations by which the newest sample is above the mean of the last `period`, it included.

    Population deviation (ddof 0); 0 where the series stands still.
    """

    __slots__ = ("_moments", "period", "value")
    STATE: ClassVar[tuple[str, ...]] = ("_moments", "pending", "value")

    def __init__(self, period: int) -> None:
        self._moments = RollingMoments(period)
        self.period = period
        self.reset()

    def reset(self) -> None:
        self._moments.reset()
        self.pending = None
        self.value = nan

    def update(self, value: float) -> float:
        moments = self._moments
        if moments.update(value):
            deviation = moments.deviation
            flat = deviation <= FLAT * max(1.0, abs(moments.mean))
            self.value = 0.0 if flat else moments.above_mean(value) / deviation
        return self.value


class RealisedVolatility(ValueIndicator):
    """Root of the mean squared log return of the last `period` returns, per sample.

    No mean is taken off: over seconds it is noise (Andersen and Bollerslev, 1998; Barndorff-
    Nielsen and Shephard, 2002). With one sample a second it is per square root of a second, the
    unit of `risk.digital`; with another period divide by the root of its seconds.
    """

    __slots__ = ("_last", "_squares", "period", "value")
    STATE: ClassVar[tuple[str, ...]] = ("_squares", "_last", "pending", "value")

    def __init__(self, period: int) -> None:
        self._squares = RollingSum(period)
        self.period = period
        self.reset()

    def reset(self) -> None:
        self._squares.reset()
        self._last = nan
        self.pending = None
        self.value = nan

    def update(self, value: float) -> float:
        if not 0.0 < value < LIMIT:
            raise refuse(self, value)
        before, self._last = self._last, value
        if before == before:
            step = log(value / before)
            squares = self._squares.update(step * step)
            if squares == squares:
                self.value = sqrt(max(0.0, squares) / self.period)
        return self.value

    def gap(self) -> None:
        self._last = nan
