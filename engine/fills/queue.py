"""Where an order stands at its level, judged from what everybody can see.

A public feed tells how much rests at a price and what traded there, never whose it is. What
trades leaves from the front of the queue. What is cancelled may have stood ahead of our order or
behind it, and that is all the models differ in:

``back``
    We joined last and every cancel was behind us, as long as there was enough behind us. A lower
    bound of what we would have filled.
``log``, ``power``
    Of a cancel of `C` shares, ``C * f(ahead) / (f(ahead) + f(behind))`` were ahead of us, with
    ``f(x) = log(1 + x)`` or ``f(x) = x ** 3``, x in shares. Source: the probability queue
    position models that Erik Rigtorp described ("Estimating order queue position", 2013) and
    that open-source backtesters have used since in both forms. Assumption: a cancelled share
    comes from a part of the queue with a probability that depends on the two sizes alone. With
    ``x ** 3`` the longer part loses nearly everything, with the logarithm both lose similarly;
    ``x ** 1`` would be a cancel uniform over all shares. Neither has been fitted to this venue.
``front``
    Nobody was ahead of us. An upper bound.

The bounds hold order by order on the same tape: the position is never better under ``back`` than
under ``log`` or ``power``, and never better there than under ``front``.
"""

import math
from collections.abc import Callable

from models.fills import FillModel
from models.units import SHARE

POWER = 3
"""Exponent of `FillModel.POWER`."""

_WEIGHTS: dict[FillModel, Callable[[float], float]] = {
    FillModel.LOG: math.log1p,
    FillModel.POWER: lambda shares: shares**POWER,
}


def cancelled_ahead(model: FillModel, ahead_e6: int, behind_e6: int, cancelled_e6: int) -> int:
    """Shares (e6) of a cancel that stood ahead of us, by the model alone, rounded down.

    What the sizes themselves enforce (no more than there was behind us can have been cancelled
    behind us) is left to the caller.
    """
    weigh = _WEIGHTS.get(model)
    if weigh is None or ahead_e6 <= 0 or cancelled_e6 <= 0:
        return 0
    ahead = weigh(ahead_e6 / SHARE)
    behind = weigh(max(0, behind_e6) / SHARE)
    return min(ahead_e6, cancelled_e6, int(cancelled_e6 * (ahead / (ahead + behind))))


class QueuePosition:
    """One order's place at its level; sizes in e6 and without our own orders.

    Feed it, in order, the level's displayed sizes and the trades at exactly its price. The feed
    tells a trade twice, as a print and as a smaller level, and in either order: a print explains
    a fall of the level within `grace_ns`, only what is left of the fall was cancelled.

    Parameters
    ----------
    model
        How cancels advance the order.
    displayed_e6
        What rests at the level when the order joins it; None when the feed does not reach that
        far from the best price. Then nothing is known to be past us until it does.
    grace_ns
        How long a print and the level's fall may lie apart; 0 where both come in one step.
    """

    __slots__ = (
        "_ahead", "_dropped", "_dropped_ns", "_grace_ns", "_model", "_shown", "_traded",
        "_traded_ns",
    )  # fmt: skip

    def __init__(self, model: FillModel, displayed_e6: int | None, grace_ns: int = 0) -> None:
        self._model = model
        self._ahead = 0 if model is FillModel.FRONT else displayed_e6
        self._shown = displayed_e6
        self._grace_ns = grace_ns
        self._traded = self._traded_ns = 0
        self._dropped = self._dropped_ns = 0

    @property
    def ahead_e6(self) -> int | None:
        """Shares ahead of us; None while nobody can tell."""
        if self._ahead is None or self._shown is None:
            return self._ahead
        return min(self._ahead, self._shown)

    def traded(self, size_e6: int, now_ns: int) -> int:
        """Take a print at our price; return how much of it came past those ahead of us."""
        self._settle(now_ns)
        explained = min(self._dropped, size_e6)
        self._dropped -= explained
        if size_e6 > explained:
            self._traded += size_e6 - explained
            self._traded_ns = now_ns
        if self._ahead is None:
            return 0
        ahead = self._ahead
        if self._shown is not None:
            ahead = min(ahead, self._shown + explained)
        self._ahead = max(0, ahead - size_e6)
        return max(0, size_e6 - ahead)

    def swept(self) -> None:
        """Somebody traded at a worse price: all that was ahead of us is gone."""
        self._ahead = 0

    def level(self, displayed_e6: int | None, now_ns: int) -> None:
        """Take the level's displayed size; None while the feed does not reach it."""
        if displayed_e6 is None or self._shown is None or self._ahead is None:
            self._forget()
            if displayed_e6 is not None:
                self._ahead = displayed_e6 if self._ahead is None else self._ahead
                self._ahead = min(self._ahead, displayed_e6)
            self._shown = displayed_e6
            return
        self._settle(now_ns)
        if now_ns - self._traded_ns > self._grace_ns:
            # However rarely the level is told, a print explains no fall that comes too late.
            self._traded = 0
        fall = self._shown - displayed_e6
        self._shown = displayed_e6
        if fall > 0:
            explained = min(fall, self._traded)
            self._traded -= explained
            if fall > explained:
                self._dropped_ns = self._dropped_ns if self._dropped else now_ns
                self._dropped += fall - explained
        self._settle(now_ns)
        if now_ns - self._traded_ns >= self._grace_ns:
            self._traded = 0

    def _settle(self, now_ns: int) -> None:
        """What no print has explained in time was cancelled."""
        if not self._dropped or now_ns - self._dropped_ns < self._grace_ns:
            return
        dropped, self._dropped = self._dropped, 0
        if self._ahead is None or self._shown is None:
            return
        before = self._shown + dropped
        ahead = min(self._ahead, before)
        ahead -= cancelled_ahead(self._model, ahead, before - ahead, dropped)
        self._ahead = min(ahead, self._shown)

    def _forget(self) -> None:
        self._traded = self._dropped = 0
