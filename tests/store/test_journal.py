"""The journal on a real Postgres: what is written is what the next session reads."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine.ports import Journal
from models.errors import BadValue, LeaseLost
from models.journal import WindowResult
from models.markets import Outcome, Side
from models.orders import OrderState, TimeInForce, TradeStatus
from models.tables.columns import to_ns
from models.units import DAY_NS, MINUTE_NS, SECOND_NS
from store import agents, leases, markets, portfolio
from store.database import Database
from store.journal import PostgresJournal


@pytest.fixture
async def journal(db: Database, tmp_path: Path) -> AsyncIterator[PostgresJournal]:
    lease = await leases.acquire(db, "alpha", "session-1", 60)
    assert lease is not None
    async with PostgresJournal(db, "alpha", lease, spool_dir=tmp_path) as opened:
        yield opened


def result(make: Any, **fields: object) -> WindowResult:
    """Result of a 4-share Up fill at 0.55 with a fee of 0.07, Up having won."""
    given = {
        "agent": "alpha",
        "condition_id": make.market().condition_id,
        "slug": make.market().slug,
        "winner": "Up",
        "bought_e6": 2_200_000,
        "sold_e6": 0,
        "fees_e6": 70_000,
        "payout_e6": 4_000_000,
        "fills": 1,
        "opened_ns": make.fill(make.order()).matched_ns,
        "closed_ns": time.time_ns() // 1000 * 1000,
    }
    return WindowResult(**(given | fields))  # type: ignore[arg-type]


def test_it_is_a_journal(journal: PostgresJournal) -> None:
    port: Journal = journal
    assert port is journal


async def test_a_new_agent_has_an_empty_book(journal: PostgresJournal) -> None:
    state = await journal.load()
    assert (state.orders, state.fills, state.markets, state.ended) == ((), (), (), ())
    assert (state.settled_cash_e6, state.day_start_cash_e6, state.checkpoint) == (0, 0, None)


async def test_a_signed_order_comes_back_whole(journal: PostgresJournal, make: Any) -> None:
    market = make.market(strike_e8=6_543_210_987_654)
    gtd = make.order(
        1, tif=TimeInForce.GTD, expires_s=1_800_000_700, post_only=True, reason="it rose"
    )
    down = make.order(2, market, outcome=Outcome.DOWN, price_e4=1, size_e6=123_456_789_012_345)
    await journal.order_signed(gtd, market)
    await journal.order_signed(down, market)
    state = await journal.load()
    assert state.orders == (gtd, down)
    assert state.markets == (market,)


async def test_signing_again_what_is_kept_already_changes_nothing(
    journal: PostgresJournal, make: Any
) -> None:
    order = make.order()
    await journal.order_signed(order, make.market())
    await journal.order_changed(order.to(OrderState.LIVE))
    await journal.order_signed(order, make.market())
    (kept,) = (await journal.load()).orders
    assert kept.state is OrderState.LIVE


async def test_one_wish_never_has_two_orders_that_may_trade(
    journal: PostgresJournal, make: Any
) -> None:
    first, second = make.order(1), make.order(2, intent_id="intent-1")
    await journal.order_signed(first, make.market())
    with pytest.raises(BadValue, match=r"intent-1 .* another order"):
        await journal.order_signed(second, make.market())
    await journal.order_changed(first.to(OrderState.REJECTED))
    await journal.order_signed(second, make.market())


async def test_changes_of_an_order_are_kept(journal: PostgresJournal, make: Any) -> None:
    order = make.order()
    await journal.order_signed(order, make.market())
    changed = replace(
        order,
        state=OrderState.PARTIAL,
        filled_e6=3_000_000,
        note="half way",
        updated_ns=order.updated_ns + 5_000,
    )
    await journal.order_changed(changed)
    state = await journal.load()
    assert state.orders == (changed,)
    ended = changed.to(OrderState.CANCELLED)
    await journal.order_changed(ended)
    state = await journal.load()
    assert state.orders == ()


async def test_every_step_of_an_orders_life_is_written_down_once(
    journal: PostgresJournal, db: Database, make: Any
) -> None:
    signed = replace(make.order(), updated_ns=make.order().created_ns + 2_000)
    await journal.order_signed(signed, make.market())
    await journal.order_signed(signed, make.market())
    sent = signed.to(OrderState.SENT, updated_ns=signed.updated_ns + 1_000)
    lost = sent.to(OrderState.UNKNOWN, note="timed out")
    live = lost.to(OrderState.LIVE)
    partial = live.to(OrderState.PARTIAL, filled_e6=1_000_000)
    more = live.to(OrderState.PARTIAL, filled_e6=3_000_000)
    done = live.to(OrderState.CANCELLED, filled_e6=3_000_000)
    for order in (sent, sent, lost, live, lost, live, partial, more, done, done):
        await journal.order_changed(order)
    rows = await db.fetch(
        "SELECT state, filled, note, lease_token, at FROM order_transitions ORDER BY id"
    )
    assert [(row["state"], int(row["filled"] * 1_000_000)) for row in rows] == [
        ("intended", 0), ("signed", 0), ("sent", 0), ("unknown", 0), ("live", 0), ("unknown", 0),
        ("live", 0), ("partial", 1_000_000), ("partial", 3_000_000), ("cancelled", 3_000_000),
    ]  # fmt: skip
    assert {row["lease_token"] for row in rows} == {1}
    assert [to_ns(row["at"]) - signed.created_ns for row in rows[:3]] == [0, 2_000, 3_000]
    assert rows[3]["note"] == "timed out"


async def test_a_refused_or_broken_write_leaves_connections_that_roll_back(
    clean_postgres_url: str, make: Any, tmp_path: Path
) -> None:
    """Orders are written without a transaction around them; what follows must have one again."""
    async with Database(clean_postgres_url, max_size=1) as database:
        await agents.sync_agents(database, [make.spec()])
        lease = await leases.acquire(database, "alpha", "session-1", 60)
        assert lease is not None
        async with PostgresJournal(database, "alpha", lease, spool_dir=tmp_path) as journal:
            await journal.order_signed(make.order(), make.market())
            with pytest.raises(BadValue):
                await journal.order_changed(make.order().to(OrderState.LIVE, filled_e6=10**12))
            with pytest.raises(ZeroDivisionError):
                async with database.transaction() as connection:
                    await connection.execute("DELETE FROM order_transitions")
                    raise ZeroDivisionError
            await database.execute("SELECT 1")
            with psycopg.connect(clean_postgres_url, autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'floor' AND datname = current_database()"
                )
            await journal.order_changed(make.order().to(OrderState.LIVE))
            rows = await database.fetch("SELECT state FROM order_transitions ORDER BY id")
        assert [row["state"] for row in rows] == ["intended", "signed", "live"]


async def test_an_ended_order_is_remembered_while_its_market_may_still_report_fills(
    journal: PostgresJournal, make: Any
) -> None:
    end_ns = time.time_ns() // SECOND_NS * SECOND_NS
    recent = make.market(1, start_ns=end_ns - 900 * SECOND_NS, end_ns=end_ns)
    old = make.market(2, start_ns=end_ns - 240 * MINUTE_NS, end_ns=end_ns - 180 * MINUTE_NS)
    settled = make.market(3, start_ns=end_ns - 900 * SECOND_NS, end_ns=end_ns)
    kept, filled = make.order(1, recent), make.order(2, old)
    forgotten, done = make.order(3, old), make.order(4, settled)
    for order, market in ((kept, recent), (filled, old), (forgotten, old), (done, settled)):
        await journal.order_signed(order, market)
        await journal.order_changed(order.to(OrderState.CANCELLED))
    await journal.fill(make.fill(filled))
    nothing = {"bought_e6": 0, "fees_e6": 0, "payout_e6": 0, "fills": 0}
    await journal.settled(
        result(make, condition_id=settled.condition_id, slug=settled.slug, **nothing)
    )
    state = await journal.load()
    assert state.ended == (kept.to(OrderState.CANCELLED), filled.to(OrderState.CANCELLED))
    assert {market.slug for market in state.markets} == {recent.slug, old.slug}


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"price_e4": 0}, "ck_orders_price"),
        ({"price_e4": 10_000}, "ck_orders_price"),
        ({"size_e6": 0}, "ck_orders_size"),
        ({"agent": "beta"}, "beta's, not alpha's"),
        ({"token_id": "999"}, "token 999 is not Up of"),
        ({"condition_id": "0xother"}, "its market is not"),
        ({"tif": TimeInForce.GTD}, "ck_orders_expiry"),
        ({"expires_s": 1_800_000_000}, "ck_orders_expiry"),
        ({"tif": TimeInForce.FAK, "post_only": True}, "ck_orders_post_only_rests"),
    ],
)
async def test_an_impossible_order_is_refused_and_leaves_nothing(
    journal: PostgresJournal, make: Any, wrong: dict[str, object], rule: str
) -> None:
    with pytest.raises(BadValue, match=rule):
        await journal.order_signed(make.order(1, **wrong), make.market())
    assert (await journal.load()).orders == ()


async def test_only_an_immediate_purchase_may_fill_more_than_its_size(
    journal: PostgresJournal, make: Any
) -> None:
    resting = make.order(1)
    bought = make.order(2, tif=TimeInForce.FAK)
    sold = make.order(3, tif=TimeInForce.FAK, side=Side.SELL)
    for order in (resting, bought, sold):
        await journal.order_signed(order, make.market())
    over = {"filled_e6": 10_000_001}
    await journal.order_changed(bought.to(OrderState.FILLED, **over))
    for order in (resting, sold):
        with pytest.raises(BadValue, match="ck_orders_filled"):
            await journal.order_changed(order.to(OrderState.FILLED, **over))


async def test_a_change_of_an_unknown_order_is_refused(journal: PostgresJournal, make: Any) -> None:
    with pytest.raises(BadValue, match="not in the books of alpha"):
        await journal.order_changed(make.order())


async def test_a_fill_comes_back_whole_and_makes_the_position(
    journal: PostgresJournal, db: Database, make: Any
) -> None:
    order = make.order()
    await journal.order_signed(order, make.market())
    fill = make.fill(order)
    await journal.fill(fill)
    assert (await journal.load()).fills == (fill,)
    (position,) = await portfolio.positions(db, "alpha")
    assert (position.size_e6, position.bought_cash_e6, position.fees_e6) == (
        4_000_000,
        2_200_000,
        70_000,
    )


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"order_id": "0xunknown"}, "fk_fills_order"),
        ({"side": Side.SELL}, "fk_fills_order"),
        ({"token_id": "102"}, "fk_fills_order"),
        ({"outcome": Outcome.DOWN}, "fk_fills_order"),
        ({"agent": "beta"}, "beta's, not alpha's"),
        ({"size_e6": 0, "cash_e6": 0}, "ck_fills_size"),
        ({"cash_e6": -1}, "ck_fills_cash"),
        ({"cash_e6": 4_000_001}, "ck_fills_cash"),
        ({"fee_e6": -1}, "ck_fills_fee"),
    ],
)
async def test_an_impossible_fill_is_refused_and_moves_nothing(
    journal: PostgresJournal, db: Database, make: Any, wrong: dict[str, Any], rule: str
) -> None:
    order = make.order()
    await journal.order_signed(order, make.market())
    with pytest.raises(BadValue, match=rule):
        await journal.fill(replace(make.fill(order), **wrong))
    assert await portfolio.positions(db, open_only=False) == []


async def test_settling_books_the_result_once(
    journal: PostgresJournal, db: Database, make: Any
) -> None:
    order = make.order()
    await journal.order_signed(order, make.market())
    await journal.fill(make.fill(order))
    expected = result(make)
    await journal.settled(expected)
    await journal.settled(expected)
    assert await portfolio.window_results(db) == [expected]
    assert expected.pnl_e6 == 1_730_000
    assert await portfolio.positions(db) == []
    record = await markets.load_market(db, expected.condition_id)
    assert record is not None
    assert record.winner is Outcome.UP
    state = await journal.load()
    assert (state.fills, state.settled_cash_e6) == ((), 1_730_000)


async def test_results_of_earlier_days_are_the_start_of_this_one(
    journal: PostgresJournal, make: Any
) -> None:
    order = make.order()
    await journal.order_signed(order, make.market())
    await journal.fill(make.fill(order))
    yesterday = time.time_ns() - 2 * DAY_NS
    await journal.settled(result(make, closed_ns=yesterday))
    state = await journal.load()
    assert state.settled_cash_e6 == state.day_start_cash_e6 == 1_730_000


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"winner": ""}, "neither Up nor Down"),
        ({"winner": "Down"}, "payout 4000000 where the fills make 0"),
        ({"bought_e6": 1}, "bought 1 where the fills make 2200000"),
        ({"fees_e6": 0}, "fees 0 where the fills make 70000"),
        ({"condition_id": "0xnone"}, "no market 0xnone"),
        ({"agent": "beta"}, "beta's, not alpha's"),
    ],
)
async def test_a_result_that_its_fills_do_not_make_is_refused(
    journal: PostgresJournal, db: Database, make: Any, wrong: dict[str, object], message: str
) -> None:
    order = make.order()
    await journal.order_signed(order, make.market())
    await journal.fill(make.fill(order))
    with pytest.raises(BadValue, match=message):
        await journal.settled(result(make, **wrong))
    assert await portfolio.window_results(db) == []
    record = await markets.load_market(db, make.market().condition_id)
    assert record is not None
    assert record.winner is None


async def test_a_market_has_one_winner(journal: PostgresJournal, db: Database, make: Any) -> None:
    order = make.order()
    await journal.order_signed(order, make.market())
    await journal.fill(make.fill(order))
    await markets.set_resolution(db, make.market().condition_id, Outcome.DOWN, time.time_ns())
    with pytest.raises(BadValue, match="Down is recorded already"):
        await journal.settled(result(make))
    await journal.settled(result(make, winner="Down", payout_e6=0))


async def test_a_fill_that_fails_after_settlement_corrects_the_result(
    journal: PostgresJournal, db: Database, make: Any
) -> None:
    order = make.order()
    await journal.order_signed(order, make.market())
    await journal.fill(make.fill(order))
    await journal.fill(make.fill(order, "t2", 1_000_000, 500_000, 0))
    await journal.settled(result(make, bought_e6=2_700_000, payout_e6=5_000_000, fills=2))
    await journal.fill(make.fill(order, "t2", 1_000_000, 500_000, 0, TradeStatus.FAILED))
    (kept,) = await portfolio.window_results(db)
    assert (kept.bought_e6, kept.payout_e6, kept.fills, kept.pnl_e6) == (
        2_200_000,
        4_000_000,
        1,
        1_730_000,
    )
    assert (await journal.load()).settled_cash_e6 == 1_730_000


async def test_the_last_checkpoint_counts_and_ten_are_kept(
    journal: PostgresJournal, db: Database
) -> None:
    for n in range(15):
        await journal.checkpoint({"n": n, "big": 2**60, "nan": float("nan"), "nul": "a\0b"})
    state = await journal.load()
    assert state.checkpoint == {"n": 14, "big": 2**60, "nan": None, "nul": "ab"}
    rows = await db.fetch("SELECT state ->> 'n' AS n FROM agent_checkpoints ORDER BY id")
    assert [row["n"] for row in rows] == [str(n) for n in range(5, 15)]


async def test_agents_do_not_see_each_other(
    journal: PostgresJournal, db: Database, make: Any, tmp_path: Path
) -> None:
    order = make.order()
    await journal.order_signed(order, make.market())
    await journal.fill(make.fill(order))
    lease = await leases.acquire(db, "beta", "session-b", 60)
    assert lease is not None
    async with PostgresJournal(db, "beta", lease, spool_dir=tmp_path) as other:
        state = await other.load()
        assert (state.orders, state.fills) == ((), ())
    with pytest.raises(BadValue, match="lease is beta's"):
        PostgresJournal(db, "alpha", lease, spool_dir=tmp_path)


# --- the fence --------------------------------------------------------------------------------


WRITES = ["order_signed", "order_changed", "fill", "settled", "checkpoint", "load"]


async def write(journal: PostgresJournal, name: str, make: Any) -> None:
    order = make.order()
    match name:
        case "order_signed":
            await journal.order_signed(make.order(2), make.market())
        case "order_changed":
            await journal.order_changed(order.to(OrderState.LIVE))
        case "fill":
            await journal.fill(make.fill(order, "t9"))
        case "settled":
            await journal.settled(result(make))
        case "checkpoint":
            await journal.checkpoint({"n": 1})
        case "load":
            await journal.load()


async def contents(db: Database) -> list[Any]:
    return [
        await db.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ("orders", "fills", "positions", "trades", "agent_checkpoints", "markets")
    ]


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("how", ["superseded", "released", "ended"])
async def test_nothing_is_written_under_a_stale_lease(
    journal: PostgresJournal, db: Database, make: Any, name: str, how: str
) -> None:
    order = make.order()
    await journal.order_signed(order, make.market())
    await journal.fill(make.fill(order))
    await leases.expire(db, "alpha", 1)
    if how == "superseded":
        # The successor may even bear the same name: the token alone tells them apart.
        assert await leases.acquire(db, "alpha", "session-1", 60)
    before = await contents(db)
    with pytest.raises(LeaseLost, match="token 1"):
        await write(journal, name, make)
    assert await contents(db) == before


async def test_an_expired_lease_signs_nothing_but_may_still_tell_what_happened(
    db: Database, make: Any, tmp_path: Path
) -> None:
    lease = await leases.acquire(db, "alpha", "session-1", 60)
    assert lease is not None
    async with PostgresJournal(db, "alpha", lease, spool_dir=tmp_path) as journal:
        order = make.order()
        await journal.order_signed(order, make.market())
        await db.execute("UPDATE agent_leases SET expires_at = now() - interval '1 second'")
        with pytest.raises(LeaseLost):
            await journal.order_signed(make.order(2), make.market())
        await journal.fill(make.fill(order))
        await journal.order_changed(order.to(OrderState.CANCELLED))
        assert len((await journal.load()).fills) == 1
