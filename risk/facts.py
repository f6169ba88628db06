"""What the floor tells its agents of itself: the facts that no agent can know alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from risk.breaker_rules import OF_AGENT, OF_MARKET, kind_of, subject_of

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
    """Why the kill switch is thrown, or a breaker stops the agent; empty while neither does."""
    share: float = 1.0
    """Part of its usual size an order may have: less than 1 while a breaker is on trial."""
    markets: Mapping[str, str] = field(default_factory=dict)
    """Why nothing is sent in a market, by condition id."""

    def stopped(self, condition_id: str) -> str:
        """Why nothing may be sent in a market now; empty when it may."""
        return self.killed or self.markets.get(condition_id, "")

    @classmethod
    def from_row(cls, row: Mapping[str, Any], agent: str = "") -> "FloorFacts":
        """Read what the risk watch told (`tasks.risk_facts`), as it concerns an agent.

        A part that can't be what it should be counts as not told, but for the kill switch:
        whatever stands there stops.
        """
        killed = row.get("killed")
        stops = _concerning(row.get("stops"), agent)
        reasons = [str(killed)] if killed else [f"breaker {name}: {stops[name]}" for name in stops]
        trials = _concerning(row.get("trials"), agent).values()
        shares = [float(one) for one in trials if isinstance(one, int | float) and 0 < one <= 1]
        return cls(
            _whole(row.get("floor_day_pnl_e6")),
            _whole(row.get("floor_shares_e6")),
            _whole(row.get("var_e6")),
            _greeks(row.get("greeks")),
            _greeks(row.get("up_greeks")),
            "; ".join(reasons),
            min(shares, default=1.0),
            _texts(row.get("markets")),
        )


NOTHING_KNOWN = FloorFacts()


def _concerning(value: object, agent: str) -> dict[str, Any]:
    """Breakers by full name that concern an agent: the floor's, and its own."""
    if not isinstance(value, Mapping):
        return {}
    return {
        str(name): told
        for name, told in value.items()
        if kind_of(str(name)) not in OF_MARKET
        and (kind_of(str(name)) not in OF_AGENT or subject_of(str(name)) == agent)
    }


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {str(name): str(text) for name, text in value.items() if text}


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
