"""The floor's own switches (system_state): small values by key, above all the halt flag."""

import time
from dataclasses import dataclass
from typing import Any

from models.errors import BadValue
from store.database import Database
from store.rows import json_text

_HALT = "halt"


@dataclass(frozen=True, slots=True)
class Halt:
    reason: str
    since_ns: int


async def get(db: Database, key: str) -> Any:
    """Return a value, None where the key is not set."""
    row = await db.fetch_one("SELECT value FROM system_state WHERE key = %s", (key,))
    return None if row is None else row["value"]


async def put(db: Database, key: str, value: Any) -> None:
    """Set a value (anything JSON can hold)."""
    await db.execute(
        "INSERT INTO system_state (key, value) VALUES (%s, %s::jsonb)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now()",
        (key, json_text(value)),
    )


async def delete(db: Database, key: str) -> bool:
    """Remove a key; False where it was not set."""
    return await db.execute("DELETE FROM system_state WHERE key = %s", (key,)) > 0


async def set_halt(db: Database, reason: str) -> None:
    """Ask every session to wind down (cancel orders, release leases) and start no more.

    A halt that is set already keeps its first reason and time.
    """
    if not reason:
        raise BadValue("halt: give a reason, people will want to know")
    await db.execute(
        "INSERT INTO system_state (key, value) VALUES (%s, %s::jsonb) ON CONFLICT DO NOTHING",
        (_HALT, json_text({"reason": reason, "since_ns": time.time_ns()})),
    )


async def clear_halt(db: Database) -> None:
    await delete(db, _HALT)


async def halted(db: Database) -> Halt | None:
    """Return why and since when the floor is halted, None when it is not."""
    value = await get(db, _HALT)
    return None if value is None else Halt(value["reason"], value["since_ns"])
