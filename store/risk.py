"""The kill switch and the breakers' states, kept where they survive restarts.

The switch is thrown while either of two places says so: a row of ``system_state``, which every
machine of the floor sees, and a file in FLOOR_HOME, which needs no server. `adopt` brings one that
was thrown without Postgres into it. A reset notes when; a file older than that counts no more.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from models.errors import BadValue
from store import state
from store.database import Database
from store.rows import json_text

KILL = "kill"
BREAKER = "breaker:"
_FILE = "killed.json"


@dataclass(frozen=True, slots=True)
class Kill:
    """A thrown kill switch: why, by whom, since when."""

    reason: str
    by: str
    since_ns: int

    def __str__(self) -> str:
        return f"the kill switch is thrown: {self.reason}; `floor risk reset kill` lifts it"


# --- the file -------------------------------------------------------------------------------------


def kill_file(home: Path) -> Path:
    return home / _FILE


def write_kill_file(home: Path, kill: Kill) -> None:
    """Throw the switch of this machine; one that is thrown already stays as it is."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = kill_file(home)
    if path.exists():
        return
    draft = path.with_suffix(f".{os.getpid()}")
    with draft.open("w", encoding="utf-8") as out:
        out.write(json_text({"reason": kill.reason, "by": kill.by, "since_ns": kill.since_ns}))
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path)


def read_kill_file(home: Path) -> Kill | None:
    """The switch as this machine's file has it. A file nobody can read is a thrown switch."""
    path = kill_file(home)
    try:
        return _kill_of(msgspec.json.decode(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        reason = f"{path} can't be read ({type(error).__name__})"
        return Kill(reason, "nobody knows", time.time_ns())


def remove_kill_file(home: Path) -> None:
    kill_file(home).unlink(missing_ok=True)


# --- the row --------------------------------------------------------------------------------------


async def throw_kill(db: Database, kill: Kill) -> Kill:
    """Throw the switch of the whole floor; returns it as it stands, the first one if it was."""
    if not kill.reason:
        raise BadValue("kill: give a reason, people will want to know")
    row = await db.fetch_one(
        """
        INSERT INTO system_state AS known (key, value) VALUES (%(key)s, %(value)s::jsonb)
        ON CONFLICT (key) DO UPDATE SET updated_at = now(),
            value = CASE WHEN known.value ? 'reason' THEN known.value ELSE excluded.value END
        RETURNING value
        """,
        {
            "key": KILL,
            "value": json_text({"reason": kill.reason, "by": kill.by, "since_ns": kill.since_ns}),
        },
    )
    assert row is not None
    return _kill_of(row["value"])


async def killed(db: Database) -> Kill | None:
    """The switch as Postgres has it; a row nobody can read is a thrown switch."""
    return _read(await state.get(db, KILL))


async def reset_kill(db: Database, by: str) -> Kill | None:
    """Lift the switch in Postgres; returns the one that was thrown, None where none was."""
    before = await killed(db)
    await state.put(db, KILL, {"reset_ns": time.time_ns(), "by": by})
    return before


async def adopt(db: Database, home: Path) -> Kill | None:
    """Make both places agree, and return what holds now.

    A file that is newer than the last reset is brought into Postgres; an older one is removed.
    """
    value = await state.get(db, KILL)
    known, filed = _read(value), read_kill_file(home)
    if known is not None:
        write_kill_file(home, known)
        return known
    if filed is None:
        return None
    if isinstance(value, Mapping) and int(value.get("reset_ns", 0)) >= filed.since_ns:
        remove_kill_file(home)
        return None
    return await throw_kill(db, filed)


def _read(value: Any) -> Kill | None:
    if value is None or (isinstance(value, Mapping) and "reset_ns" in value):
        return None
    try:
        return _kill_of(value)
    except (KeyError, TypeError, ValueError):
        return Kill(f"system_state {KILL!r} can't be read: {value!r}", "nobody knows", 0)


def _kill_of(value: Any) -> Kill:
    return Kill(str(value["reason"]), str(value["by"]), int(value["since_ns"]))


# --- breakers -------------------------------------------------------------------------------------


async def breaker_rows(db: Database) -> dict[str, Any]:
    """Every breaker's row by its full name, as it was saved."""
    rows = await db.fetch(
        "SELECT key, value FROM system_state WHERE starts_with(key, %s)", (BREAKER,)
    )
    return {row["key"].removeprefix(BREAKER): row["value"] for row in rows}


async def save_breaker(db: Database, name: str, row: Mapping[str, Any]) -> None:
    await state.put(db, BREAKER + name, row)


async def forget_breaker(db: Database, name: str) -> None:
    """Drop the row of a breaker that is closed and concerns nobody any more."""
    await state.delete(db, BREAKER + name)


async def stop_reason(db: Database, agent: str) -> str:
    """Why the kill switch or a breaker keeps this agent from trading; empty when none does."""
    rows = await db.fetch(
        "SELECT key, value FROM system_state WHERE key = %s OR starts_with(key, %s) ORDER BY key",
        (KILL, BREAKER),
    )
    for row in rows:
        if row["key"] == KILL:
            if (kill := _read(row["value"])) is not None:
                return str(kill)
            continue
        name = row["key"].removeprefix(BREAKER)
        kind, _, subject = name.partition(":")
        concerns = subject in ("", agent) or not kind.startswith("agent-")
        if concerns and not kind.startswith("market-") and _stops(row["value"]):
            return f"breaker {name}: {_field(row['value'], 'reason')}"
    return ""


def _stops(value: Any) -> bool:
    return _field(value, "status") not in ("closed", "half-open")


def _field(value: Any, key: str) -> str:
    return str(value.get(key, "")) if isinstance(value, Mapping) else ""
