"""The pool: constraint errors, absent servers, servers that come back."""

import asyncio
import time

import psycopg
import pytest

from models.errors import BadValue, NotReady, StoreUnavailable
from store.database import Database
from store.schema import downgrade


async def test_rows_come_back_by_name(db: Database) -> None:
    assert await db.fetch("SELECT 1 AS a UNION SELECT 2 ORDER BY a") == [{"a": 1}, {"a": 2}]
    assert await db.fetch_one("SELECT name FROM agents WHERE name = %s", ["nobody"]) is None
    assert await db.execute("UPDATE agents SET enabled = true") == 2


async def test_a_failed_block_is_rolled_back(db: Database) -> None:
    with pytest.raises(RuntimeError):
        async with db.transaction() as connection:
            await connection.execute("DELETE FROM agents")
            raise RuntimeError
    assert await db.fetch_one("SELECT count(*) AS n FROM agents") == {"n": 2}


async def test_a_broken_rule_is_a_bad_value_that_names_it(db: Database) -> None:
    with pytest.raises(BadValue, match=r"table agents .*ck_agents_capital"):
        await db.execute("UPDATE agents SET capital = 0")


async def test_a_database_without_tables_says_how_to_mend_it(postgres_url: str) -> None:
    downgrade(postgres_url, "base")
    async with Database(postgres_url) as database:
        with pytest.raises(NotReady, match="floor db upgrade"):
            await database.fetch("SELECT * FROM agents")


async def test_an_absent_server_is_unavailable_soon_and_keeps_its_secret() -> None:
    began = time.monotonic()
    async with Database("postgresql://floor:hunter2@127.0.0.1:1/x", timeout_s=0.3) as database:
        with pytest.raises(StoreUnavailable) as caught:
            await database.fetch("SELECT 1")
    assert time.monotonic() - began < 5
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "127.0.0.1:1" in shown
    assert "hunter2" not in shown


async def test_connections_cut_by_the_server_are_replaced(
    db: Database, clean_postgres_url: str
) -> None:
    await asyncio.gather(*(db.fetch("SELECT pg_sleep(0.05)") for _ in range(6)))
    with psycopg.connect(clean_postgres_url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    failures = 0
    for _ in range(20):
        try:
            await db.fetch("SELECT 1")
        except StoreUnavailable:
            failures += 1
            await asyncio.sleep(0.05)
    assert failures < 6
    assert await db.fetch("SELECT 1 AS a") == [{"a": 1}]


async def test_callers_beyond_the_bound_wait_their_turn(clean_postgres_url: str) -> None:
    async with Database(clean_postgres_url, max_size=2) as database:
        counts = await asyncio.gather(
            *(
                database.fetch_one(
                    "SELECT count(*) AS n, pg_sleep(0.02) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'floor'"
                )
                for _ in range(10)
            )
        )
    assert max(row["n"] for row in counts if row) <= 2


async def test_a_statement_that_takes_too_long_is_cut_off_and_the_pool_goes_on(
    clean_postgres_url: str,
) -> None:
    async with Database(clean_postgres_url, max_size=1) as db:
        await db.execute("SELECT 1")
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="went away"):
            await db.execute("SELECT pg_sleep(60)", answer_s=0.2)
        with pytest.raises(StoreUnavailable, match="went away"):
            async with db.transaction(0.2) as connection:
                await connection.execute("SELECT 1")
                await connection.execute("SELECT pg_sleep(60)")
        assert time.monotonic() - began < 30
        assert await db.fetch_one("SELECT 1 AS one", answer_s=30) == {"one": 1}


async def test_a_transaction_cut_off_in_the_middle_leaves_nothing(clean_postgres_url: str) -> None:
    async with Database(clean_postgres_url, max_size=1) as db:
        with pytest.raises(StoreUnavailable):
            async with db.transaction(0.3) as connection:
                await connection.execute("INSERT INTO system_state (key, value) VALUES ('a', '1')")
                await connection.execute("SELECT pg_sleep(60)")
        assert await db.fetch("SELECT key FROM system_state") == []


async def test_a_client_that_falls_silent_in_a_transaction_does_not_keep_its_locks(
    clean_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a host does that is cut off: its lease must be free for another."""
    monkeypatch.setattr("store.database.IDLE_S", 1)
    async with Database(clean_postgres_url) as silent, Database(clean_postgres_url) as other:
        await silent.execute("CREATE TABLE locked (n int)")
        await silent.execute("INSERT INTO locked VALUES (1)")
        lock = "SELECT n FROM locked FOR UPDATE"
        held, released = asyncio.Event(), asyncio.Event()

        async def fall_silent() -> None:
            async with silent.transaction() as connection:
                await connection.execute(lock)
                held.set()
                await released.wait()
                await connection.execute(lock)

        task = asyncio.create_task(fall_silent())
        await held.wait()
        assert await other.fetch(lock, answer_s=20) == [{"n": 1}]
        released.set()
        with pytest.raises(StoreUnavailable):
            await task
        await other.execute("DROP TABLE locked")
