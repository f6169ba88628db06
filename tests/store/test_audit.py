"""The audit log refuses changes, and shows those made by force."""

import asyncio

import psycopg
import pytest

from models.errors import BadValue
from store import audit
from store.audit import Seal
from store.database import Database


async def fill(db: Database, count: int = 5) -> list[Seal]:
    return [
        await audit.append(db, "auditor", "checked", f"trade {n}", {"n": n, "ok": True})
        for n in range(count)
    ]


async def test_entries_are_numbered_without_gaps_and_chained(db: Database) -> None:
    seals = await asyncio.gather(*(audit.append(db, "a", "b", str(n)) for n in range(30)))
    assert sorted(seal.seq for seal in seals) == list(range(1, 31))
    assert len({seal.hash for seal in seals}) == 30
    assert await audit.verify(db, seals[0]) == []


async def test_numbers_and_hashes_cannot_be_chosen(db: Database) -> None:
    await db.execute(
        "INSERT INTO audit_log (seq, ts, actor, action, subject, detail, prev_hash, hash)"
        " VALUES (77, '2001-01-01', 'a', 'b', 'c', '{}', repeat('f', 64), repeat('f', 64))"
    )
    row = await db.fetch_one("SELECT seq, ts > now() - interval '1 hour' AS now FROM audit_log")
    assert row == {"seq": 1, "now": True}
    assert await audit.verify(db) == []


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"],
)
async def test_nothing_can_be_changed_or_removed(db: Database, statement: str) -> None:
    await fill(db)
    with pytest.raises(BadValue, match="append-only"):
        await db.execute(statement)
    assert await audit.verify(db) == []


@pytest.mark.parametrize(
    ("by_force", "report"),
    [
        ("UPDATE audit_log SET actor = 'x' WHERE seq = 3", "entry 3 was changed"),
        ("UPDATE audit_log SET detail = '{}' WHERE seq = 1", "entry 1 was changed"),
        ("UPDATE audit_log SET ts = ts + interval '1 microsecond' WHERE seq = 5", "entry 5 was"),
        ("DELETE FROM audit_log WHERE seq = 2", "entries are missing before entry 3"),
        ("DELETE FROM audit_log WHERE seq = 1", "entries are missing before entry 2"),
        ("DELETE FROM audit_log WHERE seq = 5", "entry 5 is gone"),
    ],
)
async def test_what_is_changed_by_force_is_found(
    db: Database, clean_postgres_url: str, by_force: str, report: str
) -> None:
    seals = await fill(db)
    with psycopg.connect(clean_postgres_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE audit_log DISABLE TRIGGER ALL")
        admin.execute(by_force)
        admin.execute("ALTER TABLE audit_log ENABLE TRIGGER ALL")
    assert any(report in line for line in await audit.verify(db, seals[-1]))


async def test_the_seal_does_not_depend_on_the_reader_s_time_zone(
    db: Database, clean_postgres_url: str
) -> None:
    await fill(db)
    with psycopg.connect(clean_postgres_url, options="-c timezone=Asia/Kolkata") as reader:
        rows = reader.execute(
            "SELECT bool_and(hash = audit_log_hash(entry)) FROM audit_log AS entry"
        ).fetchall()
    assert rows == [(True,)]
