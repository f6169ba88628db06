"""Signals and events: batched, fenced where they decide something, kept while Postgres is away."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from models.errors import LeaseLost
from store import leases
from store.database import Database
from store.events import recent_events
from store.journal import PostgresJournal


async def journal_of(db: Database, spool: Path, holder: str = "one") -> PostgresJournal:
    lease = await leases.acquire(db, "alpha", holder, 60)
    assert lease is not None
    return PostgresJournal(db, "alpha", lease, spool_dir=spool)


def spooled(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))


def copy_first_halves(files: list[Path], folder: Path) -> None:
    folder.mkdir()
    for path in files:
        (folder / path.name).write_bytes(path.read_bytes()[: path.stat().st_size // 2])


async def signals(db: Database) -> list[Any]:
    rows = await db.fetch("SELECT kind, detail, condition_id, lease_token FROM signals ORDER BY ts")
    return [(row["kind"], row["detail"], row["condition_id"], row["lease_token"]) for row in rows]


async def test_they_are_in_the_database_without_anybody_waiting(
    db: Database, tmp_path: Path
) -> None:
    async with await journal_of(db, tmp_path) as journal:
        journal.signal("0xc1", "intent", {"price_e4": 5_500, "nan": float("nan")})
        journal.event("feed_down", {"channel": "user"})
        for _ in range(100):
            if await signals(db):
                break
            await asyncio.sleep(0.05)
        assert await signals(db) == [("intent", {"price_e4": 5_500, "nan": None}, "0xc1", 1)]
    (event,) = await recent_events(db)
    assert (event.agent, event.kind, event.detail) == ("alpha", "feed_down", {"channel": "user"})


async def test_closing_writes_what_waits(db: Database, tmp_path: Path) -> None:
    async with await journal_of(db, tmp_path) as journal:
        for n in range(3_000):
            journal.signal("0xc1", "tick", {"n": n})
    assert [detail["n"] for _, detail, _, _ in await signals(db)] == list(range(3_000))


async def test_anything_may_be_a_detail(db: Database, tmp_path: Path) -> None:
    odd = {1: {2, 3}, "big": 2**90, "text": "nul\0", "error": ValueError("no"), "bytes": b"\xff"}
    async with await journal_of(db, tmp_path) as journal:
        journal.event("odd", odd)  # type: ignore[arg-type]
    (event,) = await recent_events(db)
    assert event.detail["big"] == 2**90
    assert event.detail["text"] == "nul"
    assert event.detail["error"] == "no"


async def test_signals_of_a_stale_session_are_refused_its_events_kept(
    db: Database, tmp_path: Path
) -> None:
    journal = await journal_of(db, tmp_path)
    await leases.expire(db, "alpha", 1)
    journal.signal("0xc1", "intent", {})
    journal.event("lease_lost", {"why": "stalled"})
    await journal._log.flush()
    assert await signals(db) == []
    with pytest.raises(LeaseLost, match="token 1"):
        journal.signal("0xc1", "intent", {})
    journal.event("stopping", {})
    await journal.close()
    assert [event.kind for event in await recent_events(db)] == ["stopping", "lease_lost"]


async def test_while_postgres_is_away_they_wait_in_the_spool_and_arrive_once(
    db: Database, clean_postgres_url: str, tmp_path: Path
) -> None:
    lease = await leases.acquire(db, "alpha", "one", 60)
    assert lease is not None
    nowhere = clean_postgres_url.rpartition(":")[0] + ":1/floor"
    async with Database(nowhere, timeout_s=0.1) as away:
        journal = PostgresJournal(away, "alpha", lease, spool_dir=tmp_path, patience_s=0.1)
        for n in range(500):
            journal.signal("0xc1", "tick", {"n": n})
        journal.event("away", {})
        await journal.close()
    assert len(spooled(tmp_path)) == 2

    # Half of them had reached the database when the connection broke.
    half = PostgresJournal(db, "alpha", lease, spool_dir=tmp_path / "copy")
    copy_first_halves(spooled(tmp_path), tmp_path / "copy")
    await half._log.flush()
    assert 0 < len(await signals(db)) < 500

    async with PostgresJournal(db, "alpha", lease, spool_dir=tmp_path) as journal:
        journal.signal("0xc1", "tick", {"n": 500})
    assert [detail["n"] for _, detail, _, _ in await signals(db)] == list(range(501))
    assert [event.kind for event in await recent_events(db)] == ["away"]
    assert spooled(tmp_path) == []


async def test_a_successor_writes_what_its_predecessor_left_behind(
    db: Database, clean_postgres_url: str, tmp_path: Path
) -> None:
    lease = await leases.acquire(db, "alpha", "one", 60)
    assert lease is not None
    nowhere = clean_postgres_url.rpartition(":")[0] + ":1/floor"
    async with Database(nowhere, timeout_s=0.1) as away:
        dying = PostgresJournal(away, "alpha", lease, spool_dir=tmp_path)
        dying.signal("0xc1", "last words", {})
        await dying.close()
    await leases.expire(db, "alpha", lease.token)
    async with await journal_of(db, tmp_path, "two"):
        pass
    assert await signals(db) == [("last words", {}, "0xc1", 1)]


async def test_a_stale_session_does_not_drain_the_spool(
    db: Database, clean_postgres_url: str, tmp_path: Path
) -> None:
    stale = await leases.acquire(db, "alpha", "one", 60)
    assert stale is not None
    nowhere = clean_postgres_url.rpartition(":")[0] + ":1/floor"
    async with Database(nowhere, timeout_s=0.1) as away:
        journal = PostgresJournal(away, "alpha", stale, spool_dir=tmp_path)
        journal.signal("0xc1", "intent", {})
        await journal.close()
    await leases.expire(db, "alpha", stale.token)
    again = PostgresJournal(db, "alpha", stale, spool_dir=tmp_path)
    await again._log.flush()
    await again.close()
    assert await signals(db) == []
    assert len(spooled(tmp_path)) == 1


async def test_one_record_that_is_refused_does_not_hold_up_the_others(
    db: Database, tmp_path: Path
) -> None:
    journal = await journal_of(db, tmp_path)
    for n in range(9):
        journal.event("fine", {"n": n})
    # No agent of that name: the foreign key refuses this one row.
    stranger = PostgresJournal(db, "gamma", leases.Lease("gamma", "x", 1, 5), spool_dir=tmp_path)
    journal._log._events.put(stranger._log._note(None, "bad", {}))
    for n in range(9, 20):
        journal.event("fine", {"n": n})
    await journal.close()
    assert len(await recent_events(db)) == 20
    assert journal._log._events.refused == 1
