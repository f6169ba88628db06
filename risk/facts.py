"""What the floor tells its agents of itself: the facts that no agent can know alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Greeks = tuple[float, float, float]
"""Delta, gamma, vega; see `risk.hedging.Exposures`."""


@dataclass(frozen=True, slots=True)
class FloorFacts:
    """As last published by the floor's risk watch; what nobody told keeps its default and
    violates nothing. Money and shares in e6."""

    day_pnl_e6: int = 0
    """Result of all agents on this UTC day."""
    shares_e6: int = 0
    """One-sided shares over all markets, open BUYs counted as filled."""
    var_e6: int = 0
    """Value at risk at the policy's confidence and horizon."""
    greeks: Mapping[str, Greeks] = field(default_factory=dict)
    """The floor's, by asset."""
    up_greeks: Mapping[str, Greeks] = field(default_factory=dict)
    """Those of one share of Up, by condition id."""
    killed: str = ""
    """Why the kill switch is thrown; empty while it is not."""

    def to_row(self) -> dict[str, Any]:
        """As JSON-serialisable values, for `store.reserve.Reserve.tell_facts`."""
        return {
            "day_pnl_e6": self.day_pnl_e6,
            "shares_e6": self.shares_e6,
            "var_e6": self.var_e6,
            "greeks": {name: list(values) for name, values in self.greeks.items()},
            "up_greeks": {name: list(values) for name, values in self.up_greeks.items()},
            "killed": self.killed,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "FloorFacts":
        """Read back what `to_row` gave. A part that can't be what it should be counts as not
        told, but for the kill switch: whatever stands there stops."""
        killed = row.get("killed")
        return cls(
            _whole(row.get("day_pnl_e6")),
            _whole(row.get("shares_e6")),
            _whole(row.get("var_e6")),
            _greeks(row.get("greeks")),
            _greeks(row.get("up_greeks")),
            str(killed) if killed else "",
        )


NOTHING_KNOWN = FloorFacts()


def _whole(value: object) -> int:
    return value if type(value) is int else 0


def _greeks(value: object) -> dict[str, Greeks]:
    found: dict[str, Greeks] = {}
    if isinstance(value, Mapping):
        for name, row in value.items():
            if isinstance(row, list | tuple) and len(row) == 3:
                numbers = [each for each in row if isinstance(each, int | float)]
                if len(numbers) == 3:
                    found[str(name)] = (float(row[0]), float(row[1]), float(row[2]))
    return found
