"""The audit log: append, and prove that nothing was changed since."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from store.database import Database
from store.rows import json_text


@dataclass(frozen=True, slots=True)
class Seal:
    """The newest entry: note it elsewhere, and a log cut short afterwards is found too."""

    seq: int
    hash: str


async def append(
    db: Database, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None
) -> Seal:
    """Write one entry; the database numbers and seals it."""
    async with db.transaction() as connection:
        return await append_within(connection, actor, action, subject, detail)


async def append_within(
    connection: AsyncConnection[DictRow],
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
) -> Seal:
    """Write one entry in the caller's transaction: it is there if what it tells of is."""
    cursor = await connection.execute(
        "INSERT INTO audit_log (actor, action, subject, detail)"
        " VALUES (%s, %s, %s, %s::jsonb) RETURNING seq, hash",
        (actor, action, subject, json_text(detail or {})),
    )
    row = await cursor.fetchone()
    assert row is not None
    return Seal(row["seq"], row["hash"])


async def verify(db: Database, known: Seal | None = None) -> list[str]:
    """List what is wrong with the log; empty when every entry is as it was written.

    Parameters
    ----------
    known
        An earlier newest entry; it must still be there.
    """
    rows = await db.fetch(
        """
        SELECT seq, hash = audit_log_hash(entry) AS whole, chained FROM (
            SELECT entry, seq, hash,
                seq = coalesce(lag(seq) OVER sequence, 0) + 1
                AND prev_hash = coalesce(lag(hash) OVER sequence, repeat('0', 64)) AS chained
            FROM audit_log AS entry WINDOW sequence AS (ORDER BY seq)
        ) AS linked
        WHERE NOT chained OR hash <> audit_log_hash(entry) ORDER BY seq
        """
    )
    wrong = [
        f"entry {row['seq']} was changed"
        if not row["whole"]
        else f"entries are missing before entry {row['seq']}"
        for row in rows
    ]
    if known is not None:
        found = await db.fetch_one("SELECT hash FROM audit_log WHERE seq = %s", (known.seq,))
        if found is None or found["hash"] != known.hash:
            wrong.append(f"entry {known.seq} is gone or was replaced")
    return wrong
