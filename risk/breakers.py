"""Breakers: what stops trading by itself, why, and how it comes back.

A breaker goes round four states::

    closed ──trip──▶ tripped ──cause gone (auto) or reset by a person──▶ cooling
      ▲                 ▲                                                   │ cool-down over
      └── trial passed ─┴───────────── cause seen again ◀──── half-open ◀───┘

*tripped* and *cooling* stop trading; *half-open* lets a part of it through, and a cause seen then
trips it again, with twice the cool-down each time. `Breaker` is pure: it is told what is seen and
when, and its state goes into a row and back. The detectors below it say whether there is a cause.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from math import isfinite
from typing import Any

from models.errors import BadValue, ConfigError
from models.units import SECOND_NS

MOST_DOUBLINGS = 6
"""Cool-downs grow up to 64 times the first."""


class Status(StrEnum):
    CLOSED = "closed"
    """Trading goes on."""
    TRIPPED = "tripped"
    """Stopped, and the cause is still there, or a person must reset it."""
    COOLING = "cooling"
    """Stopped; the cause is gone and the cool-down runs."""
    HALF_OPEN = "half-open"
    """On trial: a part of trading is let through."""


class Rearm(StrEnum):
    AUTO = "auto"
    MANUAL = "manual"
    """Stays tripped until a person resets it."""


class Positions(StrEnum):
    HOLD = "hold"
    """Kept to their resolution; orders are cancelled either way."""
    FLATTEN = "flatten"
    """Sold at what the book pays."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """How one breaker behaves. Times in seconds.

    ``trial_share`` is the part of its usual size an order may have while half-open.
    """

    name: str
    cooldown_s: float = 300.0
    trial_s: float = 300.0
    trial_share: float = 0.25
    rearm: Rearm = Rearm.AUTO
    positions: Positions = Positions.HOLD

    def __post_init__(self) -> None:
        for name in ("cooldown_s", "trial_s"):
            value = getattr(self, name)
            if not (value >= 0 and isfinite(value)):
                raise ConfigError(f"breaker {self.name}: {name}={value!r} must be at least zero")
        if not 0 < self.trial_share <= 1:
            raise ConfigError(
                f"breaker {self.name}: trial_share={self.trial_share!r} must be above 0, at most 1"
            )


@dataclass(frozen=True, slots=True)
class BreakerState:
    """Where a breaker is. `trips` counts those since it was last closed."""

    status: Status = Status.CLOSED
    reason: str = ""
    since_ns: int = 0
    trips: int = 0

    def to_row(self) -> dict[str, Any]:
        """As JSON-serialisable values."""
        return {**asdict(self), "status": str(self.status)}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "BreakerState":
        """Read back what `to_row` gave. A row that makes no sense is a tripped breaker: nobody
        knows what happened, so a person must look."""
        try:
            return cls(
                Status(row["status"]), str(row["reason"]), int(row["since_ns"]), int(row["trips"])
            )
        except (KeyError, TypeError, ValueError):
            return cls(Status.TRIPPED, f"unreadable state {dict(row)!r}", 0, 1)


@dataclass(slots=True)
class Breaker:
    """One breaker. Feed `see` what its detector says, as often as one likes; times never fall."""

    policy: BreakerPolicy
    state: BreakerState = BreakerState()

    @property
    def stops(self) -> bool:
        """Whether nothing new may be sent."""
        return self.state.status in (Status.TRIPPED, Status.COOLING)

    @property
    def share(self) -> float:
        """Part of its usual size an order may have now: 0, the trial's, or 1."""
        if self.stops:
            return 0.0
        return self.policy.trial_share if self.state.status is Status.HALF_OPEN else 1.0

    @property
    def cooldown_s(self) -> float:
        """The cool-down after as many trips in a row as there were."""
        doublings = min(max(0, self.state.trips - 1), MOST_DOUBLINGS)
        return self.policy.cooldown_s * float(2**doublings)

    def see(self, cause: str, now_ns: int) -> bool:
        """Take what the detector says: the cause for stopping, or an empty text.

        Returns
        -------
        bool
            Whether the state changed.
        """
        before = self.state
        if cause:
            self._caused(cause, now_ns)
        else:
            self._quiet(now_ns)
        return self.state is not before

    def reset(self, by: str, now_ns: int) -> bool:
        """Close it by hand. False when it is closed already."""
        if self.state.status is Status.CLOSED:
            return False
        self.state = BreakerState(Status.CLOSED, f"reset by {by}", now_ns, 0)
        return True

    def _caused(self, cause: str, now_ns: int) -> None:
        state = self.state
        if state.status is Status.TRIPPED:
            return
        trips = state.trips if state.status is Status.COOLING else state.trips + 1
        self.state = BreakerState(Status.TRIPPED, cause, now_ns, trips)

    def _quiet(self, now_ns: int) -> None:
        state = self.state
        waited_s = (now_ns - state.since_ns) / SECOND_NS
        if state.status is Status.TRIPPED and self.policy.rearm is Rearm.AUTO:
            self.state = replace(state, status=Status.COOLING, since_ns=now_ns)
        elif state.status is Status.COOLING and waited_s >= self.cooldown_s:
            self.state = replace(state, status=Status.HALF_OPEN, since_ns=now_ns)
        elif state.status is Status.HALF_OPEN and waited_s >= self.policy.trial_s:
            self.state = BreakerState(Status.CLOSED, "", now_ns, 0)


