"""The durable book of one agent's session (`engine.ports.Journal`), fenced by its lease."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from models.journal import JournalState, WindowResult
from models.markets import Market
from models.orders import Fill, Order
from store.database import Database
from store.leases import Lease


class PostgresJournal:
    """Implements `engine.ports.Journal` on Postgres: ``async with PostgresJournal(...)``.

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
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None: ...

    async def close(self) -> None:
        """Flush signals and events (to the spool if need be) and stop the writer."""

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *exc: object) -> None:
        raise NotImplementedError

    async def load(self) -> JournalState:
        raise NotImplementedError

    async def order_signed(self, order: Order, market: Market) -> None: ...

    async def order_changed(self, order: Order) -> None: ...

    async def fill(self, fill: Fill) -> None: ...

    async def settled(self, result: WindowResult) -> None: ...

    async def checkpoint(self, state: Mapping[str, Any]) -> None: ...

    def signal(self, condition_id: str, kind: str, detail: Mapping[str, Any]) -> None: ...

    def event(self, kind: str, detail: Mapping[str, Any]) -> None: ...
