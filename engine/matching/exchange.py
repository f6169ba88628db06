"""The exchange: orders in, events out. A thin face over compiled loops."""

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.matching import refusals, snapshot
from engine.matching.kernels import layout as at
from engine.matching.kernels import orders as kernels
from engine.matching.ledger import HOUSE
from engine.matching.market import Entry, MarketState
from engine.matching.trading import NEVER, Levels, Trading
from engine.matching.types import (
    CancelReason,
    CancelRefused,
    CoreEvent,
    CoreOrder,
    OrderRefused,
    OrderStatus,
    Resolved,
    TickChanged,
)
from models.errors import BadValue
from models.markets import Outcome, Side
from models.orders import OrderState
from models.units import PRICE_ONE

__all__ = ["HOUSE", "Exchange"]


class Exchange(Trading):
    """An exchange for binary markets: price-time priority, exact money, no clock of its own.

    Every call that may trade takes the time, and time only moves through these calls: what became
    due since the last one (expiries, taker delays) is done first and its events come first. A
    call that raises has changed nothing else; such due events then come with the next call.

    Not thread-safe; the result depends on nothing but the calls made.
    """

    # --- orders -------------------------------------------------------------------------------

    def submit(self, order: CoreOrder, now_ns: int) -> list[CoreEvent]:
        """Enter an order: `Placed` comes first, then trades, levels and what else follows.

        Raises
        ------
        OrderRefused
            With the venue's text. Nothing changed.
        """
        events = self.advance(now_ns) if self._next_ns <= now_ns or self._pending else []
        try:
            self._submit(order, now_ns, events)
        except OrderRefused:
            self._pending = events
            raise
        return events

    def restore_order(
        self,
        order: CoreOrder,
        filled_e6: int,
        cash_e6: int,
        now_ns: int,
        *,
        fee_e6: int = 0,
        due_ns: int | None = None,
    ) -> list[CoreEvent]:
        """Put an open order of an earlier life back; there is no `Placed` for it.

        It was checked when it was first entered, so minimum size, decimals and taker delay do
        not apply to what is left of it. What rests goes to the back of its level: restore orders
        in the sequence in which they were entered. What crosses somebody's order trades.

        Parameters
        ----------
        filled_e6, cash_e6, fee_e6
            Shares it had filled, and its cash and fees for them.
        due_ns
            When its taker delay ends; None for an order that rested. Until then it cannot be
            cancelled and its cash or shares are set aside; then it meets the book, with the
            balance checked anew. Restore it before the first `advance` beyond that time.

        Raises
        ------
        BadValue
            The order is known already, filled whole or never rests; the market is not open; or
            the account does not cover it. Nothing changed.
        """
        events: list[CoreEvent] = []
        state, entry = self._known_again(order, filled_e6, cash_e6, fee_e6)
        if due_ns is None:
            self._rest_again(state, entry, now_ns, events)
        else:
            self._delay_again(state, entry, due_ns)
        return events

    def cancel(self, order_id: str, now_ns: int) -> list[CoreEvent]:
        """Cancel a resting order.

        Raises
        ------
        CancelRefused
            It does not rest: unknown, ended, or in its taker delay.
        """
        events = self.advance(now_ns)
        entry = self._entries.get(order_id)
        if entry is None or not entry.row:
            self._pending = events
            raise CancelRefused(_why_not(entry))
        self._cancel(entry, CancelReason.USER, events)
        return events

    def cancel_account(
        self,
        account: str,
        now_ns: int,
        condition_id: str | None = None,
        token_id: str | None = None,
    ) -> list[CoreEvent]:
        """Cancel an account's resting orders, of one market or token if given; oldest first.

        Orders in their taker delay stay.
        """
        events = self.advance(now_ns)
        for entry in list(self._open[self._account(account)].values()):
            order = entry.order
            if not entry.row or (condition_id is not None and order.condition_id != condition_id):
                continue
            if token_id is None or order.token_id == token_id:
                self._cancel(entry, CancelReason.USER, events)
        return events

    def advance(self, now_ns: int) -> list[CoreEvent]:
        """Do what became due: release delayed orders, end expired ones, oldest first."""
        events, self._pending = self._pending, []
        while self._next_ns <= now_ns:
            when_ns, _, order_id = heapq.heappop(self._timers)
            self._next_ns = self._timers[0][0] if self._timers else NEVER
            entry = self._entries.get(order_id)
            if entry is None or entry.state.terminal:
                continue
            if entry.state is OrderState.DELAYED:
                self._release(entry, when_ns, events)
            elif entry.row:
                self._cancel(entry, CancelReason.EXPIRED, events)
        return events

    def next_due_ns(self) -> int | None:
        """When `advance` has something to do next, None when nothing is waiting."""
        return None if self._next_ns == NEVER else self._next_ns

    # --- liquidity ----------------------------------------------------------------------------

    def impose(
        self,
        condition_id: str,
        account: str,
        bids: Sequence[tuple[int, int]],
        asks: Sequence[tuple[int, int]],
        now_ns: int,
    ) -> list[CoreEvent]:
        """Make an unlimited account's resting size at each of Up's levels equal the target.

        Levels are (price_e4, size_e6) in any order; levels not named go to zero. What is too
        much leaves from the back of the account's own orders, what is missing is added at the
        back of the level; the rest keeps its place. What crosses somebody's resting order trades
        with it. The orders are nameless: they show in trades and levels only.

        Raises
        ------
        BadValue
            Bids and asks cross each other, a level is off the grid or named twice, or the account
            is limited.
        """
        state = self._state(condition_id)
        number = self._unlimited(account)
        targets = _targets(state, bids, asks)
        events = self.advance(now_ns)
        if state.winner is not None:
            return events
        self._make_room(state, len(targets))
        n = state.call(kernels.impose, self._accounts, self._out, number, targets, self._want)
        self._read(state, n, 1, number, 0, now_ns, events)
        return events

    def take(
        self,
        condition_id: str,
        account: str,
        token_id: str,
        side: Side,
        price_e4: int,
        size_e6: int,
        now_ns: int,
    ) -> list[CoreEvent]:
        """Let an unlimited account trade what it can up to a limit, with a nameless order.

        Nothing rests, minimum and taker delay do not apply, and finding nothing is no error: a
        recorded public trade played back.
        """
        state = self._state(condition_id)
        number = self._unlimited(account)
        kinds = state.kinds.get(token_id)
        if kinds is None or not 0 < price_e4 < PRICE_ONE or not 0 < size_e6 <= at.MAX_SIZE:
            raise BadValue(
                f"taker in {state.market.slug}: token {token_id}, price {price_e4} e4, "
                f"size {size_e6} e6 cannot trade there"
            )
        kind = kinds[0] if side is Side.BUY else kinds[1]
        events = self.advance(now_ns)
        if state.winner is not None:
            return events
        self._make_room(state, 1)
        n = state.call(
            kernels.submit, self._accounts, self._out,
            number, kind, price_e4, size_e6, size_e6, at.GTC, at.RELEASED | at.TAKE_ONLY,
        )  # fmt: skip
        self._read(state, n, 1, number, kind, now_ns, events)
        return events

    # --- markets ------------------------------------------------------------------------------

    def set_tick(self, condition_id: str, tick_e4: int) -> list[CoreEvent]:
        """Change a market's tick by hand; resting orders stay."""
        state = self._state(condition_id)
        if tick_e4 not in refusals.AMOUNT_DECIMALS:
            raise BadValue(f"tick_e4 {tick_e4} is none of {list(refusals.AMOUNT_DECIMALS)}")
        old = state.tick_e4
        if old == tick_e4:
            return []
        state.head[at.TICK] = tick_e4
        return [TickChanged(condition_id, old, tick_e4)]

    def resolve(self, condition_id: str, winner: Outcome, now_ns: int) -> list[CoreEvent]:
        """Settle a market: every order is cancelled, each winning share becomes 1 pUSD.

        Raises `BadValue` when it is resolved already.
        """
        state = self._state(condition_id)
        if state.winner is not None:
            raise BadValue(f"market {state.market.slug} is resolved already: {state.winner}")
        events = self.advance(now_ns)
        for entry in list(state.delayed.values()):
            self._unhold(state, entry)
            self._end(entry, CancelReason.RESOLVED, events)
        self._make_room(state, 0)
        n = state.call(kernels.drain, self._accounts, self._out)
        self._read(state, n, 0, 0, 0, now_ns, events, CancelReason.RESOLVED)
        state.winner = winner
        events.append(Resolved(condition_id, winner))
        self._redeem(state, winner, events)
        return events

    def adjust(self, account: str, token_id: str, cash_e6: int = 0, shares_e6: int = 0) -> None:
        """Correct an account against the exchange's own, as when a fill is reverted on chain.

        The account may end below zero; its newest orders that it can no longer cover are then
        cancelled, and their events come with the next call. In a resolved market shares are
        corrected as the cash they became.
        """
        state, number = self._of_token(token_id), self._account(account)
        token = state.token_index(token_id)
        if state.winner is not None:
            cash_e6 += shares_e6 if state.market.outcome(token_id) is state.winner else 0
            shares_e6 = 0
        self._accounts[number, at.CASH] += cash_e6
        self._accounts[0, at.CASH] -= cash_e6
        state.held[number, token] += shares_e6
        state.held[0, token] -= shares_e6
        if not self._accounts[number, at.UNLIMITED]:
            self._cancel_uncovered(number, state, token)

    # --- looking ------------------------------------------------------------------------------

    def book(self, condition_id: str, outcome: Outcome) -> tuple[Levels, Levels]:
        """Bids and asks of a token, (price_e4, size_e6), best first."""
        state = self._state(condition_id)
        bids, asks = self._depth(state, at.BID), self._depth(state, at.ASK)
        if outcome is Outcome.UP:
            return bids, asks
        return (
            [(PRICE_ONE - price, size) for price, size in asks],
            [(PRICE_ONE - price, size) for price, size in bids],
        )

    def best(self, condition_id: str) -> tuple[int | None, int | None]:
        """Up's best bid and ask in e4, None where a side is empty."""
        head = self._state(condition_id).head
        bid, ask = int(head[at.BEST_BID]), int(head[at.BEST_ASK])
        return bid or None, ask if ask < PRICE_ONE else None

    def order(self, order_id: str) -> OrderStatus | None:
        """An order by its id, ended ones too until their market is removed."""
        entry = self._entries.get(order_id)
        return None if entry is None else _status(entry)

    def open_orders(self, account: str) -> list[OrderStatus]:
        """Resting and delayed orders of an account, oldest first."""
        return [_status(entry) for entry in self._open[self._account(account)].values()]

    def snapshot(self) -> bytes:
        """Everything as JSON bytes; equal states give equal bytes.

        Raises `BadValue` while events wait for the next call; call `advance` first.
        """
        if self._pending:
            raise BadValue(f"{len(self._pending)} events are not told yet; call advance first")
        return snapshot.encode(self, self._report.trades, self._timers)

    @classmethod
    def restore(cls, data: bytes) -> "Exchange":
        """Build the exchange that `snapshot` wrote down. Raises `BadValue` for other bytes."""
        image = snapshot.decode(data)
        exchange = cls(image.config)
        snapshot.fill(exchange, image, exchange._out)
        exchange._report.trades = image.trades
        exchange._timers = snapshot.timers_of(image)
        exchange._timer_count = len(exchange._timers)
        exchange._next_ns = exchange._timers[0][0] if exchange._timers else NEVER
        return exchange


