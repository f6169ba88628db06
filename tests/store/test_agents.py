"""Agents, the floor's switches and events, markets, and the reports made of them."""

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.agents import AgentStatus, Lifecycle
from models.errors import BadValue
from models.markets import Outcome, Side
from models.orders import OrderState
from models.units import SECOND_NS
from store import agents, leases, markets, portfolio, state
from store.agents import AgentOverview, Restarts
from store.database import Database
from store.events import recent_events, record_event
from store.journal import PostgresJournal
from store.portfolio import Snapshot
from store.settlement import WindowResult


async def one(db: Database, name: str = "alpha") -> AgentOverview:
    return next(row for row in await agents.agent_overview(db) if row.name == name)


# --- agents -----------------------------------------------------------------------------------


async def test_a_new_agent_is_stopped_and_desired(db: Database) -> None:
    assert await one(db) == AgentOverview(
        name="alpha", strategy="momentum", status=AgentStatus.STOPPED, lifecycle=Lifecycle.PAPER,
        desired=True, reason="", capital_e6=200_000_000, pnl_today_e6=0, pnl_total_e6=0,
        open_orders=0, position_cost_e6=0, heartbeat_age_s=None, restarts_last_hour=0,
        window_slug="", lease_holder="", lease_live=False,
    )  # fmt: skip


async def test_the_table_follows_the_agent_files(db: Database, make: Any) -> None:
    changed = make.spec(capital_usd=Decimal("300.000001"), parameters={"lookback_s": 60})
    await agents.sync_agents(db, [changed, make.spec("gamma", enabled=False)])
    assert await agents.load_spec(db, "alpha") == changed
    rows = {row.name: (row.capital_e6, row.desired) for row in await agents.agent_overview(db)}
    assert rows == {
        "alpha": (300_000_001, True),
        "beta": (200_000_000, False),
        "gamma": (200_000_000, False),
    }
    await agents.sync_agents(db, [make.spec("beta")], disable_missing=False)
    assert [row.desired for row in await agents.agent_overview(db)] == [True, True, False]


async def test_only_a_resume_ends_a_pause(db: Database) -> None:
    assert await agents.set_status(db, "alpha", AgentStatus.RUNNING)
    assert await agents.pause(db, "alpha", "lost a lot")
    assert not await agents.pause(db, "alpha", "lost too much")
    assert not await agents.set_status(db, "alpha", AgentStatus.STOPPED)
    paused = await one(db)
    assert (paused.status, paused.desired, paused.reason) == (
        AgentStatus.PAUSED,
        False,
        "lost too much",
    )
    await agents.record_restart(db, "alpha", "crashed")
    await agents.resume(db, "alpha")
    resumed = await one(db)
    assert (resumed.status, resumed.desired, resumed.reason, resumed.restarts_last_hour) == (
        AgentStatus.STOPPED,
        True,
        "",
        0,
    )


async def test_resuming_an_agent_that_runs_leaves_it_running(db: Database) -> None:
    await agents.set_status(db, "alpha", AgentStatus.RUNNING)
    await agents.resume(db, "alpha")
    assert (await one(db)).status is AgentStatus.RUNNING


async def test_a_pause_needs_a_reason_and_an_agent(db: Database) -> None:
    for refused in (agents.pause(db, "alpha", ""), agents.pause(db, "nobody-here", "why not")):
        with pytest.raises(BadValue):
            await refused
    for refused in (
        agents.set_status(db, "nobody-here", AgentStatus.RUNNING),
        agents.resume(db, "nobody-here"),
        agents.load_spec(db, "nobody-here"),
        agents.record_restart(db, "nobody-here", "x"),
    ):
        with pytest.raises(BadValue):
            await refused
    with pytest.raises(BadValue):
        await agents.set_status(db, "alpha", AgentStatus.PAUSED)


async def test_restarts_older_than_an_hour_are_forgiven(db: Database) -> None:
    assert await agents.record_restart(db, "alpha", "crashed") == 1
    assert await agents.record_restart(db, "alpha", "crashed") == 2
    await db.execute(
        "UPDATE agent_restarts SET restarted_at = now() - interval '61 minutes'"
        " WHERE id = (SELECT min(id) FROM agent_restarts)"
    )
    assert await agents.restarts_last_hour(db, "alpha") == 1
    assert await agents.restarts_last_hour(db, "beta") == 0


