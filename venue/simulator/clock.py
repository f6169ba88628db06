"""Clocks the simulator may run on. All count nanoseconds since the epoch, UTC."""

import time


class WallClock:
    """The machine's clock, kept from running backwards."""

    def __init__(self) -> None:
        self._last = 0

    def now_ns(self) -> int:
        self._last = max(self._last, time.time_ns())
        return self._last


class ScaledClock:
    """Runs `scale` times as fast as the machine's clock, from `start_ns` on."""

    def __init__(self, start_ns: int, scale: float) -> None:
        self._start_ns = start_ns
        self._scale = scale
        self._zero = time.monotonic_ns()

    def now_ns(self) -> int:
        return self._start_ns + int((time.monotonic_ns() - self._zero) * self._scale)


class ManualClock:
    """Stands still until a test moves it."""

    def __init__(self, start_ns: int) -> None:
        self._now = start_ns

    def now_ns(self) -> int:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on. Raises ValueError for a step back."""
        if seconds < 0:
            raise ValueError(f"a clock can't go back by {-seconds} s")
        self._now += round(seconds * 1_000_000_000)
