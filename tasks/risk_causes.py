"""What the risk watch looks at, brought down to causes for its breakers. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from models.markets import Outcome
from models.units import DAY_NS
from risk.breaker_rules import ResolutionDisagreement
from risk.breakers import drawdown, losses_in_a_row, resolution_disagreement
from store.exposure import Ended
from store.portfolio import Snapshot
from tasks.risk_book import distance_bps


@dataclass(slots=True)
class Peaks:
    """Highest equity of every agent, and the floor's at the beginning of the day, in e6.

    Each stands beside the capital of its time and when it was noted: capital that is given or
    taken away is neither gain nor loss, and what a breaker tripped on is not counted again.
    """

    agents: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Peak, capital, and when, by agent."""
    day: int = -1
    start: tuple[int, int, int] = (0, 0, 0)
    """The floor's at the day's first look."""
    base: tuple[int, int, int] = (0, 0, 0)
    """The same, or at the first look after the breaker's last trip or reset."""

    @classmethod
    def of(cls, row: Any) -> "Peaks":
        """Read back what `row` gave; whatever makes no sense begins anew."""
        try:
            agents = {str(name): _three(values) for name, values in row["agents"].items()}
            return cls(agents, int(row["day"]), _three(row["start"]), _three(row["base"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls()

    def row(self) -> dict[str, Any]:
        return {
            "agents": {name: list(values) for name, values in sorted(self.agents.items())},
            "day": self.day,
            "start": list(self.start),
            "base": list(self.base),
        }

    def agent(
        self, name: str, equity_e6: int, capital_e6: int, mark_ns: int, now_ns: int
    ) -> tuple[int, int]:
        """Note an agent's equity; returns it and the peak it is measured by."""
        peak, then, at_ns = self.agents.get(name, (equity_e6, capital_e6, now_ns))
        peak += capital_e6 - then
        if mark_ns > at_ns or equity_e6 >= peak:
            peak, at_ns = equity_e6, now_ns
        self.agents[name] = (peak, capital_e6, at_ns)
        return equity_e6, peak

    def floor_day(
        self, equity_e6: int, capital_e6: int, mark_ns: int, now_ns: int
    ) -> tuple[int, int, int]:
        """Note the floor's equity; returns it, the base of the drawdown, and the day's result.

        The day's base is its first look's; that of the drawdown begins anew after a trip.
        """
        if now_ns // DAY_NS != self.day:
            self.day = now_ns // DAY_NS
            self.start = self.base = (equity_e6, capital_e6, now_ns)
        elif mark_ns > self.base[2]:
            self.base = (equity_e6, capital_e6, now_ns)
        self.start, self.base = _shifted(self.start, capital_e6), _shifted(self.base, capital_e6)
        return equity_e6, self.base[0], equity_e6 - self.start[0]


def _shifted(noted: tuple[int, int, int], capital_e6: int) -> tuple[int, int, int]:
    value, then, at_ns = noted
    return value + capital_e6 - then, capital_e6, at_ns


def _three(values: Any) -> tuple[int, int, int]:
    one, two, three = values
    return int(one), int(two), int(three)


def agent_losses(results: Sequence[tuple[int, int]], mark_ns: int, most: int) -> str:
    """Cause in an agent's results (closed ns, pnl e6; oldest first) since the last trip."""
    return losses_in_a_row([pnl for closed_ns, pnl in results if closed_ns > mark_ns], most)


def agent_drawdown(peaks: Peaks, one: Snapshot, capital_e6: int, mark_ns: int, most: float) -> str:
    """Cause in an agent's equity against its highest since the last trip."""
    assert one.agent is not None
    equity, peak = peaks.agent(one.agent, one.equity_e6, capital_e6, mark_ns, one.ts_ns)
    return drawdown(equity, peak, most)


def disagreements(ended: Sequence[Ended], rule: ResolutionDisagreement, mark_ns: int) -> str:
    """Cause in what the venue resolved since the last trip, against the prices we kept."""
    for one in ended:
        strike, price = one.market.strike_e8, one.price_e8
        if strike is None or price is None or one.market.end_ns <= mark_ns:
            continue
        if distance_bps(price, strike) <= rule.margin_bps:
            continue
        ours = Outcome.UP if price >= strike else Outcome.DOWN
        if cause := resolution_disagreement(one.market.slug, ours.value, one.winner.value):
            return cause
    return ""