@pytest.mark.parametrize(
    ("ages_s", "count"),
    [
        ([], 0),
        ([1.0], 1),
        ([300.5], 1),
        ([302.0], 0),
        ([10.0, 309.0], 2),
        ([10.0, 312.0], 1),
        # The third waited out four seconds before it could even begin.
        ([303.9, 304.0, 305.0], 3),
        ([304.1, 304.5, 305.0], 0),
        ([1.0, 5000.0, 5001.0], 1),
    ],
)
def test_restarts_in_a_row_are_close_to_each_other_and_to_now(
    ages_s: list[float], count: int
) -> None:
    assert agents.in_a_row(ages_s) == count


def test_back_off_doubles_up_to_five_minutes() -> None:
    waits = [agents.back_off_s(count) for count in range(1, 12)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert (agents.back_off_s(0), agents.back_off_s(10**6)) == (0, 300)


@given(length=st.integers(1, 60), held_s=st.floats(0, 299))
def test_what_dies_soon_after_its_back_off_stays_in_the_row(length: int, held_s: float) -> None:
    """However long the waits grow, an agent that fails for ever is never taken for a fresh one."""
    moments = [0.0]
    for count in range(1, length):
        moments.append(moments[-1] + agents.back_off_s(count) + held_s)
    ages_s = [moments[-1] - moment for moment in reversed(moments)]
    assert agents.in_a_row(ages_s) == length


async def test_restarts_are_counted_by_the_databases_clock_and_forgiven(db: Database) -> None:
    for _ in range(3):
        await agents.record_restart(db, "alpha", "crashed")
    await agents.record_restart(db, "beta", "crashed")
    assert await agents.restarts(db, "alpha") == Restarts(last_hour=3, in_a_row=3)
    await db.execute(
        "UPDATE agent_restarts SET restarted_at = now() - interval '20 minutes'"
        " WHERE agent = 'alpha'"
    )
    assert await agents.restarts(db, "alpha") == Restarts(last_hour=3, in_a_row=0)
    assert await agents.forgive_restarts(db, "alpha") == 3
    assert await agents.restarts(db, "alpha") == Restarts(0, 0)
    assert await agents.restarts(db, "beta") == Restarts(1, 1)


async def test_the_overview_sums_up_a_trading_agent(
    db: Database, make: Any, tmp_path: Path
) -> None:
    lease = await leases.acquire(db, "alpha", "here:1:2", 60)
    assert lease is not None
    await leases.renew(db, lease, "btc-updown-15m-2")
    async with PostgresJournal(db, "alpha", lease, spool_dir=tmp_path) as journal:
        done, going = make.market(1), make.market(2)
        first = make.order(1, done)
        await journal.order_signed(first, done)
        await journal.fill(make.fill(first))
        await journal.order_changed(first.to(OrderState.CANCELLED))
        await journal.settled(
            WindowResult("alpha", done.condition_id, done.slug, "Down", 2_200_000, 0, 70_000, 0, 1,
                         0, time.time_ns() - 3 * 86_400 * SECOND_NS)
        )  # fmt: skip
        second, third = make.order(2, going), make.order(3, going, side=Side.SELL)
        for order in (second, third):
            await journal.order_signed(order, going)
        await journal.fill(make.fill(second, "t2", 6_000_000, 3_000_000, 0))
        await journal.fill(make.fill(third, "t3", 2_000_000, 1_500_000, 0))
    row = await one(db)
    assert (row.pnl_total_e6, row.pnl_today_e6) == (-2_270_000, 0)
    assert row.open_orders == 2
    assert row.position_cost_e6 == 2_000_000
    assert (row.window_slug, row.lease_holder, row.lease_live) == (
        "btc-updown-15m-2",
        "here:1:2",
        True,
    )
    assert row.heartbeat_age_s is not None
    floor, alpha = await portfolio.pnl_reports(db)
    assert (floor.agent, alpha.agent) == (None, "alpha")
    assert (alpha.windows, alpha.wins, alpha.fills) == (1, 0, 1)
    assert alpha.pnl_e6 == floor.pnl_e6 == -2_270_000
    assert alpha.pnl_today_e6 == 0
    (open_,) = await portfolio.positions(db)
    assert (open_.size_e6, open_.open) == (4_000_000, True)
    assert len(await portfolio.positions(db, "alpha", open_only=False)) == 2
    assert await portfolio.positions(db, "beta") == []


# --- switches and events ----------------------------------------------------------------------


async def test_a_halt_keeps_its_first_reason_until_cleared(db: Database) -> None:
    assert await state.halted(db) is None
    began = time.time_ns()
    await state.set_halt(db, "fire")
    await state.set_halt(db, "still fire")
    halt = await state.halted(db)
    assert halt is not None
    assert halt.reason == "fire"
    assert began <= halt.since_ns <= time.time_ns()
    await state.clear_halt(db)
    await state.clear_halt(db)
    assert await state.halted(db) is None
    with pytest.raises(BadValue):
        await state.set_halt(db, "")


@pytest.mark.parametrize("value", [None, 0, 2**70, "text", [1, {"a": None}], {"nested": [True]}])
async def test_any_json_value_can_be_kept(db: Database, value: Any) -> None:
    await state.put(db, "key", "before")
    await state.put(db, "key", value)
    assert await state.get(db, "key") == value
    assert await state.delete(db, "key")
    assert not await state.delete(db, "key")
    assert await state.get(db, "key") is None


async def test_events_are_found_by_agent_and_kind(db: Database) -> None:
    await record_event(db, "started", {"n": 1}, "alpha")
    await record_event(db, "started", None, "beta")
    await record_event(db, "halted")
    assert [event.kind for event in await recent_events(db)] == ["halted", "started", "started"]
    (event,) = await recent_events(db, agent="alpha")
    assert (event.detail, event.agent) == ({"n": 1}, "alpha")
    assert len(await recent_events(db, kind="started")) == 2
    assert len(await recent_events(db, limit=1)) == 1
    with pytest.raises(BadValue):
        await record_event(db, "x", {}, "nobody-here")


# --- markets ----------------------------------------------------------------------------------


async def test_a_market_learns_its_strike_tick_and_winner(db: Database, make: Any) -> None:
    market = make.market()
    await markets.upsert_market(db, market)
    assert await markets.load_market(db, market.condition_id) == markets.MarketRecord(
        market, None, None
    )
    await markets.set_strike(db, market.condition_id, 6_700_012_345_678)
    await markets.upsert_market(db, make.market(tick_e4=10))
    await markets.set_resolution(db, market.condition_id, Outcome.DOWN, 5_000)
    await markets.set_resolution(db, market.condition_id, Outcome.DOWN, 9_000)
    known = await markets.load_market_by_slug(db, market.slug)
    assert known == markets.MarketRecord(
        make.market(tick_e4=10, strike_e8=6_700_012_345_678), Outcome.DOWN, 5_000
    )
    assert await markets.load_market(db, "0xnone") is None
    assert await markets.load_market_by_slug(db, "none") is None


async def test_what_a_market_is_never_changes(db: Database, make: Any) -> None:
    await markets.upsert_market(db, make.market())
    await markets.set_resolution(db, "0xc1", Outcome.UP, 1)
    for refused in (
        markets.upsert_market(db, make.market(up_token="999")),
        markets.upsert_market(db, make.market(end_ns=make.market().end_ns + SECOND_NS)),
        markets.upsert_market(db, make.market(2, up_token="101")),
        markets.upsert_market(db, make.market(2, down_token="201")),
        markets.set_resolution(db, "0xc1", Outcome.DOWN, 2),
        markets.set_resolution(db, "0xnone", Outcome.UP, 2),
        markets.set_strike(db, "0xc1", 0),
        markets.set_strike(db, "0xnone", 1),
    ):
        with pytest.raises(BadValue):
            await refused


# --- snapshots --------------------------------------------------------------------------------


async def test_snapshots_of_agents_and_the_floor_are_apart(db: Database) -> None:
    def snapshot(agent: str | None, ts_us: int, cash_e6: int) -> Snapshot:
        return Snapshot(agent, ts_us * 1000, cash_e6, 5, 7, -3, 2)

    kept = [snapshot("alpha", 1, 10), snapshot("alpha", 2, 20), snapshot(None, 2, 30)]
    for one_ in kept:
        await portfolio.save_snapshot(db, one_)
    await portfolio.save_snapshot(db, snapshot(None, 2, 31))
    assert await portfolio.snapshots(db, "alpha") == [kept[1], kept[0]]
    assert await portfolio.snapshots(db, "alpha", limit=1) == [kept[1]]
    assert await portfolio.snapshots(db, None) == [snapshot(None, 2, 31)]
    assert kept[0].equity_e6 == 17
