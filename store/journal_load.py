"""Reading an agent's book as of one moment."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from psycopg.rows import DictRow

from models.journal import JournalState
from models.orders import Fill, Order
from models.tables.columns import to_ns
from store import conditional
from store import journal_sql as sql
from store.checkpoints import CheckpointFiles
from store.database import Database
from store.leases import Lease, lost
from store.rows import e6, e8, fill_of, market_of, order_of
from store.versions import Version

Rows = Callable[[str], Awaitable[list[DictRow]]]


async def load(
    database: Database, lease: Lease, answer_s: float, files: CheckpointFiles | None = None
) -> JournalState:
    """Read the book of the lease's agent; of its checkpoints the newest, a local file's included.

    Raises
    ------
    LeaseLost
        Without the lease.
    StoreUnavailable
        Postgres did not answer in time.
    """
    params: dict[str, Any] = {
        "agent": lease.agent,
        "lease_agent": lease.agent,
        "lease_token": lease.token,
        "lease_holder": lease.holder,
    }
    async with database.transaction(answer_s) as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

        async def rows(statement: str) -> list[DictRow]:
            return await (await connection.execute(statement, params)).fetchall()

        if not await rows(sql.LEASE):
            raise lost(lease)
        orders = [order_of(row) for row in await rows(sql.OPEN_ORDERS)]
        ended = [order_of(row) for row in await rows(sql.ENDED_ORDERS)]
        fills = [fill_of(row) for row in await rows(sql.UNSETTLED_FILLS)]
        conditions = [
            conditional.condition_of(row) for row in await rows(conditional.LIVE_CONDITIONS)
        ]
        executions = [
            conditional.execution_of(row) for row in await rows(conditional.WORKING_EXECUTIONS)
        ]
        promised = [one.condition_id for one in conditions]
        promised += [one.condition_id for one in executions]
        params["ids"] = sorted(_markets(orders, ended, fills).union(promised))
        markets = [market_of(row) for row in await rows(sql.MARKETS)]
        (cash,) = await rows(sql.SETTLED_CASH)
        checkpoints = await rows(sql.LAST_CHECKPOINT)
        spot = await rows(sql.RECENT_SPOT)
    return JournalState(
        orders=tuple(orders),
        fills=tuple(fills),
        markets=tuple(markets),
        settled_cash_e6=e6(cash["total"]),
        day_start_cash_e6=e6(cash["day_start"]),
        checkpoint=_newest(checkpoints, files),
        ended=tuple(ended),
        conditions=tuple(conditions),
        executions=tuple(executions),
        spot=tuple((r["asset"], r["source"], to_ns(r["ts"]), e8(r["price"])) for r in spot),
    )


def _markets(orders: Sequence[Order], ended: Sequence[Order], fills: Sequence[Fill]) -> set[str]:
    ids = {order.request.condition_id for order in (*orders, *ended)}
    return ids | {fill.condition_id for fill in fills}


def _newest(rows: Sequence[DictRow], files: CheckpointFiles | None) -> Mapping[str, Any] | None:
    """Return the state of the newest checkpoint; of two alike the row's."""
    local = None if files is None else files.newest()
    if not rows:
        return None if local is None else local.state
    (row,) = rows
    if local is not None and local.version > Version(row["lease_token"], row["seq"]):
        return local.state
    state: Mapping[str, Any] = row["state"]
    return state
