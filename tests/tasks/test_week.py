"""A simulated week in small: its clock, its plan, its comparison, and some hours of it."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from models.markets import Market, Outcome
from models.orders import Role
from models.units import SECOND_NS
from store import agents
from store.database import Database
from tasks.agent_files import find_agent
from tasks.drilling.week import run_week
from tasks.drilling.week_check import Told, disagreements, doubled_or_lost
from tasks.drilling.week_clock import SharedClock, SteppedClock, SteppedLoop
from tasks.drilling.week_plan import CALM_S, HOUR_S, VENUE_FAULTS, Kind, plan
from tests.tasks.risk_rows import add_market, add_order, window

EXPLORE = os.environ.get("HYPOTHESIS_PROFILE") == "explore"
HOURS = float(os.environ.get("WEEK_HOURS", "168" if EXPLORE else "4"))
SEED = int(os.environ.get("WEEK_SEED", "4"))
AGENT = "market-maker-btc-15m"

# --- its clock ------------------------------------------------------------------------------------


def test_a_day_goes_by_while_nobody_waits(tmp_path: Path) -> None:
    """Alarms of the engine's clock and sleeps of the loop end in the order of their times."""
    shared = SharedClock(tmp_path / "clock", 1_900_000_000 * SECOND_NS)
    clock = SteppedClock(shared)
    ended: list[tuple[str, float]] = []

    def move() -> bool:
        shared.advance(60.0)
        clock.ring()
        return True

    async def nap(name: str, seconds: float, by_clock: bool) -> None:
        await (clock.sleep(seconds) if by_clock else asyncio.sleep(seconds))
        ended.append((name, (shared.now_ns() - start_ns) / SECOND_NS))

    async def naps() -> None:
        await asyncio.gather(
            nap("day", 86_400, True), nap("hour", 3_600, False), nap("minute", 90, True)
        )

    start_ns, began = shared.now_ns(), time.monotonic()
    loop = SteppedLoop(clock, lambda: 0.0, move)
    try:
        loop.run_until_complete(naps())
    finally:
        loop.close()
    assert ended == [("minute", 120.0), ("hour", 3_600.0), ("day", 86_400.0)]
    assert time.monotonic() - began < 3_600


def test_a_cancelled_alarm_does_not_ring(tmp_path: Path) -> None:
    shared = SharedClock(tmp_path / "clock", SECOND_NS)
    clock = SteppedClock(shared)
    rung: list[str] = []
    clock.call_at(2 * SECOND_NS, lambda: rung.append("late")).cancel()
    clock.call_at(3 * SECOND_NS, lambda: rung.append("right"))
    shared.advance(5.0)
    clock.ring()
    clock.ring()
    assert rung == ["right"]


# --- its plan -------------------------------------------------------------------------------------


def test_a_seed_is_a_plan() -> None:
    assert plan(168, 5, 2) == plan(168, 5, 2)
    assert plan(168, 5, 2) != plan(168, 6, 2)
    assert plan(24, 5, 2) == tuple(f for f in plan(168, 5, 2) if f.at_s < 24 * HOUR_S - CALM_S[1])


def test_a_week_has_every_kind_of_fault_and_moments_of_calm() -> None:
    faults = plan(168, 1, 2)
    assert {fault.kind for fault in faults} == set(Kind)
    assert {fault.agent for fault in faults} == {0, 1}
    seen = {fault.name for seed in range(5) for fault in plan(168, seed, 2)} - {""}
    assert seen == {name for name, _ in VENUE_FAULTS}
    assert [f.at_s for f in faults] == sorted(f.at_s for f in faults)
    assert not any(CALM_S[0] <= fault.at_s % HOUR_S < CALM_S[1] for fault in faults)


# --- its comparison -------------------------------------------------------------------------------

PRICE, SHARES = 0.5, 10
COST_E6 = 5_000_000
CAPITAL_E6 = 100_000_000


