"""Clearing: whether an order may be sent, by every policy and by the floor's shared limit."""

from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from engine.orders import OrderManager
from engine.portfolio import Portfolio
from engine.ports import Clock, Floor
from engine.standing import Standing
from engine.view import MarketView
from models.markets import Market, Outcome, Side
from models.orders import Order, OrderRequest
from models.units import MINUTE_NS, PRICE_ONE, SECOND_NS
from risk.facts import NOTHING_KNOWN
from risk.gate import Facts, Gate
from risk.limits import Limits, RiskDecision, cost_e6, open_cost_e6
from risk.policies import PolicyFile

MARKETS_KEPT = 64


class LoneFloor:
    """Implements `engine.ports.Floor` for an agent that shares nothing with anybody.

    Parameters
    ----------
    file
        The floor's policies; None leaves the agent's own limits.
    capital_e6
        The floor's capital; None takes the agent's.
    """

    def __init__(
        self, limits: Limits, file: PolicyFile | None = None, capital_e6: int | None = None
    ) -> None:
        floor_e6 = limits.capital_e6 if capital_e6 is None else capital_e6
        self.gate = Gate(file or PolicyFile(), limits, floor_e6)
        self.facts = NOTHING_KNOWN
        self.others_e6 = 0

    async def take(self, open_e6: int) -> str:
        return ""


def still_open_e6(order: Order, market: Market, spent_e6: int) -> int:
    """What an open BUY may still cost at worst, in e6; zero for a SELL.

    Never more than its whole worst cost less what its fills cost: holdings and open orders
    together stay within what was reserved for them, however an order fills.

    Parameters
    ----------
    spent_e6
        Cash of its fills, without fees.
    """
    if order.request.side is Side.SELL or order.state.terminal:
        return 0
    if not order.filled_e6 and not spent_e6:
        return open_cost_e6(order, market)
    left = max(0, cost_e6(order.request, market) - spent_e6)
    # What only takes is limited by cash and may get more shares than it asked for.
    return left if order.request.tif.immediate else min(left, open_cost_e6(order, market))


