"""The desk: carries out a strategy's intents, after the risk check and never without it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from engine.clearing import Clearing, LoneFloor
from engine.conditional.guards import Guards
from engine.conditional.wishes import conditions_of_place, conditions_of_protect
from engine.execution.parents import Executions
from engine.execution.wishes import execution_of
from engine.intents import reason_fault, share_fault, to_request
from engine.order_index import OrderIndex, parent_of
from engine.orders import OrderManager
from engine.portfolio import Portfolio
from engine.ports import Clock, Floor, Journal
from engine.quoting import Holdings, QuotePlan
from engine.quoting import plan as plan_quote
from engine.records import seen, sent, told
from engine.refusals import Refusal, Refusals
from engine.sending import Sender, Sent
from engine.standing import Standing
from engine.targeting import Held, TargetPlan
from engine.targeting import fault_of as target_fault
from engine.targeting import plan as plan_target
from engine.view import MarketView
from models.conditional import Condition
from models.errors import StoreUnavailable
from models.events import TradePrint
from models.journal import JournalState
from models.markets import Market, Outcome
from models.orders import Order, OrderRequest, OrderState
from models.units import DAY_NS, usd
from risk.limits import Limits, RiskDecision
from strategies.base import Cancel, Execute, Intent, Place, Protect, Quote, Target

NO_QUOTE = Quote(None, 0, None, 0)


class Desk:
    """Serves every market of one agent.

    Parameters
    ----------
    limits
        The agent's own, for an agent without a floor.
    floor
        Policies, and the limit shared with other agents; None where there is neither.
    """

    def __init__(
        self,
        agent: str,
        orders: OrderManager,
        portfolio: Portfolio,
        journal: Journal,
        limits: Limits,
        clock: Clock,
        standing: Standing,
        on_breaker: Callable[[str], None],
        floor: Floor | None = None,
    ) -> None:
        self._agent = agent
        self._orders = orders
        self._portfolio = portfolio
        self._journal = journal
        self._now_ns = clock.now_ns
        self._standing = standing
        self._on_breaker = on_breaker
        self._broke_on_day = -1
        self._count = 0
        self._refusals = Refusals(agent, journal, clock)
        self._sender = Sender(agent, orders, journal, clock, self._refusals)
        self.clearing = Clearing(
            orders, portfolio, clock, standing, floor or LoneFloor(limits),
            lambda: self._sender.markets,
        )  # fmt: skip
        self._index = OrderIndex(orders)
        self.guards = Guards(agent, orders, portfolio, self._index, journal, clock)
        self.executions = Executions(agent, self._index, journal, clock)

    # --- standing -------------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        return self._sender.paused

    @property
    def pause_reason(self) -> str:
        return self._sender.pause_reason

    @property
    def placed(self) -> int:
        """Orders that went out so far."""
        return self._sender.placed

    # --- hearing --------------------------------------------------------------------------------

    def load(self, state: JournalState) -> None:
        """Take up conditional orders and executions, once the orders are recovered."""
        self._index.add((*state.ended, *state.orders))
        self.guards.load(state.conditions)
        self.executions.load(state.executions, state.markets)

    def snapshot(self) -> dict[str, Any]:
        """Return what a successor must know beside the journal, JSON-serialisable."""
        return {
            "count": self._count,
            "broke_on_day": self._broke_on_day,
            "sent_ns": self.clearing.snapshot(),
            "sender": self._sender.snapshot(),
            "guards": self.guards.snapshot(),
            "executions": self.executions.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `snapshot` returned; call it after `load`."""
        self._count = int(state["count"])
        self._broke_on_day = int(state["broke_on_day"])
        self.clearing.restore(state["sent_ns"])
        self._sender.restore(state["sender"])
        self.guards.restore(state["guards"])
        self.executions.restore(state["executions"])

    def order_ended(self, order: Order) -> None:
        self._index.add((order,))
        self.guards.order_ended(order)

    def heard(self, trade: TradePrint) -> None:
        """A public trade happened."""
        self.executions.on_trade(trade)

    def promised(self, condition_id: str) -> bool:
        """Whether a market has conditional orders or executions to watch over."""
        return self.guards.busy(condition_id) or self.executions.busy(condition_id)

    async def close(self, market: Market) -> None:
        """The market is over; drop what is remembered of it. Raises `StoreUnavailable`."""
        await self.guards.close(market)
        await self.executions.close(market)
        self._refusals.forget(market.condition_id)
        self._sender.forget(market.condition_id)
        self._index.prune()

    # --- carrying out ---------------------------------------------------------------------------

    async def carry_out(self, intents: Iterable[Intent], view: MarketView, closing: bool) -> None:
        """Carry out intents one after the other.

        Parameters
        ----------
        closing
            The window is ending: cancels, single orders and targets still go, the rest doesn't.

        Raises
        ------
        LeaseLost
            The session is no longer ours.
        """
        self._tell_daily_loss()
        for intent in intents:
            if isinstance(intent, Quote):
                await self._quote(NO_QUOTE if closing or not view.fresh else intent, view)
            elif isinstance(intent, Place):
                await self._place(intent, view, self._id())
            elif isinstance(intent, Target):
                await self._target(intent, view)
            elif isinstance(intent, Cancel):
                await self._cancel(intent, view)
            elif isinstance(intent, Protect):
                await self._protect(intent, view)
            elif isinstance(intent, Execute) and not closing:
                await self._execute(intent, view)
            elif not isinstance(intent, Execute):
                text = f"{type(intent).__name__} is not an intent"
                self._refuse(view, Refusal("invalid", text))

    async def tend(self, view: MarketView) -> None:
        """Do what conditional orders and executions of a market have due. Raises `LeaseLost`."""
        condition_id = view.market.condition_id
        if self.guards.busy(condition_id):
            await self.guards.step(view, self._send_exit, self._clear)
        if self.executions.busy(condition_id):
            await self.executions.step(view, self._place, self._orders.cancel)

    async def abandon(self, view: MarketView, note: str) -> None:
        """Nobody decides here any more: end what works; what guards a position stays."""
        self.executions.end(view.market.condition_id, note)
        await self.executions.flush(view.market)
        await self._orders.cancel_all(view.market.condition_id)

    # --- cancelling -----------------------------------------------------------------------------

    async def _cancel(self, intent: Cancel, view: MarketView) -> None:
        condition_id = view.market.condition_id
        if intent.order_id is None:
            self.executions.end(condition_id, intent.reason or "cancelled")
            await self._orders.cancel_all(condition_id)
            return
        if all(order.order_id != intent.order_id for order in view.open_orders):
            text = f"order {intent.order_id!r} is not open in {view.market.slug}"
            self._refuse(view, Refusal("invalid", text))
            return
        await self._orders.cancel([intent.order_id])

    # --- placing --------------------------------------------------------------------------------

    async def _place(self, intent: Place, view: MarketView, intent_id: str) -> Order | None:
        """Turn a wish into an order and send it, with its guards; None if nothing was sent."""
        market, now = view.market, self._now_ns()
        request = self._request(intent, view, intent_id)
        if isinstance(request, Refusal):
            self._refuse(view, request, told(intent))
            return None
        conditions = conditions_of_place(intent, request, market, now)
        if isinstance(conditions, Refusal):
            self._refuse(view, conditions, told(intent))
            return None
        decision = await self.clearing.clear(request, view)
        if not decision.allowed:
            self._refuse(view, _refusal(decision), told(intent))
            return None
        try:
            return await self._send_cleared(intent, request, conditions, view)
        finally:
            self.clearing.done(request)

    async def _send_cleared(
        self, intent: Place, request: OrderRequest, guards: Sequence[Condition], view: MarketView
    ) -> Order | None:
        market = view.market
        if guards and not await self._arm(guards, view):
            return None
        self._journal.signal(
            market.condition_id, "intent", {**told(intent), **sent(request), **seen(view)}
        )
        order, _ = await self._sender.send(request, market)
        if order is None:
            self.guards.disarm(request.intent_id, market.condition_id)
        else:
            self.order_ended(order)
        return order

    def _request(self, intent: Place, view: MarketView, intent_id: str) -> OrderRequest | Refusal:
        market, now = view.market, self._now_ns()
        if refusal := self._sender.closed(view, intent.post_only):
            return refusal
        book = view.up if intent.outcome is Outcome.UP else view.down
        room = self.clearing.headroom_e6(market)
        request = to_request(intent, book, market, self._agent, intent_id, now, room)
        whole = intent.budget_e6
        if isinstance(request, Refusal) and request.policy == "min_size" and whole is not None:
            # Perhaps the limits left too little of the budget: ask for all of it to name them.
            request = to_request(intent, book, market, self._agent, intent_id, now, whole)
        return request

    async def _arm(self, conditions: Sequence[Condition], view: MarketView) -> bool:
        """Commit the guards of an order before the order: it must never stand without them."""
        try:
            await self.guards.arm(tuple(conditions), view.market)
        except StoreUnavailable as error:
            self._sender.store_away(error)
            return False
        return True

    async def _send_exit(self, request: OrderRequest, view: MarketView) -> Order | None:
        """Send what a conditional order sells."""
        if refusal := self._sender.closed(view, post_only=False):
            self._refuse(view, refusal, sent(request))
            return None
        return (await self._checked(request, view)).order

    async def _checked(self, request: OrderRequest, view: MarketView) -> Sent:
        """Send an order that needs no more than the risk check."""
        decision = await self.clearing.clear(request, view)
        if not decision.allowed:
            self._refuse(view, _refusal(decision), sent(request))
            return Sent(None, True)
        try:
            done = await self._sender.send(request, view.market)
        finally:
            self.clearing.done(request)
        if done.order is not None:
            self.order_ended(done.order)
        return done

    async def _clear(self, view: MarketView, condition: Condition) -> None:
        """Cancel what could take a guard's shares or trade with its sale."""
        condition_id = condition.condition_id
        self.executions.end(condition_id, f"{condition.id} fired", condition.outcome)
        guards = {one.id for one in self.guards.of(condition_id)}
        in_the_way = [
            order.order_id
            for order in view.open_orders
            if not order.request.tif.immediate and parent_of(order.request.intent_id) not in guards
        ]
        if in_the_way:
            await self._orders.cancel(in_the_way)

    # --- quotes and targets ---------------------------------------------------------------------

    async def _quote(self, quote: Quote, view: MarketView) -> None:
        market = view.market
        done = self._plan_quote(quote, view)
        if done.cancels:
            await self._orders.cancel(done.cancels)
            if not quote_wanted(quote):
                return
            done = self._plan_quote(quote, view)
        for note in done.notes:
            self._refuse(view, Refusal("quote", note), told(quote))
        if not done.places:
            return
        if refusal := self._sender.closed(view, post_only=True):
            self._refuse(view, refusal)
            return
        self._journal.signal(market.condition_id, "quote", {**_QUOTED, **told(quote), **seen(view)})
        for request in done.places:
            if not (await self._checked(request, view)).go_on:
                return

    def _plan_quote(self, quote: Quote, view: MarketView) -> QuotePlan:
        market = view.market
        up_e6, down_e6 = (
            self._orders.free_shares_e6(token) + self._orders.reserved_shares_e6(token)
            for token in (market.up_token, market.down_token)
        )
        clearing = self.clearing
        holdings = Holdings(up_e6, down_e6, clearing.room_e6(market), clearing.gate.trade_e6)
        return plan_quote(quote, view.open_orders, holdings, market, self._agent, self._id)

    async def _target(self, target: Target, view: MarketView) -> None:
        fault = (
            target_fault(target, view.market)
            or reason_fault(target.reason)
            or share_fault(confidence=target.confidence, probability=target.probability)
        )
        if fault:
            self._refuse(view, Refusal("invalid", fault), told(target))
            return
        guarded = target.stop_loss_e4 is not None or target.take_profit_e4 is not None
        if guarded and target.shares_e6 and not await self._protect(_guard_of(target), view):
            return
        done = self._plan_target(target, view)
        if done.cancels:
            await self._orders.cancel(done.cancels)
            done = self._plan_target(target, view)
            if done.cancels:
                text = f"{len(done.cancels)} cancels are not confirmed yet"
                self._refuse(view, Refusal("target", text), told(target))
                return
        if done.sales or done.purchase:
            detail = {**told(target), **seen(view)}
            self._journal.signal(view.market.condition_id, "target", detail)
        for sale in done.sales:
            order = await self._place(sale, view, self._id())
            if order is None or order.state in (OrderState.REJECTED, OrderState.UNKNOWN):
                return
        if done.waits:
            self._refuse(view, Refusal("target", done.waits), told(target))
        if done.purchase is not None:
            await self._place(done.purchase, view, self._id())

    def _plan_target(self, target: Target, view: MarketView) -> TargetPlan:
        held, other = (
            Held(
                view.position_e6(outcome),
                self._orders.free_shares_e6(view.market.token(outcome)),
            )
            for outcome in (target.outcome, target.outcome.other)
        )
        return plan_target(target, view.open_orders, held, other, view.market)

    # --- protection and executions --------------------------------------------------------------

    async def _protect(self, protect: Protect, view: MarketView) -> bool:
        """Arm the guards of a position; False when the wish can't be."""
        market = view.market
        conditions = conditions_of_protect(protect, market, self._agent, self._id(), self._now_ns())
        if isinstance(conditions, Refusal):
            self._refuse(view, conditions, told(protect))
            return False
        if await self.guards.protect(protect.outcome, conditions, market):
            self._journal.signal(market.condition_id, "protect", {**told(protect), **seen(view)})
        return True

    async def _execute(self, execute: Execute, view: MarketView) -> None:
        market = view.market
        execution = execution_of(execute, market, self._agent, self._id(), self._now_ns())
        if isinstance(execution, Refusal):
            self._refuse(view, execution, told(execute))
            return
        for one in self.executions.working(market.condition_id):
            if one.outcome is execution.outcome:
                text = f"{one.id} is at work in {one.outcome} already; cancel it first"
                self._refuse(view, Refusal("working", text), told(execute))
                return
        if refusal := self._sender.closed(view, post_only=False):
            self._refuse(view, refusal, told(execute))
            return
        detail = {**told(execute), "execution": execution.id, **seen(view)}
        self._journal.signal(market.condition_id, "execute", detail)
        try:
            await self.executions.start(execution, market)
        except StoreUnavailable as error:
            self._sender.store_away(error)

    # --- inside ---------------------------------------------------------------------------------

    def _refuse(
        self, view: MarketView, refusal: Refusal, wish: Mapping[str, Any] | None = None
    ) -> None:
        self._refusals.note(view.market, refusal, wish)

    def _tell_daily_loss(self) -> None:
        """Tell people, once a day, that the daily loss has stopped this agent's buying."""
        loss_e6, today = -self._standing.day_pnl_e6(), self._now_ns() // DAY_NS
        limit_e6 = self.clearing.gate.agent_loss_e6
        if loss_e6 >= limit_e6 and today != self._broke_on_day:
            self._broke_on_day = today
            limit = usd(limit_e6)
            self._on_breaker(f"max_daily_loss: today's loss ${usd(loss_e6)}, limit ${limit}")

    def _id(self) -> str:
        """Return an intent id no other session of this agent has used."""
        self._count += 1
        return f"{self._agent}-{self._now_ns():x}-{self._count:x}"


_QUOTED = {"bid_e4": None, "ask_e4": None}


def quote_wanted(quote: Quote) -> bool:
    return quote.bid_e4 is not None or quote.ask_e4 is not None


def _refusal(decision: RiskDecision) -> Refusal:
    return Refusal(",".join(decision.violated_policies), decision.text, decision)


def _guard_of(target: Target) -> Protect:
    return Protect(
        target.outcome,
        stop_loss_e4=target.stop_loss_e4,
        take_profit_e4=target.take_profit_e4,
        reason=target.reason,
    )
