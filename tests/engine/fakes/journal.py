"""An in-memory journal, as strict as the real one: fenced, and no illegal step gets in."""

from collections.abc import Mapping, Sequence
from typing import Any

from fakes.wire import Wire

from engine.order_states import LEGAL
from models.conditional import Condition, ConditionState
from models.errors import LeaseLost
from models.execution import Execution, ExecutionState
from models.journal import JournalState, WindowResult
from models.markets import Market
from models.orders import Fill, Order, OrderState


class FakeStore:
    """What survives a crash: the rows, and who holds the lease."""

    def __init__(self) -> None:
        self.token = 0
        self.orders: dict[str, Order] = {}
        self.fills: dict[tuple[str, str], Fill] = {}
        self.markets: dict[str, Market] = {}
        self.results: dict[str, WindowResult] = {}
        self.conditions: dict[str, Condition] = {}
        self.executions: dict[str, Execution] = {}
        self.checkpoint: Mapping[str, Any] | None = None
        self.signals: list[tuple[str, str, Mapping[str, Any]]] = []
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.states: dict[str, list[OrderState]] = {}


class FakeJournal:
    """One session's journal; the newest one fences off the others."""

    def __init__(self, store: FakeStore, wire: Wire) -> None:
        store.token += 1
        self.store = store
        self.token = store.token
        self._wire = wire

    def _check(self) -> None:
        if self.token != self.store.token:
            raise LeaseLost(f"token {self.token} is stale, {self.store.token} holds the lease")

    async def load(self) -> JournalState:
        return await self._wire.carry("load", self._load)

    def _load(self) -> JournalState:
        store = self.store
        orders = sorted(store.orders.values(), key=lambda o: (o.created_ns, o.order_id))
        unsettled = [o for o in orders if o.request.condition_id not in store.results]
        fills = sorted(store.fills.values(), key=lambda f: (f.matched_ns, f.trade_id))
        return JournalState(
            orders=tuple(o for o in orders if not o.state.terminal),
            fills=tuple(f for f in fills if f.condition_id not in store.results),
            markets=tuple(store.markets.values()),
            settled_cash_e6=sum(r.pnl_e6 for r in store.results.values()),
            day_start_cash_e6=0,
            checkpoint=store.checkpoint,
            ended=tuple(o for o in unsettled if o.state.terminal),
            conditions=tuple(c for c in store.conditions.values() if not c.state.over),
            executions=tuple(
                e for e in store.executions.values() if e.state is ExecutionState.WORKING
            ),
        )

    async def order_signed(self, order: Order, market: Market) -> None:
        def commit() -> None:
            self._check()
            assert order.order_id not in self.store.orders, "an order is signed once"
            assert order.state is OrderState.SIGNED
            self.store.orders[order.order_id] = order
            self.store.markets[market.condition_id] = market
            self.store.states[order.order_id] = [order.state]

        await self._wire.carry("order_signed", commit)

    async def order_changed(self, order: Order) -> None:
        def commit() -> None:
            self._check()
            was = self.store.orders[order.order_id]
            assert order.state is was.state or order.state in LEGAL[was.state], (was, order)
            self.store.orders[order.order_id] = order
            self.store.states[order.order_id].append(order.state)

        await self._wire.carry("order_changed", commit)

    async def fill(self, fill: Fill) -> None:
        def commit() -> None:
            self._check()
            key = (fill.trade_id, fill.order_id)
            was = self.store.fills.get(key)
            if was is None or fill.status.rank > was.status.rank:
                self.store.fills[key] = fill

        await self._wire.carry("fill", commit)

    async def conditions_changed(self, changed: Sequence[Condition], market: Market) -> None:
        def commit() -> None:
            self._check()
            self.store.markets[market.condition_id] = market
            for one in changed:
                was = self.store.conditions.get(one.id)
                back = was is not None and (
                    was.state.over
                    or (was.state is not ConditionState.ARMED and one.state is ConditionState.ARMED)
                )
                if not back:
                    self.store.conditions[one.id] = one

        await self._wire.carry("conditions_changed", commit)

    async def execution_changed(self, execution: Execution, market: Market) -> None:
        def commit() -> None:
            self._check()
            self.store.markets[market.condition_id] = market
            was = self.store.executions.get(execution.id)
            if was is None or was.state is ExecutionState.WORKING:
                self.store.executions[execution.id] = execution

        await self._wire.carry("execution_changed", commit)

    async def settled(self, result: WindowResult) -> None:
        def commit() -> None:
            self._check()
            self.store.results.setdefault(result.condition_id, result)

        await self._wire.carry("settled", commit)

    async def checkpoint(self, state: Mapping[str, Any]) -> None:
        def commit() -> None:
            self._check()
            self.store.checkpoint = dict(state)

        await self._wire.carry("checkpoint", commit)

    def signal(self, condition_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        self.store.signals.append((condition_id, kind, dict(detail)))

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        self.store.events.append((kind, dict(detail)))
