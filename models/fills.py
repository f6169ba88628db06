"""Names of the fill models: where our order stands in a queue we only see the length of."""

from enum import StrEnum


class FillModel(StrEnum):
    """How an order of ours advances at its level; `engine.fills.queue` says how each works."""

    BACK = "back"
    """Pessimistic: only trades bring it forward, every cancel is behind it."""
    LOG = "log"
    """Central: cancels fall ahead and behind by the logarithms of the sizes there."""
    POWER = "power"
    """Central: as `LOG`, by the third powers of the sizes."""
    FRONT = "front"
    """Optimistic: nobody is ahead of it."""

    @property
    def central(self) -> bool:
        return self in (FillModel.LOG, FillModel.POWER)
