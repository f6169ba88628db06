"""The kill switch in Postgres and in its file, and what keeps an agent from trading."""

from pathlib import Path

import pytest

from models.errors import BadValue
from store import risk, state
from store.database import Database
from store.risk import Kill

THROWN = Kill("too much", "a person", 1_000)


async def test_the_first_throw_stays_until_it_is_reset(db: Database) -> None:
    assert await risk.killed(db) is None
    assert await risk.throw_kill(db, THROWN) == THROWN
    assert await risk.throw_kill(db, Kill("again", "b", 2_000)) == THROWN
    assert await risk.killed(db) == THROWN
    assert await risk.reset_kill(db, "c") == THROWN
    assert await risk.killed(db) is None
    assert await risk.reset_kill(db, "c") is None
    again = Kill("again", "b", 2_000)
    assert await risk.throw_kill(db, again) == again
    with pytest.raises(BadValue, match="give a reason"):
        await risk.throw_kill(db, Kill("", "b", 1))


async def test_a_file_thrown_without_postgres_is_adopted(db: Database, tmp_path: Path) -> None:
    assert await risk.adopt(db, tmp_path) is None
    risk.write_kill_file(tmp_path, THROWN)
    risk.write_kill_file(tmp_path, Kill("later", "b", 2_000))
    assert risk.read_kill_file(tmp_path) == THROWN
    assert await risk.adopt(db, tmp_path) == THROWN
    assert await risk.killed(db) == THROWN


async def test_a_switch_of_another_machine_is_written_down_here(
    db: Database, tmp_path: Path
) -> None:
    await risk.throw_kill(db, THROWN)
    assert await risk.adopt(db, tmp_path / "new") == THROWN
    assert risk.read_kill_file(tmp_path / "new") == THROWN


async def test_a_file_older_than_the_last_reset_counts_no_more(
    db: Database, tmp_path: Path
) -> None:
    risk.write_kill_file(tmp_path, THROWN)
    await risk.throw_kill(db, THROWN)
    await risk.reset_kill(db, "from elsewhere")
    assert await risk.adopt(db, tmp_path) is None
    assert risk.read_kill_file(tmp_path) is None


@pytest.mark.parametrize("content", ["", "no json", "[]", '{"reason": "x"}'])
async def test_a_spoilt_file_is_a_thrown_switch(db: Database, tmp_path: Path, content: str) -> None:
    risk.kill_file(tmp_path).write_text(content)
    await risk.reset_kill(db, "before")
    found = await risk.adopt(db, tmp_path)
    assert found is not None and "can't be read" in found.reason


@pytest.mark.parametrize("value", [7, "x", {"by": "x"}, []])
async def test_a_spoilt_row_is_a_thrown_switch(db: Database, value: object) -> None:
    await state.put(db, risk.KILL, value)
    found = await risk.killed(db)
    assert found is not None and "can't be read" in found.reason
    assert "can't be read" in await risk.stop_reason(db, "alpha")


@pytest.mark.parametrize(
    ("name", "status", "stops"),
    [
        ("agent-losses:alpha", "tripped", ("alpha",)),
        ("agent-losses:alpha", "cooling", ("alpha",)),
        ("agent-losses:alpha", "half-open", ()),
        ("floor-drawdown", "tripped", ("alpha", "beta")),
        ("floor-drawdown", "closed", ()),
        ("resolution-disagreement:btc-1", "tripped", ("alpha", "beta")),
        ("market-anomaly:btc-1", "tripped", ()),
        ("api-errors", "no such status", ("alpha", "beta")),
    ],
)
async def test_whom_a_breaker_stops(
    db: Database, name: str, status: str, stops: tuple[str, ...]
) -> None:
    await risk.save_breaker(db, name, {"status": status, "reason": "so it is"})
    for agent in ("alpha", "beta"):
        reason = await risk.stop_reason(db, agent)
        assert reason == (f"breaker {name}: so it is" if agent in stops else "")
    assert set(await risk.breaker_rows(db)) == {name}
    await risk.forget_breaker(db, name)
    assert await risk.breaker_rows(db) == {}
