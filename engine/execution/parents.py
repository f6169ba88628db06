"""Keeps an agent's executions: starts them, lets them work, ends them, takes them up again.

How far a parent has come is read from its orders (`engine.order_index`), so a crash between two
slices loses nothing and sends nothing twice; its row says only that it works, and what its
algorithm remembers beside.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from engine.execution.algorithm import Algorithm
from engine.execution.algorithms import make
from engine.order_index import OrderIndex
from engine.ports import Clock, Journal
from engine.view import MarketView
from models.errors import StoreUnavailable
from models.events import TradePrint
from models.execution import Execution, ExecutionState
from models.markets import Market, Outcome
from models.orders import Order
from models.units import SECOND_NS
from strategies.base import Cancel, Place

log = structlog.get_logger(__name__)

SendSlice = Callable[[Place, MarketView, str], Awaitable[Order | None]]
"""Carries out one slice under an intent id; None when it was refused or held back."""
CancelSlices = Callable[[Sequence[str]], Awaitable[None]]

STEP_NS = SECOND_NS // 5
"""Least time between two steps of one execution."""
WRITE_NS = SECOND_NS
"""Progress is written down no more often than this."""


class _Parent:
    """One execution at work."""

    def __init__(self, execution: Execution, market: Market) -> None:
        self.algorithm: Algorithm = make(execution, market)
        self.row = execution
        self.stepped_ns = 0
        self.written_ns = execution.updated_ns


class Executions:
    """Every execution of one agent, by market."""

    def __init__(self, agent: str, index: OrderIndex, journal: Journal, clock: Clock) -> None:
        self._agent = agent
        self._index = index
        self._journal = journal
        self._now_ns = clock.now_ns
        self._live: dict[str, list[_Parent]] = {}
        self._unwritten: dict[str, dict[str, Execution]] = {}

    # --- reading --------------------------------------------------------------------------------

    def working(self, condition_id: str) -> tuple[Execution, ...]:
        """Executions at work in a market, oldest first."""
        return tuple(parent.row for parent in self._live.get(condition_id, ()))

    def busy(self, condition_id: str) -> bool:
        """Whether the market has anything at work or to write down."""
        return bool(self._live.get(condition_id) or self._unwritten.get(condition_id))

    # --- starting and ending --------------------------------------------------------------------

    def load(self, executions: Iterable[Execution], markets: Iterable[Market]) -> None:
        """Take up the journal's executions, with their progress."""
        known = {market.condition_id: market for market in markets}
        for one in executions:
            parent = _Parent(one, known[one.condition_id])
            self._live.setdefault(one.condition_id, []).append(parent)

    async def start(self, execution: Execution, market: Market) -> None:
        """Commit a parent; from then on it works. Raises `StoreUnavailable`; then it does not."""
        try:
            await self._journal.execution_changed(execution, market)
        except StoreUnavailable:
            # Perhaps it was kept all the same: it must not begin at the next start.
            note = "not kept in time"
            self._write_soon(execution.to(ExecutionState.CANCELLED, self._now_ns(), note=note))
            raise
        self._live.setdefault(market.condition_id, []).append(_Parent(execution, market))

    def end(self, condition_id: str, note: str, outcome: Outcome | None = None) -> tuple[str, ...]:
        """End executions, of one outcome or all; return their orders that are still open."""
        left: list[str] = []
        for parent in tuple(self._live.get(condition_id, ())):
            if outcome in (None, parent.row.outcome):
                work = self._index.work(parent.row.id, condition_id)
                left += [order.order_id for order in work.open]
                self._over(parent, ExecutionState.CANCELLED, note)
        return tuple(left)

    def on_trade(self, trade: TradePrint) -> None:
        """Let the algorithms hear the tape."""
        for parent in self._live.get(trade.condition_id, ()):
            parent.algorithm.on_trade(trade)

    # --- working --------------------------------------------------------------------------------

    async def step(self, view: MarketView, send: SendSlice, cancel: CancelSlices) -> None:
        """Let every execution of a market do what is due. Raises `LeaseLost`."""
        market = view.market
        for parent in tuple(self._live.get(market.condition_id, ())):
            if view.now_ns - parent.stepped_ns >= STEP_NS:
                parent.stepped_ns = view.now_ns
                await self._step(parent, view, send, cancel)
        await self.flush(market)

    async def flush(self, market: Market) -> None:
        """Write down what changed; while the store is away it stays for the next time."""
        try:
            await self._write(market)
        except StoreUnavailable as error:
            log.warning("executions_wait_for_store", agent=self._agent, reason=str(error))

    async def _step(
        self, parent: _Parent, view: MarketView, send: SendSlice, cancel: CancelSlices
    ) -> None:
        row, algorithm, now = parent.row, parent.algorithm, view.now_ns
        algorithm.market = view.market
        work = self._index.work(row.id, row.condition_id)
        if algorithm.finished(work):
            self._over(parent, ExecutionState.DONE, f"{work.filled_e6 / 1e6:.2f} shares")
            return
        if now >= row.end_ns and not work.open:
            text = f"{work.filled_e6 / 1e6:.2f} of {row.size_e6 / 1e6:.2f} shares in time"
            self._over(parent, ExecutionState.GIVEN_UP, text)
            return
        if not view.fresh and now < row.end_ns:
            return
        steps = algorithm.on_tick(view, now, work)
        if gone := [one.order_id for one in steps if isinstance(one, Cancel) and one.order_id]:
            await cancel(gone)
        for one in steps:
            if isinstance(one, Place) and parent.row.state is ExecutionState.WORKING:
                order = await send(one, view, self._index.next_id(row.id))
                if order is not None:
                    self._index.add((order,))
        self._note_progress(parent, now)

    def _note_progress(self, parent: _Parent, now_ns: int) -> None:
        progress = parent.algorithm.snapshot()
        if progress != dict(parent.row.progress) and now_ns - parent.written_ns >= WRITE_NS:
            parent.written_ns = now_ns
            parent.row = replace(parent.row, progress=progress, updated_ns=now_ns)
            self._write_soon(parent.row)

    # --- over a restart -------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return how far the algorithms are, which the journal is told once a second only."""
        return {
            parent.row.id: {
                "progress": parent.algorithm.snapshot(),
                "stepped_ns": parent.stepped_ns,
                "written_ns": parent.written_ns,
            }
            for parents in self._live.values()
            for parent in parents
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `snapshot` returned, where it is no older; call it after `load`."""
        for parents in self._live.values():
            for parent in parents:
                memory = state.get(parent.row.id)
                if memory is None or int(memory["written_ns"]) < parent.written_ns:
                    continue
                parent.algorithm.restore(memory["progress"])
                parent.stepped_ns = int(memory["stepped_ns"])
                parent.written_ns = int(memory["written_ns"])

    # --- the end --------------------------------------------------------------------------------

    async def close(self, market: Market) -> None:
        """The market is over. Raises `StoreUnavailable`."""
        for parent in tuple(self._live.get(market.condition_id, ())):
            self._over(parent, ExecutionState.GIVEN_UP, "the market is over")
        await self._write(market)
        self._live.pop(market.condition_id, None)

    def _over(self, parent: _Parent, state: ExecutionState, note: str) -> None:
        parent.row = parent.row.to(
            state, self._now_ns(), note=note, progress=parent.algorithm.snapshot()
        )
        self._live[parent.row.condition_id].remove(parent)
        self._write_soon(parent.row)
        log.info("execution_over", agent=self._agent, id=parent.row.id, state=state, note=note)

    def _write_soon(self, row: Execution) -> None:
        self._unwritten.setdefault(row.condition_id, {})[row.id] = row

    async def _write(self, market: Market) -> None:
        rows = self._unwritten.get(market.condition_id, {})
        for key, row in tuple(rows.items()):
            await self._journal.execution_changed(row, market)
            if rows.get(key) is row:
                del rows[key]
        if not rows:
            self._unwritten.pop(market.condition_id, None)
