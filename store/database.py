"""A bounded, reconnecting pool of connections to Postgres."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

from psycopg import AsyncConnection
from psycopg.rows import DictRow


class Database:
    """Connections to one database: ``async with Database(url) as db``.

    Every method raises `StoreUnavailable` while Postgres is away and `BadValue` where a
    constraint refuses the row. Neither message carries the address's password.
    """

    def __init__(self, url: str, *, max_size: int = 8, timeout_s: float = 5.0) -> None:
        raise NotImplementedError

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *exc: object) -> None:
        raise NotImplementedError

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection[DictRow]]:
        """Give a connection inside a transaction that commits when the block ends well."""
        raise NotImplementedError

    async def fetch(self, sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> list[DictRow]:
        raise NotImplementedError

    async def fetch_one(
        self, sql: str, params: Sequence[Any] | dict[str, Any] = ()
    ) -> DictRow | None:
        raise NotImplementedError

    async def execute(self, sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> int:
        """Run one statement and commit; returns the number of rows it touched."""
        raise NotImplementedError
