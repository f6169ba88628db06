"""Sends orders, and holds back while nothing may be sent."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import structlog

from engine.orders import OrderManager
from engine.ports import Clock, Journal
from engine.records import sent
from engine.refusals import Refusal, Refusals
from engine.view import MarketView
from models.errors import BadValue, StoreUnavailable, Suspended, VenueUnavailable
from models.markets import Market
from models.orders import Order, OrderRequest, OrderState
from models.units import SECOND_NS

log = structlog.get_logger(__name__)

STORE_PAUSE_NS = 2 * SECOND_NS
REJECTED_IN_A_ROW = 5
REJECTED_PAUSE_NS = 5 * SECOND_NS
"""Pause of a market in which this many orders in a row were refused by the venue."""


class Sent(NamedTuple):
    """What became of an order, and whether another one may follow now."""

    order: Order | None
    go_on: bool


class Sender:
    """Serves every market of one agent. What it is given has passed the risk check.

    Attributes
    ----------
    placed
        Orders that went out so far.
    pause_reason
        Why placing pauses or last paused.
    """

    def __init__(
        self,
        agent: str,
        orders: OrderManager,
        journal: Journal,
        clock: Clock,
        refusals: Refusals,
    ) -> None:
        self.placed = 0
        self.pause_reason = ""
        self._agent = agent
        self._orders = orders
        self._journal = journal
        self._now_ns = clock.now_ns
        self._refusals = refusals
        self._sending: Counter[str] = Counter()
        self._paused_until_ns = 0
        self._post_only_until_ns = 0
        self._rejected: dict[str, int] = {}
        self._held_until_ns: dict[str, int] = {}

    @property
    def paused(self) -> bool:
        return self._now_ns() < self._paused_until_ns

    @property
    def markets(self) -> frozenset[str]:
        """Markets for which an order is on its way into the books."""
        return frozenset(market for market, count in self._sending.items() if count)

    def closed(self, view: MarketView, post_only: bool) -> Refusal | None:
        """Return why nothing may be placed in this market now."""
        market, now_ns = view.market, self._now_ns()
        if not market.start_ns <= now_ns < market.end_ns:
            return Refusal("closed", f"{market.slug} is outside its window")
        if held := self._orders.held:
            return Refusal("suspended", held)
        if not view.fresh:
            return Refusal("stale", "book or spot are not fresh")
        if now_ns < self._paused_until_ns:
            return Refusal("paused", self.pause_reason)
        if now_ns < self._post_only_until_ns and not post_only:
            return Refusal("paused", self.pause_reason)
        if now_ns < self._held_until_ns.get(market.condition_id, 0):
            return Refusal("paused", "held after refusals by the venue")
        return None

    async def send(self, request: OrderRequest, market: Market) -> Sent:
        """Place one order. Raises `LeaseLost`."""
        self._sending[market.condition_id] += 1
        try:
            order = await self._orders.place(request, market)
        except BadValue as error:
            self._refusals.note(market, Refusal("invalid", str(error)), sent(request))
            return Sent(None, True)
        except VenueUnavailable as error:
            self._pause(error.mode, str(error), round(error.retry_after_s * SECOND_NS))
            refusal = Refusal("paused", f"{error.mode}: {error}")
            self._refusals.note(market, refusal, sent(request))
            return Sent(None, False)
        except Suspended as error:
            self._refusals.note(market, Refusal("suspended", str(error)), sent(request))
            return Sent(None, False)
        except StoreUnavailable as error:
            self.store_away(error)
            return Sent(None, False)
        finally:
            self._sending[market.condition_id] -= 1
        self.placed += 1
        self._watch_rejections(order, market)
        return Sent(order, True)

    def store_away(self, error: StoreUnavailable) -> None:
        """Pause placing: what can't be kept can't be sent."""
        self._pause("store", str(error), STORE_PAUSE_NS)

    def snapshot(self) -> dict[str, Any]:
        """Return pauses and counters for a successor, JSON-serialisable."""
        return {
            "pause_reason": self.pause_reason,
            "paused_until_ns": self._paused_until_ns,
            "post_only_until_ns": self._post_only_until_ns,
            "rejected": {market: count for market, count in self._rejected.items() if count},
            "held_until_ns": dict(self._held_until_ns),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self.pause_reason = str(state["pause_reason"])
        self._paused_until_ns = int(state["paused_until_ns"])
        self._post_only_until_ns = int(state["post_only_until_ns"])
        self._rejected = {str(market): int(count) for market, count in state["rejected"].items()}
        self._held_until_ns = {
            str(market): int(until) for market, until in state["held_until_ns"].items()
        }

    def forget(self, condition_id: str) -> None:
        """Drop what is remembered of a market that is over."""
        self._rejected.pop(condition_id, None)
        self._held_until_ns.pop(condition_id, None)
        self._sending.pop(condition_id, None)

    def _pause(self, mode: str, reason: str, for_ns: int) -> None:
        until = self._now_ns() + max(for_ns, SECOND_NS // 2)
        if mode == "post_only":
            self._post_only_until_ns = until
        else:
            self._paused_until_ns = until
        if reason != self.pause_reason:
            log.warning("placing_paused", agent=self._agent, mode=mode, reason=reason)
            self._journal.event("placing_paused", {"mode": mode, "reason": reason})
        self.pause_reason = reason

    def _watch_rejections(self, order: Order, market: Market) -> None:
        """Hold a market in which the venue refuses order after order."""
        condition_id = market.condition_id
        if order.state is not OrderState.REJECTED:
            self._rejected[condition_id] = 0
            return
        in_a_row = self._rejected[condition_id] = self._rejected.get(condition_id, 0) + 1
        if in_a_row % REJECTED_IN_A_ROW == 0:
            times = min(in_a_row // REJECTED_IN_A_ROW, 12)
            self._held_until_ns[condition_id] = self._now_ns() + times * REJECTED_PAUSE_NS
            text = f"the venue refused {in_a_row} orders in a row, last: {order.note}"
            self._refusals.note(market, Refusal("rejected", text))
