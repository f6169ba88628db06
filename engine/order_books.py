"""An agent's orders and fills in memory, and the rows that wait for the journal."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import structlog

from engine.order_states import Counted, Lost, OrderLife, Recalled, Reported, Signal, advance, known
from engine.portfolio import FillChange, Portfolio
from engine.ports import Clock, Journal
from engine.reservations import reserved_cash_e6, reserved_shares_e6
from models.events import OrderUpdate
from models.journal import JournalState
from models.markets import Market
from models.orders import Fill, Order, OrderState, TradeStatus, VenueLeg, VenueTrade

log = structlog.get_logger(__name__)

_FINAL = frozenset({TradeStatus.CONFIRMED, TradeStatus.FAILED})
_FEW_MARKETS = 4
"""Up to this many markets are asked for one by one; beyond, the account's trades are cheaper."""


class OrderBooks:
    """Every change is made at once, without waiting; `flush` writes it down afterwards, in order.

    A crash between the two loses nothing: what the venue did is asked for again at recovery.
    """

    def __init__(
        self,
        agent: str,
        portfolio: Portfolio,
        journal: Journal,
        clock: Clock,
        on_fill: Callable[[Fill], None],
        on_done: Callable[[Order], None],
    ) -> None:
        self.agent = agent
        self.portfolio = portfolio
        self._journal = journal
        self._clock = clock
        self._on_fill = on_fill
        self._on_done = on_done
        self._lives: dict[str, OrderLife] = {}
        self._open: dict[str, None] = {}
        self._by_intent: dict[str, str] = {}
        self._markets: dict[str, Market] = {}
        self._first_fills: dict[str, Fill] = {}
        self._done: set[str] = set()
        self._opened: dict[str | None, tuple[Order, ...]] = {}
        self._reserved_e6: int | None = None
        self._rows: deque[Order | Fill] = deque()
        self._muted = False
        self.revived: list[str] = []
        """Ids that were terminal here and turned out to be open: nobody wants them any more."""
        self.doubtful: dict[str, int] = {}
        """Ids the venue should be asked about, each with the time (ns) the doubt came up."""

    # --- reading ------------------------------------------------------------------------------

    def life(self, order_id: str) -> OrderLife | None:
        return self._lives.get(order_id)

    def order(self, order_id: str) -> Order | None:
        life = self._lives.get(order_id)
        return life.order if life else None

    def open_lives(self, condition_id: str | None = None) -> Iterator[OrderLife]:
        for order_id in tuple(self._open):
            life = self._lives[order_id]
            if condition_id in (None, life.request.condition_id):
                yield life

    def open_orders(self, condition_id: str | None = None) -> tuple[Order, ...]:
        """Orders that are not terminal, oldest first; asked for again and again."""
        known = self._opened.get(condition_id)
        if known is None:
            known = tuple(life.order for life in self.open_lives(condition_id))
            self._opened[condition_id] = known
        return known

    def in_force(self, intent_id: str) -> Order | None:
        """Order of an intent, unless it never took effect and may be placed again."""
        order = self.order(self._by_intent.get(intent_id, ""))
        if order is None or (order.state is OrderState.REJECTED and not order.filled_e6):
            return None
        return order

    def market(self, condition_id: str) -> Market:
        return self._markets[condition_id]

    def watch(self, market: Market) -> None:
        self._markets[market.condition_id] = market
        self._changed()

    def trade_queries(self, recent_ns: int | None = None) -> list[tuple[str | None, int]]:
        """Which trades to ask for: market (None for all of them) and epoch second to look from.

        With `recent_ns` only markets where something may still change: an order that is open,
        in doubt or changed since then, or a fill that is not final.
        """
        stamps = [
            (life.request.condition_id, life.order.created_ns)
            for life in self._lives.values()
            if recent_ns is None or life.unsettled or life.order.updated_ns >= recent_ns
        ]
        stamps += [
            (fill.condition_id, fill.matched_ns)
            for fill in self.portfolio.fills()
            if recent_ns is None or fill.status not in _FINAL
        ]
        oldest: dict[str | None, int] = {}
        for condition_id, at_ns in stamps:
            oldest[condition_id] = min(oldest.get(condition_id, at_ns), at_ns)
        if len(oldest) > _FEW_MARKETS:
            oldest = {None: min(oldest.values())}
        return [(condition_id, since_s(at_ns)) for condition_id, at_ns in oldest.items()]

    def reserved_cash_e6(self) -> int:
        """Worked out again only after an order or a market changed."""
        if self._reserved_e6 is None:
            self._reserved_e6 = sum(
                reserved_cash_e6(
                    life.order,
                    self._markets[life.request.condition_id],
                    spent_e6=life.spent_e6,
                    rests=life.rests,
                )
                for life in self.open_lives()
            )
        return self._reserved_e6

    def reserved_shares_e6(self, token_id: str) -> int:
        return sum(
            reserved_shares_e6(life.order)
            for life in self.open_lives()
            if life.request.token_id == token_id
        )

    # --- changing -----------------------------------------------------------------------------

    def load(self, state: JournalState) -> None:
        """Take up the journal's rows; every order that is not terminal is in doubt afterwards."""
        self.portfolio.load(state.fills, state.settled_cash_e6)
        for market in state.markets:
            self.watch(market)
        legs: dict[str, dict[str, Fill]] = {}
        for fill in state.fills:
            legs.setdefault(fill.order_id, {})[fill.trade_id] = fill
            self._first_fills.setdefault(fill.order_id, fill)
        for order in (*state.ended, *state.orders):
            fills = legs.get(order.order_id, {})
            if order.filled_e6 and not fills:
                self._leave(order)
                continue
            if order.state.terminal:
                self._done.add(order.order_id)
            self.add(known(order, fills))
            self.tell(order.order_id, Recalled())
        for life in tuple(self.open_lives()):
            self.tell(life.order.order_id, Lost("the session restarted"))

    def _leave(self, order: Order) -> None:
        """Close an order whose market was settled: its fills must not count a second time."""
        if not order.state.terminal:
            log.error("open_order_in_settled_market", agent=self.agent, order_id=order.order_id)
            note = "its market was settled"
            now = self._clock.now_ns()
            self._rows.append(order.to(OrderState.CANCELLED, note=note, updated_ns=now))

    def add(self, life: OrderLife) -> None:
        order = life.order
        self._by_intent[order.request.intent_id] = order.order_id
        self._keep(life)

    def drop(self, order_id: str) -> None:
        """Take out an order that was never committed, so never sent."""
        life = self._lives.pop(order_id)
        self._changed()
        self._open.pop(order_id, None)
        self.doubtful.pop(order_id, None)
        if self._by_intent.get(life.request.intent_id) == order_id:
            del self._by_intent[life.request.intent_id]

    def tell(self, order_id: str, signal: Signal, *, quietly: bool = False) -> Order:
        """Apply a signal to an order of ours; `quietly` leaves out `on_done`."""
        before = self._lives[order_id]
        life = advance(before, signal, self._clock.now_ns())
        self._keep(life)
        if life.order != before.order:
            self._rows.append(life.order)
        if before.order.state.terminal and not life.order.state.terminal:
            log.warning("dead_order_lives", agent=self.agent, order_id=order_id)
            self.revived.append(order_id)
        if quietly:
            self._done.add(order_id)
        self._announce(life.order)
        return life.order

    def hear(self, update: OrderUpdate) -> None:
        """Take the user channel's word on an order; other agents' orders are ignored."""
        if update.order_id in self._lives:
            word = Reported(update.state, update.size_matched_e6, update.note)
            self.tell(update.order_id, word)

    def trade(self, trade: VenueTrade) -> list[Fill]:
        """Count our legs of a venue trade, each once; return the fills that are new or changed."""
        changed = []
        for leg in _merged(trade.legs):
            fill = self._fill(trade, leg)
            if fill is None or self._apply(fill) is FillChange.NONE:
                continue
            changed.append(fill)
        return changed

    def forget(self, condition_id: str) -> None:
        """Drop a market's terminal orders; open ones stay."""
        for order_id, life in list(self._lives.items()):
            if life.request.condition_id == condition_id and life.order.state.terminal:
                self.drop(order_id)
                self._done.discard(order_id)
        for order_id, fill in list(self._first_fills.items()):
            if fill.condition_id == condition_id and order_id not in self._lives:
                del self._first_fills[order_id]

    def _changed(self) -> None:
        """Forget what was worked out of the open orders."""
        self._opened.clear()
        self._reserved_e6 = None

    def _keep(self, life: OrderLife) -> None:
        order_id = life.order.order_id
        self._changed()
        self._lives[order_id] = life
        if life.order.state.terminal:
            self._open.pop(order_id, None)
        else:
            self._open.setdefault(order_id)
        if life.doubtful:
            self.doubtful.setdefault(order_id, self._clock.now_ns())
        else:
            self.doubtful.pop(order_id, None)

    def _fill(self, trade: VenueTrade, leg: VenueLeg) -> Fill | None:
        life = self._lives.get(leg.order_id)
        first = self._first_fills.get(leg.order_id)
        if life is not None:
            outcome = life.request.outcome
        elif first is not None:
            outcome = first.outcome
        else:
            return None
        market = self._markets.get(trade.condition_id)
        if market is not None and leg.token_id in (market.up_token, market.down_token):
            outcome = market.outcome(leg.token_id)
        return Fill(
            trade_id=trade.trade_id,
            order_id=leg.order_id,
            agent=self.agent,
            condition_id=trade.condition_id,
            token_id=leg.token_id,
            outcome=outcome,
            side=leg.side,
            role=leg.role,
            size_e6=leg.size_e6,
            cash_e6=leg.cash_e6,
            fee_e6=leg.fee_e6,
            status=trade.status,
            matched_ns=trade.matched_ns,
            transaction_hash=trade.transaction_hash,
        )

    def _apply(self, fill: Fill) -> FillChange:
        change = self.portfolio.apply(fill)
        if change is FillChange.NONE:
            return change
        # The fill's row goes before its order's, so that a terminal row means complete books.
        self._rows.append(fill)
        self._first_fills.setdefault(fill.order_id, fill)
        order = None
        if fill.order_id in self._lives:
            self._muted = True
            order = self.tell(fill.order_id, Counted(fill))
            self._muted = False
        if change in (FillChange.NEW, FillChange.REVERSED):
            self._call(self._on_fill, fill)
        if order is not None:
            self._announce(order)
        return change

    def _announce(self, order: Order) -> None:
        """Say once that an order ended, after its fills were told."""
        if self._muted or not order.state.terminal or order.order_id in self._done:
            return
        self._done.add(order.order_id)
        self._call(self._on_done, order)

    def _call(self, callback: Callable[..., None], subject: Fill | Order) -> None:
        """Pass news on. The books must stay right whatever the listener does with them."""
        try:
            callback(subject)
        except Exception:
            log.exception("order_listener_failed", agent=self.agent, order_id=subject.order_id)

    # --- writing down -------------------------------------------------------------------------

    @property
    def unwritten(self) -> int:
        """Rows that wait for the journal."""
        return len(self._rows)

    async def write_one(self) -> None:
        """Commit the oldest row; it stays first in line if that fails."""
        row = self._rows[0]
        if isinstance(row, Fill):
            await self._journal.fill(row)
        else:
            await self._journal.order_changed(row)
        self._rows.popleft()


def since_s(at_ns: int, slack_s: int = 60) -> int:
    """Epoch second from which a query surely shows what happened at `at_ns`.

    The venue filters by its own clock; the slack is for how far ours may be ahead of it.
    """
    return max(0, at_ns // 1_000_000_000 - slack_s)


def _merged(legs: Iterable[VenueLeg]) -> list[VenueLeg]:
    """Add up legs of the same order: a fill is one order's whole part in a trade."""
    merged: dict[str, VenueLeg] = {}
    for leg in legs:
        other = merged.get(leg.order_id)
        merged[leg.order_id] = (
            leg
            if other is None
            else replace(
                other,
                size_e6=other.size_e6 + leg.size_e6,
                cash_e6=other.cash_e6 + leg.cash_e6,
                fee_e6=other.fee_e6 + leg.fee_e6,
            )
        )
    return list(merged.values())
