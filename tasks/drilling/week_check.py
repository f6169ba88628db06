"""What must hold in a simulated week, whatever happened: exchange, tables and sessions compared."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from models.orders import OrderState, TradeStatus
from models.units import SECOND_NS
from store.database import Database
from tasks.drilling.books import Ledger, OurBooks, compare, read_books

SETTLED_S = 300.0
"""A window that ended longer ago than this is settled."""
LIFE_LINES = 40


@dataclass(frozen=True, slots=True)
class Told:
    """What an agent's session says of its money."""

    agent: str
    capital_e6: int
    cash_e6: int
    shares_e6: Mapping[str, int]


def doubled_or_lost(database: str, ledger: Ledger) -> list[str]:
    """Hold at any moment: what the exchange has is in our table, one order for each intent.

    An order that the exchange ended untouched may have been wished for again.
    """
    ids = [order["order_id"] for order in ledger["orders"]]
    with psycopg.connect(database, row_factory=dict_row) as db:
        rows = db.execute(
            "SELECT order_id, intent_id, agent FROM orders WHERE order_id = ANY(%s)", (ids,)
        ).fetchall()
        intents = {row["order_id"]: (row["agent"], row["intent_id"]) for row in rows}
        faults = [
            f"lost: the exchange has {order_id}, the orders table has not"
            for order_id in ids if order_id not in intents
        ]  # fmt: skip
        took = [o["order_id"] for o in ledger["orders"] if o["open"] or o["matched_e6"]]
        counts = Counter(intents[order_id] for order_id in took if order_id in intents)
        for intent, count in counts.items():
            if count > 1:
                ours = [order_id for order_id in took if intents.get(order_id) == intent]
                faults += [f"duplicate: {intent} has {count} orders", *_lives(db, ours)]
        if len(set(ids)) != len(ids):
            faults.append("duplicate: the exchange lists an order twice")
    return faults


def disagreements(database: str, ledger: Ledger, told: list[Told], now_ns: int) -> list[str]:
    """Hold while nothing is under way: orders, fills, shares, cash, results, to the base unit."""
    faults = doubled_or_lost(database, ledger)
    report = compare(asyncio.run(_read(database, ledger)), ledger)
    faults += report.faults()
    with psycopg.connect(database, row_factory=dict_row) as db:
        faults += _filled(db, ledger)
        faults += _settled(db, now_ns)
        faults += _money(db, told)
        if faults:
            wrong = {*report.unknown, *report.forgotten, *report.ghosts}
            wrong |= {
                order["order_id"]
                for order in ledger["orders"]
                if any(
                    order["order_id"].startswith(one.partition("/")[2])
                    for one in report.missing_fills
                )
            }
            faults += _lives(db, sorted(wrong)[:3])
    return faults


async def _read(database: str, ledger: Ledger) -> OurBooks:
    async with Database(database, max_size=1) as db:
        return await read_books(db, ledger)


def _filled(db: psycopg.Connection[dict[str, Any]], ledger: Ledger) -> list[str]:
    """Every order's size filled, and whether it is over, are the exchange's."""
    filled: Counter[str] = Counter()
    for trade in ledger["trades"]:
        if trade["status"] != TradeStatus.FAILED:
            for leg in (trade["taker"], *trade["makers"]):
                filled[leg["order_id"]] += leg["size_e6"]
    theirs = {order["order_id"]: order for order in ledger["orders"]}
    oldest = min((order["created_ns"] for order in theirs.values()), default=0)
    rows = db.execute(
        "SELECT order_id, state, (filled * 1000000)::bigint AS filled FROM orders"
        " WHERE order_id = ANY(%s)",
        (list(theirs),),
    ).fetchall()
    faults = []
    for row in rows:
        order, state = theirs[row["order_id"]], OrderState(row["state"])
        if row["filled"] != filled[row["order_id"]] and order["created_ns"] > oldest:
            faults.append(
                f"order {row['order_id']}: filled {row['filled']} e6 for us, "
                f"{filled[row['order_id']]} e6 at the exchange"
            )
            faults += _lives(db, [row["order_id"]])
        if state.terminal is order["open"]:
            faults.append(f"order {row['order_id']}: {state} for us, open is {order['open']} there")
    return faults


def _settled(db: psycopg.Connection[dict[str, Any]], now_ns: int) -> list[str]:
    """Every window that is over and had fills has its result (the table allows but one)."""
    rows = db.execute(
        "SELECT DISTINCT f.agent, m.slug FROM fills f JOIN markets m USING (condition_id)"
        " WHERE extract(epoch FROM m.ends_at) < %s AND f.status <> 'FAILED' AND NOT EXISTS"
        " (SELECT 1 FROM trades t WHERE (t.agent, t.condition_id) = (f.agent, f.condition_id))",
        (now_ns / SECOND_NS - SETTLED_S,),
    ).fetchall()
    faults = [f"{row['slug']} is not settled for {row['agent']}" for row in rows]
    wrong = db.execute(
        "SELECT t.agent, t.slug FROM trades t JOIN positions p USING (agent, condition_id)"
        " WHERE NOT p.settled"
    ).fetchall()
    return faults + [
        f"{row['slug']} is settled for {row['agent']}, a position not" for row in wrong
    ]


def _money(db: psycopg.Connection[dict[str, Any]], told: list[Told]) -> list[str]:
    """A session's cash is its capital, its results, and the flows of what is not settled."""
    faults = []
    for one in told:
        row = db.execute(
            "SELECT ((SELECT coalesce(sum(pnl), 0) FROM trades WHERE agent = %(agent)s)"
            " + (SELECT coalesce(sum(CASE WHEN f.status = 'FAILED' THEN 0"
            "     WHEN f.side = 'BUY' THEN -f.cash - f.fee ELSE f.cash - f.fee END), 0)"
            "    FROM fills f WHERE f.agent = %(agent)s AND NOT EXISTS (SELECT 1 FROM trades t"
            "     WHERE (t.agent, t.condition_id) = (f.agent, f.condition_id)))) * 1000000 AS cash",
            {"agent": one.agent},
        ).fetchone()
        assert row is not None
        kept = one.capital_e6 + int(row["cash"])
        if kept != one.cash_e6:
            faults.append(f"{one.agent}: cash {one.cash_e6} e6 in its session, {kept} e6 in tables")
        rows = db.execute(
            "SELECT token_id, (size * 1000000)::bigint AS size FROM positions"
            " WHERE agent = %s AND NOT settled AND size <> 0",
            (one.agent,),
        ).fetchall()
        held = {row["token_id"]: row["size"] for row in rows}
        shares = {token: size for token, size in one.shares_e6.items() if size}
        if held != shares:
            faults.append(f"{one.agent}: shares {shares} in its session, {held} in tables")
    return faults


def _lives(db: psycopg.Connection[dict[str, Any]], order_ids: list[str]) -> list[str]:
    """What was written down of orders, step by step."""
    rows = db.execute(
        "SELECT order_id, intent_id, t.state, t.filled, t.note, t.lease_token, t.at, side, tif"
        " FROM order_transitions t JOIN orders USING (order_id)"
        " WHERE order_id = ANY(%s) ORDER BY t.id LIMIT %s",
        (order_ids, LIFE_LINES),
    ).fetchall()
    return [
        f"  {row['order_id'][:14]} {row['side']} {row['tif']} {row['state']} filled "
        f"{row['filled']} token {row['lease_token']} {row['note'] or ''} ({row['intent_id']})"
        for row in rows
    ]
