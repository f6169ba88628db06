"""Spot paths: the price of an asset as a pure function of time.

Being functions of time they need no memory: the same second has the same price before and after
a restart, and neither path drifts away, however long the simulator runs.
"""

import math
from functools import lru_cache
from typing import Protocol

import numpy as np

from models.units import SECOND_NS, SPOT_USD
from venue.simulator.recording import LENGTH_MS, Recording

DAY_S = 86_400
TWAP_S = 60
BASE_USD = {"BTC": 65_000.0, "ETH": 3_400.0, "SOL": 150.0, "XRP": 2.0}
ANNUAL_VOLATILITY = {"BTC": 0.45, "ETH": 0.60}
YEAR_S = 365 * DAY_S


class SpotPath(Protocol):
    """Price of one asset over time."""

    def price_e8(self, at_ns: int) -> int: ...

    @property
    def volatility(self) -> float:
        """Standard deviation of the log return over one second."""
        ...


class RecordedPath:
    """The recorded prices, played for ever.

    The recording's windows are played forward, then their mirror image: log returns negated, so
    that the price ends where it began. Mirroring exchanges Up and Down exactly (but for an exact
    tie), so the books beside it stay true. `speed` is recorded seconds per second.
    """

    def __init__(self, recording: Recording, speed: float = 1.0) -> None:
        self._recording = recording
        self._speed = speed
        self._first = recording.price_e8(0)
        self._last = recording.price_e8(recording.span_ms)
        logs = np.diff(np.log(np.asarray(recording.spot_e8, dtype=np.float64)))
        self._volatility = float(np.sqrt(np.mean(logs**2) * speed))

    @property
    def volatility(self) -> float:
        return self._volatility

    def price_e8(self, at_ns: int) -> int:
        span = self._recording.span_ms
        at_ms, mirrored = divmod_cycle(at_ns, self._speed, span)
        if not mirrored:
            return self._recording.price_e8(at_ms)
        price = self._recording.price_e8(at_ms)
        return (self._last * self._first + price // 2) // price


def divmod_cycle(at_ns: int, speed: float, span_ms: int) -> tuple[int, bool]:
    """Position inside the recording (ms) and whether its mirror image is being played."""
    window_ns = round(LENGTH_MS * 1_000_000 / speed)
    windows = span_ms // LENGTH_MS
    index, offset = divmod(at_ns, window_ns)
    lap, inside = divmod(index % (2 * windows), windows)
    return inside * LENGTH_MS + offset * LENGTH_MS // window_ns, bool(lap)


class ModelPath:
    """A seeded random walk, one tick a second, that is back at its base price every midnight.

    Each day is a Brownian bridge of the log price with the asset's volatility.
    """

    def __init__(self, asset: str, seed: int) -> None:
        self._asset = asset
        self._seed = seed
        self._base = BASE_USD.get(asset, 100.0)
        self._volatility = ANNUAL_VOLATILITY.get(asset, 0.8) / math.sqrt(YEAR_S)
        self._day = lru_cache(maxsize=3)(self._make_day)

    @property
    def volatility(self) -> float:
        return self._volatility

    def price_e8(self, at_ns: int) -> int:
        day, second = divmod(at_ns // SECOND_NS, DAY_S)
        return int(self._day(day)[second])

    def _make_day(self, day: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        key = int.from_bytes(self._asset.encode(), "big")
        random = np.random.default_rng((self._seed, key, day))
        walk = np.concatenate(([0.0], np.cumsum(random.normal(0.0, self._volatility, DAY_S))))
        bridge = walk[:-1] - walk[-1] * np.arange(DAY_S) / DAY_S
        prices: np.ndarray[tuple[int], np.dtype[np.int64]] = np.rint(
            self._base * np.exp(bridge) * SPOT_USD
        ).astype(np.int64)
        return prices


def twap_e8(path: SpotPath, at_s: int, seconds: int) -> int:
    """Mean of the last `seconds` whole-second prices before `at_s`, rounded half up."""
    total = sum(path.price_e8((at_s - i) * SECOND_NS) for i in range(1, seconds + 1))
    return (total + seconds // 2) // seconds
