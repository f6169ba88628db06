"""Positions and trades are the sums of the fills, whatever way the fills were reported."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from models.errors import BadValue
from models.markets import Outcome, Side
from models.orders import Fill, Order, TradeStatus
from store import agents, leases, portfolio
from store.database import Database
from store.fills import adopt_fill
from store.journal import PostgresJournal
from store.portfolio import Position

KINDS = [(outcome, side) for outcome in Outcome for side in Side]
"""What each of the four orders is for."""
TRADES = 5

amounts = st.tuples(st.integers(1, 10**10), st.integers(0, 10**6), st.integers(0, 10**8))
"""Size, cash per share in e6, fee."""
books = st.lists(
    st.tuples(st.integers(0, TRADES), st.integers(0, len(KINDS) - 1), amounts),
    min_size=1,
    max_size=8,
    unique_by=lambda item: item[:2],
)
reports = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from(list(TradeStatus))), min_size=1, max_size=30
)


def orders(make: Any) -> list[Order]:
    return [
        make.order(1 + n, outcome=outcome, side=side, size_e6=10**12)
        for n, (outcome, side) in enumerate(KINDS)
    ]


def told(make: Any, book: Any, reported: Any) -> list[Fill]:
    """What the venue says: fills of the book, each any number of times in any state."""
    fills = []
    known = orders(make)
    for index, status in reported:
        trade, order, (size, unit_cash, fee) = book[index % len(book)]
        cash = size * unit_cash // 10**6
        fills.append(make.fill(known[order], f"t{trade}", size, cash, fee, status))
    return fills


def final(fills: Sequence[Fill]) -> list[Fill]:
    """The report of highest rank of each fill."""
    best: dict[tuple[str, str], Fill] = {}
    for fill in fills:
        known = best.get((fill.trade_id, fill.order_id))
        if known is None or fill.status.rank > known.status.rank:
            best[fill.trade_id, fill.order_id] = fill
    return list(best.values())


def summed(fills: Sequence[Fill]) -> dict[str, tuple[int, ...]]:
    """Size, purchases and sales (shares, cash) and fees by token, straight from the fills."""
    sums: dict[str, list[int]] = {}
    for fill in final(fills):
        row = sums.setdefault(fill.token_id, [0] * 6)
        if fill.status is TradeStatus.FAILED:
            continue
        buy = fill.side is Side.BUY
        row[0] += fill.share_change_e6
        row[1 if buy else 3] += fill.size_e6
        row[2 if buy else 4] += fill.cash_e6
        row[5] += fill.fee_e6
    return {token: tuple(row) for token, row in sums.items()}


def kept(positions: Sequence[Position]) -> dict[str, tuple[int, ...]]:
    return {
        p.token_id: (
            p.size_e6, p.bought_e6, p.bought_cash_e6, p.sold_e6, p.sold_cash_e6, p.fees_e6,
        )
        for p in positions
    }  # fmt: skip


async def prepare(make: Any, url: str, spool: Path) -> tuple[Database, PostgresJournal]:
    """Empty the books and open a journal that knows the orders."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as admin:
        admin.execute(
            "DELETE FROM trades; DELETE FROM positions; DELETE FROM fills;"
            "DELETE FROM order_transitions; DELETE FROM orders;"
            " DELETE FROM markets; DELETE FROM agent_leases"
        )
    db = Database(url, max_size=4)
    await db.open()
    await agents.sync_agents(db, [make.spec()])
    lease = await leases.acquire(db, "alpha", "session", 60)
    assert lease is not None
    journal = PostgresJournal(db, "alpha", lease, spool_dir=spool)
    for order in orders(make):
        await journal.order_signed(order, make.market())
    return db, journal


every_report = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@every_report
@given(book=books, reported=reports)
def test_positions_are_the_sums_of_the_fills(
    clean_postgres_url: str, tmp_path: Path, make: Any, book: Any, reported: Any
) -> None:
    fills = told(make, book, reported)

    async def run() -> None:
        db, journal = await prepare(make, clean_postgres_url, tmp_path)
        try:
            seen: list[Fill] = []
            for fill in fills:
                await journal.fill(fill)
                seen.append(fill)
                assert kept(await portfolio.positions(db, open_only=False)) == summed(seen)
            state = await journal.load()
            assert set(state.fills) == set(final(fills))
        finally:
            await db.close()

    asyncio.run(run())


@every_report
@given(book=books, reported=reports)
def test_fills_booked_at_the_same_time_lose_nothing(
    clean_postgres_url: str, tmp_path: Path, make: Any, book: Any, reported: Any
) -> None:
    """The session and reconciliation book at once; the order of their commits does not matter."""
    fills = told(make, book, reported)

    async def run() -> None:
        db, journal = await prepare(make, clean_postgres_url, tmp_path)
        try:
            await asyncio.gather(
                *(
                    journal.fill(fill) if n % 2 else adopt_fill(db, fill)
                    for n, fill in enumerate(fills)
                )
            )
            assert kept(await portfolio.positions(db, open_only=False)) == summed(fills)
        finally:
            await db.close()

    asyncio.run(run())


@every_report
@given(book=books, reported=reports, late=reports, winner=st.sampled_from(list(Outcome)))
def test_a_result_follows_its_fills_after_settlement_too(
    clean_postgres_url: str,
    tmp_path: Path,
    make: Any,
    book: Any,
    reported: Any,
    late: Any,
    winner: Outcome,
) -> None:
    before, after = told(make, book, reported), told(make, book, late)

    async def run() -> None:
        db, journal = await prepare(make, clean_postgres_url, tmp_path)
        try:
            for fill in before:
                await journal.fill(fill)
            await journal.settled(window(make, before, winner))
            for fill in after:
                await journal.fill(fill)
            (row,) = await portfolio.window_results(db)
            assert replace(row, opened_ns=0) == window(make, [*before, *after], winner)
            state = await journal.load()
            assert state.settled_cash_e6 == row.pnl_e6
            assert state.fills == ()
        finally:
            await db.close()

    asyncio.run(run())


def window(make: Any, fills: Sequence[Fill], winner: Outcome) -> Any:
    counted = [fill for fill in final(fills) if fill.status is not TradeStatus.FAILED]
    market = make.market()
    return portfolio.WindowResult(
        agent="alpha",
        condition_id=market.condition_id,
        slug=market.slug,
        winner=winner.value,
        bought_e6=sum(f.cash_e6 for f in counted if f.side is Side.BUY),
        sold_e6=sum(f.cash_e6 for f in counted if f.side is Side.SELL),
        fees_e6=sum(f.fee_e6 for f in counted),
        payout_e6=sum(f.share_change_e6 for f in counted if f.outcome is winner),
        fills=len(counted),
        opened_ns=0,
        closed_ns=1_800_000_900_000_000_000,
    )


async def test_an_adopted_fill_needs_its_order_in_the_books(db: Database, make: Any) -> None:
    with pytest.raises(BadValue, match="fk_fills_order"):
        await adopt_fill(db, make.fill(make.order()))
