"""Spot history: a window of prices, and what they say about a moment."""

from math import sqrt

import numpy as np

from models.units import SECOND_NS, SPOT_USD
from strategies.features.ring import FeatureWindow

CAPACITY = 4096
"""Ticks kept: more than an hour of a feed that ticks once a second."""
MAX_GAP_NS = 30 * SECOND_NS
"""A price older than this says nothing about a moment."""
MIN_RETURNS = 10
"""Fewer returns than this give no volatility."""


class SpotHistory(FeatureWindow[np.int64]):
    """Prices of one asset from one source in e8, in order of their times."""

    __slots__ = ()

    def __init__(self, capacity: int = CAPACITY) -> None:
        super().__init__(capacity, np.int64)

    def append(self, ts_ns: int, value: float) -> bool:
        """Add a price in e8; one of the same time replaces the last, an older one is ignored.

        Returns
        -------
        bool
            Whether the history changed.
        """
        if len(self) and ts_ns == self.last_ns:
            changed = self.last_e8 != value
            self.replace_last(value)
            return changed
        return super().append(ts_ns, value)

    @property
    def last_e8(self) -> int | None:
        """Newest price, None while there is none."""
        return None if self.last is None else int(self.last)

    def at(self, ts_ns: int, max_gap_ns: int = MAX_GAP_NS) -> int | None:
        """Price in e8 as of `ts_ns`: the last tick at or before it, if not older than the gap."""
        found = self.as_of(ts_ns)
        if found is None or ts_ns - found[0] > max_gap_ns:
            return None
        return int(found[1])

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
