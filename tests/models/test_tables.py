"""The column types: integers in code, exact NUMERIC and timestamptz underneath."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Numeric
from sqlalchemy.dialects import postgresql

from models.agents import AgentStatus
from models.errors import BadValue
from models.tables import metadata
from models.tables.columns import CashE6, PriceE4, SizeE6, SpotE8, TimeNs, Word, from_ns, to_ns

DIALECT = postgresql.dialect()
MONEY = [PriceE4(), SizeE6(), CashE6(), SpotE8()]


@pytest.mark.parametrize("kind", MONEY, ids=lambda kind: type(kind).__name__)
@given(value=st.integers(-(10**13), 10**13))
def test_integers_survive_the_database_s_decimals(kind, value: int) -> None:
    stored = kind.process_bind_param(value, DIALECT)
    assert isinstance(stored, Decimal)
    assert stored * 10**kind.decimals == value
    assert kind.process_result_value(stored, DIALECT) == value
    assert kind.process_result_value(stored.normalize(), DIALECT) == value


@pytest.mark.parametrize("kind", MONEY, ids=lambda kind: type(kind).__name__)
@pytest.mark.parametrize("value", [1.0, "1", Decimal(1), True])
def test_only_integers_are_money(kind, value: object) -> None:
    with pytest.raises(BadValue, match="not an integer of base units"):
        kind.process_bind_param(value, DIALECT)


@given(ns=st.integers(-(10**18), 4 * 10**18))
def test_times_are_kept_to_the_microsecond(ns: int) -> None:
    kind = TimeNs()
    stored = kind.process_bind_param(ns, DIALECT)
    assert stored is not None
    assert stored.tzinfo is UTC
    assert kind.process_result_value(stored, DIALECT) == ns // 1000 * 1000


def test_a_time_of_any_zone_is_the_same_instant() -> None:
    there = datetime(2026, 11, 21, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert to_ns(there) == to_ns(datetime(2026, 11, 21, tzinfo=UTC))
    assert from_ns(to_ns(there)) == there


def test_words_come_back_as_their_enum_and_others_are_refused() -> None:
    kind = Word(AgentStatus)
    assert kind.process_bind_param("paused", DIALECT) == "paused"
    assert kind.process_result_value("paused", DIALECT) is AgentStatus.PAUSED
    with pytest.raises(ValueError, match="asleep"):
        kind.process_bind_param("asleep", DIALECT)


def test_empty_values_stay_empty() -> None:
    for kind in (*MONEY, TimeNs(), Word(AgentStatus)):
        assert kind.process_bind_param(None, DIALECT) is None
        assert kind.process_result_value(None, DIALECT) is None


def test_every_numeric_column_is_read_as_integers_and_every_time_has_a_zone() -> None:
    for table in metadata.tables.values():
        for column in table.columns:
            assert type(column.type) is not Numeric, f"{table.name}.{column.name}"
            rendered = column.type.compile(DIALECT)
            if "TIMESTAMP" in rendered:
                assert "WITH TIME ZONE" in rendered, f"{table.name}.{column.name}"


def test_the_floor_has_every_table_it_promises() -> None:
    assert set(metadata.tables) >= {
        "agents", "markets", "orders", "fills", "trades", "positions", "portfolio_snapshots",
        "signals", "market_data", "spot_prices", "performance_metrics", "agent_checkpoints",
        "system_events", "system_state", "conditional_orders", "audit_log", "agent_leases",
    }  # fmt: skip
