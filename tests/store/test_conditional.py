"""Conditional orders and executions on a real Postgres: kept whole, fenced, never taken back."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.conditional import Condition, ConditionKind, ConditionState
from models.errors import BadValue, LeaseLost
from models.execution import Algo, AtEnd, Execution, ExecutionState
from models.markets import Outcome, Side
from models.units import SECOND_NS
from store import leases
from store.database import Database
from store.journal import PostgresJournal

NOW_NS = 1_800_000_000 * SECOND_NS


@pytest.fixture
async def journal(db: Database, tmp_path: Path) -> AsyncIterator[PostgresJournal]:
    lease = await leases.acquire(db, "alpha", "session-1", 60)
    assert lease is not None
    async with PostgresJournal(db, "alpha", lease, spool_dir=tmp_path) as opened:
        yield opened


def condition(number: int, kind: ConditionKind, **fields: Any) -> Condition:
    given: dict[str, Any] = {
        "id": f"c{number}",
        "group_id": "g1",
        "agent": "alpha",
        "condition_id": "0xc1",
        "token_id": "101",
        "outcome": Outcome.UP,
        "kind": kind,
        "reason": "careful",
        "created_ns": NOW_NS + number * 1000,
        "updated_ns": NOW_NS + number * 1000,
    }
    return Condition(**(given | fields))


STOP = condition(1, ConditionKind.STOP_LOSS, trigger_e4=4000, intent_id="alpha-1-1")
TAKE = condition(2, ConditionKind.TAKE_PROFIT, trigger_e4=6500, size_e6=12_340_000)
TRAIL = condition(3, ConditionKind.TRAILING_STOP, trail_bps=1500, high_e4=5100)
LATE = condition(4, ConditionKind.TIME_EXIT, due_ns=NOW_NS + 800 * SECOND_NS, slippage_ticks=9)
TWAP = Execution(
    id="e1",
    agent="alpha",
    condition_id="0xc1",
    token_id="102",
    outcome=Outcome.DOWN,
    side=Side.BUY,
    algo=Algo.TWAP,
    size_e6=50_000_000,
    start_ns=NOW_NS,
    end_ns=NOW_NS + 60 * SECOND_NS,
    price_e4=5500,
    at_end=AtEnd.GIVE_UP,
    plan={"slices": 5},
    progress={"asked": [1, 2]},
    reason="slowly",
    updated_ns=NOW_NS,
)


async def test_conditions_of_every_kind_come_back_whole_with_their_market(
    journal: PostgresJournal, make: Any
) -> None:
    market = make.market()
    await journal.conditions_changed((STOP, TAKE, TRAIL, LATE), market)
    state = await journal.load()
    assert state.conditions == (STOP, TAKE, TRAIL, LATE)
    assert state.markets == (market,)
    assert state.orders == ()


async def test_one_fires_and_its_siblings_go_in_the_same_commit(
    journal: PostgresJournal, make: Any
) -> None:
    market = make.market()
    await journal.conditions_changed((STOP, TAKE, TRAIL), market)
    fired = STOP.to(
        ConditionState.TRIGGERED, NOW_NS + SECOND_NS, size_e6=5_000_000,
        triggered_ns=NOW_NS + SECOND_NS,
    )  # fmt: skip
    gone = TAKE.to(ConditionState.CANCELLED, NOW_NS + SECOND_NS, note="its sibling fired")
    higher = replace(TRAIL, high_e4=5200)
    await journal.conditions_changed((fired, gone, higher), market)
    assert (await journal.load()).conditions == (fired, higher)


async def test_a_commit_that_breaks_a_rule_changes_none_of_its_rows(
    journal: PostgresJournal, make: Any
) -> None:
    market = make.market()
    await journal.conditions_changed((STOP,), market)
    fired = STOP.to(ConditionState.TRIGGERED, NOW_NS, triggered_ns=NOW_NS)
    with pytest.raises(BadValue):
        await journal.conditions_changed((fired, replace(TAKE, trigger_e4=10_000)), market)
    assert (await journal.load()).conditions == (STOP,)


async def test_a_state_is_never_taken_back(journal: PostgresJournal, make: Any) -> None:
    market = make.market()
    fired = STOP.to(ConditionState.TRIGGERED, NOW_NS, triggered_ns=NOW_NS)
    done = TAKE.to(ConditionState.DONE, NOW_NS)
    await journal.conditions_changed((fired, done), market)
    await journal.conditions_changed((STOP, TAKE), market)
    assert (await journal.load()).conditions == (fired,)


async def test_conditions_are_fenced(journal: PostgresJournal, db: Database, make: Any) -> None:
    await journal.conditions_changed((STOP,), make.market())
    await leases.release(db, journal._lease)
    assert await leases.acquire(db, "alpha", "session-2", 60) is not None
    with pytest.raises(LeaseLost):
        await journal.conditions_changed((TAKE,), make.market())
    with pytest.raises(LeaseLost):
        await journal.execution_changed(TWAP, make.market())


async def test_other_agents_and_other_markets_are_refused(
    journal: PostgresJournal, make: Any
) -> None:
    with pytest.raises(BadValue, match="is beta's"):
        await journal.conditions_changed((replace(STOP, agent="beta"),), make.market())
    with pytest.raises(BadValue, match="its market is not"):
        await journal.conditions_changed((STOP,), make.market(2))
    with pytest.raises(BadValue, match="is beta's"):
        await journal.execution_changed(replace(TWAP, agent="beta"), make.market())
    with pytest.raises(BadValue, match="its market is not"):
        await journal.execution_changed(TWAP, make.market(2))


async def test_an_execution_comes_back_with_its_progress_until_it_ends(
    journal: PostgresJournal, make: Any
) -> None:
    market = make.market()
    await journal.execution_changed(TWAP, market)
    further = replace(TWAP, progress={"asked": [1, 2, 3]}, updated_ns=NOW_NS + SECOND_NS)
    await journal.execution_changed(further, market)
    state = await journal.load()
    assert state.executions == (further,)
    assert state.markets == (market,)
    await journal.execution_changed(further.to(ExecutionState.DONE, NOW_NS), market)
    await journal.execution_changed(TWAP, market)
    assert (await journal.load()).executions == ()
