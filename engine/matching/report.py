"""Reads the rows the compiled loops wrote and tells them as events."""

from collections.abc import Iterator

from engine.matching.kernels import layout as at
from engine.matching.market import Entry, MarketState
from engine.matching.types import (
    Cancelled,
    CancelReason,
    CoreEvent,
    CoreTrade,
    Leg,
    LevelChanged,
    Matched,
    MatchKind,
    TickChanged,
)
from models.markets import Side
from models.orders import OrderState, Role
from models.units import PRICE_ONE

Row = list[int]
_LEVEL_SIDE = (Side.BUY, Side.SELL)
# Names of this module, because looking a member up in its enum costs as much as matching.
_BUY, _TAKER, _MAKER = Side.BUY, Role.TAKER, Role.MAKER
_DIRECT, _MINT, _MERGE = MatchKind.DIRECT, MatchKind.MINT, MatchKind.MERGE
_FILLED, _PARTIAL = OrderState.FILLED, OrderState.PARTIAL


class Reporter:
    """Turns rows into events and keeps the named orders' state in step.

    Parameters
    ----------
    names
        Accounts' names by index.
    open_orders
        Open entries by account and id; those that end are taken out.

    Attributes
    ----------
    trades
        Trades so far; the last trade's number.
    """

    def __init__(self, names: list[str], open_orders: dict[int, dict[str, Entry]]) -> None:
        self._names = names
        self._open = open_orders
        self.trades = 0

    def read(
        self,
        state: MarketState,
        rows: list[Row],
        first: int,
        taker: Entry | int,
        taker_kind: int,
        now_ns: int,
        reason: CancelReason,
        events: list[CoreEvent],
    ) -> None:
        """Append the events of `rows` from `first` on to `events`.

        `taker` is the order the rows are about, or the account's index of a nameless one.
        `reason` is why orders were cancelled, unless a row says otherwise.
        """
        condition_id = state.market.condition_id
        walk = iter(rows[first:] if first else rows)
        for row in walk:
            what = row[0]
            if what == at.LEVEL:
                events.append(LevelChanged(condition_id, _LEVEL_SIDE[row[1]], row[2], row[3]))
            elif what == at.TRADE:
                self._trade(state, row, walk, taker, taker_kind, now_ns, events)
            elif what == at.CANCEL:
                self._cancel(state, row, reason, events)
            elif what == at.TIGHTENED:
                events.append(TickChanged(condition_id, row[1], row[2]))

    def _trade(
        self,
        state: MarketState,
        head: Row,
        walk: Iterator[Row],
        taker: Entry | int,
        taker_kind: int,
        now_ns: int,
        events: list[CoreEvent],
    ) -> None:
        _, up_price, size, cash, fee, legs = head[:6]
        makers: list[Leg] = []
        while len(makers) < legs:
            row = next(walk)
            if row[0] == at.LEG:
                # An imposed book may cross from either side; the taker stands across the maker.
                taker_kind = 2 * (1 - (row[4] >> 1)) + (taker_kind & 1)
                makers.append(self._maker(state, row, up_price, taker_kind))
            else:
                self._cancel(state, row, CancelReason.SELF_TRADE, events)
        if not makers:
            return
        self.trades += 1
        kind = makers[0].kind
        if legs > 1 and any(leg.kind is not kind for leg in makers):
            kind = MatchKind.MIXED
        leg = self._taker(state, taker, taker_kind, kind, up_price, size, cash, fee)
        condition_id = state.market.condition_id
        trade = CoreTrade(
            self.trades, condition_id, kind, leg, tuple(makers), leg.price_e4, size, fee, now_ns
        )
        events.append(Matched(condition_id, trade))

    def _taker(
        self,
        state: MarketState,
        taker: Entry | int,
        kind: int,
        match: MatchKind,
        up_price: int,
        size: int,
        cash: int,
        fee: int,
    ) -> Leg:
        token_id, outcome, side = state.sides[kind]
        if isinstance(taker, Entry):
            taker.filled_e6 += size
            taker.cash_e6 += cash
            taker.fee_e6 += fee
            order_id, account = taker.order.order_id, taker.order.account
            filled, left = taker.filled_e6, taker.open_e6
        else:
            account = self._names[taker]
            order_id = f"{account}/{state.number}/t{self.trades}"
            filled, left = size, 0
        return Leg(
            order_id, account, token_id, outcome, side, _TAKER, match,
            up_price if kind & 1 == at.UP else PRICE_ONE - up_price,
            size, cash, fee, filled, left,
        )  # fmt: skip

    def _maker(self, state: MarketState, row: Row, up_price: int, taker_kind: int) -> Leg:
        _, number, seq, account_index, kind, size, cash, left = row
        token_id, outcome, side = state.sides[kind]
        entry = state.entries.get(number)
        if entry is None:
            account = self._names[account_index]
            order_id = nameless(account, state.number, seq)
            filled = size
        else:
            order_id, account = entry.order.order_id, entry.order.account
            entry.filled_e6 += size
            entry.cash_e6 += cash
            filled = entry.filled_e6
            if left == 0:
                entry.state = _FILLED
                entry.row = 0
                del state.entries[number]
                del self._open[entry.account][order_id]
            else:
                entry.state = _PARTIAL
        pair = _MINT if side is _BUY else _MERGE
        match = _DIRECT if kind & 1 == taker_kind & 1 else pair
        return Leg(
            order_id, account, token_id, outcome, side, _MAKER, match,
            up_price if kind & 1 == at.UP else PRICE_ONE - up_price,
            size, cash, 0, filled, left,
        )  # fmt: skip

    def _cancel(
        self,
        state: MarketState,
        row: Row,
        reason: CancelReason,
        events: list[CoreEvent],
    ) -> None:
        entry = state.entries.pop(row[1], None)
        if entry is None:
            return
        if row[5] == at.BY_SELF_TRADE:
            reason = CancelReason.SELF_TRADE
        end(entry, reason)
        entry.row = 0
        del self._open[entry.account][entry.order.order_id]
        events.append(cancelled(entry, reason, row[4]))


def nameless(account: str, market: int, seq: int) -> str:
    """Name of an order that was never given one (see `Exchange.impose`)."""
    return f"{account}/{market}/{seq}"


def end(entry: Entry, reason: CancelReason) -> None:
    expired = reason is CancelReason.EXPIRED
    entry.state = OrderState.EXPIRED if expired else OrderState.CANCELLED
    entry.reason = reason


def cancelled(entry: Entry, reason: CancelReason, remaining_e6: int) -> Cancelled:
    order = entry.order
    return Cancelled(order.condition_id, order.order_id, order.account, reason, remaining_e6)
