"""The matching core with what a venue needs beyond it: placed queues, payments of its own."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise

from engine.matching import Exchange
from engine.matching.kernels import layout as at
from engine.matching.kernels.levels import append, remove
from engine.matching.market import MarketState
from models.errors import BadValue


class VenueExchange(Exchange):
    """An exchange whose queues can be arranged as a fill model says, and that pays rebates."""

    def pay(self, account: str, cash_e6: int) -> None:
        """Pay an account out of the exchange's own cash, which the fees of its markets feed.

        Raises `BadValue` for an unknown account or no cash.
        """
        if cash_e6 <= 0:
            raise BadValue(f"payment to {account!r}: {cash_e6} e6 is not positive")
        self._accounts[self._account(account), at.CASH] += cash_e6
        self._accounts[0, at.CASH] -= cash_e6

    def stand(self, condition_id: str, account: str, ahead: Mapping[str, int | None]) -> None:
        """Put an unlimited account's depth ahead of resting orders, or behind them.

        `ahead` says by order id how many shares of `account` (e6) should stand before that order
        at its level; None means all of them. The named orders keep their order among themselves,
        every level keeps its size, and nothing trades. Orders that do not rest are passed over.
        """
        state, number = self._state(condition_id), self._unlimited(account)
        levels: dict[tuple[int, int], dict[int, int | None]] = defaultdict(dict)
        for order_id, size_e6 in ahead.items():
            entry = self._entries.get(order_id)
            if entry is not None and entry.row:
                price = int(state.orders[entry.row, at.PRICE])
                levels[entry.kind >> 1, price][entry.row] = size_e6
        for (side, price), wanted in levels.items():
            self._queue(state, number, side, price, wanted)

    def _queue(
        self, state: MarketState, number: int, side: int, price: int, wanted: dict[int, int | None]
    ) -> None:
        """Chain one level anew, with an account's size spread as `wanted` by row says."""
        self._make_room(state, len(wanted) + 1)
        level, orders = state.levels[side, price], state.orders
        own: list[int] = []
        others: list[int] = []
        points = [0]
        before, total = 0, 0
        row = int(level[at.FIRST])
        while row:
            if orders[row, at.ACCOUNT] == number:
                own.append(row)
                total += int(orders[row, at.OPEN])
            else:
                others.append(row)
                points.append(total)
            row = int(orders[row, at.NEXT])
        was = [*points, total]
        for i, row in enumerate(others, start=1):
            want = wanted.get(row, points[i])
            before = max(before, total if want is None else min(want, total))
            points[i] = before
        points.append(total)
        if points == was:
            return
        size = int(level[at.SIZE])
        parts = [after - first for first, after in pairwise(points)]
        book = at.Book(
            state.head, state.levels, orders, state.held, self._accounts, self._out
        )  # fmt: skip
        needed = sum(part > 0 for part in parts)
        while len(own) > needed:
            remove(book, own.pop())
        while len(own) < needed:
            own.append(append(book, 2 * side, price, 0, number))
            orders[own[-1], at.LOCKED] = 0
        chain: list[int] = []
        for part, row in zip(parts, [*others, 0], strict=True):
            if part > 0:
                orders[own[0], at.OPEN] = part
                chain.append(own.pop(0))
            if row:
                chain.append(row)
        for first, second in pairwise([0, *chain, 0]):
            if first:
                orders[first, at.NEXT] = second
            if second:
                orders[second, at.PREV] = first
                orders[second, at.SEQ] = state.head[at.NEXT_SEQ]
                state.head[at.NEXT_SEQ] += 1
        level[at.FIRST], level[at.LAST] = chain[0], chain[-1]
        level[at.SIZE] = size
