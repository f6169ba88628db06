"""How orders run through the compiled loops and come back as events and entries."""

import heapq

import numpy as np

from engine.matching import refusals
from engine.matching.kernels import layout as at
from engine.matching.kernels import orders as kernels
from engine.matching.ledger import Ledger
from engine.matching.market import TIFS, Entry, MarketState
from engine.matching.report import Reporter, cancelled, end
from engine.matching.types import (
    CancelReason,
    CoreEvent,
    CoreOrder,
    ExchangeConfig,
    OrderRefused,
    Placed,
    Redeemed,
    Released,
)
from models.errors import BadValue
from models.markets import Outcome, Side
from models.orders import OrderState, TimeInForce
from models.units import PRICE_ONE, SECOND_NS

NEVER = 2**63 - 1
_STATES = {
    at.RESTS: OrderState.LIVE,
    at.FILLED: OrderState.FILLED,
    at.DROPPED: OrderState.CANCELLED,
}
_UNRELEASABLE = {
    at.NO_BALANCE: CancelReason.BALANCE,
    at.FOK_UNFILLED: CancelReason.FOK_KILLED,
    at.FAK_UNMATCHED: CancelReason.FAK_KILLED,
}

Levels = list[tuple[int, int]]
"""(price_e4, size_e6), best first."""


