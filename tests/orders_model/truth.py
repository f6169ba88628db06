"""After everything settled: the venue's ledger, the session's books and the tables, compared."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import psycopg

from engine.order_states import LEGAL
from models.orders import OrderState, TradeStatus
from tests.orders_model.session import GRANT_E6, Books

DUST_E6 = 10
"""How far the venue's rounding of what it reserves may lie above ours."""

Legs = dict[tuple[str, str], dict[str, Any]]
"""Our part in each trade, by trade and order; sums of the venue's own records."""


@dataclass(frozen=True)
class Comparison:
    """The ledger is the simulator's own, as its admin door tells it; everything is exact."""

    db: psycopg.Connection[dict[str, Any]]
    agent: str
    ledger: dict[str, Any]

    def check(self, books: Books) -> None:
        """Raise AssertionError where orders, fills, positions, cash or lives differ."""
        legs = self._legs()
        self._check_orders(books, legs)
        self._check_fills(books, legs)
        self._check_money(books)
        self._check_lives()
        assert len(books.told_ends) == len(set(books.told_ends))

    def _legs(self) -> Legs:
        """Our part in every trade, by trade and order."""
        ours = {order["order_id"] for order in self.ledger["orders"]}
        legs: Legs = {}
        for trade in self.ledger["trades"]:
            for leg in (trade["taker"], *trade["makers"]):
                if leg["order_id"] not in ours:
                    continue
                key = (trade["trade_id"], leg["order_id"])
                known = legs.setdefault(key, {"size": 0, "cash": 0, "fee": 0})
                known["size"] += leg["size_e6"]
                known["cash"] += leg["cash_e6"]
                known["fee"] += leg["fee_e6"]
                known["status"] = trade["status"]
        return legs

    def _check_orders(self, books: Books, legs: Legs) -> None:
        known = {order.order_id: order for order in books.orders}
        filled: Counter[str] = Counter()
        for (_, order_id), leg in legs.items():
            if leg["status"] != "FAILED":
                filled[order_id] += leg["size"]
        there = {order["order_id"]: order for order in self.ledger["orders"]}
        for order_id, row in there.items():
            order = known[order_id]
            assert order.filled_e6 == filled[order_id], (order, row)
            assert order.state.terminal is not row["open"], (order, row)
        rows = self.db.execute("SELECT * FROM orders WHERE agent = %s", (self.agent,)).fetchall()
        assert {row["order_id"] for row in rows} == known.keys()
        for row in rows:
            order = known[row["order_id"]]
            assert row["state"] == order.state, (row, order)
            assert int(row["filled"] * 1_000_000) == order.filled_e6
            if row["order_id"] not in there:
                assert order.state is OrderState.REJECTED, order

    def _check_fills(self, books: Books, legs: Legs) -> None:
        wanted = {
            key: (leg["size"], leg["cash"], leg["fee"], leg["status"]) for key, leg in legs.items()
        }
        ours = {
            (f.trade_id, f.order_id): (f.size_e6, f.cash_e6, f.fee_e6, f.status.value)
            for f in books.fills
        }
        assert ours == wanted
        rows = self.db.execute("SELECT * FROM fills WHERE agent = %s", (self.agent,)).fetchall()
        kept = {
            (r["trade_id"], r["order_id"]): (
                *(int(r[name] * 1_000_000) for name in ("size", "cash", "fee")), r["status"],
            )
            for r in rows
        }  # fmt: skip
        assert kept == wanted
        statuses = {key: leg["status"] for key, leg in legs.items()}
        counted = Counter(key for key in books.told_fills)
        for key, times in counted.items():
            most = 2 if statuses[key] == TradeStatus.FAILED else 1
            assert times <= most, f"fill {key} was told {times} times"

    def _check_money(self, books: Books) -> None:
        assert books.cash_e6 == self.ledger.get("cash_e6", GRANT_E6)
        held = self.ledger.get("shares_e6", {})
        rows = self.db.execute(
            "SELECT token_id, size FROM positions WHERE agent = %s", (self.agent,)
        ).fetchall()
        kept = {row["token_id"]: int(row["size"] * 1_000_000) for row in rows}
        for token, shares in books.shares_e6.items():
            assert shares == held.get(token, 0) == kept.get(token, 0)
        assert books.reserved_cash_e6 >= self.ledger.get("reserved_e6", 0) - DUST_E6

    def _check_lives(self) -> None:
        """Every order's written steps lead from the wish to where it is, legally."""
        rows = self.db.execute(
            "SELECT t.order_id, t.state, o.state AS now FROM order_transitions t"
            " JOIN orders o USING (order_id) WHERE agent = %s ORDER BY t.id",
            (self.agent,),
        ).fetchall()
        lives: dict[str, list[OrderState]] = {}
        for row in rows:
            lives.setdefault(row["order_id"], []).append(OrderState(row["state"]))
            assert (
                lives[row["order_id"]][:2]
                == [OrderState.INTENDED, OrderState.SIGNED][: len(lives[row["order_id"]])]
            )
        ends = {row["order_id"]: row["now"] for row in rows}
        for order_id, steps in lives.items():
            assert steps[:2] == [OrderState.INTENDED, OrderState.SIGNED], (order_id, steps)
            for was, became in pairwise(steps):
                assert was is became or became in LEGAL[was], (order_id, steps)
            assert steps[-1] == ends[order_id]
        orders = self.db.execute(
            "SELECT count(*) AS n FROM orders WHERE agent = %s", (self.agent,)
        ).fetchone()
        assert orders is not None and orders["n"] == len(lives)
