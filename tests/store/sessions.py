"""Sessions of an agent whose way to Postgres can be taken away, and which can be killed."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from models.errors import StoreUnavailable
from models.orders import Order
from store import leases
from store.database import Database
from store.journal import PostgresJournal
from store.leases import Lease

PATIENCE_S = 100.0


class Link(Database):
    """A way to Postgres that can be taken away."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.down = False

    @asynccontextmanager
    async def transaction(self, answer_s: float | None = None) -> AsyncIterator[Any]:
        if self.down:
            raise StoreUnavailable("Postgres is away")
        async with self.database.transaction(PATIENCE_S) as connection:
            yield connection
        if self.down:
            raise StoreUnavailable("the answer to the commit was cut off")


async def lease_of(db: Database, holder: str = "one") -> Lease:
    """Take the lease over, whoever has it."""
    before = await leases.holder(db, "alpha")
    if before is not None:
        await leases.expire(db, "alpha", before.token)
    lease = await leases.acquire(db, "alpha", holder, 3600)
    assert lease is not None
    return lease


def journal_of(
    link: Database,
    lease: Lease,
    folder: Path,
    until: Callable[[], float] | None = lambda: math.inf,
    **options: Any,
) -> PostgresJournal:
    return PostgresJournal(
        link, "alpha", lease, spool_dir=folder, patience_s=0.05, may_trade_until=until, **options
    )


async def kill(journal: PostgresJournal) -> None:
    """End a session as SIGKILL does: its file is let go of, and nothing else happens."""
    for part in (journal._backlog, journal._log._signals, journal._log._events):
        assert part._task is not None
        part._task.cancel()
        await asyncio.gather(part._task, return_exceptions=True)
    journal._backlog._wal._file.close()


def files(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


async def steps(db: Database, order: Order) -> list[str]:
    rows = await db.fetch(
        "SELECT state FROM order_transitions WHERE order_id = %s ORDER BY id", [order.order_id]
    )
    return [row["state"] for row in rows]
