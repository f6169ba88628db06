"""The matching core with the one thing a venue needs beyond it: taking orders back."""

import msgspec

from engine.matching import Exchange
from engine.matching.kernels import layout as at
from engine.matching.market import Entry
from engine.matching.types import CoreEvent, CoreOrder
from models.errors import BadValue
from models.markets import Side


class VenueExchange(Exchange):
    """An exchange that can be filled with the open orders of an earlier life."""

    def restore_order(
        self, order: CoreOrder, filled_e6: int, cash_e6: int, now_ns: int
    ) -> list[CoreEvent]:
        """Put a resting order back that had filled `filled_e6` shares for `cash_e6` before.

        It was checked when it was first entered, so minimum size, decimals and taker delay do
        not apply to what is left of it. Call this in the order in which orders were entered.

        Raises
        ------
        BadValue
            The market is not open, or the account does not cover the order.
        """
        state, account = self._state(order.condition_id), self._account(order.account)
        kinds = state.kinds.get(order.token_id)
        left = order.size_e6 - filled_e6
        if kinds is None or left <= 0 or state.winner is not None:
            raise BadValue(f"order {order.order_id} can't rest in {state.market.slug} any more")
        kind = kinds[0 if order.side is Side.BUY else 1]
        rest = msgspec.structs.replace(order, size_e6=left)
        written = self._enter(state, account, kind, rest, at.RELEASED)
        if written < 0:
            raise BadValue(f"order {order.order_id} is not covered by {order.account}")
        rows = self._out[:written].tolist()
        entry = Entry(order, account, kind)
        entry.filled_e6, entry.cash_e6 = filled_e6, cash_e6
        self._entries[order.order_id] = entry
        self._open[account][order.order_id] = entry
        events: list[CoreEvent] = []
        self._finish(state, entry, rows, now_ns, events)
        return events
