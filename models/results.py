"""What a run of agents brought, as columns: the one shape that reports and tuners read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import BadValue
from models.markets import Market
from models.tape import Report

Columns = Mapping[str, npt.NDArray[Any]]

TABLES: Mapping[str, Mapping[str, npt.DTypeLike]] = {
    # Sampled, and at every fill and settlement. exposure: what open positions and orders cost.
    # An agent's equity is its own capital and results, so that agents add up to the account.
    "equity": {
        "time_ns": np.int64, "agent": np.uint16,
        "cash_e6": np.int64, "equity_e6": np.int64, "exposure_e6": np.int64,
    },
    "orders": {
        "order_id": np.str_, "agent": np.uint16, "market": np.uint16,
        "outcome": np.uint8, "side": np.uint8, "price_e4": np.int32, "size_e6": np.int64,
        "filled_e6": np.int64, "tif": np.str_, "post_only": np.bool_, "state": np.str_,
        "created_ns": np.int64, "ended_ns": np.int64, "reason": np.str_, "note": np.str_,
    },
    # mid_e4: Up's mid at the fill, and 1, 5 and 30 seconds later; -1 where there was none.
    "fills": {
        "time_ns": np.int64, "agent": np.uint16, "market": np.uint16, "order_id": np.str_,
        "outcome": np.uint8, "side": np.uint8, "maker": np.bool_, "size_e6": np.int64,
        "cash_e6": np.int64, "fee_e6": np.int64, "mid_e4": np.int32, "mid_1s_e4": np.int32,
        "mid_5s_e4": np.int32, "mid_30s_e4": np.int32,
    },
    # One row per agent and market window it had a fill in; winner 0 Up, 1 Down, 2 unresolved.
    # P&L of an unresolved one counts what is held at its last value.
    "windows": {
        "agent": np.uint16, "market": np.uint16, "winner": np.uint8, "bought_e6": np.int64,
        "sold_e6": np.int64, "fees_e6": np.int64, "payout_e6": np.int64, "pnl_e6": np.int64,
        "fills": np.int64, "opened_ns": np.int64, "closed_ns": np.int64,
    },
    # The strategy's stated probability that Up wins, with each intent that states one.
    "forecasts": {
        "time_ns": np.int64, "agent": np.uint16, "market": np.uint16, "probability": np.float64,
    },
    # Intents and refusals, the detail as JSON.
    "decisions": {
        "time_ns": np.int64, "agent": np.uint16, "market": np.uint16, "kind": np.str_,
        "detail": np.str_,
    },
}  # fmt: skip
"""Tables of a run and their columns. Sides: 0 BUY, 1 SELL; outcomes: 0 Up, 1 Down."""

OPTIONAL: Mapping[str, Mapping[str, npt.DTypeLike]] = {
    # Up's mid when the probability was stated, -1 where there was none: what to be better than.
    "forecasts": {"mid_e4": np.int32},
}
"""Columns that a table may have besides."""

UP_WON, DOWN_WON, UNRESOLVED = 0, 1, 2
"""Values of `winner`."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run. `tables` has every table of `TABLES`, each with all its columns."""

    spec: Mapping[str, Any]
    """What was run, JSON-serialisable: strategy, parameters, data, models, seed, limits."""
    agents: tuple[str, ...]
    capital_e6: tuple[int, ...]
    markets: tuple[Market, ...]
    tables: Mapping[str, Columns]
    start_ns: int
    end_ns: int
    events: int
    wakes: int
    wall_s: float
    data: tuple[Report, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    """Agent's name to the traceback that ended its run."""
    winners: tuple[int, ...] = ()
    """Who won each of `markets`: 0 Up, 1 Down, 2 unresolved. Empty: as far as `windows` says."""

    def __post_init__(self) -> None:
        if not self.agents:
            raise BadValue("run: no agents; give at least one")
        if len(self.agents) != len(self.capital_e6):
            raise BadValue(f"run: {len(self.agents)} agents, {len(self.capital_e6)} capitals")
        if any(capital <= 0 for capital in self.capital_e6):
            raise BadValue(f"run: capital_e6={self.capital_e6}; each must be above zero")
        if self.winners and len(self.winners) != len(self.markets):
            raise BadValue(f"run: {len(self.winners)} winners for {len(self.markets)} markets")
        for name in TABLES:
            if name not in self.tables:
                raise BadValue(f"run: table {name} is missing; give all of {', '.join(TABLES)}")
            check_table(name, self.tables[name])
            self._check_indices(name, "agent", len(self.agents))
            self._check_indices(name, "market", len(self.markets))

    def _check_indices(self, table: str, column: str, count: int) -> None:
        values = self.tables[table].get(column)
        if values is not None and len(values) and int(values.max()) >= count:
            raise BadValue(f"run: table {table} names {column} {values.max()} of {count}")

    def resolved(self) -> npt.NDArray[np.uint8]:
        """Winner by market: `UP_WON`, `DOWN_WON` or `UNRESOLVED`."""
        if self.winners:
            return np.array(self.winners, dtype=np.uint8)
        known = np.full(len(self.markets), UNRESOLVED, dtype=np.uint8)
        windows = self.tables["windows"]
        told = windows["winner"] != UNRESOLVED
        known[windows["market"][told]] = windows["winner"][told]
        return known


def check_table(name: str, columns: Columns) -> None:
    """Raise `BadValue` unless every column of the table is there, and all are equally long."""
    missing = [column for column in TABLES[name] if column not in columns]
    if missing:
        raise BadValue(f"run: table {name} lacks the column {missing[0]}")
    lengths = {column: len(values) for column, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise BadValue(f"run: columns of table {name} differ in length: {lengths}")
