"""Spot history: a window of prices, and what they say about a moment."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from math import sqrt
from typing import Any
from zlib import compress, decompress
from zlib import error as CompressionError

import numpy as np
import numpy.typing as npt

from models.errors import BadValue
from models.units import MILLISECOND_NS, SECOND_NS, SPOT_USD
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

    # --- over a restart -------------------------------------------------------------------------

    def packed(self, since_ns: int = 0) -> dict[str, Any]:
        """Return every row since then for a checkpoint, JSON-serialisable and exact.

        The first row as it is, then the steps from row to row: times and prices move little, so
        compressed they take some seven bytes of text a row. Times are in whole ``unit_ns``.
        """
        times, prices = self.between(since_ns, self.last_ns)
        if len(times) == 0:
            return {"rows": 0}
        gaps = np.diff(times)
        unit_ns = 1 if np.any(gaps % MILLISECOND_NS) else MILLISECOND_NS
        steps = np.concatenate((gaps // unit_ns, np.diff(prices))).astype("<i8")
        return {
            "rows": len(times),
            "first": [int(times[0]), int(prices[0])],
            "unit_ns": unit_ns,
            "steps": b64encode(compress(_planes(steps), 1)).decode("ascii"),
        }

    def unpack(self, state: Mapping[str, Any]) -> None:
        """Add the rows that `packed` returned, where they are newer than what is known.

        Raises
        ------
        BadValue
            They are not such rows; nothing was added.
        """
        count = state.get("rows", 0)
        if not count:
            return
        try:
            (first_ns, first_e8), unit_ns = state["first"], int(state["unit_ns"])
            steps = _joined(decompress(b64decode(state["steps"], validate=True)))
            if len(steps) != 2 * (count - 1):
                raise BadValue(f"{count} rows but {len(steps)} steps")
            gaps = steps[: count - 1] * unit_ns
            times = np.cumsum(np.concatenate(([first_ns], gaps)), dtype=np.int64)
            prices = np.cumsum(np.concatenate(([first_e8], steps[count - 1 :])), dtype=np.int64)
        except (KeyError, TypeError, ValueError, OverflowError, CompressionError) as error:
            raise BadValue(f"spot history can't be restored: {error!r}; start anew") from None
        newer = times > self.last_ns if len(self) else np.ones(len(times), dtype=np.bool_)
        self.append_batch(times[newer], prices[newer])


def _planes(steps: npt.NDArray[np.int64]) -> bytes:
    """Bytes of whole numbers, all lowest bytes first, then all second ones: like beside like."""
    return steps.view(np.uint8).reshape(-1, 8).T.tobytes()


def _joined(planes: bytes) -> npt.NDArray[np.int64]:
    """Return the whole numbers that `_planes` took apart."""
    if len(planes) % 8:
        raise ValueError(f"{len(planes)} bytes are no whole numbers")
    rows = np.frombuffer(planes, dtype=np.uint8).reshape(8, -1).T
    return np.ascontiguousarray(rows).view("<i8").reshape(-1).astype(np.int64)
