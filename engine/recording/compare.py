"""Whether a session played again did the same: hooks, decisions and orders, one by one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.recording.rehearsal import Rehearsal
from models.orders import OrderRequest
from models.recording import Called, Noted

OUTSIDE = frozenset({"strike", "resolved"})
"""Notes that are about the market and decide nothing."""
LATER = frozenset({"on_resolution"})
"""Hooks called after all trading, when the books of a window are closed."""


@dataclass(frozen=True, slots=True)
class Same:
    """How many things there were, live and played again, and how many agree from the start."""

    live: int
    again: int
    alike: int
    first: str = ""
    """The first that differ, in words."""

    @property
    def exact(self) -> bool:
        return self.live == self.again == self.alike


@dataclass(frozen=True, slots=True)
class Exactness:
    """Whether the agent did the same: hooks with their times and intents, decisions, orders."""

    calls: Same
    decisions: Same
    orders: Same

    @property
    def exact(self) -> bool:
        return self.calls.exact and self.decisions.exact and self.orders.exact


def compare(played: Rehearsal) -> Exactness:
    """Compare what an agent did with what it did when played again, one by one in order."""
    live, again = played.live, played.again
    return Exactness(
        _same(*([_call(one) for one in course.calls if one.hook not in LATER]
                for course in (live, again))),
        _same(*([_note(one) for one in course.noted if one.kind not in OUTSIDE]
                for course in (live, again))),
        _same(*([_order(one) for one in course.orders] for course in (live, again))),
    )  # fmt: skip


def _same(live: Sequence[object], again: Sequence[object]) -> Same:
    alike = 0
    for one, other in zip(live, again, strict=False):
        if one != other:
            break
        alike += 1
    first = ""
    if not alike == len(live) == len(again):
        one, other = (side[alike] if alike < len(side) else "nothing" for side in (live, again))
        first = f"number {alike + 1}: live {one}, again {other}"
    return Same(len(live), len(again), alike, first)


def _call(one: Called) -> object:
    return one.at_ns, one.condition_id, one.hook, one.wants


def _note(one: Noted) -> object:
    return one.condition_id, one.kind, one.detail


def _order(one: OrderRequest) -> object:
    return replace(one, intent_id="")
