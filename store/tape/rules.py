"""What may be wrong with a recording, and what is done about it: one named rule each."""

from collections.abc import Mapping
from typing import Any

from models.tape import Report

RULES: Mapping[str, str] = {
    "clock_skew": "a row received before it happened: it is taken to happen when received",
    "crossed_book": "bid at or above ask: a told book is skipped and nothing stays quoted; "
    "in a stream of changes the older levels in the way are removed",
    "duplicate_row": "a row that was already there, exactly: skipped",
    "finer_tick": "a price between the ticks of its market: the tick becomes 0.001 or 0.0001 there",
    "gap": "nothing for longer than allowed: the feed counts as dark until a book is told anew",
    "late_row": "a book or print after the end of its window: skipped",
    "malformed_row": "a line that is not what the format says: skipped",
    "mirror_broken": "Down's book is not the mirror of Up's: Up's is kept, as live",
    "mirror_row": "news of the Down token, whose mirror is kept: skipped",
    "negative_size": "a size that is no number above zero: the row is skipped",
    "not_market_data": "an event that says nothing of a market, such as one of our orders: skipped",
    "off_grid_price": "a price that is no multiple of 1/10 000 between 0 and 1: the row is skipped",
    "stale_spot": "a spot price repeated from before the recorder's first tick: skipped",
    "time_backwards": "a row earlier than the one before it: brought up to that row's time; "
    "the recording is refused where it is more than 5 seconds",
    "unknown_token": "a market or token that is not listed: skipped",
    "unordered_levels": "levels that do not get worse from the best on: the book is skipped",
}
"""Rule's name to what it finds and does. Every row that a rule touches is counted."""

MOST_SAMPLES = 5


class Findings:
    """Counts by rule with the first samples of each, while a recording is read."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._counts: dict[str, int] = {}
        self._samples: dict[str, list[str]] = {}
        self._notes: list[str] = []

    def add(self, rule: str, sample: str, count: int = 1) -> None:
        """Count rows under a rule of `RULES`; the sample says where and what."""
        if rule not in RULES:
            raise KeyError(rule)
        self._counts[rule] = self._counts.get(rule, 0) + count
        samples = self._samples.setdefault(rule, [])
        if len(samples) < MOST_SAMPLES:
            samples.append(sample)

    def add_rows(self, rule: str, rows: Any, say: Any) -> None:
        """Count rows by their numbers; `say` describes one of them and is asked for a few."""
        for i in rows[:MOST_SAMPLES]:
            self.add(rule, f"row {int(i)}: {say(int(i))}")
        more = len(rows) - MOST_SAMPLES
        if more > 0:
            self.add(rule, "", more)

    def note(self, text: str) -> None:
        """Say, once, what was assumed or derived."""
        if text not in self._notes:
            self._notes.append(text)

    def report(self, rows: int) -> Report:
        return Report(
            source=self.source,
            rows=rows,
            counts=dict(sorted(self._counts.items())),
            samples={rule: tuple(texts) for rule, texts in sorted(self._samples.items())},
            notes=tuple(self._notes),
        )
