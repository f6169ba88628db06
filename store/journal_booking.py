"""Booking one entry of a journal: at once under its own lease, or late from a file.

A late entry was written while Postgres was away, by this session or by one that died since. It is
booked in a transaction that has locked the agent's lease, and may be booked any number of times:

* an order gets its row whatever else there is: it was sent. Two that may trade for one wish are
  both kept, and the audit log says so; the venue's answers tell what became of them;
* a change of an order, a conditional order or an execution counts unless a later version is known:
  versions order the writes of all sessions, whatever the clocks say;
* fills count by (trade, order) and their status never goes back; a market is settled once.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from models.errors import BadValue
from models.orders import Order
from models.tables.columns import from_ns
from store import audit, conditional
from store import journal_sql as sql
from store.database import Database
from store.fills import book_fill, lock_agent
from store.journal_entries import (
    CheckpointKept,
    ConditionsChanged,
    Entry,
    ExecutionChanged,
    FillSeen,
    OrderChanged,
    OrderSigned,
    Settled,
)
from store.leases import Lease, lost
from store.rows import market_params, order_params
from store.settlement import book_settlement

Connection = AsyncConnection[DictRow]


# --- at once --------------------------------------------------------------------------------------


async def book(database: Database, lease: Lease, entry: Entry, answer_s: float) -> None:
    """Commit an entry under the lease it was made under.

    Raises
    ------
    LeaseLost
        The lease was taken over or ended; for a signed order also when it has expired.
    BadValue
        A rule of the tables refuses it; a signed order also when its intent has another order
        that may still trade, a change when the order is not in the agent's books.
    StoreUnavailable
        Postgres did not answer in time; whether the entry was committed is open.
    """
    if isinstance(entry.what, FillSeen | Settled):
        async with database.transaction(answer_s) as connection:
            refuse_stale(await lock_agent(connection, lease.agent), lease)
            await _book_sum(connection, entry.what)
        return
    statement, params = _statement(entry, late=False)
    fence = {
        "lease_agent": lease.agent,
        "lease_token": lease.token,
        "lease_holder": lease.holder,
    }
    async with database.transaction(answer_s) as connection, _alone(connection):
        row = await (await connection.execute(statement, params | fence)).fetchone()
    if row is None or not row["held"]:
        raise lost(lease)
    if isinstance(entry.what, OrderSigned) and not row["made"] and not row["known"]:
        raise _second(entry.what.order)
    if isinstance(entry.what, OrderChanged) and not row["made"]:
        raise _unknown(entry.what.order)


def refuse_stale(known: DictRow | None, lease: Lease) -> None:
    """Raise `LeaseLost` unless the locked row of leases still is our grant."""
    if known is None or (known["token"], known["holder"]) != (lease.token, lease.holder):
        raise lost(lease)


@asynccontextmanager
async def _alone(connection: Connection) -> AsyncIterator[None]:
    """Let each statement be its own transaction: one round trip where BEGIN and COMMIT cost three.

    An order waits for this on its way to the venue.
    """
    await connection.set_autocommit(True)
    try:
        yield
    finally:
        if not connection.closed:
            await connection.set_autocommit(False)


# --- late -----------------------------------------------------------------------------------------


async def book_late(connection: Connection, entry: Entry) -> None:
    """Book an entry from a file in the caller's transaction, after `lock_agent`.

    Raises
    ------
    BadValue
        A rule of the tables refuses it, or its order can't be found; the transaction is spoilt.
    """
    if isinstance(entry.what, FillSeen | Settled):
        await _book_sum(connection, entry.what)
        return
    statement, params = _statement(entry, late=True)
    row = await (await connection.execute(statement, params)).fetchone()
    assert row is not None
    if isinstance(entry.what, OrderSigned) and row["made"] and row["others"]:
        await _note_second(connection, entry.what.order, row["others"])
    if isinstance(entry.what, OrderChanged) and not row["made"]:
        await _find(connection, entry.what, params)


async def _find(connection: Connection, what: OrderChanged, params: dict[str, Any]) -> None:
    """Book an order known only from its change: the record of its signing was damaged or none."""
    statement = sql.ORDER_FOUND
    if what.market is not None:
        statement, params = sql.ORDER_SIGNED_LATE, params | market_params(what.market)
    row = await (await connection.execute(statement, params)).fetchone()
    if row is None or not row["made"]:
        raise _unknown(what.order)


async def _note_second(connection: Connection, order: Order, others: list[str]) -> None:
    await audit.append_within(
        connection,
        actor=f"journal of {order.request.agent}",
        action="intent_has_two_orders",
        subject=order.order_id,
        detail={
            "intent_id": order.request.intent_id,
            "others": others,
            "why": "sent while Postgres was away, beside an order another session had sent",
        },
    )


# --- both -----------------------------------------------------------------------------------------


async def _book_sum(connection: Connection, what: FillSeen | Settled) -> None:
    """Book what changes sums: these are right only while nobody else of the agent books."""
    if isinstance(what, FillSeen):
        await book_fill(connection, what.fill)
    else:
        await book_settlement(connection, what.result)


def _statement(entry: Entry, *, late: bool) -> tuple[str, dict[str, Any]]:
    """Return the statement that books an entry, and its parameters without the fence's."""
    params: dict[str, Any] = {
        "agent": entry.agent,
        "written_token": entry.token,
        "written_seq": entry.seq,
    }
    match entry.what:
        case OrderSigned(order, market):
            params |= order_params(order) | market_params(market)
            return (sql.ORDER_SIGNED_LATE if late else sql.ORDER_SIGNED), params
        case OrderChanged(order):
            return (sql.ORDER_CHANGED_LATE if late else sql.ORDER_CHANGED), (
                params | order_params(order)
            )
        case ConditionsChanged(changed, market):
            params |= conditional.conditions_params(changed, market)
            return (
                conditional.CONDITIONS_CHANGED_LATE if late else conditional.CONDITIONS_CHANGED
            ), params
        case ExecutionChanged(execution, market):
            params |= conditional.execution_params(execution, market)
            return (
                conditional.EXECUTION_CHANGED_LATE if late else conditional.EXECUTION_CHANGED
            ), params
        case CheckpointKept(state):
            params |= {"state": state, "saved_at": from_ns(entry.at_ns)}
            return (sql.CHECKPOINT_LATE if late else sql.CHECKPOINT), params
    raise AssertionError(f"no statement books {type(entry.what).__name__}")


def _second(order: Order) -> BadValue:
    return BadValue(
        f"order {order.order_id}: intent {order.request.intent_id} of {order.request.agent} has "
        "another order that may still trade; sending this one could fill the wish twice"
    )


def _unknown(order: Order) -> BadValue:
    return BadValue(f"order {order.order_id} is not in the books of {order.request.agent}")