# --- detectors: of an agent -----------------------------------------------------------------------


def losses_in_a_row(results_e6: Sequence[int], most: int = 5) -> str:
    """Cause when the newest `most` results (oldest first) were all losses."""
    if most < 1:
        raise BadValue(f"most={most} must be at least 1")
    newest = results_e6[-most:]
    if len(newest) < most or any(result >= 0 for result in newest):
        return ""
    return f"{most} losses in a row, ${-sum(newest) / 1e6:.2f} together"


def drawdown(equity_e6: int, peak_e6: int, most: float, what: str = "drawdown") -> str:
    """Cause when equity is `most` (0.2 is 20 %) or more below its peak.

    The peak is that of the stated base: the agent's highest equity, or the floor's at the start of
    the day. A base that is not positive is no base: nothing can be said of it.
    """
    if not 0 < most <= 1:
        raise BadValue(f"most={most!r} must be above 0 and at most 1")
    if peak_e6 <= 0:
        return ""
    fallen = (peak_e6 - equity_e6) / peak_e6
    if fallen < most:
        return ""
    return (
        f"{what} of {fallen:.1%} (${equity_e6 / 1e6:.2f} of ${peak_e6 / 1e6:.2f}), limit {most:.0%}"
    )


# --- detectors: of the floor ----------------------------------------------------------------------


class ErrorRate:
    """Share of calls that failed within a sliding time.

    Parameters
    ----------
    window_s
        Calls older than this no longer count.
    least
        With fewer calls than this in the window, nothing is said.
    """

    __slots__ = ("_counts", "_failed", "_least", "_most", "_total", "_window_ns")

    def __init__(self, most: float = 0.10, window_s: float = 60.0, least: int = 20) -> None:
        if not 0 < most <= 1 or not window_s > 0 or least < 1:
            raise BadValue(f"most={most!r}, window_s={window_s!r}, least={least!r} make no sense")
        self._most = most
        self._window_ns = round(window_s * SECOND_NS)
        self._least = least
        self._counts: deque[tuple[int, int, int]] = deque()
        self._total = self._failed = 0

    def add(self, failed: bool, now_ns: int) -> None:
        """Count one call."""
        self.count(1, int(failed), now_ns)

    def count(self, calls: int, failed: int, now_ns: int) -> None:
        """Count calls somebody else made since they last told. Raises `BadValue` for negatives."""
        if not 0 <= failed <= calls:
            raise BadValue(f"{failed} of {calls} calls failed: that cannot be")
        if calls:
            self._counts.append((now_ns, calls, failed))
            self._total += calls
            self._failed += failed
        self._forget(now_ns)

    def clear(self) -> None:
        """Begin anew: what was counted so far has had its consequence."""
        self._counts.clear()
        self._total = self._failed = 0

    def cause(self, now_ns: int) -> str:
        self._forget(now_ns)
        if self._total < self._least or self._failed <= self._most * self._total:
            return ""
        seconds = self._window_ns / SECOND_NS
        return f"{self._failed} of {self._total} calls to the venue failed within {seconds:g} s"

    def _forget(self, now_ns: int) -> None:
        while self._counts and self._counts[0][0] <= now_ns - self._window_ns:
            _, calls, failed = self._counts.popleft()
            self._total -= calls
            self._failed -= failed


