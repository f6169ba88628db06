"""What goes wrong in a simulated week, and when: all of it follows from the seed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

HOUR_S = 3_600.0
CALM_S = (240.0, 480.0)
"""No fault begins in these seconds of an hour: then everything is compared."""
EVERY_S = 900.0
"""Mean time between two faults."""


class Kind(StrEnum):
    """Kinds of fault."""

    KILL = "session killed"
    """SIGKILL at whatever moment."""
    KILL_AT_AWAIT = "session killed at an await"
    KILL_TWICE = "session killed, and its successor while it recovers"
    KILL_HANDING_OVER = "session killed while it hands over"
    KILL_TAKING_OVER = "successor killed while it takes over"
    VENUE_FAULT = "fault at the venue"
    VENUE_KILLED = "exchange killed"
    STORE_CUT = "connections to Postgres cut"
    STORE_AWAY = "Postgres away"
    CLOCK_JUMP = "wall clock jumps"


_WEIGHTS: Mapping[Kind, float] = {
    Kind.KILL: 2.0,
    Kind.KILL_AT_AWAIT: 4.0,
    Kind.KILL_TWICE: 1.0,
    Kind.KILL_HANDING_OVER: 1.0,
    Kind.KILL_TAKING_OVER: 1.0,
    Kind.VENUE_FAULT: 6.0,
    Kind.VENUE_KILLED: 1.0,
    Kind.STORE_CUT: 1.5,
    Kind.STORE_AWAY: 1.5,
    Kind.CLOCK_JUMP: 0.5,
}

VENUE_FAULTS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("rate-limit", {"count": 3, "retry_after": 1}),
    ("execution-500", {"count": 2}),
    ("accept-then-500", {"count": 2}),
    ("accept-then-timeout", {"count": 1, "hold": 1}),
    ("accept-then-drop", {"count": 2}),
    ("late-answer", {"count": 2, "hold": 0.05}),
    ("unmatched-answer", {"count": 2}),
    ("refused-in-answer", {"seconds": 40}),
    ("engine-restart", {"seconds": 90}),
    ("post-only", {"seconds": 120}),
    ("cancel-only", {"seconds": 60}),
    ("trading-disabled", {"seconds": 60}),
    ("closed-only", {"seconds": 60}),
    ("cloudflare-403", {"count": 2}),
    ("ws-drop", {}),
    ("ws-freeze", {"seconds": 90}),
    ("rtds-stall", {"seconds": 90}),
    ("duplicate-events", {"seconds": 300}),
    ("reordered-events", {"seconds": 300}),
    ("ghost-fill", {"count": 1}),
    ("partial-fak", {"count": 1}),
    ("absent-resolution", {"seconds": 1_000}),
    ("late-resolution", {"seconds": 1_000, "delay": 60}),
    ("stale-balance", {"seconds": 120}),
    ("key-revoked", {}),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Parameters
    ----------
    at_s
        Seconds after the beginning.
    agent
        Which agent it strikes, by number; nothing where all are struck.
    awaits
        Before which await a session dies.
    seconds
        How long it lasts, or until the dead are replaced.
    name, params
        Of a fault at the venue.
    """

    at_s: float
    kind: Kind
    agent: int = 0
    awaits: int = 0
    seconds: float = 0.0
    name: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        what = f"{self.kind.value} {self.name}".strip()
        return f"{what} of agent {self.agent}" if self.awaits else what


def plan(hours: float, seed: int, agents: int) -> tuple[Fault, ...]:
    """Draw the faults of so many hours; the first ones come once everybody trades."""
    rng = random.Random(seed)
    faults: list[Fault] = []
    at_s = CALM_S[1]
    while True:
        at_s += rng.expovariate(1.0 / EVERY_S)
        if CALM_S[0] <= at_s % HOUR_S < CALM_S[1]:
            at_s += CALM_S[1] - at_s % HOUR_S
        if at_s >= hours * HOUR_S - CALM_S[1]:
            return tuple(faults)
        faults.append(_draw(rng, at_s, agents))


def _draw(rng: random.Random, at_s: float, agents: int) -> Fault:
    kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    name, params = rng.choice(VENUE_FAULTS) if kind is Kind.VENUE_FAULT else ("", {})
    return Fault(
        at_s=at_s,
        kind=kind,
        agent=rng.randrange(agents),
        awaits=rng.randint(1, 120),
        seconds=rng.choice((10.0, 30.0, 60.0, 150.0)),
        name=name,
        params=params,
    )
