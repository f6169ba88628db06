"""Keeps an agent's conditional orders: arms them, watches them, sells once when one fires.

Three rules make a sale happen exactly once, whatever crashes when:

* that a condition fired, with its siblings cancelled, is committed before anything is sent;
* every order it sends has an intent id of its own, ``<condition>.<n>``, and is committed before
  it is sent, so what was sold is read from the orders and never counted beside them;
* no further order goes out while one before it may still trade.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import structlog

from engine.conditional.triggers import fires, raised, sale_bid_e4
from engine.conditional.wishes import Conditions, same
from engine.order_index import OrderIndex
from engine.orders import OrderManager
from engine.portfolio import Portfolio
from engine.ports import Clock, Journal
from engine.view import MarketView
from models.conditional import Condition, ConditionState
from models.errors import StoreUnavailable
from models.markets import Market, Outcome, Side
from models.orders import Order, OrderRequest, OrderState, TimeInForce
from models.units import SECOND_NS
from risk.sizing import STEP_E6, whole_e6

log = structlog.get_logger(__name__)

Send = Callable[[OrderRequest, MarketView], Awaitable[Order | None]]
"""Sends one order after the risk check; None when it was refused or held back."""
Clear = Callable[[MarketView, Condition], Awaitable[None]]
"""Takes the agent's other orders out of a sale's way."""

HIGH_EVERY_NS = SECOND_NS
"""A trailing stop's new highs are written down no more often than this."""
AGAIN_NS = SECOND_NS // 2
"""Least time between two attempts of one condition to sell."""


