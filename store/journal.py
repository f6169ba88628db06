"""The durable book of one agent's session (`engine.ports.Journal`), fenced by its lease."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from models.conditional import Condition
from models.errors import BadValue, StoreUnavailable
from models.execution import Execution
from models.journal import JournalState, WindowResult
from models.markets import Market
from models.orders import Fill, Order
from store import conditional
from store import journal_sql as sql
from store.checkpoints import CheckpointFiles
from store.database import Database
from store.fills import book_fill, lock_agent
from store.leases import Lease, lost
from store.rows import (
    e6,
    fill_of,
    json_text,
    market_of,
    market_params,
    order_of,
    order_params,
)
from store.session_log import SessionLog
from store.settlement import book_settlement
from store.versions import next_seq

log = structlog.get_logger(__name__)

T = TypeVar("T")

SIGN_PATIENCE_S = 2.0
"""An order that can't be kept within this is not worth sending any more."""


class PostgresJournal:
    """Implements `engine.ports.Journal` on Postgres: ``async with PostgresJournal(...)``.

    Every write is safe to repeat, so a write whose commit was cut off is simply written again.
    Times are kept to the microsecond.

    Parameters
    ----------
    database
        An open `Database`; several journals may share it.
    agent
        The agent's name; it must be in the agents table.
    lease
        The lease this session holds. Its token is checked in the transaction of every write.
    spool_dir
        Folder where signals and events wait while Postgres is away.
    patience_s
        How long a write is tried again while Postgres is away before `StoreUnavailable`.
        `order_signed` never waits longer than 2 s: an order that cannot be kept is not sent.
    """

    def __init__(
        self,
        database: Database,
        agent: str,
        lease: Lease,
        *,
        spool_dir: Path,
        patience_s: float = 60.0,
        may_trade_until: Callable[[], float] | None = None,
        new_risk_s: float = 60.0,
        checkpoints: CheckpointFiles | None = None,
    ) -> None:
        if lease.agent != agent:
            raise BadValue(f"journal of {agent}: the lease is {lease.agent}'s")
        self._database = database
        self._agent = agent
        self._lease = lease
        self._patience_s = patience_s
        self._fence = {
            "lease_agent": lease.agent,
            "lease_token": lease.token,
            "lease_holder": lease.holder,
        }
        self._log = SessionLog(database, lease, spool_dir)
        self._may_trade_until = may_trade_until
        self._new_risk_s = new_risk_s
        self._checkpoints = checkpoints
        if checkpoints is not None:
            checkpoints.token = lease.token
        self.away_s = 0.0
        """How long Postgres has been away, in seconds; 0.0 while writes go to it directly."""
        self.behind = 0
        """Records that wait in the local file for Postgres."""
        self.damaged: list[str] = []
        """Names of local files that were damaged and set aside; people should hear of them."""

    async def start(self) -> None:
        await self._log.start()

    async def close(self) -> None:
        """Flush signals and events (to the spool if need be) and stop the writer."""
        await self._log.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # --- reading --------------------------------------------------------------------------------

    async def drained(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing waits in the local file; False when that took longer."""
        return self.behind == 0

    async def load(self) -> JournalState:
        """Read the agent's book as of one moment. Raises `LeaseLost` without the lease."""
        return await self._patiently(self._load, self._patience_s)

    async def _load(self) -> JournalState:
        params: dict[str, Any] = {"agent": self._agent} | self._fence
        async with self._database.transaction() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

            async def rows(statement: str) -> list[DictRow]:
                return await (await connection.execute(statement, params)).fetchall()

            if not await rows(sql.HELD):
                raise lost(self._lease)
            orders = [order_of(row) for row in await rows(sql.OPEN_ORDERS)]
            ended = [order_of(row) for row in await rows(sql.ENDED_ORDERS)]
            fills = [fill_of(row) for row in await rows(sql.UNSETTLED_FILLS)]
            conditions = [
                conditional.condition_of(row) for row in await rows(conditional.LIVE_CONDITIONS)
            ]
            executions = [
                conditional.execution_of(row) for row in await rows(conditional.WORKING_EXECUTIONS)
            ]
            ids = {order.request.condition_id for order in (*orders, *ended)}
            ids |= {one.condition_id for one in conditions}
            ids |= {one.condition_id for one in executions}
            params["ids"] = sorted(ids | {fill.condition_id for fill in fills})
            markets = [market_of(row) for row in await rows(sql.MARKETS)]
            (cash,) = await rows(sql.SETTLED_CASH)
            checkpoints = await rows(sql.LAST_CHECKPOINT)
        return JournalState(
            orders=tuple(orders),
            fills=tuple(fills),
            markets=tuple(markets),
            settled_cash_e6=e6(cash["total"]),
            day_start_cash_e6=e6(cash["day_start"]),
            checkpoint=checkpoints[0]["state"] if checkpoints else None,
            ended=tuple(ended),
            conditions=tuple(conditions),
            executions=tuple(executions),
        )

    # --- writing --------------------------------------------------------------------------------

    async def order_signed(self, order: Order, market: Market) -> None:
        """Commit a signed order, and its market, before it is sent.

        Raises
        ------
        LeaseLost
            The lease was taken over, ended, or has expired by the database's clock.
        BadValue
            The order is not this agent's or not of this market, breaks a rule of the orders
            table, or its intent has another order that may still trade.
        StoreUnavailable
            Postgres is away; the order must not be sent.
        """
        request = order.request
        if request.condition_id != market.condition_id:
            raise BadValue(f"order {order.order_id}: its market is not {market.slug}")
        if market.token(request.outcome) != request.token_id:
            raise BadValue(
                f"order {order.order_id}: token {request.token_id} is not {request.outcome} of "
                f"{market.slug}"
            )
        self._refuse_stranger(request.agent, order.order_id)
        params = order_params(order, self._lease.token) | market_params(market) | self._fence
        row = await self._fenced(sql.ORDER_SIGNED, params, min(SIGN_PATIENCE_S, self._patience_s))
        if not row["made"] and not row["known"]:
            raise BadValue(
                f"order {order.order_id}: intent {request.intent_id} of {self._agent} has another "
                "order that may still trade; sending this one could fill the wish twice"
            )

    async def order_changed(self, order: Order) -> None:
        """Commit a change of state, filled size or note.

        Raises
        ------
        LeaseLost
            The lease was taken over or ended.
        BadValue
            The order is not in this agent's books, or the change breaks a rule of the table.
        """
        self._refuse_stranger(order.request.agent, order.order_id)
        params = order_params(order, self._lease.token) | self._fence
        row = await self._fenced(sql.ORDER_CHANGED, params, self._patience_s)
        if not row["made"]:
            raise BadValue(f"order {order.order_id} is not in the books of {self._agent}")

    async def fill(self, fill: Fill) -> None:
        """Upsert by (trade_id, order_id) and bring the position up to date, in one transaction.

        A lower-ranked status never replaces a higher one. A fill that arrives after the market
        was settled corrects the trade's result too.
        """
        self._refuse_stranger(fill.agent, fill.order_id)

        async def book() -> None:
            async with self._database.transaction() as connection:
                self._refuse_stale(await lock_agent(connection, self._agent))
                await book_fill(connection, fill)

        await self._patiently(book, self._patience_s)

    async def conditions_changed(self, changed: Sequence[Condition], market: Market) -> None:
        """Commit conditional orders of one market, new or changed, all of them or none.

        Waits for Postgres no longer than a signed order does.
        """
        for one in changed:
            self._refuse_stranger(one.agent, f"conditional order {one.id}")
            if one.condition_id != market.condition_id:
                raise BadValue(f"conditional order {one.id}: its market is not {market.slug}")
        params = conditional.conditions_params(changed, market) | self._fence
        patience_s = min(SIGN_PATIENCE_S, self._patience_s)
        await self._fenced(conditional.CONDITIONS_CHANGED, params, patience_s)

    async def execution_changed(self, execution: Execution, market: Market) -> None:
        """Commit an execution, new or changed. Waits no longer than a signed order does."""
        self._refuse_stranger(execution.agent, f"execution {execution.id}")
        if execution.condition_id != market.condition_id:
            raise BadValue(f"execution {execution.id}: its market is not {market.slug}")
        params = conditional.execution_params(execution, market) | self._fence
        patience_s = min(SIGN_PATIENCE_S, self._patience_s)
        await self._fenced(conditional.EXECUTION_CHANGED, params, patience_s)

    async def settled(self, result: WindowResult) -> None:
        """Close the agent's position in a market with its result, once.

        The result is written from the fills; `BadValue` when `result` says otherwise.
        """
        self._refuse_stranger(result.agent, result.slug)

        async def book() -> None:
            async with self._database.transaction() as connection:
                self._refuse_stale(await lock_agent(connection, self._agent))
                await book_settlement(connection, result)

        await self._patiently(book, self._patience_s)

    async def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Keep the session's memory; the last ten are there to look at."""
        await self._fenced(
            sql.CHECKPOINT,
            {"state": json_text(state), "seq": next_seq()} | self._fence,
            self._patience_s,
        )

    def signal(self, condition_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        """Note a decision. Raises `LeaseLost` once the writer found the lease gone."""
        self._log.signal(condition_id, kind, detail)

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Note something that happened to the session; kept even when the lease is gone."""
        self._log.event(kind, detail)

    # --- fence and patience ---------------------------------------------------------------------

    def _refuse_stranger(self, agent: str, what: str) -> None:
        if agent != self._agent:
            raise BadValue(f"{what} is {agent}'s, not {self._agent}'s, whose journal this is")

    def _refuse_stale(self, lease: DictRow | None) -> None:
        ours = (self._lease.token, self._lease.holder)
        if lease is None or (lease["token"], lease["holder"]) != ours:
            raise lost(self._lease)

    async def _fenced(self, statement: str, params: dict[str, Any], patience_s: float) -> DictRow:
        async def write() -> DictRow:
            async with self._database.transaction() as connection, _alone(connection):
                cursor = await connection.execute(statement, params)
                row = await cursor.fetchone()
            if row is None or not row["held"]:
                raise lost(self._lease)
            return row

        return await self._patiently(write, patience_s)

    async def _patiently(self, work: Callable[[], Awaitable[T]], patience_s: float) -> T:
        give_up, pause = time.monotonic() + patience_s, 0.1
        while True:
            try:
                return await work()
            except StoreUnavailable as error:
                if time.monotonic() + pause > give_up:
                    raise
                log.warning("store_write_waits", agent=self._agent, reason=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)


@asynccontextmanager
async def _alone(connection: AsyncConnection[DictRow]) -> AsyncIterator[None]:
    """Let each statement be its own transaction: one round trip where BEGIN and COMMIT cost three.

    An order waits for this on its way to the venue.
    """
    await connection.set_autocommit(True)
    try:
        yield
    finally:
        if not connection.closed:
            await connection.set_autocommit(False)
