"""Wilder's indicators (New Concepts in Technical Trading Systems, 1978): RSI and ATR."""

from math import nan
from typing import ClassVar

from models.errors import BadValue
from strategies.features.base import LIMIT, Indicator, ValueIndicator, refuse, whole_period

FLAT_RSI = 50.0
"""RSI of a series that did not move at all: neither side is stronger."""


class Rsi(ValueIndicator):
    """Relative strength index, 0 to 100: share of the rises in all movement, smoothed.

    The first averages are the means of the first `period` changes, so the first value comes with
    sample ``period + 1``; then Wilder's smoothing, ``(old * (period - 1) + new) / period``.
    Equal to TA-Lib except where nothing moved at all: 50 here, 0 there.
    """

    __slots__ = ("_count", "_fall", "_last", "_rise", "period", "value")
    STATE: ClassVar[tuple[str, ...]] = ("_count", "_last", "_rise", "_fall", "pending", "value")

    def __init__(self, period: int = 14) -> None:
        self.period = whole_period("period", period, least=2)
        self.reset()

    def reset(self) -> None:
        self._count = 0
        self._last = 0.0
        self._rise = 0.0
        self._fall = 0.0
        self.pending = None
        self.value = nan

    def update(self, value: float) -> float:
        if not -LIMIT < value < LIMIT:
            raise refuse(self, value)
        change, self._last = value - self._last, value
        rise, fall = (change, 0.0) if change > 0.0 else (0.0, -change)
        count, period = self._count, self.period
        if count > period:
            self._rise = (self._rise * (period - 1) + rise) / period
            self._fall = (self._fall * (period - 1) + fall) / period
        else:
            self._count = count + 1
            if count == 0:
                return self.value
            self._rise += rise
            self._fall += fall
            if count < period:
                return self.value
            self._rise /= period
            self._fall /= period
        moved = self._rise + self._fall
        self.value = 100.0 * self._rise / moved if moved > 0.0 else FLAT_RSI
        return self.value


class Atr(Indicator):
    """Average true range: Wilder's smoothing of how far the price went within each period.

    A true range needs the close before it, so the first is of the second bar; the first value is
    the mean of the first `period` true ranges and comes with bar ``period + 1``. Fed by the
    engine, a bar is one sampling period; one without an event is flat at the close before it.
    """

    __slots__ = (
        "_bar_close",
        "_bar_high",
        "_bar_low",
        "_close",
        "_count",
        "_seed",
        "period",
        "value",
    )
    STATE: ClassVar[tuple[str, ...]] = (
        "_count", "_seed", "_close", "_bar_high", "_bar_low", "_bar_close", "value",
    )  # fmt: skip

    def __init__(self, period: int = 14) -> None:
        self.period = whole_period("period", period)
        self.reset()

    def reset(self) -> None:
        self._count = 0
        self._seed = 0.0
        self._close = 0.0
        self._bar_high = nan
        self._bar_low = nan
        self._bar_close = nan
        self.value = nan

    def add(self, *sample: float) -> None:
        (price,) = sample
        if not -LIMIT < price < LIMIT:
            raise refuse(self, price)
        if not self._bar_high >= price:
            self._bar_high = price
        if not self._bar_low <= price:
            self._bar_low = price
        self._bar_close = price

    def close(self, ts_ns: int) -> None:
        close = self._bar_close
        if close == close:
            self.update(self._bar_high, self._bar_low, close)
            self._bar_high = self._bar_low = close

    def gap(self) -> None:
        self._bar_high = self._bar_low = self._bar_close = nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take a bar; return the average true range, NaN until warm.

        Raises
        ------
        BadValue
            A price is not finite, or they are not ``low <= close <= high``.
        """
        if not -LIMIT < low <= close <= high < LIMIT:
            raise BadValue(
                f"{self!r}: bar high={high!r} low={low!r} close={close!r} must be finite and in "
                "order: low <= close <= high"
            )
        before, self._close = self._close, close
        count, period = self._count, self.period
        if count <= period:
            self._count = count + 1
        if count == 0:
            return self.value
        true_range = (high if high > before else before) - (low if low < before else before)
        if count > period:
            self.value = (self.value * (period - 1) + true_range) / period
            return self.value
        self._seed += true_range
        if count == period:
            self.value = self._seed / period
        return self.value
