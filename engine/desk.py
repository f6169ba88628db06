"""The desk: carries out a strategy's intents, after the risk check and never without it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from engine.intents import Refusal, to_request
from engine.orders import OrderManager
from engine.portfolio import Portfolio
from engine.ports import Clock, Journal
from engine.quoting import Holdings, plan
from engine.records import seen, sent, told
from engine.standing import DAY_NS, Standing
from engine.view import MarketView
from models.errors import BadValue, StoreUnavailable, VenueUnavailable
from models.markets import Market, Outcome
from models.orders import Order, OrderRequest, OrderState
from models.units import SECOND_NS, usd
from risk.limits import Exposure, Limits, check, headroom_e6, open_cost_e6, room_e6
from strategies.base import Cancel, Intent, Place, Quote

log = structlog.get_logger(__name__)

REPEAT_NS = 30 * SECOND_NS
"""The same refusal in the same market is noted no more often than this."""
STORE_PAUSE_NS = 2 * SECOND_NS
REJECTED_IN_A_ROW = 5
REJECTED_PAUSE_NS = 5 * SECOND_NS
"""Pause of a market in which this many orders in a row were refused by the venue."""

NO_QUOTE = Quote(None, 0, None, 0)


class Desk:
    """Serves every market of one agent."""

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
    ) -> None:
        self._agent = agent
        self._orders = orders
        self._portfolio = portfolio
        self._journal = journal
        self._limits = limits
        self._now_ns = clock.now_ns
        self._standing = standing
        self._on_breaker = on_breaker
        self._broke_on_day = -1
        self._count = 0
        self._sending: Counter[str] = Counter()
        self._paused_until_ns = 0
        self._post_only_until_ns = 0
        self._rejected: dict[str, int] = {}
        self._held_until_ns: dict[str, int] = {}
        self._noted: dict[tuple[str, str], int] = {}
        self.pause_reason = ""
        self.placed = 0

    @property
    def paused(self) -> bool:
        return self._now_ns() < self._paused_until_ns

    async def carry_out(self, intents: Iterable[Intent], view: MarketView, closing: bool) -> None:
        """Carry out intents one after the other.

        Parameters
        ----------
        closing
            The window is ending: cancels and single orders still go, quotes don't.

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
                await self._place(intent, view)
            elif isinstance(intent, Cancel):
                await self._cancel(intent, view)
            else:
                text = f"{type(intent).__name__} is not an intent"
                self.refuse(view.market, Refusal("invalid", text))

    def _tell_daily_loss(self) -> None:
        """Tell people, once a day, that the daily loss has stopped this agent's buying."""
        loss_e6, today = -self._standing.day_pnl_e6(), self._now_ns() // DAY_NS
        if loss_e6 >= self._limits.max_daily_loss_e6 and today != self._broke_on_day:
            self._broke_on_day = today
            limit = usd(self._limits.max_daily_loss_e6)
            self._on_breaker(f"max_daily_loss: today's loss ${usd(loss_e6)}, limit ${limit}")

    def exposure(self, market: Market, token_id: str) -> Exposure:
        """Where the agent stands for an order in this token now."""
        committed = self._portfolio.cost_e6(market) + sum(
            open_cost_e6(order, market) for order in self._orders.open_orders(market.condition_id)
        )
        return Exposure(
            free_cash_e6=self._orders.free_cash_e6(),
            sellable_e6=self._orders.free_shares_e6(token_id),
            committed_e6=committed,
            day_pnl_e6=self._standing.day_pnl_e6(),
            other_markets=self._standing.other_markets(market.condition_id, self.sending),
        )

    @property
    def sending(self) -> frozenset[str]:
        """Markets for which an order is on its way into the books."""
        return frozenset(market for market, count in self._sending.items() if count)

    def refuse(
        self, market: Market, refusal: Refusal, wish: Mapping[str, Any] | None = None
    ) -> None:
        """Note a refusal; one that repeats is noted every 30 seconds."""
        key, now = (market.condition_id, refusal.policy), self._now_ns()
        if now - self._noted.get(key, -REPEAT_NS) < REPEAT_NS:
            return
        self._noted[key] = now
        log.info(
            "intent_refused",
            agent=self._agent,
            market=market.slug,
            policy=refusal.policy,
            reason=refusal.reason,
        )
        self._journal.signal(
            market.condition_id,
            "refused",
            {"policy": refusal.policy, "reason": refusal.reason, "wish": dict(wish or {})},
        )

    def forget(self, condition_id: str) -> None:
        """Drop what is remembered of a market that is over."""
        self._rejected.pop(condition_id, None)
        self._held_until_ns.pop(condition_id, None)
        self._sending.pop(condition_id, None)
        for key in [key for key in self._noted if key[0] == condition_id]:
            del self._noted[key]

    # --- the three intents ----------------------------------------------------------------------

    async def _cancel(self, intent: Cancel, view: MarketView) -> None:
        condition_id = view.market.condition_id
        if intent.order_id is None:
            await self._orders.cancel_all(condition_id)
            return
        if all(order.order_id != intent.order_id for order in view.open_orders):
            text = f"order {intent.order_id!r} is not open in {view.market.slug}"
            self.refuse(view.market, Refusal("invalid", text))
            return
        await self._orders.cancel([intent.order_id])

    async def _place(self, intent: Place, view: MarketView) -> None:
        market, now = view.market, self._now_ns()
        if refusal := self._closed(view, now, intent.post_only):
            self.refuse(market, refusal, told(intent))
            return
        book = view.up if intent.outcome is Outcome.UP else view.down
        known = intent.outcome in (Outcome.UP, Outcome.DOWN)
        token_id = market.token(intent.outcome) if known else ""
        exposure = self.exposure(market, token_id)
        room = headroom_e6(exposure, self._limits)
        intent_id = self._new_id(now)
        request = to_request(intent, book, market, self._agent, intent_id, now, room)
        whole = intent.budget_e6
        if isinstance(request, Refusal) and request.policy == "min_size" and whole is not None:
            # Perhaps the limits left too little of the budget: ask for all of it to name them.
            request = to_request(intent, book, market, self._agent, intent_id, now, whole)
        if isinstance(request, Refusal):
            self.refuse(market, request, told(intent))
            return
        decision = check(request, exposure, self._limits, market)
        if not decision.allowed:
            names = ",".join(decision.violated_policies)
            self.refuse(market, Refusal(names, decision.text), told(intent))
            return
        self._journal.signal(
            market.condition_id, "intent", {**told(intent), **sent(request), **seen(view)}
        )
        await self._send(request, view)

    async def _quote(self, quote: Quote, view: MarketView) -> None:
        market = view.market
        done = plan(quote, view.open_orders, self._holdings(market), market, self._agent, self._id)
        if done.cancels:
            await self._orders.cancel(done.cancels)
            if not quote_wanted(quote):
                return
            holdings = self._holdings(market)
            done = plan(quote, view.open_orders, holdings, market, self._agent, self._id)
        for note in done.notes:
            self.refuse(market, Refusal("quote", note))
        if not done.places:
            return
        if refusal := self._closed(view, self._now_ns(), post_only=True):
            self.refuse(market, refusal)
            return
        self._journal.signal(
            market.condition_id,
            "quote",
            {
                "bid_e4": quote.bid_e4,
                "bid_size_e6": quote.bid_size_e6,
                "ask_e4": quote.ask_e4,
                "ask_size_e6": quote.ask_size_e6,
                "reason": quote.reason,
                **seen(view),
            },
        )
        for request in done.places:
            exposure = self.exposure(market, request.token_id)
            decision = check(request, exposure, self._limits, market)
            if not decision.allowed:
                names = ",".join(decision.violated_policies)
                self.refuse(market, Refusal(names, decision.text), sent(request))
            elif not await self._send(request, view):
                return

    # --- sending --------------------------------------------------------------------------------

    async def _send(self, request: OrderRequest, view: MarketView) -> bool:
        """Place one order. False when no further one should follow now."""
        market = view.market
        self._sending[market.condition_id] += 1
        try:
            order = await self._orders.place(request, market)
        except BadValue as error:
            self.refuse(market, Refusal("invalid", str(error)), sent(request))
            return True
        except VenueUnavailable as error:
            self._pause(error.mode, str(error), round(error.retry_after_s * SECOND_NS))
            self.refuse(market, Refusal("paused", f"{error.mode}: {error}"), sent(request))
            return False
        except StoreUnavailable as error:
            self._pause("store", str(error), STORE_PAUSE_NS)
            return False
        finally:
            self._sending[market.condition_id] -= 1
        self.placed += 1
        self._watch_rejections(order, market)
        return True

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
            self.refuse(market, Refusal("rejected", text))

    def _closed(self, view: MarketView, now_ns: int, post_only: bool) -> Refusal | None:
        """Return why nothing may be placed in this market now."""
        market = view.market
        if not market.start_ns <= now_ns < market.end_ns:
            return Refusal("closed", f"{market.slug} is outside its window")
        if not view.fresh:
            return Refusal("stale", "book or spot are not fresh")
        if now_ns < self._paused_until_ns:
            return Refusal("paused", self.pause_reason)
        if now_ns < self._post_only_until_ns and not post_only:
            return Refusal("paused", self.pause_reason)
        if now_ns < self._held_until_ns.get(market.condition_id, 0):
            return Refusal("paused", "held after refusals by the venue")
        return None

    def _holdings(self, market: Market) -> Holdings:
        exposure = self.exposure(market, market.up_token)
        return Holdings(
            up_e6=exposure.sellable_e6 + self._orders.reserved_shares_e6(market.up_token),
            down_e6=self._orders.free_shares_e6(market.down_token)
            + self._orders.reserved_shares_e6(market.down_token),
            cash_e6=room_e6(exposure, self._limits),
            order_e6=self._limits.risk_per_trade_e6,
        )

    def _id(self) -> str:
        return self._new_id(self._now_ns())

    def _new_id(self, now_ns: int) -> str:
        """Return an intent id no other session of this agent has used."""
        self._count += 1
        return f"{self._agent}-{now_ns:x}-{self._count:x}"


def quote_wanted(quote: Quote) -> bool:
    return quote.bid_e4 is not None or quote.ask_e4 is not None
