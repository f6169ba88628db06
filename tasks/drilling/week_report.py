"""What a simulated stretch of time brought, for people and programs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from models.units import usd
from tasks.drilling.week_words import Done

LEAK_SHARE, LEAK_BYTES = 0.15, 20_000_000
"""How much larger sessions may be in the last quarter than in the first."""
LEAK_COUNT = 10
"""The same for tasks of their loops and for open files."""


@dataclass(slots=True)
class WeekReport:
    """What a simulated stretch of time brought.

    Attributes
    ----------
    failures
        What did not hold, each with seed and simulated time; empty when everything did.
    """

    hours: float
    seed: int
    failures: list[str] = field(default_factory=list)
    took_s: float = 0.0
    cpu_s: float = 0.0
    """Processor time of exchange, sessions and Postgres; on a busy machine `took_s` is longer."""
    faults: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    handed_over: int = 0
    sessions: int = 0
    windows: int = 0
    orders: int = 0
    fills: int = 0
    checks: int = 0
    looks: int = 0
    settled: int = 0
    pnl_e6: int = 0
    exchange_bytes: tuple[int, int] = (0, 0)
    """Resident memory in the first quarter and in the last. It keeps every trade it ever saw."""
    session_bytes: tuple[int, int] = (0, 0)
    session_tasks: tuple[int, int] = (0, 0)
    session_files: tuple[int, int] = (0, 0)

    @property
    def holds(self) -> bool:
        return not self.failures

    def measure(self, seen: Sequence[tuple[int, Sequence[Done]]]) -> None:
        """Compare the first quarter's sizes with the last's; what grows too much is a failure.

        Parameters
        ----------
        seen
            At every whole comparison, the exchange's memory and what the sessions said.
        """
        few = max(1, len(seen) // 4)
        first, last = seen[:few], seen[-few:]
        self.exchange_bytes = _ends(first, last, None)
        self.session_bytes = _ends(first, last, "memory")
        self.session_tasks = _ends(first, last, "tasks")
        self.session_files = _ends(first, last, "files")
        before, after = self.session_bytes
        if after > before * (1 + LEAK_SHARE) + LEAK_BYTES:
            self.failures.append(f"sessions' memory grew from {before} to {after} bytes")
        for what, (before, after) in (("tasks", self.session_tasks), ("files", self.session_files)):
            if after > before + LEAK_COUNT:
                self.failures.append(f"sessions' {what} grew from {before} to {after}")

    def rows(self) -> list[tuple[str, str]]:
        """What was done and found, as pairs of words for a table."""
        return [
            ("simulated", f"{self.hours:g} h in {self.took_s:.0f} s, seed {self.seed}"),
            ("processor time", f"{self.cpu_s:.0f} s"),
            ("windows traded", f"{self.windows}, results booked {self.settled}"),
            ("sessions", f"{self.sessions}, handed over {self.handed_over}, killed {self.kills}"),
            ("orders", f"{self.orders}, fills {self.fills}"),
            ("P&L", f"${usd(self.pnl_e6)}"),
            ("faults", f"{sum(self.faults.values())}"),
            *((f"  {kind}", str(count)) for kind, count in sorted(self.faults.items())),
            ("comparisons", f"{self.checks} whole, {self.looks} after a fault"),
            ("exchange's memory", _growth(self.exchange_bytes, 1_000_000, "MB")),
            ("sessions' memory", _growth(self.session_bytes, 1_000_000, "MB")),
            ("sessions' tasks", _growth(self.session_tasks)),
            ("sessions' files", _growth(self.session_files)),
            ("failures", str(len(self.failures))),
        ]

    def facts(self) -> dict[str, Any]:
        """The same as JSON."""
        return {name.strip(): value for name, value in self.rows()} | {"failures": self.failures}


def _growth(ends: tuple[int, int], unit: int = 1, name: str = "") -> str:
    first, last = (end / unit for end in ends)
    return f"{first:.0f} {name} in the first quarter, {last:.0f} {name} in the last".replace(
        "  ", " "
    )


def _ends(first: Sequence[Any], last: Sequence[Any], name: str | None) -> tuple[int, int]:
    """Medians of the first and of the last part: of the exchange, or of what sessions said."""

    def middle(part: Sequence[tuple[int, Sequence[Done]]]) -> int:
        if name is None:
            return round(median(size for size, _ in part))
        sizes: list[int] = [getattr(done, name) for _, lasts in part for done in lasts]
        return round(median(sizes))

    return middle(first), middle(last)
