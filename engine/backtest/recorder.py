"""What a run leaves behind: the journal of every agent, as columns at the end."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.conditional import Condition
from models.execution import Execution
from models.journal import JournalState, WindowResult
from models.markets import Market, Outcome, Side
from models.orders import Fill, Order, Role
from models.results import OPTIONAL, TABLES, UNRESOLVED, Columns
from models.units import PRICE_ONE

_SIDES = {Side.BUY: 0, Side.SELL: 1}
_OUTCOMES = {Outcome.UP: 0, Outcome.DOWN: 1}
_WINNERS = {"Up": 0, "Down": 1, "": UNRESOLVED}
MIDS = ("mid_e4", "mid_1s_e4", "mid_5s_e4", "mid_30s_e4")
MID_AFTER_S = (0, 1, 5, 30)


@dataclass(slots=True)
class Recorder:
    """Rows of every table of `models.results.TABLES`, agent by agent as they come."""

    index: Mapping[str, int]
    """A market's place in the tape, by condition id."""
    rows: dict[str, list[tuple[Any, ...]]] = field(
        default_factory=lambda: {name: [] for name in TABLES}
    )
    orders: dict[str, tuple[int, Order]] = field(default_factory=dict)
    fills: dict[tuple[str, str], tuple[int, Fill]] = field(default_factory=dict)
    mids: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """Up's mid as its agent saw it when a fill was told, and 1, 5 and 30 seconds later."""

    def equity(self, now_ns: int, agent: int, cash: int, equity: int, exposure: int) -> None:
        self.rows["equity"].append((now_ns, agent, cash, equity, exposure))

    def window(self, agent: int, result: WindowResult, pnl_e6: int) -> None:
        self.rows["windows"].append(
            (
                agent, self.index[result.condition_id], _WINNERS[result.winner], result.bought_e6,
                result.sold_e6, result.fees_e6, result.payout_e6, pnl_e6, result.fills,
                result.opened_ns, result.closed_ns,
            )
        )  # fmt: skip

    def tables(self) -> dict[str, Columns]:
        """Return every table with all its columns."""
        self.rows["orders"] = [self._order(agent, order) for agent, order in self.orders.values()]
        none = [-1] * len(MIDS)
        self.rows["fills"] = [
            self._fill(*one, self.mids.get(key, none)) for key, one in self.fills.items()
        ]
        return {name: _columns(name, rows) for name, rows in self.rows.items()}

    def _order(self, agent: int, order: Order) -> tuple[Any, ...]:
        request = order.request
        ended = order.updated_ns if order.state.terminal else 0
        return (
            order.order_id, agent, self.index[request.condition_id], _OUTCOMES[request.outcome],
            _SIDES[request.side], request.price_e4, request.size_e6, order.filled_e6,
            request.tif.value, request.post_only, order.state.value, order.created_ns, ended,
            request.reason, order.note,
        )  # fmt: skip

    def _fill(self, agent: int, fill: Fill, mids: list[int]) -> tuple[Any, ...]:
        return (
            fill.matched_ns, agent, self.index[fill.condition_id], fill.order_id,
            _OUTCOMES[fill.outcome], _SIDES[fill.side], fill.role is Role.MAKER, fill.size_e6,
            fill.cash_e6, fill.fee_e6, *mids,
        )  # fmt: skip


def _columns(name: str, rows: Sequence[tuple[Any, ...]]) -> Columns:
    wanted = {**TABLES[name], **OPTIONAL.get(name, {})}
    values: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(wanted)
    return {
        column: np.array(list(cells), dtype)
        for (column, dtype), cells in zip(wanted.items(), values, strict=True)
    }


@dataclass(slots=True)
class RunJournal:
    """Implements `engine.ports.Journal` and `Notices` for one agent of a run."""

    agent: int
    recorder: Recorder
    now_ns: Any
    failed: list[str] = field(default_factory=list)

    async def load(self) -> JournalState:
        return empty_state()

    async def order_signed(self, order: Order, market: Market) -> None:
        self.recorder.orders[order.order_id] = (self.agent, order)

    async def order_changed(self, order: Order) -> None:
        self.recorder.orders[order.order_id] = (self.agent, order)

    async def fill(self, fill: Fill) -> None:
        self.recorder.fills[fill.trade_id, fill.order_id] = (self.agent, fill)

    async def conditions_changed(self, changed: Sequence[Condition], market: Market) -> None:
        for condition in changed:
            detail = {
                "id": condition.id,
                "kind": condition.kind.value,
                "state": condition.state.value,
            }
            self._note(market.condition_id, "condition", detail)

    async def execution_changed(self, execution: Execution, market: Market) -> None:
        detail = {"id": execution.id, "algo": execution.algo.value, "state": execution.state.value}
        self._note(market.condition_id, "execution", detail)

    async def settled(self, result: WindowResult) -> None:
        self.recorder.window(self.agent, result, result.pnl_e6)

    async def checkpoint(self, state: Mapping[str, Any]) -> None:
        """A run is never taken up again."""

    def signal(self, condition_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        self._note(condition_id, kind, detail)
        probability = detail.get("probability")
        if isinstance(probability, float | int):
            market = self.recorder.index[condition_id]
            self.recorder.rows["forecasts"].append(
                (self.now_ns(), self.agent, market, float(probability), _mid_e4(detail))
            )

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        """What happens to a session concerns no market."""

    def post(self, kind: str, text: str, **fields: Any) -> None:
        """Nobody is told of what long happened."""

    def _note(self, condition_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        text = json.dumps(detail, separators=(",", ":"), sort_keys=True)
        self.recorder.rows["decisions"].append(
            (self.now_ns(), self.agent, self.recorder.index[condition_id], kind, text)
        )


def _mid_e4(detail: Mapping[str, Any]) -> int:
    """Up's mid as a decision notes it (`engine.records.seen`), -1 without one."""
    bid, ask = detail.get("up_bid"), detail.get("up_ask")
    return -1 if bid is None or ask is None else round((bid + ask) / 2 * PRICE_ONE)


def empty_state() -> JournalState:
    return JournalState((), (), (), 0, 0, None)