class Guards:
    """Every conditional order of one agent, by market.

    What is decided is in memory at once and committed before it has consequences; while the
    store is away the decision stands and the sale waits, as every order does.
    """

    def __init__(
        self,
        agent: str,
        orders: OrderManager,
        portfolio: Portfolio,
        index: OrderIndex,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._agent = agent
        self._orders = orders
        self._portfolio = portfolio
        self._index = index
        self._journal = journal
        self._now_ns = clock.now_ns
        self._live: dict[str, dict[str, Condition]] = {}
        self._unwritten: dict[str, dict[str, Condition]] = {}
        self._highs: dict[str, tuple[int, int | None]] = {}
        self._tried_ns: dict[str, int] = {}

    # --- reading --------------------------------------------------------------------------------

    def watching(self, condition_id: str) -> bool:
        """Whether the market has a conditional order that is armed or at work."""
        return bool(self._live.get(condition_id))

    def of(self, condition_id: str) -> Conditions:
        """Conditional orders of a market that are armed or at work, oldest first."""
        return tuple(self._live.get(condition_id, {}).values())

    def busy(self, condition_id: str) -> bool:
        """Whether the market has anything to watch or to write down."""
        return bool(self._live.get(condition_id) or self._unwritten.get(condition_id))

    # --- arming ---------------------------------------------------------------------------------

    def load(self, conditions: Iterable[Condition]) -> None:
        """Take up the journal's conditions; call it once the orders are recovered.

        A guard of an order that was never kept guards nothing: the session died in between.
        """
        for one in conditions:
            self._live.setdefault(one.condition_id, {})[one.id] = one
        for one in [one for rows in self._live.values() for one in rows.values()]:
            if not one.intent_id or one.state is not ConditionState.ARMED:
                continue
            order = self._index.of_intent(one.intent_id, one.condition_id)
            if order is None or _came_to_nothing(order):
                self._change(one, ConditionState.CANCELLED, "its order came to nothing")

    async def arm(self, conditions: Conditions, market: Market) -> None:
        """Commit new conditions. Raises `StoreUnavailable`, `LeaseLost`; then none is armed."""
        self._add(conditions)
        try:
            await self._write(market)
        except StoreUnavailable:
            # Perhaps they were kept all the same: take them off there too.
            for one in conditions:
                self._change(one, ConditionState.CANCELLED, "not kept in time")
            raise

    async def protect(self, outcome: Outcome, wished: Conditions, market: Market) -> bool:
        """Let these be the guards of a position, instead of those before, in one commit.

        While the store is away they watch all the same and are written down later.

        Returns
        -------
        bool
            Whether anything changed.
        """
        standing = [
            one
            for one in self.of(market.condition_id)
            if one.outcome is outcome and not one.intent_id
        ]
        if any(one.state is ConditionState.TRIGGERED for one in standing):
            return False
        if same(wished, standing):
            return False
        for one in standing:
            self._change(one, ConditionState.CANCELLED, "replaced")
        self._add(wished)
        try:
            await self._write(market)
        except StoreUnavailable as error:
            log.warning("guards_wait_for_store", agent=self._agent, reason=str(error))
        return True

    def order_ended(self, order: Order) -> None:
        """Take off the guards of an order that ended without buying anything."""
        if not _came_to_nothing(order):
            return
        for one in self.of(order.request.condition_id):
            if one.intent_id == order.request.intent_id and one.state is ConditionState.ARMED:
                self._change(one, ConditionState.CANCELLED, "its order came to nothing")

    def disarm(self, intent_id: str, condition_id: str) -> None:
        """Take off the guards of an order that was not sent."""
        for one in self.of(condition_id):
            if one.intent_id == intent_id and one.state is ConditionState.ARMED:
                self._change(one, ConditionState.CANCELLED, "its order was not sent")

    # --- watching -------------------------------------------------------------------------------

    async def step(self, view: MarketView, send: Send, clear: Clear) -> None:
        """Do all that is due in a market: new highs, what fires, and the sales under way.

        Nothing fires on a book that is not fresh. Raises `LeaseLost`; while the store is away
        nothing is sent.
        """
        market = view.market
        if view.fresh:
            for one in self.of(market.condition_id):
                self._watch(one, view)
        try:
            await self._write(market)
        except StoreUnavailable as error:
            log.warning("guards_wait_for_store", agent=self._agent, reason=str(error))
            return
        for one in self.of(market.condition_id):
            if one.state is ConditionState.TRIGGERED:
                await self._sell(one, view, send, clear)
        if self._unwritten.get(market.condition_id):
            try:
                await self._write(market)
            except StoreUnavailable as error:
                log.warning("guards_wait_for_store", agent=self._agent, reason=str(error))

    def _watch(self, one: Condition, view: MarketView) -> None:
        """Raise an armed condition's watermark; if it fires, its siblings are off with it."""
        live = self._live[one.condition_id]
        if live.get(one.id) is not one or one.state is not ConditionState.ARMED:
            return
        quota = self._quota_e6(one)
        if quota < STEP_E6:
            return
        now = view.now_ns
        bid = self._bid_e4(one, view)
        live[one.id] = one = raised(one, bid)
        self._note_high(one, now)
        if not (why := fires(one, bid, now)):
            return
        log.info("condition_fired", agent=self._agent, id=one.id, why=why)
        whole = one.size_e6 is None and not one.intent_id
        size = None if whole else quota
        self._change(one, ConditionState.TRIGGERED, why, size_e6=size, triggered_ns=now)
        for sibling in tuple(live.values()):
            armed = sibling.state is ConditionState.ARMED
            if armed and sibling.group_id == one.group_id and sibling.id != one.id:
                self._change(sibling, ConditionState.CANCELLED, f"{one.id} fired")

    def _note_high(self, one: Condition, now_ns: int) -> None:
        """Have a new high written down, once a second at most."""
        written_ns, written_e4 = self._highs.get(one.id, (0, None))
        if one.high_e4 != written_e4 and now_ns - written_ns >= HIGH_EVERY_NS:
            self._highs[one.id] = now_ns, one.high_e4
            self._unwritten.setdefault(one.condition_id, {})[one.id] = one

    async def _sell(self, one: Condition, view: MarketView, send: Send, clear: Clear) -> None:
        work = self._index.work(one.id, one.condition_id)
        if work.open:
            return
        left = self._left_e6(one, work.filled_e6)
        if left < STEP_E6:
            self._change(one, ConditionState.DONE, one.note)
            return
        now = view.now_ns
        if not view.fresh or now - self._tried_ns.get(one.id, 0) < AGAIN_NS:
            return
        self._tried_ns[one.id] = now
        await clear(view, one)
        left = self._left_e6(one, self._index.work(one.id, one.condition_id).filled_e6)
        size = whole_e6(min(left, self._orders.free_shares_e6(one.token_id)))
        bid = self._bid_e4(one, view)
        if size < STEP_E6 or bid is None:
            return
        tick = view.market.tick_e4
        request = OrderRequest(
            intent_id=self._index.next_id(one.id),
            agent=self._agent,
            condition_id=one.condition_id,
            token_id=one.token_id,
            outcome=one.outcome,
            side=Side.SELL,
            price_e4=max((bid - one.slippage_ticks * tick) // tick * tick, tick),
            size_e6=size,
            tif=TimeInForce.FAK,
            reason=f"{one.kind}: {one.note}",
        )
        order = await send(request, view)
        if order is not None:
            self._index.add((order,))

    # --- over a restart -------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return what the journal does not have: highs not written yet, attempts to sell."""
        live = [one for rows in self._live.values() for one in rows.values()]
        return {
            "high_e4": {one.id: one.high_e4 for one in live if one.high_e4 is not None},
            "written": {key: list(value) for key, value in self._highs.items()},
            "tried_ns": dict(self._tried_ns),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `snapshot` returned; call it after `load`."""
        for rows in self._live.values():
            for one in tuple(rows.values()):
                if one.id in state["high_e4"]:
                    rows[one.id] = raised(one, int(state["high_e4"][one.id]))
        known = {one for rows in self._live.values() for one in rows}
        self._tried_ns = {key: int(at) for key, at in state["tried_ns"].items() if key in known}
        self._highs = {
            key: (int(at), high) for key, (at, high) in state["written"].items() if key in known
        }

    # --- the end --------------------------------------------------------------------------------

    async def close(self, market: Market) -> None:
        """The market is over: nothing can be sold any more. Raises `StoreUnavailable`."""
        for one in self.of(market.condition_id):
            if one.state is ConditionState.ARMED:
                self._change(one, ConditionState.CANCELLED, "the market is over")
            else:
                sold = self._index.work(one.id, one.condition_id).filled_e6
                note = f"{one.note}; sold {sold / 1e6:.2f} shares, then the market was over"
                self._change(one, ConditionState.FAILED, note)
        await self._write(market)
        self._live.pop(market.condition_id, None)

    # --- inside ---------------------------------------------------------------------------------

    def _quota_e6(self, one: Condition) -> int:
        """Shares a condition may sell in all, as the position is now; never more than held."""
        quota = max(0, self._portfolio.shares_e6(one.token_id))
        if one.intent_id:
            order = self._index.of_intent(one.intent_id, one.condition_id)
            quota = min(quota, 0 if order is None else order.filled_e6)
        return quota if one.size_e6 is None else min(quota, one.size_e6)

    def _left_e6(self, one: Condition, sold_e6: int) -> int:
        """Shares a condition that fired has yet to sell, never more than are held.

        What its order buys while it is being cancelled is sold too, and so is, by the guard of a
        whole position, everything that is held until nothing is.
        """
        held = max(0, self._portfolio.shares_e6(one.token_id))
        if one.intent_id:
            order = self._index.of_intent(one.intent_id, one.condition_id)
            wanted = max(one.size_e6 or 0, 0 if order is None else order.filled_e6)
        elif one.size_e6 is None:
            return held
        else:
            wanted = one.size_e6
        return min(wanted - sold_e6, held)

    def _bid_e4(self, one: Condition, view: MarketView) -> int | None:
        book = view.up if one.outcome is Outcome.UP else view.down
        return sale_bid_e4(book, one.outcome, view.open_orders, view.now_ns)

    def _add(self, conditions: Conditions) -> None:
        for one in conditions:
            self._live.setdefault(one.condition_id, {})[one.id] = one
            self._unwritten.setdefault(one.condition_id, {})[one.id] = one

    def _change(
        self, one: Condition, state: ConditionState, note: str, **changes: int | None
    ) -> None:
        row = one.to(state, self._now_ns(), note=note, **changes)
        self._unwritten.setdefault(one.condition_id, {})[one.id] = row
        live = self._live.setdefault(one.condition_id, {})
        if state.over:
            live.pop(one.id, None)
            self._tried_ns.pop(one.id, None)
            self._highs.pop(one.id, None)
        else:
            live[one.id] = row

    async def _write(self, market: Market) -> None:
        """Commit what changed in a market, all of it at once."""
        rows = self._unwritten.get(market.condition_id)
        if not rows:
            return
        written = dict(rows)
        await self._journal.conditions_changed(tuple(written.values()), market)
        for key, row in written.items():
            if rows.get(key) is row:
                del rows[key]
        if not rows:
            self._unwritten.pop(market.condition_id, None)


def _came_to_nothing(order: Order) -> bool:
    return order.state.terminal and order.filled_e6 == 0 and order.state is not OrderState.FILLED