class Clearing:
    """Gathers the facts an order is checked against, and reserves what it may cost.

    Parameters
    ----------
    sending
        Markets for which an order is on its way into the books.

    Attributes
    ----------
    committed_e6
        What is committed in a market, where that is more than this agent's own.
    """

    def __init__(
        self,
        orders: OrderManager,
        portfolio: Portfolio,
        clock: Clock,
        standing: Standing,
        floor: Floor,
        sending: Callable[[], frozenset[str]],
    ) -> None:
        self.committed_e6: Callable[[Market], int] = self._own_committed_e6
        self._orders = orders
        self._portfolio = portfolio
        self._now_ns = clock.now_ns
        self._standing = standing
        self._floor = floor
        self._sending = sending
        self._pending: dict[str, int] = {}
        self._costs: dict[str | None, tuple[tuple[Order, ...], int]] = {}
        self._sent: deque[int] = deque()

    # --- reading --------------------------------------------------------------------------------

    @property
    def gate(self) -> Gate:
        return self._floor.gate

    def open_e6(self) -> int:
        """All this agent has open: holdings at cost, and BUYs, those being placed too, at worst."""
        return self._portfolio.open_cost_e6() + self._resting_e6() + self._pending_e6()

    def room_e6(self, market: Market) -> int:
        """Cash further BUYs in this market together may cost."""
        return self.gate.room_e6(self._money(market, Facts(self._orders.free_cash_e6(), 0)))

    def headroom_e6(self, market: Market) -> int:
        """Cash one more BUY in this market may cost."""
        return min(self.gate.trade_e6, self.room_e6(market))

    # --- clearing -------------------------------------------------------------------------------

    def check(self, request: OrderRequest, view: MarketView) -> RiskDecision:
        """Check an order against every policy as things stand, reserving nothing."""
        return self.gate.check(request, view.market, self.facts(request, view))

    async def clear(self, request: OrderRequest, view: MarketView) -> RiskDecision:
        """Check an order and reserve what it may cost; call `done` whatever becomes of it then.

        Raises
        ------
        LeaseLost
            The session is no longer ours.
        """
        decision = self.check(request, view)
        if not decision.allowed:
            return decision
        if request.side is Side.SELL:
            self._sent.append(self._now_ns())
            return decision
        facts = self._floor.facts
        cost = decision.cost_e6
        wanted = self.open_e6() + cost
        self._pending[request.intent_id] = cost
        try:
            refusal = await self._floor.take(wanted)
        except BaseException:
            self.done(request)
            raise
        if refusal:
            self.done(request)
            again = self.check(request, view)
            if not again.allowed:
                return again
            return RiskDecision(False, ("FloorLimit",), (f"FloorLimit: {refusal}",), cost)
        if self._floor.facts is not facts:
            # The answer told something new of the floor: the kill switch, perhaps.
            self.done(request)
            again = self.check(request, view)
            if not again.allowed:
                return again
            self._pending[request.intent_id] = cost
        self._sent.append(self._now_ns())
        return msgspec.structs.replace(decision, reserved=wanted)

    def done(self, request: OrderRequest) -> None:
        """The order is in the books, or nothing was sent."""
        self._pending.pop(request.intent_id, None)

    # --- over a restart -------------------------------------------------------------------------

    def snapshot(self) -> list[int]:
        """Return when orders were sent within the last minute, in ns: rates are limited."""
        self._rates(self._now_ns())
        return list(self._sent)

    def restore(self, sent_ns: Iterable[int]) -> None:
        """Take back what `snapshot` returned."""
        self._sent = deque(int(at_ns) for at_ns in sent_ns)

    # --- facts ----------------------------------------------------------------------------------

    def facts(self, request: OrderRequest, view: MarketView) -> Facts:
        """Where agent and floor stand for an order now; for a SELL only what SELLs need."""
        now_ns = self._now_ns()
        second, minute = self._rates(now_ns)
        buys = request.side is Side.BUY
        facts = Facts(
            free_cash_e6=self._orders.free_cash_e6() if buys else 0,
            sellable_e6=0 if buys else self._orders.free_shares_e6(request.token_id),
            sent_second=second,
            sent_minute=minute,
            mid_e4=_mid_e4(request, view),
            killed=self._floor.facts.stopped(view.market.condition_id),
        )
        if buys:
            self._money(view.market, facts)
            self._shares(request, view, facts)
            facts.left_ns = view.market.end_ns - now_ns
        return facts

    def _money(self, market: Market, facts: Facts) -> Facts:
        """Add what limits of money are checked against."""
        floor = self._floor.facts
        facts.market_open_e6 = self.committed_e6(market)
        facts.agent_open_e6 = self.open_e6()
        facts.floor_open_e6 = self._floor.others_e6 + facts.agent_open_e6
        facts.agent_day_pnl_e6 = self._standing.day_pnl_e6()
        facts.floor_day_pnl_e6 = floor.day_pnl_e6
        facts.other_markets = self._standing.other_markets(market.condition_id, self._sending())
        facts.var_e6 = floor.var_e6
        facts.killed = floor.stopped(market.condition_id)
        return facts

    def _shares(self, request: OrderRequest, view: MarketView, facts: Facts) -> None:
        """Add what limits of shares and Greeks are checked against."""
        market, floor = view.market, self._floor.facts
        facts.market_shares_e6 = self._portfolio.shares_e6(request.token_id) + sum(
            order.open_e6
            for order in self._orders.open_orders(market.condition_id)
            if order.request.side is Side.BUY and order.request.token_id == request.token_id
        )
        other = market.down_token if request.outcome is Outcome.UP else market.up_token
        facts.other_shares_e6 = self._portfolio.shares_e6(other)
        facts.floor_shares_e6 = floor.shares_e6
        each = floor.up_greeks.get(market.condition_id)
        held = floor.greeks.get(market.asset)
        if each is not None and held is not None:
            facts.up_greeks, facts.greeks = each, held

    def _own_committed_e6(self, market: Market) -> int:
        """What a market's holdings cost and its open BUYs may still cost."""
        return self._portfolio.cost_e6(market) + self._resting_e6(market.condition_id)

    def _resting_e6(self, condition_id: str | None = None) -> int:
        """What open BUYs may still cost; worked out again only after an order changed."""
        orders = self._orders.open_orders(condition_id)
        known = self._costs.get(condition_id)
        if known is not None and known[0] is orders:
            return known[1]
        if len(self._costs) > MARKETS_KEPT:
            self._costs.clear()
        cost = sum(self._cost_e6(order) for order in orders)
        self._costs[condition_id] = (orders, cost)
        return cost

    def _pending_e6(self) -> int:
        """Costs that are reserved for orders which are not in the books yet."""
        if not self._pending:
            return 0
        return sum(cost for intent, cost in self._pending.items() if not self._orders.has(intent))

    def _cost_e6(self, order: Order) -> int:
        market = self._orders.market(order.request.condition_id)
        return still_open_e6(order, market, self._orders.spent_e6(order.order_id))

    def _rates(self, now_ns: int) -> tuple[int, int]:
        """Orders sent within the last second and the last minute."""
        sent = self._sent
        while sent and sent[0] <= now_ns - MINUTE_NS:
            sent.popleft()
        second = 0
        for at_ns in reversed(sent):
            if at_ns <= now_ns - SECOND_NS:
                break
            second += 1
        return second, len(sent)


def _mid_e4(request: OrderRequest, view: MarketView) -> int:
    """Mid of the order's token; 0 while a side of the book is empty."""
    bid, ask = view.up.bid_e4, view.up.ask_e4
    if bid is None or ask is None:
        return 0
    mid = (bid + ask) // 2
    return mid if request.outcome is Outcome.UP else PRICE_ONE - mid
