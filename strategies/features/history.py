"""A series kept as it was sampled, for strategies that want the points themselves."""

from collections.abc import Mapping
from math import nan
from typing import Any

import numpy as np

from models.errors import BadValue
from strategies.features.base import LIMIT, ValueIndicator, refuse, whole_period
from strategies.features.ring import FeatureWindow

MOST_POINTS = 10_000
"""A history goes into every checkpoint whole."""


class History(ValueIndicator):
    """The last `period` samples with their times, read through `view.window`.

    Its value is the newest sample.
    """

    __slots__ = ("period", "points", "value")

    def __init__(self, period: int) -> None:
        self.period = whole_period("period", period, least=2)
        if period > MOST_POINTS:
            raise BadValue(f"period={period} must be at most {MOST_POINTS}")
        self.points = FeatureWindow(period, np.float64)
        self.reset()

    def reset(self) -> None:
        self.points.clear()
        self.pending = None
        self.value = nan

    def close(self, ts_ns: int) -> None:
        if self.pending is not None and self.points.append(ts_ns, self.pending):
            self.value = self.pending

    def update(self, value: float) -> float:
        """Take a sample of the same time as the last one; prefer `add` and `close`."""
        if not -LIMIT < value < LIMIT:
            raise refuse(self, value)
        self.pending = value
        self.close(self.points.last_ns)
        return self.value

    def snapshot(self) -> dict[str, Any]:
        times, values = self.points.rows()
        return {"times": times.tolist(), "values": values.tolist(), "pending": self.pending}

    def restore(self, state: Mapping[str, Any]) -> None:
        points = FeatureWindow(self.period, np.float64)
        try:
            times = np.array(state["times"], dtype=np.int64)
            points.append_batch(times, np.array(state["values"], dtype=np.float64))
            pending = state.get("pending")
            pending = None if pending is None else float(pending)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadValue(f"{self!r}: can't be restored: {error!r}; start anew") from None
        self.points = points
        self.pending = pending
        last = points.last
        self.value = nan if last is None else float(last)
