"""Finds orders by the wish they came from, also over a restart.

An order that a conditional order or an execution sends carries the intent id ``<parent>.<n>``, so
that what became of the parent can always be read from its orders: nothing has to be counted
beside them, and nothing can disagree.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.orders import OrderManager
from models.orders import Order


@dataclass(frozen=True, slots=True)
class Work:
    """What a parent's orders have brought so far; sizes in e6 shares."""

    filled_e6: int = 0
    open: tuple[Order, ...] = ()
    """Orders that may still trade."""

    @property
    def open_e6(self) -> int:
        return sum(order.open_e6 for order in self.open)

    @property
    def taken_e6(self) -> int:
        """Filled, or perhaps filled yet."""
        return self.filled_e6 + self.open_e6


def parent_of(intent_id: str) -> str:
    """Return the parent in an intent id, empty for a wish of the strategy's own."""
    parent, _, number = intent_id.rpartition(".")
    return parent if number.isdecimal() else ""


class OrderIndex:
    """Knows the orders of one agent by intent and by parent; reads them from the order manager."""

    def __init__(self, orders: OrderManager) -> None:
        self._orders = orders
        self._by_intent: dict[str, str] = {}
        self._by_parent: dict[str, dict[str, None]] = {}
        self._last: dict[str, int] = {}

    def add(self, orders: Iterable[Order]) -> None:
        """Take up orders; one that is known already is taken once."""
        for order in orders:
            intent_id = order.request.intent_id
            self._by_intent[intent_id] = order.order_id
            if parent := parent_of(intent_id):
                number = int(intent_id.rpartition(".")[2])
                self._by_parent.setdefault(parent, {})[order.order_id] = None
                self._last[parent] = max(self._last.get(parent, 0), number)

    def of_intent(self, intent_id: str, condition_id: str) -> Order | None:
        """The order of a wish, None while it has none."""
        if intent_id not in self._by_intent:
            self.add(self._orders.open_orders(condition_id))
        return self._orders.order(self._by_intent.get(intent_id, ""))

    def work(self, parent: str, condition_id: str) -> Work:
        """What a parent's orders have brought."""
        self.add(self._orders.open_orders(condition_id))
        found = [self._orders.order(order_id) for order_id in self._by_parent.get(parent, ())]
        orders = [order for order in found if order is not None]
        return Work(
            sum(order.filled_e6 for order in orders),
            tuple(order for order in orders if not order.state.terminal),
        )

    def next_id(self, parent: str) -> str:
        """A fresh intent id for a parent's next order; call `work` first.

        Every attempt gets its own, also one whose order could not be kept: its row may be in the
        journal all the same.
        """
        self._last[parent] = self._last.get(parent, 0) + 1
        return f"{parent}.{self._last[parent]}"

    def prune(self) -> None:
        """Drop what the order manager no longer knows, as after a market was settled."""
        gone = {oid for oid in self._by_intent.values() if self._orders.order(oid) is None}
        self._by_intent = {i: oid for i, oid in self._by_intent.items() if oid not in gone}
        for parent in list(self._by_parent):
            left = {oid: None for oid in self._by_parent[parent] if oid not in gone}
            if left:
                self._by_parent[parent] = left
            else:
                del self._by_parent[parent]
                self._last.pop(parent, None)
