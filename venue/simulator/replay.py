"""Replay: the recorded books on fresh windows, for ever."""

from venue.simulator.liquidity import PREOPEN, Player, Step
from venue.simulator.recording import LENGTH_MS, Recording, Row
from venue.simulator.windows import Window


class ReplaySource:
    """Plays a recording's windows in turn, then their mirror images, over and over.

    Which window is played follows from the clock alone, so that it agrees with the
    `RecordedPath` of the spot price, also after a restart.
    """

    name = "replay"

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        count = len(recording.windows)
        self.description = (
            f"replay of {count} recorded 15-minute BTC books (five levels, one per second) with "
            "their recorded Chainlink prices, forward and mirrored in turn"
        )

    def open(self, window: Window, now_ns: int) -> Player:
        market = window.market
        length_ns = market.end_ns - market.start_ns
        count = len(self._recording.windows)
        lap, index = divmod(market.start_ns // length_ns % (2 * count), count)
        return ReplayPlayer(window, self._recording.windows[index], bool(lap))


class ReplayPlayer:
    """One recorded window on one live window, stretched or squeezed to its length."""

    def __init__(self, window: Window, rows: tuple[Row, ...], mirrored: bool) -> None:
        self._market = window.market
        self._rows = rows
        self._mirrored = mirrored
        self._length_ns = window.market.end_ns - window.market.start_ns
        self._next = -1

    def next_ns(self) -> int | None:
        if self._next < 0:
            return 0
        if self._next >= len(self._rows):
            return None
        return self._due_ns(self._rows[self._next])

    def play(self, now_ns: int, tick_e4: int) -> list[Step]:
        steps: list[Step] = []
        if self._next < 0:
            self._next = 0
            steps.append(_step(PREOPEN))
            self._skip_to(now_ns)
        while self._next < len(self._rows) and self._due_ns(self._rows[self._next]) <= now_ns:
            row = self._rows[self._next]
            steps.append(_step(row.mirrored() if self._mirrored else row))
            self._next += 1
        return steps

    def _skip_to(self, now_ns: int) -> None:
        """Joined in the middle: the trades of the past are not made again."""
        while (
            self._next + 1 < len(self._rows) and self._due_ns(self._rows[self._next + 1]) <= now_ns
        ):
            self._next += 1

    def _due_ns(self, row: Row) -> int:
        return self._market.start_ns + row.at_ms * self._length_ns // LENGTH_MS


def _step(row: Row) -> Step:
    return Step(row.takers, row.bids, row.asks)
