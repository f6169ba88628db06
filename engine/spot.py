"""Spot history: a preallocated ring of prices with queries by time."""

from math import sqrt

import numpy as np
import numpy.typing as npt

from models.units import SECOND_NS, SPOT_USD

CAPACITY = 4096
"""Ticks kept: more than an hour of a feed that ticks once a second."""
MAX_GAP_NS = 30 * SECOND_NS
"""A price older than this says nothing about a moment."""
MIN_RETURNS = 10
"""Fewer returns than this give no volatility."""


class SpotHistory:
    """Prices of one asset from one source, in order of their times.

    Two blocks of `capacity` rows in one array: rows are appended, and when the array is full the
    newest block moves to the front. So the newest `capacity` rows are always one plain slice and
    nothing is allocated after creation.
    """

    __slots__ = ("_capacity", "_end", "_prices", "_times")

    def __init__(self, capacity: int = CAPACITY) -> None:
        if capacity < 2:
            raise ValueError(f"capacity={capacity} must be at least 2")
        self._capacity = capacity
        self._times = np.zeros(2 * capacity, dtype=np.int64)
        self._prices = np.zeros(2 * capacity, dtype=np.int64)
        self._end = 0

    def __len__(self) -> int:
        return min(self._end, self._capacity)

    def append(self, ts_ns: int, price_e8: int) -> bool:
        """Add a tick; one of the same time replaces the last, an older one is ignored.

        Returns
        -------
        bool
            Whether the history changed.
        """
        end = self._end
        if end:
            last = self._times[end - 1]
            if ts_ns < last:
                return False
            if ts_ns == last:
                changed = bool(self._prices[end - 1] != price_e8)
                self._prices[end - 1] = price_e8
                return changed
        if end == 2 * self._capacity:
            self._times[: self._capacity] = self._times[self._capacity :]
            self._prices[: self._capacity] = self._prices[self._capacity :]
            end = self._capacity
        self._times[end] = ts_ns
        self._prices[end] = price_e8
        self._end = end + 1
        return True

    @property
    def last_ns(self) -> int:
        """Time of the newest tick, 0 while there is none."""
        return int(self._times[self._end - 1]) if self._end else 0

    @property
    def last_e8(self) -> int | None:
        return int(self._prices[self._end - 1]) if self._end else None

    def at(self, ts_ns: int, max_gap_ns: int = MAX_GAP_NS) -> int | None:
        """Price in e8 as of `ts_ns`: the last tick at or before it, if not older than the gap."""
        times, prices = self._rows()
        index = int(np.searchsorted(times, ts_ns, side="right")) - 1
        if index < 0 or ts_ns - int(times[index]) > max_gap_ns:
            return None
        return int(prices[index])

    def between(
        self, start_ns: int, end_ns: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Times and prices with ``start_ns <= time <= end_ns``, oldest first, as views.

        They show other rows after the next `append`; copy what is to be kept.
        """
        times, prices = self._rows()
        first = int(np.searchsorted(times, start_ns, side="left"))
        last = int(np.searchsorted(times, end_ns, side="right"))
        return times[first:last], prices[first:last]

    def change(self, now_ns: int, seconds: float) -> float | None:
        """Relative change over the last `seconds`; None without a price at both ends."""
        before = self.at(now_ns - round(seconds * SECOND_NS))
        now = self.at(now_ns)
        if before is None or now is None or before <= 0:
            return None
        return now / before - 1.0

    def average(self, now_ns: int, seconds: float) -> float | None:
        """Mean price in US dollars of the ticks of the last `seconds`, None without any."""
        _, prices = self.between(now_ns - round(seconds * SECOND_NS), now_ns)
        if len(prices) == 0:
            return None
        return float(prices.mean()) / SPOT_USD

    def volatility(self, now_ns: int, seconds: float) -> float | None:
        """Realised volatility of log returns per square root of a second.

        The root of the sum of squared returns over the time they span, so uneven ticks and gaps
        count as what they are. None with fewer than 10 returns or less than half the time.
        """
        times, prices = self.between(now_ns - round(seconds * SECOND_NS), now_ns)
        if len(times) <= MIN_RETURNS:
            return None
        span_s = int(times[-1] - times[0]) / SECOND_NS
        if span_s < seconds / 2:
            return None
        returns = np.diff(np.log(prices.astype(np.float64)))
        return sqrt(float(returns @ returns) / span_s)

    def thinned(self, every_ns: int, since_ns: int) -> list[list[int]]:
        """Return ``[time, price_e8]`` rows at least `every_ns` apart, for a checkpoint."""
        times, prices = self.between(since_ns, self.last_ns)
        kept: list[list[int]] = []
        for ts, price in zip(times.tolist(), prices.tolist(), strict=True):
            if not kept or ts - kept[-1][0] >= every_ns:
                kept.append([ts, price])
        return kept

    def _rows(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        first = max(0, self._end - self._capacity)
        return self._times[first : self._end], self._prices[first : self._end]
