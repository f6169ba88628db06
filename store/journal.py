"""The durable book of one agent's session (`engine.ports.Journal`), fenced by its lease."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog

from models.conditional import Condition
from models.errors import BadValue, StoreUnavailable
from models.execution import Execution
from models.journal import JournalState, WindowResult
from models.markets import Market, Side
from models.orders import Fill, Order, OrderState
from store import journal_entries as entries
from store.backlog import Backlog, boot_s
from store.checkpoints import CheckpointFiles
from store.database import Database
from store.journal_booking import book
from store.journal_load import load
from store.leases import Lease
from store.rows import json_text
from store.session_log import SessionLog

log = structlog.get_logger(__name__)

T = TypeVar("T")

SIGN_PATIENCE_S = 2.0
"""An order that can't be kept within this is not worth sending any more."""
WRITE_PATIENCE_S = 1.0
LOAD_PATIENCE_S = 60.0


class PostgresJournal:
    """Implements `engine.ports.Journal` on Postgres: ``async with PostgresJournal(...)``.

    A write goes to Postgres at once. When Postgres does not answer within a short patience the
    write is appended to a local file instead (`store.wal`) and counts as written; whatever comes
    after it is appended behind it, and a drain in the background brings it all into Postgres in
    order once that answers. Every write is safe to repeat. Times are kept to the microsecond.

    Parameters
    ----------
    database
        An open `Database`; several journals may share it.
    agent
        The agent's name; it must be in the agents table.
    lease
        The lease this session holds. Its token is checked in the transaction of every write.
    spool_dir
        Folder of the files in which writes wait while Postgres is away.
    patience_s
        How long a write waits for Postgres before it goes to the file; a signed order 2 s at
        most.
    may_trade_until
        The second of CLOCK_BOOTTIME until which this process may believe that it holds the
        lease: the fence of signed orders while Postgres is away. Without it none are taken then.
    new_risk_s
        Once Postgres has been away for so long, signed orders that buy are refused.
    checkpoints
        Local files of the agent's checkpoints; `load` gives the newest of these and Postgres.
    """

    def __init__(
        self,
        database: Database,
        agent: str,
        lease: Lease,
        *,
        spool_dir: Path,
        patience_s: float = WRITE_PATIENCE_S,
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
        self._may_trade_until = may_trade_until
        self._new_risk_s = new_risk_s
        self._checkpoints = checkpoints
        if checkpoints is not None:
            checkpoints.token = lease.token
        self._log = SessionLog(database, lease, spool_dir)
        self._backlog = Backlog(database, agent, lease, spool_dir)

    # --- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        await self._log.start()
        self._backlog.start()

    async def close(self) -> None:
        """Write what waits if Postgres answers; the rest stays in files for the next session."""
        await asyncio.gather(self._backlog.close(), self._log.close())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # --- state ----------------------------------------------------------------------------------

    @property
    def away_s(self) -> float:
        """Seconds since Postgres last answered; 0.0 while writes go to it directly."""
        return self._backlog.away_s

    @property
    def behind(self) -> int:
        """Writes of this session that wait in its file."""
        return self._backlog.behind

    @property
    def late(self) -> int:
        """Entries of other processes of the agent that came into Postgres after `load`."""
        return self._backlog.late

    @property
    def damaged(self) -> list[str]:
        """Names of local files that were damaged and set aside; people should hear of them."""
        files = [] if self._checkpoints is None else self._checkpoints.damaged
        return [*self._backlog.damaged, *self._log.damaged, *files]

    @property
    def stuck(self) -> str:
        """Why the last write could be kept nowhere, with Postgres away and the disk refusing.

        Empty while nothing is wrong, and after `try_again`.
        """
        return self._backlog.stuck

    def try_again(self) -> None:
        """Say that the disk takes writes again, as far as the caller can tell."""
        self._backlog.stuck = ""

    async def drained(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing waits in the file any more; False when that took longer.

        Raises `LeaseLost` once the drain found that another session has taken over.
        """
        return await self._backlog.drained(timeout_s)

    # --- reading --------------------------------------------------------------------------------

    async def load(self) -> JournalState:
        """Read the agent's book as of one moment, after what its dead sessions left was booked.

        Raises
        ------
        LeaseLost
            Without the lease.
        StoreUnavailable
            Postgres did not answer for a minute.
        """
        await self._patiently(self._backlog.catch_up, LOAD_PATIENCE_S)
        return await self._patiently(self._load, LOAD_PATIENCE_S)

    async def _load(self) -> JournalState:
        return await load(self._database, self._lease, LOAD_PATIENCE_S, self._checkpoints)

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
            Postgres is away, and the lease may have lapsed meanwhile, the order buys and Postgres
            has been away for too long, or the disk refuses. The order must not be sent.
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
        await self._write(entries.OrderSigned(order, market))

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
        await self._write(entries.OrderChanged(order))

    async def fill(self, fill: Fill) -> None:
        """Upsert by (trade_id, order_id) and bring the position up to date, in one transaction.

        A lower-ranked status never replaces a higher one. A fill that arrives after the market
        was settled corrects the trade's result too.
        """
        self._refuse_stranger(fill.agent, fill.order_id)
        await self._write(entries.FillSeen(fill))

    async def conditions_changed(self, changed: Sequence[Condition], market: Market) -> None:
        """Commit conditional orders of one market, new or changed, all of them or none."""
        for one in changed:
            self._refuse_stranger(one.agent, f"conditional order {one.id}")
            if one.condition_id != market.condition_id:
                raise BadValue(f"conditional order {one.id}: its market is not {market.slug}")
        await self._write(entries.ConditionsChanged(tuple(changed), market))

    async def execution_changed(self, execution: Execution, market: Market) -> None:
        """Commit an execution, new or changed."""
        self._refuse_stranger(execution.agent, f"execution {execution.id}")
        if execution.condition_id != market.condition_id:
            raise BadValue(f"execution {execution.id}: its market is not {market.slug}")
        await self._write(entries.ExecutionChanged(execution, market))

    async def settled(self, result: WindowResult) -> None:
        """Close the agent's position in a market with its result, once.

        The result is written from the fills; `BadValue` when `result` says otherwise.
        """
        self._refuse_stranger(result.agent, result.slug)
        await self._write(entries.Settled(result))

    async def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Keep the session's memory; the last ten are there to look at.

        While Postgres is away it goes to the local checkpoint files, if there are any.
        """
        await self._write(entries.CheckpointKept(json_text(state)))

    def signal(self, condition_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        """Note a decision. Raises `LeaseLost` once the writer found the lease gone."""
        self._log.signal(condition_id, kind, detail)

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Note something that happened to the session; kept even when the lease is gone."""
        self._log.event(kind, detail)

    # --- at once, or into the file --------------------------------------------------------------

    async def _write(self, what: entries.What) -> None:
        self._backlog.refuse_lost()
        entry = entries.entry(self._agent, self._lease.token, what)
        tried = not self.behind
        if tried:
            since_s = boot_s()
            try:
                await self._at_once(entry)
            except StoreUnavailable as error:
                self._backlog.note_away(since_s, error)
            else:
                return
        if isinstance(what, entries.OrderSigned):
            await self._keep_signed(entry, what, tried)
        else:
            await self._keep(entry)

    async def _at_once(self, entry: entries.Entry) -> None:
        patience_s = self._patience_s
        if isinstance(entry.what, entries.OrderSigned):
            patience_s = min(SIGN_PATIENCE_S, 2 * patience_s)
        give_up = time.monotonic() + patience_s

        async def attempt() -> None:
            left_s = max(0.05, give_up - time.monotonic())
            await book(self._database, self._lease, entry, left_s)

        await self._patiently(attempt, patience_s)
        self._backlog.note_there()

    async def _keep(self, entry: entries.Entry) -> None:
        """Append an entry behind all others; it counts as written."""
        if isinstance(entry.what, entries.CheckpointKept) and self._checkpoints is not None:
            state = entries.state_of(entry.what)
            await asyncio.to_thread(self._checkpoints.write, state)
            return
        await self._backlog.keep(entry)

    async def _keep_signed(
        self, entry: entries.Entry, what: entries.OrderSigned, tried: bool
    ) -> None:
        """Append a signed order if it may be sent; else see that its row, if any, says it wasn't.

        The lease is looked at again afterwards: the disk may have taken its time.
        """
        why = self._why_not(what.order)
        try:
            if not why:
                tried = True
                await self._keep(entry)
                why = self._why_not(what.order)
        except StoreUnavailable as error:
            why = str(error)
        if not why:
            return
        if tried:
            await self._withdraw(what, why)
        # Whoever tries again at once must not keep the loop from everything else.
        await asyncio.sleep(0)
        raise StoreUnavailable(f"order {what.order.order_id} is not sent: {why}")

    def _why_not(self, order: Order) -> str:
        """Say why a signed order must not go without Postgres; empty when it may."""
        away = f"Postgres has been away for {self.away_s:.0f} s"
        if self._may_trade_until is None:
            return f"{away} and nothing else says that the lease still holds"
        if boot_s() >= self._may_trade_until():
            return f"{away} and the lease of {self._agent} may have lapsed"
        if order.request.side is Side.BUY and self.away_s >= self._new_risk_s:
            return f"{away}; nothing new is bought after {self._new_risk_s:g} s"
        return ""

    async def _withdraw(self, what: entries.OrderSigned, why: str) -> None:
        """Write down that an order which may have got its row was not sent."""
        note = f"not sent: {why}"[:200]
        order = replace(what.order, state=OrderState.REJECTED, note=note)
        change = entries.OrderChanged(order, what.market)
        try:
            await self._keep(entries.entry(self._agent, self._lease.token, change))
        except StoreUnavailable as error:
            log.warning("withdrawal_not_kept", order_id=order.order_id, reason=str(error))

    # --- refusals and patience ------------------------------------------------------------------

    def _refuse_stranger(self, agent: str, what: str) -> None:
        if agent != self._agent:
            raise BadValue(f"{what} is {agent}'s, not {self._agent}'s, whose journal this is")

    async def _patiently(self, work: Callable[[], Awaitable[T]], patience_s: float) -> T:
        give_up, pause = time.monotonic() + patience_s, 0.1
        while True:
            try:
                return await work()
            except StoreUnavailable:
                if time.monotonic() + pause > give_up:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)