def _targets(state: MarketState, bids: Sequence[Any], asks: Sequence[Any]) -> at.Array:
    """Rows (side, price, size) for the impose loop. Raises `BadValue` for an impossible book."""
    rows = [(at.BID, price, size) for price, size in bids]
    rows += [(at.ASK, price, size) for price, size in asks]
    slug = state.market.slug
    if len({row[:2] for row in rows}) < len(rows):
        raise BadValue(f"book for {slug}: a level is named twice")
    for _, price, size in rows:
        if not 0 < price < PRICE_ONE or not 0 <= size <= at.MAX_SIZE:
            raise BadValue(f"book for {slug}: level {price} e4 x {size} e6 is off the grid")
    best_bid = max((price for price, size in bids if size), default=0)
    best_ask = min((price for price, size in asks if size), default=PRICE_ONE)
    if best_bid >= best_ask:
        raise BadValue(f"book for {slug}: bid {best_bid} e4 crosses ask {best_ask} e4")
    return np.array(rows, np.int64).reshape(-1, 3)


def _status(entry: Entry) -> OrderStatus:
    return OrderStatus(
        entry.order, entry.state, entry.filled_e6, entry.cash_e6, entry.fee_e6, entry.reason
    )


def _why_not(entry: Entry | None) -> str:
    if entry is None:
        return refusals.NOT_FOUND
    if entry.state is OrderState.DELAYED:
        return refusals.DELAYED
    return refusals.ALREADY_MATCHED if entry.state is OrderState.FILLED else refusals.NOT_FOUND
