"""Executions: a wish to buy or sell a size little by little, and how far it has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from models.markets import Outcome, Side


class Algo(StrEnum):
    """How an execution goes about it."""

    TWAP = "twap"
    """Equal slices, evenly over the time."""
    VWAP = "vwap"
    """Slices that follow a volume profile, or the volume seen on the tape."""
    ICEBERG = "iceberg"
    """Rests at the limit price and shows only a slice at a time."""
    PASSIVE = "passive"
    """Rests at the best price of its own side; what is left after a while crosses."""


class AtEnd(StrEnum):
    """What becomes of the rest when the time is over."""

    FINISH = "finish"
    """Cross with all that is left."""
    GIVE_UP = "give_up"
    """Leave it."""


class ExecutionState(StrEnum):
    WORKING = "working"
    DONE = "done"
    """All of it is filled, but for less than the venue takes in one order."""
    GIVEN_UP = "given_up"
    """Its time is over and something is left."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Execution:
    """A parent order. Its slices are orders whose intent ids are ``<id>.1``, ``<id>.2``, …

    ``price_e4`` is the worst price it may trade at, ``plan`` the parameters of its algorithm,
    ``progress`` the algorithm's snapshot; both JSON-serialisable.
    """

    id: str
    agent: str
    condition_id: str
    token_id: str
    outcome: Outcome
    side: Side
    algo: Algo
    size_e6: int
    start_ns: int
    end_ns: int
    price_e4: int | None = None
    at_end: AtEnd = AtEnd.FINISH
    plan: Mapping[str, Any] = field(default_factory=dict)
    progress: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    state: ExecutionState = ExecutionState.WORKING
    note: str = ""
    updated_ns: int = 0

    def to(self, state: ExecutionState, now_ns: int, **changes: Any) -> "Execution":
        return replace(self, state=state, updated_ns=now_ns, **changes)
