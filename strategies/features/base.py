"""What an indicator is: memory of fixed size, one number out, and how it is carried over."""

from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any, ClassVar

from models.errors import BadValue

LIMIT = 1e100
"""Larger inputs are refused: their squares must stay far below the largest float."""


class Indicator:
    """Base class. Built with its periods, fed one sample after the other.

    Feed it by hand with `update`, or let the engine collect what happens within each sampling
    period by `add` and end the period by `close`: both lead to the same value. An indicator costs
    the same for every sample (rolling sums are recomputed once per period of theirs, so that
    cost is an average) and never drifts from its array form in `strategies.features.arrays`.

    Attributes
    ----------
    value
        The newest result, NaN until warm. All comparisons with NaN are false.
    """

    __slots__ = ()

    SOURCES: ClassVar[frozenset[str]] = frozenset({"spot", "mid", "micro"})
    """What it can be fed with, by the names of `Source`."""
    PARTS: ClassVar[tuple[str, ...]] = ("value",)
    """Its results by name."""
    CONFIG: ClassVar[tuple[str, ...]] = ("period",)
    """Attributes that were given to it."""
    STATE: ClassVar[tuple[str, ...]] = ()
    """Attributes that are its memory: numbers, None, lists of numbers, other indicators."""

    value: float

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.CONFIG)
        return f"{type(self).__name__}({given})"

    def reset(self) -> None:
        """Forget every sample."""
        raise NotImplementedError

    def add(self, *sample: float) -> None:
        """Take what happened within a sampling period."""
        raise NotImplementedError

    def close(self, ts_ns: int) -> None:
        """End a sampling period at `ts_ns`."""
        raise NotImplementedError

    def gap(self) -> None:
        """Something may have been missed: the next sample does not follow from the last."""

    # --- over a restart -------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return the whole memory, JSON-serialisable (None stands for NaN)."""
        return {name: _packed(getattr(self, name)) for name in self.STATE}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `snapshot` of an equal indicator returned; it goes on bit for bit.

        Raises
        ------
        BadValue
            The state is not of an equal indicator; nothing was changed.
        """
        self._check(state)
        for name in self.STATE:
            mine = getattr(self, name)
            if isinstance(mine, Indicator):
                mine.restore(state[name])
            else:
                setattr(self, name, _unpacked(state[name], mine))

    def _check(self, state: Mapping[str, Any]) -> None:
        if not isinstance(state, Mapping) or set(state) != set(self.STATE):
            raise BadValue(f"{self!r}: the state to restore is of another indicator; start anew")
        for name in self.STATE:
            mine, theirs = getattr(self, name), state[name]
            if isinstance(mine, Indicator):
                mine._check(theirs)
            elif not _fits(theirs, mine):
                raise BadValue(f"{self!r}: {name} can't be restored from {theirs!r:.80}")


class ValueIndicator(Indicator):
    """An indicator of one series: of a sampling period it takes the last value.

    A period in which nothing happened repeats the value before it.
    """

    __slots__ = ("pending",)

    pending: float | None

    def update(self, value: float) -> float:
        """Take the next value of the series; return the result, NaN until warm.

        Raises
        ------
        BadValue
            The value is not finite, or beyond 1e100; nothing was changed.
        """
        raise NotImplementedError

    def add(self, *sample: float) -> None:
        (self.pending,) = sample

    def close(self, ts_ns: int) -> None:
        if self.pending is not None:
            self.update(self.pending)


def refuse(indicator: object, value: float) -> BadValue:
    """Make the error for a sample that is not a usable number."""
    return BadValue(f"{indicator!r}: sample {value!r} must be finite and below {LIMIT:g}")


def whole_period(name: str, period: int, least: int = 1) -> int:
    """Return a period if it is a whole number of at least `least` samples."""
    if isinstance(period, bool) or not isinstance(period, int) or period < least:
        raise BadValue(f"{name}={period!r} must be a whole number of samples, at least {least}")
    return period


def _packed(value: Any) -> Any:
    if isinstance(value, Indicator):
        return value.snapshot()
    if isinstance(value, list):
        return [_packed(one) for one in value]
    return None if isinstance(value, float) and isnan(value) else value


def _unpacked(theirs: Any, mine: Any) -> Any:
    if isinstance(mine, list):
        return [_unpacked(one, like) for one, like in zip(theirs, mine, strict=True)]
    if isinstance(mine, float):
        return nan if theirs is None else float(theirs)
    return theirs


def _fits(theirs: Any, mine: Any) -> bool:
    if isinstance(mine, list):
        is_list = isinstance(theirs, Sequence) and not isinstance(theirs, str)
        return is_list and len(theirs) == len(mine) and all(map(_fits, theirs, mine))
    if theirs is None:
        return mine is None or isinstance(mine, float)
    if isinstance(theirs, bool) or not isinstance(theirs, int | float):
        return False
    if isinstance(mine, int):
        return isinstance(theirs, int) and theirs >= 0
    return -LIMIT * LIMIT < theirs < LIMIT * LIMIT
