"""A simulated week: real traders, real journal, real exchange, a clock that is told the time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Tell = Callable[[str], None]
"""Takes a line for people: progress, faults, what was found."""


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

    @property
    def holds(self) -> bool:
        return not self.failures

    def rows(self) -> list[tuple[str, str]]:
        """What was done and found, as pairs of words for a table."""
        return [("simulated", f"{self.hours:g} h"), ("seed", str(self.seed))]

    def facts(self) -> dict[str, Any]:
        """The same as JSON."""
        return dict(self.rows())


async def run_week(hours: float, seed: int, tell: Tell) -> WeekReport:
    """Trade simulated hours of back-to-back windows under random faults, checking all along.

    Needs no running floor: exchange, Postgres and sessions are its own, in a folder of its own
    that is removed afterwards. The same seed makes the same plan.

    Raises
    ------
    ConfigError
        The embedded Postgres can't be started.
    """
    raise NotImplementedError
