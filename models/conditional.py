"""Conditional orders: sales that wait for a price or a time. Kept by us, the venue knows none."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from models.markets import Outcome


class ConditionKind(StrEnum):
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"
    TIME_EXIT = "time_exit"


class ConditionState(StrEnum):
    """Life of a conditional order; only ever forward."""

    ARMED = "armed"
    TRIGGERED = "triggered"
    """It fired; its sale is under way, in one order or several."""
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """The market was over before all was sold."""

    @property
    def over(self) -> bool:
        return self not in (ConditionState.ARMED, ConditionState.TRIGGERED)


@dataclass(frozen=True, slots=True)
class Condition:
    """One conditional order: sells shares of a token once its best bid, or the clock, says so.

    Conditions of one `group_id` cancel one another. What it may sell follows the position: with
    an `intent_id` what that order bought, else all that is held, at most `size_e6` shares.
    ``trigger_e4`` belongs to stop-loss and take-profit, ``trail_bps`` (hundredths of a percent)
    and ``high_e4`` (the highest bid seen while shares were held) to the trailing stop, ``due_ns``
    to the time exit.
    """

    id: str
    group_id: str
    agent: str
    condition_id: str
    token_id: str
    outcome: Outcome
    kind: ConditionKind
    trigger_e4: int | None = None
    trail_bps: int | None = None
    high_e4: int | None = None
    due_ns: int | None = None
    size_e6: int | None = None
    slippage_ticks: int = 3
    intent_id: str = ""
    reason: str = ""
    state: ConditionState = ConditionState.ARMED
    note: str = ""
    created_ns: int = 0
    updated_ns: int = 0
    triggered_ns: int | None = None

    def to(self, state: ConditionState, now_ns: int, **changes: Any) -> "Condition":
        return replace(self, state=state, updated_ns=now_ns, **changes)