class Books:
    """One agent's tables with one filled order, and the ledger that agrees with them."""

    def __init__(self, url: str, left_s: float = 300.0) -> None:
        self.url = url
        self.market: Market = window(left_s=left_s)
        self.order_id = asyncio.run(self._write())
        token = self.market.up_token
        leg = {
            "order_id": self.order_id, "owner": "0xme", "size_e6": 10_000_000, "cash_e6": COST_E6,
            "fee_e6": 0,
        }  # fmt: skip
        order = {
            "order_id": self.order_id, "size_e6": 20_000_000, "matched_e6": 10_000_000,
            "open": True, "created_ns": 2,
        }  # fmt: skip
        old = order | {"order_id": self.old_id, "matched_e6": 0, "open": False, "created_ns": 1}
        wallet = {
            "granted_e6": CAPITAL_E6, "cash_e6": CAPITAL_E6 - COST_E6,
            "shares_e6": {token: 10_000_000},
        }  # fmt: skip
        self.ledger: dict[str, Any] = {
            "owner": "0xme", "wallets": {"0xw": wallet}, "orders": [order, old],
            "trades": [{"trade_id": "t", "status": "CONFIRMED", "taker": leg, "makers": []}],
            "rebates": [], "redemptions": [],
        }  # fmt: skip
        self.told = Told(AGENT, CAPITAL_E6, CAPITAL_E6 - COST_E6, {token: 10_000_000})

    async def _write(self) -> str:
        async with Database(self.url, max_size=1) as db:
            await agents.sync_agents(db, [find_agent(AGENT)])
            market = await add_market(db, self.market)
            self.old_id = await add_order(db, AGENT, market, Outcome.DOWN, PRICE, 2 * SHARES)
            await self._over(db)
            order_id = await add_order(db, AGENT, market, Outcome.UP, PRICE, 2 * SHARES)
            await db.execute("UPDATE orders SET filled = 10 WHERE order_id = %s", [order_id])
            await db.execute(
                "INSERT INTO fills (trade_id, order_id, agent, condition_id, token_id, outcome,"
                " side, role, size, cash, fee, status, transaction_hash, matched_at)"
                " VALUES ('t', %s, %s, %s, %s, 'Up', 'BUY', %s, 10, 5, 0, 'CONFIRMED', '', now())",
                [order_id, AGENT, market.condition_id, market.up_token, Role.MAKER],
            )
            await db.execute(
                "INSERT INTO positions (agent, token_id, condition_id, outcome, size, bought, sold,"
                " bought_cash, sold_cash, fees, opened_at, updated_at)"
                " VALUES (%s, %s, %s, 'Up', 10, 10, 0, 5, 0, 0, now(), now())",
                [AGENT, market.up_token, market.condition_id],
            )
        return order_id

    async def _over(self, db: Database) -> None:
        await db.execute("UPDATE orders SET state = 'cancelled'")

    def change(self, sql: str, *params: Any) -> None:
        async def do() -> None:
            async with Database(self.url, max_size=1) as db:
                await db.execute(sql, params)

        asyncio.run(do())

    def faults(self, told: Told | None = None) -> str:
        now_ns = time.time_ns()
        return "\n".join(disagreements(self.url, self.ledger, [told or self.told], now_ns))


def test_books_that_agree_have_no_faults(clean_postgres_url: str) -> None:
    assert Books(clean_postgres_url).faults() == ""


def test_an_order_nobody_wrote_down_is_lost(clean_postgres_url: str) -> None:
    books = Books(clean_postgres_url)
    books.ledger["orders"].append(books.ledger["orders"][0] | {"order_id": "0xstranger"})
    (fault,) = doubled_or_lost(books.url, books.ledger)
    assert fault.startswith("lost") and "0xstranger" in fault


def test_two_orders_of_one_wish_are_told_with_their_lives(clean_postgres_url: str) -> None:
    books = Books(clean_postgres_url)
    books.change("UPDATE orders SET intent_id = 'a wish'")
    assert doubled_or_lost(books.url, books.ledger) == [], "the one was never filled"
    books.ledger["orders"][1]["matched_e6"] = 1
    books.change(
        "INSERT INTO order_transitions (order_id, state, filled, note, lease_token, at)"
        " SELECT order_id, 'live', 0, 'taken', 7, now() FROM orders"
    )
    first, *lives = doubled_or_lost(books.url, books.ledger)
    assert first.startswith("duplicate") and "a wish" in first
    assert len(lives) == 2 and all("token 7 taken" in life for life in lives)


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("UPDATE orders SET filled = 9 WHERE state = 'live'", "filled 9000000 e6 for us"),
        ("UPDATE orders SET state = 'cancelled'", "open is True there"),
        ("UPDATE fills SET fee = 0.01", "cash differs"),
        ("DELETE FROM fills", "fill missing"),
        ("UPDATE positions SET size = 9, bought = 9", "shares differ"),
    ],
)
def test_what_differs_is_found(clean_postgres_url: str, sql: str, fault: str) -> None:
    books = Books(clean_postgres_url)
    books.change(sql)
    assert fault in books.faults()


def test_a_window_that_is_long_over_must_be_settled(clean_postgres_url: str) -> None:
    assert "is not settled" in Books(clean_postgres_url, left_s=-600.0).faults()


def test_a_sessions_money_is_what_its_tables_make_it(clean_postgres_url: str) -> None:
    books = Books(clean_postgres_url)
    off = Told(AGENT, CAPITAL_E6, books.told.cash_e6 + 1, books.told.shares_e6)
    assert "cash" in books.faults(off)
    assert "shares" in books.faults(Told(AGENT, CAPITAL_E6, books.told.cash_e6, {}))


# --- some hours of it -----------------------------------------------------------------------------


@pytest.mark.timeout(21_600 if EXPLORE else 1_200)
async def test_hours_under_faults_lose_nothing_and_double_nothing() -> None:
    """HYPOTHESIS_PROFILE=explore plays the whole week; WEEK_HOURS and WEEK_SEED choose others."""
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    report = await run_week(HOURS, SEED, tell)
    print("\n".join(f"{name:20} {value}" for name, value in report.rows()))
    assert report.failures == []
    assert report.holds
    assert len(lines) == report.checks >= int(HOURS)
    assert sum(report.faults.values()) >= HOURS
    assert report.kills > 0
    assert report.handed_over > 0
    # Of a quarter of an hour each; both agents trade them, and a new session takes them up again.
    assert report.windows >= 2 * 4 * HOURS - 8
    assert report.settled > 4 * HOURS / 2
    assert report.fills > 10 * HOURS
    few, many = report.session_tasks
    assert many <= few + 10
    few, many = report.session_files
    assert many <= few + 10
    few, many = report.session_bytes
    assert many < few * 1.2
