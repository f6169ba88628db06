"""Signals and events of a session, written in batches behind its back."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from models.errors import BadValue, LeaseLost
from models.tables.columns import from_ns
from store.batches import BatchWriter
from store.database import Database
from store.leases import Lease, lost
from store.rows import json_text
from store.spool import Spool

_MAX_BUFFER = 10_000
_ANSWER_S = 4.0
"""A batch that takes longer goes to the spool: a hung server must not hold up a session's end."""


class _Note(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One signal (with a market) or event (without)."""

    id: str
    ts_ns: int
    agent: str
    token: int
    condition_id: str | None
    kind: str
    detail: str


_decoder = msgspec.msgpack.Decoder(_Note)
_encode = msgspec.msgpack.Encoder().encode

_FENCE = """
    SELECT 1 FROM agent_leases
    WHERE agent = %(agent)s AND token = %(token)s AND holder = %(holder)s FOR SHARE
"""

_SIGNALS = """
    INSERT INTO signals (id, ts, agent, condition_id, kind, detail, lease_token)
    SELECT id, ts, agent, condition_id, kind, detail::jsonb, token
    FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[],
                %s::bigint[])
        AS note (id, ts, agent, condition_id, kind, detail, token)
    ON CONFLICT (id) DO NOTHING
"""

_EVENTS = """
    INSERT INTO system_events (id, ts, agent, kind, detail, lease_token)
    SELECT id, ts, agent, kind, detail::jsonb, token
    FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::bigint[])
        AS note (id, ts, agent, kind, detail, token)
    ON CONFLICT (id) DO NOTHING
"""


class SessionLog:
    """Takes signals and events without waiting; they are in Postgres half a second later.

    Signals are decisions and are fenced: once the lease is gone they are refused, and `signal`
    raises `LeaseLost`. Events say what happened to the session, its loss of the lease too, so
    they are always kept.
    """

    def __init__(self, database: Database, lease: Lease, spool_dir: Path) -> None:
        self._database = database
        self._lease = lease
        spool_of = lease.agent
        self._signals = BatchWriter(
            f"signals of {lease.agent}", self._write_signals,
            Spool(spool_dir, f"{spool_of}.signals"), max_buffer=_MAX_BUFFER,
        )  # fmt: skip
        self._events = BatchWriter(
            f"events of {lease.agent}", self._write_events,
            Spool(spool_dir, f"{spool_of}.events"), max_buffer=_MAX_BUFFER,
        )  # fmt: skip

    @property
    def damaged(self) -> list[str]:
        """Names of spool files that were damaged and set aside."""
        return [*self._signals.damaged, *self._events.damaged]

    async def start(self) -> None:
        await self._signals.start()
        await self._events.start()

    async def close(self) -> None:
        await asyncio.gather(self._signals.close(), self._events.close())

    async def flush(self) -> None:
        await self._signals.flush()
        await self._events.flush()

    def signal(self, condition_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        if self._signals.lost is not None:
            raise LeaseLost(str(self._signals.lost))
        self._signals.put(self._note(condition_id, kind, detail))

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        self._events.put(self._note(None, kind, detail))

    def _note(self, condition_id: str | None, kind: str, detail: Mapping[str, Any]) -> bytes:
        lease = self._lease
        note = _Note(
            str(uuid4()), time.time_ns(), lease.agent, lease.token, condition_id, kind,
            json_text(detail),
        )  # fmt: skip
        return _encode(note)

    async def _write_signals(self, records: Sequence[bytes]) -> None:
        notes = [_decode(record) for record in records]
        async with self._database.transaction(_ANSWER_S) as connection:
            await self._check_lease(connection)
            await connection.execute(
                _SIGNALS,
                (
                    [note.id for note in notes],
                    [from_ns(note.ts_ns) for note in notes],
                    [note.agent for note in notes],
                    [note.condition_id for note in notes],
                    [note.kind for note in notes],
                    [note.detail for note in notes],
                    [note.token for note in notes],
                ),
            )

    async def _write_events(self, records: Sequence[bytes]) -> None:
        notes = [_decode(record) for record in records]
        await self._database.execute(
            _EVENTS,
            (
                [note.id for note in notes],
                [from_ns(note.ts_ns) for note in notes],
                [note.agent for note in notes],
                [note.kind for note in notes],
                [note.detail for note in notes],
                [note.token for note in notes],
            ),
            answer_s=_ANSWER_S,
        )

    async def _check_lease(self, connection: AsyncConnection[DictRow]) -> None:
        lease = self._lease
        cursor = await connection.execute(
            _FENCE, {"agent": lease.agent, "token": lease.token, "holder": lease.holder}
        )
        if await cursor.fetchone() is None:
            raise lost(lease)


def _decode(record: bytes) -> _Note:
    try:
        return _decoder.decode(record)
    except msgspec.MsgspecError as error:
        raise BadValue(f"a note that can't be read: {error}") from None
