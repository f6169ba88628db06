"""A bounded, reconnecting pool of connections to Postgres."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from models.errors import BadValue, NotReady, StoreUnavailable
from store.urls import without_password

Params = Sequence[Any] | dict[str, Any]

_RECONNECT_S = 2.0
"""After this long the pool gives up on a lost connection; the next caller makes it try again."""
_MAX_WAITING = 1_000
IDLE_S = 10.0
"""The server ends a transaction whose client says nothing for so long, and lets go of its locks."""
_CHECK_S = 2.0
"""An idle connection that does not answer for so long counts as broken."""


class Database:
    """Connections to one database: ``async with Database(url) as db``.

    Every method raises `StoreUnavailable` while Postgres is away, `BadValue` where a constraint
    refuses the row, and `NotReady` before the tables are migrated. No message carries the
    address's password.

    Parameters
    ----------
    url
        ``postgresql://…`` of a migrated database.
    max_size
        Most connections at once; further callers wait.
    timeout_s
        How long a caller waits for a connection before `StoreUnavailable`.
    answer_s
        How long a transaction may take altogether, from asking for a connection to its commit.
        Then its connection is cut: a server that hangs keeps nobody waiting for ever.
    """

    def __init__(
        self, url: str, *, max_size: int = 8, timeout_s: float = 5.0, answer_s: float = 120.0
    ) -> None:
        self._place = without_password(url)
        self._timeout_s = timeout_s
        self._answer_s = answer_s
        self._pool: AsyncConnectionPool[AsyncConnection[DictRow]] = _Pool(
            url,
            connection_class=AsyncConnection[DictRow],
            kwargs={
                "row_factory": dict_row,
                "application_name": "floor",
                "connect_timeout": 5,
                # A client that froze or was cut off in the middle of a transaction would else keep
                # its locks, that of a lease among them, until TCP gives up hours later.
                "options": f"-c timezone=UTC -c idle_in_transaction_session_timeout={IDLE_S:g}s"
                " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5"
                " -c tcp_keepalives_count=3 -c tcp_user_timeout=15000",
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 15_000,
            },
            min_size=1,
            max_size=max_size,
            max_waiting=_MAX_WAITING,
            timeout=timeout_s,
            reconnect_timeout=_RECONNECT_S,
            num_workers=2,
            open=False,
        )
        self._check: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start connecting; does not wait until Postgres answers."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        if self._check is not None:
            self._check.cancel()
            with suppress(asyncio.CancelledError):
                await self._check
        await self._pool.close(timeout=2.0)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(
        self, answer_s: float | None = None
    ) -> AsyncIterator[AsyncConnection[DictRow]]:
        """Give a connection inside a transaction that commits when the block ends well.

        `StoreUnavailable` from the end of the block leaves open whether the commit took place,
        or will: a server that hung may yet carry out what it was sent.

        Parameters
        ----------
        answer_s
            How long all of it may take, where that is not what the database was opened with.
        """
        limit_s = self._answer_s if answer_s is None else answer_s
        loop = asyncio.get_running_loop()
        give_up = loop.time() + limit_s
        alarm: asyncio.TimerHandle | None = None
        try:
            async with self._pool.connection(min(limit_s, self._timeout_s)) as connection:
                alarm = loop.call_at(give_up, _cut, connection)
                yield connection
        except (PoolTimeout, PoolClosed, TooManyRequests) as error:
            raise StoreUnavailable(
                f"Postgres at {self._place} gave no connection ({type(error).__name__}); "
                "it is away or overloaded"
            ) from None
        except (
            psycopg.OperationalError,
            psycopg.InterfaceError,
            psycopg.errors.IdleInTransactionSessionTimeout,
        ) as error:
            self._drop_broken()
            raise StoreUnavailable(
                f"Postgres at {self._place} went away ({type(error).__name__} "
                f"{error.sqlstate or 'no connection'})"
            ) from None
        except psycopg.errors.UndefinedTable as error:
            raise NotReady(
                f"the database at {self._place} has not been migrated "
                f"({error.diag.message_primary}); run `floor db upgrade`"
            ) from None
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            raise BadValue(_refusal(error)) from None
        finally:
            if alarm is not None:
                alarm.cancel()

    async def fetch(
        self, sql: str, params: Params = (), *, answer_s: float | None = None
    ) -> list[DictRow]:
        """Run one statement, commit, and return its rows."""
        async with self.transaction(answer_s) as connection:
            cursor = await connection.execute(sql, params)
            return await cursor.fetchall() if cursor.description is not None else []

    async def fetch_one(
        self, sql: str, params: Params = (), *, answer_s: float | None = None
    ) -> DictRow | None:
        """Run one statement, commit, and return its first row."""
        async with self.transaction(answer_s) as connection:
            cursor = await connection.execute(sql, params)
            return await cursor.fetchone() if cursor.description is not None else None

    async def execute(self, sql: str, params: Params = (), *, answer_s: float | None = None) -> int:
        """Run one statement and commit; returns the number of rows it touched."""
        async with self.transaction(answer_s) as connection:
            return (await connection.execute(sql, params)).rowcount

    def _drop_broken(self) -> None:
        """After one broken connection look at the idle others, which likely broke with it."""
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._look_at_idle(), name="database-check")

    async def _look_at_idle(self) -> None:
        with suppress(psycopg.Error, PoolClosed):
            await self._pool.check()


class _Pool(AsyncConnectionPool[AsyncConnection[DictRow]]):
    """A pool whose look at idle connections ends although the server hangs."""

    @staticmethod
    async def check_connection(conn: AsyncConnection[Any]) -> None:
        alarm = asyncio.get_running_loop().call_later(_CHECK_S, _cut, conn)
        try:
            await AsyncConnectionPool.check_connection(conn)
        finally:
            alarm.cancel()


def _cut(connection: AsyncConnection[Any]) -> None:
    """Cut a connection under whoever waits for it: the wait ends with an OperationalError.

    To cancel the wait instead would ask the server first, and wait for its answer.
    """
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as link,
    ):
        link.shutdown(socket.SHUT_RDWR)


def _refusal(error: psycopg.Error) -> str:
    """Say which rule of which table refused the row, without the row's values."""
    diag = error.diag
    rule = diag.constraint_name or diag.column_name or error.sqlstate
    return f"table {diag.table_name or '?'} refuses the row ({rule}): {diag.message_primary}"
