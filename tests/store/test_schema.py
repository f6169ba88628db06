"""Migrations up and down on a real server, and the report of drift."""

import psycopg
import pytest

from models.errors import BadValue, StoreUnavailable
from models.tables import metadata
from store.schema import check, current_revision, downgrade, upgrade


def run(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in rows} - {"alembic_version"}


def leftovers(url: str) -> int:
    """Count functions and sequences that the migrations made."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)"
            " + (SELECT count(*) FROM pg_class WHERE relkind = 'S')"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_migrated_database_agrees_with_the_models(postgres_url: str) -> None:
    assert check(postgres_url) == []
    assert tables(postgres_url) == set(metadata.tables)


def test_up_down_up(postgres_url: str) -> None:
    downgrade(postgres_url, "base")
    assert tables(postgres_url) == set()
    assert leftovers(postgres_url) == 0
    assert check(postgres_url) == [
        "the database is at migration none, the code at 0005; run `floor db upgrade`"
    ]
    upgrade(postgres_url)
    assert check(postgres_url) == []


def test_every_step_down_can_be_taken_alone(postgres_url: str) -> None:
    downgrade(postgres_url, "-1")
    assert current_revision(postgres_url) == "0004"
    assert "executions" in tables(postgres_url)
    downgrade(postgres_url, "-1")
    assert current_revision(postgres_url) == "0003"
    assert "executions" not in tables(postgres_url)
    assert "conditional_orders" in tables(postgres_url)
    downgrade(postgres_url, "-1")
    assert current_revision(postgres_url) == "0002"
    assert "order_transitions" not in tables(postgres_url)
    downgrade(postgres_url, "-1")
    assert current_revision(postgres_url) == "0001"
    assert "audit_log" not in tables(postgres_url)
    assert "orders" in tables(postgres_url)
    for _ in range(4):
        upgrade(postgres_url, "+1")
    assert check(postgres_url) == []


def test_upgrade_of_a_migrated_database_changes_nothing(postgres_url: str) -> None:
    run(postgres_url, "INSERT INTO system_state (key, value) VALUES ('a', '1')")
    upgrade(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT key FROM system_state").fetchall() == [("a",)]


@pytest.mark.parametrize(
    ("change", "report"),
    [
        ("ALTER TABLE orders ADD COLUMN mood text", "column orders.mood: not in the models"),
        ("ALTER TABLE signals DROP COLUMN kind", "column signals.kind: missing in the database"),
        ("DROP TABLE spot_prices", "table spot_prices: missing in the database"),
        ("CREATE TABLE notes (a int)", "table notes: not in the models"),
        (
            "ALTER TABLE fills ALTER COLUMN fee TYPE numeric(20, 2)",
            "column fills.fee: type is NUMERIC(precision=20, scale=2)",
        ),
        (
            "ALTER TABLE fills ALTER COLUMN fee DROP NOT NULL",
            "column fills.fee: nullable is True, the models say False",
        ),
        (
            "ALTER TABLE agents ALTER COLUMN status SET DEFAULT 'running'",
            "column agents.status: default",
        ),
        ("DROP INDEX ix_fills_matched_at", "index fills.ix_fills_matched_at: missing"),
        (
            "ALTER TABLE fills DROP CONSTRAINT fk_fills_order",
            "fk fills.fk_fills_order: missing in the database",
        ),
        (
            "ALTER TABLE markets DROP CONSTRAINT uq_markets_up_token",
            "constraint markets.uq_markets_up_token: missing in the database",
        ),
        (
            "ALTER TABLE orders DROP CONSTRAINT ck_orders_price",
            "check constraint orders.ck_orders_price: missing in the database",
        ),
        (
            "ALTER TABLE orders ADD CONSTRAINT ck_mine CHECK (price > 0.5)",
            "check constraint orders.ck_mine: not in the models",
        ),
        (
            "DROP TRIGGER audit_log_keep ON audit_log",
            "trigger audit_log.audit_log_keep: missing in the database",
        ),
        (
            "ALTER TABLE audit_log DISABLE TRIGGER audit_log_seal",
            "trigger audit_log.audit_log_seal: missing in the database",
        ),
    ],
)
def test_a_change_by_hand_is_reported(postgres_url: str, change: str, report: str) -> None:
    run(postgres_url, change)
    found = check(postgres_url)
    assert any(report in line for line in found), found


def test_unknown_revision_is_one_clear_error(postgres_url: str) -> None:
    with pytest.raises(BadValue, match="no such migration"):
        upgrade(postgres_url, "9999")


def test_absent_server_is_one_clear_error_without_password() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        check("postgresql://floor:hunter2@127.0.0.1:1/floor")
    assert "127.0.0.1:1" in str(caught.value)
    assert "hunter2" not in str(caught.value)