class Trading(Ledger):
    """A ledger whose markets trade; `engine.matching.exchange.Exchange` is its public face."""

    def __init__(self, config: ExchangeConfig | None = None) -> None:
        super().__init__(config)
        self._timers: list[tuple[int, int, str]] = []
        self._timer_count = 0
        self._next_ns = NEVER
        self._pending: list[CoreEvent] = []
        self._report = Reporter(self._names)
        self._out = np.zeros((1024, at.OUT_FIELDS), np.int64)
        self._want = np.zeros((2, PRICE_ONE + 1), np.int64)

    def _submit(self, order: CoreOrder, now_ns: int, events: list[CoreEvent]) -> None:
        state = self._states.get(order.condition_id)
        if state is None or state.winner is not None:
            raise OrderRefused("closed", refusals.NO_BOOK)
        kind = state.kinds.get((order.token_id, order.side))
        if kind is None:
            raise OrderRefused("other", refusals.UNKNOWN_ASSET)
        if order.order_id in self._entries:
            raise refusals.duplicated(order.order_id)
        account = self._index.get(order.account)
        if account is None:
            raise OrderRefused("balance", refusals.NO_BALANCE)
        if order.expires_s or order.tif is TimeInForce.GTD:
            self._check_expiry(order, now_ns)
        buys = order.side is Side.BUY
        rows = self._enter(
            state, account, kind, order,
            order.maker_amount_e6 if buys else order.taker_amount_e6,
            at.POST_ONLY if order.post_only else 0,
        )  # fmt: skip
        if rows < 0:
            raise refusals.refused(
                rows, order, state.tick_e4, state.market.min_size_e6,
                self.config.min_market_buy_e6,
            )  # fmt: skip
        entry = Entry(order, account, kind)
        self._entries[order.order_id] = entry
        self._open[account][order.order_id] = entry
        done = self._out[0].tolist()
        if done[1] == at.HELD:
            entry.state = OrderState.DELAYED
            entry.held_e6 = done[4]
            state.delayed[order.order_id] = entry
            self._remind(now_ns + state.delay_ns, order.order_id)
            events.append(Placed(order.condition_id, order, OrderState.DELAYED))
            return
        events.append(Placed(order.condition_id, order, _STATES[done[1]]))
        self._finish(state, entry, done, rows, now_ns, events)

    def _enter(
        self,
        state: MarketState,
        account: int,
        kind: int,
        order: CoreOrder,
        cash_e6: int,
        flags: int,
    ) -> int:
        self._make_room(state, 1)
        return kernels.submit(
            state.head, state.levels, state.orders, state.held, self._accounts, self._out,
            account, kind, order.price_e4, order.size_e6, cash_e6, TIFS[order.tif], flags,
        )  # fmt: skip

    def _finish(
        self,
        state: MarketState,
        entry: Entry,
        done: list[int],
        rows: int,
        now_ns: int,
        events: list[CoreEvent],
    ) -> None:
        """Tell what an order that met the book did there, and keep its entry."""
        order, result = entry.order, done[1]
        self._tell(state, 1, rows, entry, now_ns, CancelReason.USER, events)
        if result == at.RESTS:
            entry.row = done[2]
            state.entries[entry.row] = entry
            entry.state = OrderState.PARTIAL if entry.filled_e6 else OrderState.LIVE
            if order.tif is TimeInForce.GTD:
                death_s = order.expires_s - self.config.gtd_early_s
                self._remind(death_s * SECOND_NS, order.order_id)
            return
        if result == at.FILLED:
            entry.state = OrderState.FILLED
            del self._open[entry.account][order.order_id]
            return
        immediate = order.tif.immediate
        self._end(entry, CancelReason.FAK_REST if immediate else CancelReason.SELF_TRADE, events)

    def _release(self, entry: Entry, now_ns: int, events: list[CoreEvent]) -> None:
        order = entry.order
        state = self._states[order.condition_id]
        self._unhold(state, entry)
        buys = order.side is Side.BUY
        rows = self._enter(
            state, entry.account, entry.kind, order,
            order.maker_amount_e6 if buys else order.taker_amount_e6, at.RELEASED,
        )  # fmt: skip
        if rows < 0:
            events.append(Released(order.condition_id, order, OrderState.CANCELLED))
            self._end(entry, _UNRELEASABLE[rows], events)
            return
        done = self._out[0].tolist()
        events.append(Released(order.condition_id, order, _STATES[done[1]]))
        self._finish(state, entry, done, rows, now_ns, events)

    def _unhold(self, state: MarketState, entry: Entry) -> None:
        del state.delayed[entry.order.order_id]
        state.call(
            kernels.release, self._accounts, self._out,
            entry.account, entry.kind, entry.order.size_e6, entry.held_e6,
        )  # fmt: skip
        entry.held_e6 = 0

    def _cancel(self, entry: Entry, reason: CancelReason, events: list[CoreEvent]) -> None:
        state = self._states[entry.order.condition_id]
        rows = state.call(kernels.cancel, self._accounts, self._out, entry.row)
        self._tell(state, 0, rows, entry, 0, reason, events)

    def _end(self, entry: Entry, reason: CancelReason, events: list[CoreEvent]) -> None:
        end(entry, reason)
        self._open[entry.account].pop(entry.order.order_id, None)
        events.append(cancelled(entry, reason, entry.open_e6))

    def _tell(
        self,
        state: MarketState,
        first: int,
        rows: int,
        taker: Entry | int,
        now_ns: int,
        reason: CancelReason,
        events: list[CoreEvent],
        kind: int = 0,
    ) -> None:
        """Append the events of the rows just written."""
        if rows <= first:
            return
        ended: list[Entry] = []
        self._report.read(
            state, self._out[first:rows].tolist(), taker, kind, now_ns, reason, events, ended
        )
        for entry in ended:
            entry.row = 0
            del self._open[entry.account][entry.order.order_id]

    def _redeem(self, state: MarketState, winner: Outcome, events: list[CoreEvent]) -> None:
        won = at.UP if winner is Outcome.UP else at.DOWN
        market = state.market
        for number in np.flatnonzero(state.held[:, at.UP] | state.held[:, at.DOWN]):
            for token, token_id in ((at.UP, market.up_token), (at.DOWN, market.down_token)):
                size = int(state.held[number, token])
                if size:
                    cash = size if token == won else 0
                    self._accounts[number, at.CASH] += cash
                    events.append(
                        Redeemed(market.condition_id, self._names[number], token_id, size, cash)
                    )
        state.head[at.COLLATERAL] = 0
        state.held[:, [at.UP, at.DOWN]] = 0

    def _cancel_uncovered(self, number: int, state: MarketState, token: int) -> None:
        """Cancel an account's newest orders until what is left is covered again."""
        for entry in reversed(list(self._open[number].values())):
            buys = entry.order.side is Side.BUY
            cash = self._accounts[number, at.CASH] - self._accounts[number, at.CASH_LOCKED]
            held = state.held[number, token] - state.held[number, at.HELD_LOCKED + token]
            same = self._states[entry.order.condition_id] is state and entry.kind & 1 == token
            if entry.row and ((buys and cash < 0) or (not buys and same and held < 0)):
                self._cancel(entry, CancelReason.BALANCE, self._pending)

    def _depth(self, state: MarketState, side: int) -> Levels:
        self._make_room(state, 0)
        rows = state.call(kernels.depth, self._accounts, self._out, side)
        return [(row[2], row[3]) for row in self._out[:rows].tolist()]

    def _make_room(self, state: MarketState, orders: int) -> None:
        state.make_room(orders)
        needed = 3 * state.live + 4 * orders + 16
        if needed > len(self._out):
            self._out = np.zeros((2 * needed, at.OUT_FIELDS), np.int64)

    def _remind(self, when_ns: int, order_id: str) -> None:
        self._timer_count += 1
        heapq.heappush(self._timers, (when_ns, self._timer_count, order_id))
        self._next_ns = self._timers[0][0]

    def _check_expiry(self, order: CoreOrder, now_ns: int) -> None:
        least_ns = now_ns + self.config.min_gtd_s * SECOND_NS
        gtd = order.tif is TimeInForce.GTD
        if not gtd or order.expires_s * SECOND_NS < least_ns:
            raise OrderRefused("other", refusals.BAD_EXPIRATION)

    def _unlimited(self, account: str) -> int:
        number = self._account(account)
        if not self._accounts[number, at.UNLIMITED]:
            raise BadValue(f"account {account!r} is limited; open it with unlimited=True")
        return number
