"""How orders run through the compiled loops and come back as events and entries."""

import heapq

import numpy as np
from msgspec import structs

from engine.matching import refusals
from engine.matching.kernels import layout as at
from engine.matching.kernels import orders as kernels
from engine.matching.ledger import Ledger
from engine.matching.market import TIFS, Entry, MarketState
from engine.matching.report import Reporter, Row, cancelled, end
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
from models.markets import Outcome, Side, taker_fee_e6
from models.orders import OrderState, TimeInForce
from models.units import PRICE_ONE, SECOND_NS

NEVER = 2**63 - 1
_STATES = (OrderState.LIVE, OrderState.FILLED, OrderState.CANCELLED, OrderState.DELAYED)
"""By the loops' result: RESTS, FILLED, DROPPED, HELD."""
# Names of this module, because looking a member up in its enum costs as much as matching.
_BUY, _GTC, _GTD = Side.BUY, TimeInForce.GTC, TimeInForce.GTD
_LIVE, _PARTIAL, _FILLED = OrderState.LIVE, OrderState.PARTIAL, OrderState.FILLED
_USER = CancelReason.USER
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
        self._report = Reporter(self._names, self._open)
        self._out = np.zeros((1024, at.OUT_FIELDS), np.int64)
        self._want = np.zeros((2, PRICE_ONE + 1), np.int64)

    # --- entering -----------------------------------------------------------------------------

    def _submit(self, order: CoreOrder, now_ns: int, events: list[CoreEvent]) -> None:
        state = self._states.get(order.condition_id)
        if state is None or state.winner is not None:
            raise OrderRefused("closed", refusals.NO_BOOK)
        kinds = state.kinds.get(order.token_id)
        if kinds is None:
            raise OrderRefused("other", refusals.UNKNOWN_ASSET)
        order_id = order.order_id
        if order_id in self._entries:
            raise refusals.duplicated(order_id)
        account = self._index.get(order.account)
        if account is None:
            raise OrderRefused("balance", refusals.NO_BALANCE)
        if order.expires_s or order.tif is _GTD:
            self._check_expiry(order, now_ns)
        kind = kinds[0] if order.side is _BUY else kinds[1]
        n = self._enter(state, account, kind, order, at.POST_ONLY if order.post_only else 0)
        if n < 0:
            raise refusals.refused(
                n, order, state.tick_e4, state.market.min_size_e6, self.config.min_market_buy_e6
            )
        rows: list[Row] = self._out[:n].tolist()
        result = rows[0][1]
        entry = self._entries[order_id] = Entry(order, account, kind)
        self._open[account][order_id] = entry
        events.append(Placed(order.condition_id, order, _STATES[result]))
        if result == at.HELD:
            entry.state = OrderState.DELAYED
            entry.held_e6 = rows[0][4]
            state.delayed[order_id] = entry
            self._remind(now_ns + state.delay_ns, order_id)
        else:
            self._finish(state, entry, rows, now_ns, events)

    def _enter(
        self, state: MarketState, account: int, kind: int, order: CoreOrder, flags: int
    ) -> int:
        if state.spare < 1:
            self._make_room(state, 1)
        state.spare -= 1
        tif = order.tif
        return kernels.submit(
            state.head, state.levels, state.orders, state.held, self._accounts, self._out,
            account, kind, order.price_e4, order.size_e6,
            order.maker_amount_e6 if order.side is _BUY else order.taker_amount_e6,
            at.GTC if tif is _GTC else TIFS[tif], flags,
        )  # fmt: skip

    def _finish(
        self,
        state: MarketState,
        entry: Entry,
        rows: list[Row],
        now_ns: int,
        events: list[CoreEvent],
    ) -> None:
        """Tell what an order that met the book did there, and keep its entry."""
        order, result = entry.order, rows[0][1]
        if len(rows) > 1:
            self._report.read(state, rows, 1, entry, entry.kind, now_ns, _USER, events)
        if result == at.RESTS:
            entry.row = rows[0][2]
            state.entries[entry.row] = entry
            entry.state = _PARTIAL if entry.filled_e6 else _LIVE
            if order.tif is _GTD:
                death_s = order.expires_s - self.config.gtd_early_s
                self._remind(death_s * SECOND_NS, order.order_id)
        elif result == at.FILLED:
            entry.state = _FILLED
            del self._open[entry.account][order.order_id]
        elif order.tif.immediate:
            self._end(entry, CancelReason.FAK_REST, events)
        else:
            self._end(entry, CancelReason.SELF_TRADE, events)

    # --- coming back --------------------------------------------------------------------------

    def _known_again(
        self, order: CoreOrder, filled_e6: int, cash_e6: int, fee_e6: int
    ) -> tuple[MarketState, Entry]:
        """Note an order of an earlier life. Raises `BadValue` for one that cannot be open."""
        state, account = self._state(order.condition_id), self._account(order.account)
        kinds = state.kinds.get(order.token_id)
        if kinds is None or state.winner is not None or not 0 <= filled_e6 < order.size_e6:
            raise BadValue(
                f"order {order.order_id}: {filled_e6} of {order.size_e6} e6 filled; it can't be "
                f"open in {state.market.slug} any more"
            )
        if order.order_id in self._entries:
            raise BadValue(f"order {order.order_id} is on the exchange already; restore it once")
        entry = Entry(order, account, kinds[0 if order.side is _BUY else 1])
        entry.filled_e6, entry.cash_e6, entry.fee_e6 = filled_e6, cash_e6, fee_e6
        return state, entry

    def _rest_again(
        self, state: MarketState, entry: Entry, now_ns: int, events: list[CoreEvent]
    ) -> None:
        """Let what is left of an order rest again; `RELEASED` passes the checks of new orders."""
        order = entry.order
        if order.tif.immediate:
            raise BadValue(f"order {order.order_id}: {order.tif.value} orders never rest")
        rest = structs.replace(order, size_e6=order.size_e6 - entry.filled_e6)
        n = self._enter(state, entry.account, entry.kind, rest, at.RELEASED)
        if n < 0:
            raise BadValue(f"order {order.order_id} is not covered by {order.account!r} any more")
        rows: list[Row] = self._out[:n].tolist()
        self._entries[order.order_id] = entry
        self._open[entry.account][order.order_id] = entry
        self._finish(state, entry, rows, now_ns, events)

    def _delay_again(self, state: MarketState, entry: Entry, due_ns: int) -> None:
        """Set aside what a delayed order may cost at its limit, and wait for `due_ns`."""
        order, account = entry.order, entry.account
        if order.side is _BUY:
            free = self.balance(order.account).free_e6
            need = order.maker_amount_e6
            covered = need <= free
            fee = taker_fee_e6(order.price_e4, order.size_e6, state.market.fee)
            entry.held_e6 = min(free, need + fee)
        else:
            held, locked = self.shares(order.account, order.token_id)
            covered = order.size_e6 <= held - locked
        unlimited = bool(self._accounts[account, at.UNLIMITED])
        if not covered and not unlimited:
            raise BadValue(f"order {order.order_id} is not covered by {order.account!r} any more")
        entry.held_e6 = 0 if unlimited else entry.held_e6
        entry.state = OrderState.DELAYED
        self._entries[order.order_id] = state.delayed[order.order_id] = entry
        self._open[account][order.order_id] = entry
        state.call(
            kernels.release, self._accounts, self._out,
            account, entry.kind, -order.size_e6, -entry.held_e6,
        )  # fmt: skip
        self._remind(due_ns, order.order_id)

    # --- leaving ------------------------------------------------------------------------------

    def _release(self, entry: Entry, now_ns: int, events: list[CoreEvent]) -> None:
        """Let an order meet the book after its taker delay."""
        order = entry.order
        state = self._states[order.condition_id]
        self._unhold(state, entry)
        n = self._enter(state, entry.account, entry.kind, order, at.RELEASED)
        if n < 0:
            events.append(Released(order.condition_id, order, OrderState.CANCELLED))
            self._end(entry, _UNRELEASABLE[n], events)
            return
        rows: list[Row] = self._out[:n].tolist()
        events.append(Released(order.condition_id, order, _STATES[rows[0][1]]))
        self._finish(state, entry, rows, now_ns, events)

    def _unhold(self, state: MarketState, entry: Entry) -> None:
        del state.delayed[entry.order.order_id]
        state.call(
            kernels.release, self._accounts, self._out,
            entry.account, entry.kind, entry.order.size_e6, entry.held_e6,
        )  # fmt: skip
        entry.held_e6 = 0

    def _cancel(self, entry: Entry, reason: CancelReason, events: list[CoreEvent]) -> None:
        state = self._states[entry.order.condition_id]
        n = kernels.cancel(
            state.head, state.levels, state.orders, state.held, self._accounts, self._out,
            entry.row,
        )  # fmt: skip
        self._report.read(state, self._out[:n].tolist(), 0, entry, entry.kind, 0, reason, events)

    def _end(self, entry: Entry, reason: CancelReason, events: list[CoreEvent]) -> None:
        end(entry, reason)
        self._open[entry.account].pop(entry.order.order_id, None)
        events.append(cancelled(entry, reason, entry.open_e6))

    # --- markets ------------------------------------------------------------------------------

    def _read(
        self,
        state: MarketState,
        n: int,
        first: int,
        taker: Entry | int,
        kind: int,
        now_ns: int,
        events: list[CoreEvent],
        reason: CancelReason = CancelReason.USER,
    ) -> None:
        """Append the events of the `n` rows just written."""
        if n > first:
            rows: list[Row] = self._out[:n].tolist()
            self._report.read(state, rows, first, taker, kind, now_ns, reason, events)

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
        """Let so many more orders rest, and whatever then happens be reported."""
        state.make_room(orders)
        needed = 3 * len(state.orders) + 4 * orders + 16
        if needed > len(self._out):
            self._out = np.zeros((needed, at.OUT_FIELDS), np.int64)

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