def silent_for(what: str, last_ns: int, now_ns: int, most_s: float) -> str:
    """Cause when something was last heard of longer than `most_s` ago."""
    seconds = (now_ns - last_ns) / SECOND_NS
    return f"{what} for {seconds:.0f} s, limit {most_s:g} s" if seconds > most_s else ""


def clock_skew(offset_ns: int, most_s: float = 2.0) -> str:
    """Cause when our clock is off the venue's by more than `most_s`, either way."""
    seconds = offset_ns / SECOND_NS
    return f"our clock is {seconds:+.2f} s off the venue's" if abs(seconds) > most_s else ""


# --- detectors: of a market -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MarketNorms:
    """What is still normal in a market."""

    max_spread_e4: int = 2_000
    max_jump_e4: int = 2_500
    """Most the mid may move between two looks at most `jump_s` apart."""
    jump_s: float = 1.0
    max_volume_e6: int = 1_000_000 * 1_000_000
    """Most shares traded within a second."""
    min_levels: int = 1
    """Fewest levels a side of a book may have while the market is open."""


@dataclass(frozen=True, slots=True)
class Look:
    """A market at one moment; prices of Up, None where a side is empty."""

    at_ns: int
    bid_e4: int | None
    ask_e4: int | None
    bid_levels: int
    ask_levels: int
    traded_e6: int
    """Shares traded in the last second."""

    @property
    def mid_e4(self) -> float | None:
        if self.bid_e4 is None or self.ask_e4 is None:
            return None
        return (self.bid_e4 + self.ask_e4) / 2


def market_anomaly(before: Look | None, now: Look, norms: MarketNorms = MarketNorms()) -> str:
    """The first thing about a market that is not normal, or an empty text."""
    bid, ask = now.bid_e4, now.ask_e4
    if bid is not None and ask is not None:
        if bid >= ask:
            return f"book crossed: bid {bid / 1e4:g}, ask {ask / 1e4:g}"
        if ask - bid > norms.max_spread_e4:
            return f"spread of {(ask - bid) / 1e4:g}, limit {norms.max_spread_e4 / 1e4:g}"
    if min(now.bid_levels, now.ask_levels) < norms.min_levels:
        return f"book of {now.bid_levels} bid and {now.ask_levels} ask levels"
    if now.traded_e6 > norms.max_volume_e6:
        return f"{now.traded_e6 / 1e6:.0f} shares traded within a second"
    if before is None or now.at_ns - before.at_ns > norms.jump_s * SECOND_NS:
        return ""
    old, new = before.mid_e4, now.mid_e4
    if old is not None and new is not None and abs(new - old) > norms.max_jump_e4:
        return f"mid jumped from {old / 1e4:g} to {new / 1e4:g} within {norms.jump_s:g} s"
    return ""


def resolution_disagreement(slug: str, ours: str | None, venues: str | None) -> str:
    """Cause when the venue names another winner than the settlement rule gives on our prices."""
    if not ours or not venues or ours == venues:
        return ""
    return f"{slug} resolved {venues}, our prices say {ours}"
