"""Breakers together: whoever watches tells what is seen, and is told what may still be done.

`Board` holds breakers by their full names (``agent-losses:alpha``, ``market-anomaly:btc-…``,
``api-errors``) and notes which changed, so that these can be saved and told. It is pure. Two use
it: the floor's risk watch, for agents and the floor, and each session, for its own markets.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.units import PRICE_ONE, SECOND_NS
from risk.breaker_rules import OF_AGENT, OF_MARKET, Rules, kind_of, subject_of
from risk.breakers import (
    Breaker,
    BreakerState,
    Look,
    Positions,
    Rearm,
    Status,
    market_anomaly,
)


@dataclass(frozen=True, slots=True)
class Change:
    """A breaker that changed, with what people want to know of it."""

    name: str
    before: Status
    state: BreakerState
    positions: Positions
    how: str
    """How it comes back."""

    @property
    def tripped(self) -> bool:
        return self.state.status is Status.TRIPPED

    def __str__(self) -> str:
        if self.tripped:
            return f"breaker {self.name} tripped: {self.state.reason}; {self.how}"
        if self.state.status is Status.CLOSED:
            return f"breaker {self.name} is closed again"
        return f"breaker {self.name} is {self.state.status}: {self.state.reason}"


@dataclass(slots=True)
class Board:
    """Breakers by full name. `mark_ns` of a breaker is when it last tripped or was reset: what
    happened before that was dealt with and causes nothing any more."""

    rules: Rules
    breakers: dict[str, Breaker] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)

    def load(self, rows: Mapping[str, Any]) -> None:
        """Take over saved states; they replace those of the same name."""
        for name, row in rows.items():
            row = row if isinstance(row, Mapping) else {}
            self.breakers[name] = Breaker(self.rules.policy(name), BreakerState.from_row(row))
            mark = row.get("mark_ns", 0)
            self.marks[name] = mark if isinstance(mark, int) else 0

    def row(self, name: str) -> dict[str, Any]:
        """What to save of a breaker."""
        return {**self.breakers[name].state.to_row(), "mark_ns": self.marks.get(name, 0)}

    def adopt(self, rules: Rules) -> None:
        """Take up changed rules; states stay as they are."""
        self.rules = rules
        for name, breaker in self.breakers.items():
            breaker.policy = rules.policy(name)

    def see(self, name: str, cause: str, now_ns: int) -> Change | None:
        """Take what a detector says of a breaker: a cause, or an empty text."""
        if not self.rules.enabled(name):
            cause = ""
        breaker = self.breakers.get(name)
        if breaker is None:
            if not cause:
                return None
            breaker = self.breakers[name] = Breaker(self.rules.policy(name))
        before = breaker.state.status
        if not breaker.see(cause, now_ns):
            return None
        if breaker.state.status is Status.TRIPPED:
            self.marks[name] = now_ns
        return self._change(name, breaker, before)

    def reset(self, name: str, by: str, now_ns: int) -> Change | None:
        """Close a breaker by hand; None where it is closed or there is none of that name."""
        breaker = self.breakers.get(name)
        if breaker is None:
            return None
        before = breaker.state.status
        if not breaker.reset(by, now_ns):
            return None
        self.marks[name] = now_ns
        return self._change(name, breaker, before)

    def stop(self, agent: str, market: str = "") -> str:
        """Why an agent may not send anything (in a market), empty when it may."""
        for name, breaker in self._concerning(agent, market):
            if breaker.stops:
                return f"breaker {name}: {breaker.state.reason}"
        return ""

    def share(self, agent: str, market: str = "") -> float:
        """Part of its usual size an order may have: 0 while stopped, less than 1 on trial."""
        return min((one.share for _, one in self._concerning(agent, market)), default=1.0)

    def flatten(self, agent: str, market: str = "") -> bool:
        """Whether a breaker that stops wants the positions sold."""
        return any(
            breaker.stops and breaker.policy.positions is Positions.FLATTEN
            for _, breaker in self._concerning(agent, market)
        )

    def open(self) -> list[str]:
        """Names of breakers that are not closed."""
        return sorted(
            name for name, one in self.breakers.items() if one.state.status is not Status.CLOSED
        )

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            self.breakers.pop(name, None)
            self.marks.pop(name, None)

    def _concerning(self, agent: str, market: str) -> Iterable[tuple[str, Breaker]]:
        for name, breaker in sorted(self.breakers.items()):
            kind, subject = kind_of(name), subject_of(name)
            if kind in OF_AGENT and subject != agent:
                continue
            if kind in OF_MARKET and subject != market:
                continue
            yield name, breaker

    def _change(self, name: str, breaker: Breaker, before: Status) -> Change:
        return Change(name, before, breaker.state, breaker.policy.positions, how(breaker))


def how(breaker: Breaker) -> str:
    """How a breaker comes back, for people."""
    name = breaker.policy.name
    if breaker.policy.rearm is Rearm.MANUAL:
        return f"`floor risk reset {name}` lifts it"
    return (
        f"re-arms by itself {breaker.cooldown_s:g} s after its cause is gone, then "
        f"{breaker.policy.trial_s:g} s on trial"
    )


class MarketWatch:
    """One market's anomaly breaker. Feed `look` as often as one likes, times never falling.

    A cause must last `LASTS_S` before it trips, so that a book that is being rebuilt is no
    anomaly; a jump and a volume count at once. Where the outcome is as good as certain a side
    without levels and a wide spread are what one expects.
    """

    LASTS_S = 2.0
    CERTAIN_E4 = 1_000
    """A best bid above 1 less this, or a best ask below it: the market has made up its mind."""

    def __init__(self, board: Board, slug: str) -> None:
        self._board = board
        self._name = f"market-anomaly:{slug}"
        self._before: Look | None = None
        self._since_ns = 0

    def look(self, now: Look) -> Change | None:
        """Judge the market as it is now; returns what changed."""
        cause = market_anomaly(self._before, now, self._board.rules.market.norms)
        self._before = now
        if self._certain(now) and cause.startswith(("spread", "book of")):
            cause = ""
        if not cause:
            self._since_ns = 0
        elif not self._since_ns:
            self._since_ns = now.at_ns
        lasted_s = (now.at_ns - self._since_ns) / SECOND_NS
        sudden = "jumped" in cause or "traded" in cause
        if cause and not sudden and lasted_s < self.LASTS_S:
            return None
        return self._board.see(self._name, cause, now.at_ns)

    def _certain(self, now: Look) -> bool:
        high = now.bid_e4 is not None and now.bid_e4 > PRICE_ONE - self.CERTAIN_E4
        return high or (now.ask_e4 is not None and now.ask_e4 < self.CERTAIN_E4)
