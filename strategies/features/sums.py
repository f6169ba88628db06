"""Sums over the last samples that do not drift.

Adding the newest and taking away the oldest leaves a rounding error behind each time. Here each
step's error is kept beside the sum (two-sum: Knuth, The Art of Computer Programming 2, 4.2.2)
and once per period everything is added up anew, so an error lives for a period at most. The sum
and its error together hold some 32 digits: of an outlier that has left nothing stays.
"""

from collections.abc import Mapping
from math import fsum, sqrt
from typing import Any, ClassVar

from models.errors import BadValue
from strategies.features.base import LIMIT, Indicator, refuse, whole_period


class _Rolling(Indicator):
    """Samples in a list that is written round and round."""

    __slots__ = ()

    period: int

    def _check(self, state: Mapping[str, Any]) -> None:
        super()._check(state)
        if state["at"] >= self.period or state["count"] > self.period:
            at, count = state["at"], state["count"]
            raise BadValue(f"{self!r}: at={at} and count={count} are beyond its period")


class RollingSum(_Rolling):
    """Sum of the last `period` samples."""

    __slots__ = ("_carry", "_total", "at", "count", "period", "value", "values")
    STATE: ClassVar[tuple[str, ...]] = ("values", "at", "count", "_total", "_carry", "value")

    def __init__(self, period: int) -> None:
        self.period = whole_period("period", period)
        self.reset()

    def reset(self) -> None:
        self.values = [0.0] * self.period
        self.at = 0
        self.count = 0
        self._total = 0.0
        self._carry = 0.0
        self.value = float("nan")

    def update(self, value: float) -> float:
        """Take a sample; return the sum, NaN before there are `period` of them."""
        if not -LIMIT < value < LIMIT:
            raise refuse(self, value)
        at, values = self.at, self.values
        old, values[at] = values[at], value
        at += 1
        if self.count < self.period:
            self.count = at
        if at == self.period:
            self.at = 0
            self.value = self._total = fsum(values)
            self._carry = fsum([*values, -self._total])
            return self.value
        self.at = at
        if self.count == self.period:
            total = self._total
            up = total + value
            part = up - total
            carry = (total - (up - part)) + (value - part)
            down = up - old
            part = down - up
            self._carry += carry + ((up - (down - part)) - (old + part))
            self._total = down
            self.value = down + self._carry
        return self.value


class RollingMoments(_Rolling):
    """Mean and deviation (population, ddof 0) of the last `period` samples.

    Sums of differences from a pivot and of their squares. The pivot is the sample that ended the
    last recomputation, hence always one of the last `period`: prices of 100 000 that move by
    0.001 lose nothing.
    """

    __slots__ = (
        "_first", "_first_carry", "_pivot", "_second", "_second_carry",
        "at", "count", "period", "values",
    )  # fmt: skip
    STATE: ClassVar[tuple[str, ...]] = (
        "values", "at", "count", "_pivot", "_first", "_first_carry", "_second", "_second_carry",
    )  # fmt: skip

    def __init__(self, period: int) -> None:
        self.period = whole_period("period", period, least=2)
        self.reset()

    def reset(self) -> None:
        self.values = [0.0] * self.period
        self.at = 0
        self.count = 0
        self._pivot = 0.0
        self._first = 0.0
        self._first_carry = 0.0
        self._second = 0.0
        self._second_carry = 0.0

    @property
    def warm(self) -> bool:
        return self.count == self.period

    @property
    def mean(self) -> float:
        """Mean of the last `period` samples; meaningless before it is warm."""
        return self._pivot + (self._first + self._first_carry) / self.period

    @property
    def deviation(self) -> float:
        """Root of the mean squared distance from the mean; meaningless before it is warm."""
        first = self._first + self._first_carry
        squares = self._second + self._second_carry - first * first / self.period
        return sqrt(squares / self.period) if squares > 0.0 else 0.0

    def above_mean(self, value: float) -> float:
        """How far a value is above the mean, without first rounding the mean."""
        return (value - self._pivot) - (self._first + self._first_carry) / self.period

    def update(self, value: float) -> bool:
        """Take a sample; return whether there are `period` of them."""
        if not -LIMIT < value < LIMIT:
            raise refuse(self, value)
        at, values = self.at, self.values
        old, values[at] = values[at], value
        at += 1
        if self.count < self.period:
            self.count = at
        if at == self.period:
            self.at = 0
            self._recompute(value)
            return True
        self.at = at
        if self.count < self.period:
            return False
        new, old = value - self._pivot, old - self._pivot
        self._first, error = _moved(self._first, new, old)
        self._first_carry += error
        self._second, error = _moved(self._second, new * new, old * old)
        self._second_carry += error
        return True

    def _recompute(self, pivot: float) -> None:
        self._pivot = pivot
        steps = [one - pivot for one in self.values]
        squares = [step * step for step in steps]
        self._first, self._second = fsum(steps), fsum(squares)
        self._first_carry = fsum([*steps, -self._first])
        self._second_carry = fsum([*squares, -self._second])


def _moved(total: float, new: float, old: float) -> tuple[float, float]:
    """Return ``total + new - old`` and what rounding took from it."""
    up = total + new
    part = up - total
    error = (total - (up - part)) + (new - part)
    down = up - old
    part = down - up
    return down, error + ((up - (down - part)) - (old + part))
