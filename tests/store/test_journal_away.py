"""The journal without Postgres: what it takes, what it refuses, and what comes of it later."""

import asyncio
import math
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.conditional import Condition, ConditionKind
from models.errors import StoreUnavailable
from models.execution import Algo, Execution
from models.journal import WindowResult
from models.markets import Outcome, Side
from models.orders import OrderState, TradeStatus
from store import portfolio
from store.backlog import boot_s
from store.database import Database
from store.held import HeldFile
from store.journal import PostgresJournal
from store.journal_booking import book
from store.journal_entries import OrderChanged, entry
from tests.store.sessions import PATIENCE_S, Link, files, journal_of, lease_of, steps


@pytest.fixture
async def journal(link: Link, tmp_path: Path) -> AsyncIterator[PostgresJournal]:
    async with journal_of(link, await lease_of(link.database), tmp_path) as opened:
        yield opened


# --- taken and booked -----------------------------------------------------------------------------


async def test_everything_a_session_writes_waits_and_comes_in_order(
    journal: PostgresJournal, link: Link, make: Any, tmp_path: Path
) -> None:
    market, order = make.market(), make.order()
    promise = Condition(
        "c1", "g1", "alpha", market.condition_id, market.up_token, Outcome.UP,
        ConditionKind.TRAILING_STOP, trail_bps=500, high_e4=5_000, created_ns=1_000,
    )  # fmt: skip
    working = Execution(
        "e1", "alpha", market.condition_id, market.up_token, Outcome.UP, Side.BUY, Algo.TWAP,
        10_000_000, 1_000, 2_000_000, plan={"slices": 4}, progress={"done": 1},
    )  # fmt: skip
    link.down = True
    await journal.order_signed(order, market)
    await journal.order_changed(order.to(OrderState.LIVE))
    await journal.fill(make.fill(order))
    await journal.conditions_changed([promise], market)
    await journal.conditions_changed([replace(promise, high_e4=6_000)], market)
    await journal.execution_changed(working, market)
    await journal.execution_changed(replace(working, progress={"done": 2}), market)
    await journal.order_changed(order.to(OrderState.PARTIAL, filled_e6=4_000_000))
    await journal.checkpoint({"n": 1})
    assert journal.behind == 9
    assert journal.away_s > 0
    assert await link.database.fetch("SELECT * FROM orders") == []
    assert len(files(tmp_path, "alpha.journal.*.wal")) == 1

    link.down = False
    assert await journal.drained(PATIENCE_S)
    state = await journal.load()
    assert state.orders == (order.to(OrderState.PARTIAL, filled_e6=4_000_000),)
    assert state.fills == (make.fill(order),)
    assert state.conditions == (replace(promise, high_e4=6_000),)
    assert state.executions == (replace(working, progress={"done": 2}),)
    assert state.checkpoint == {"n": 1}
    assert await steps(link, order) == ["intended", "signed", "live", "partial"]
    assert (journal.away_s, journal.behind, files(tmp_path)) == (0.0, 0, [])


async def test_a_window_settled_without_postgres_is_settled_once(
    journal: PostgresJournal, link: Link, make: Any
) -> None:
    order, market = make.order(), make.market()
    link.down = True
    await journal.order_signed(order, market)
    await journal.fill(make.fill(order, status=TradeStatus.CONFIRMED))
    result = WindowResult(
        "alpha", market.condition_id, market.slug, "Up", 2_200_000, 0, 70_000, 4_000_000, 1,
        make.fill(order).matched_ns, market.end_ns,
    )  # fmt: skip
    await journal.settled(result)
    await journal.settled(result)
    link.down = False
    assert await journal.drained(PATIENCE_S)
    assert await portfolio.window_results(link) == [result]
    assert (await journal.load()).settled_cash_e6 == 1_730_000


async def test_while_anything_waits_every_write_goes_behind_it(
    journal: PostgresJournal, link: Link, make: Any
) -> None:
    order = make.order()
    link.down = True
    await journal.order_signed(order, make.market())
    link.down = False
    # Postgres is there again but the file is not drained yet: a change must not overtake its order.
    await journal.order_changed(order.to(OrderState.LIVE))
    assert await journal.drained(PATIENCE_S)
    assert await steps(link, order) == ["intended", "signed", "live"]


async def test_a_commit_whose_answer_was_lost_counts_once(
    journal: PostgresJournal, link: Link, make: Any
) -> None:
    order = make.order()
    fill = make.fill(order)
    works = (
        lambda: journal.order_signed(order, make.market()),
        lambda: journal.order_changed(order.to(OrderState.LIVE)),
        lambda: journal.fill(fill),
        lambda: journal.checkpoint({"n": 1}),
    )
    for work in works:
        task = asyncio.create_task(work())
        while not task.done():
            # Away as soon as the statement is under way, so that its answer is not heard.
            await asyncio.sleep(0)
            link.down = True
        await task
        assert journal.behind == 1
        link.down = False
        assert await journal.drained(PATIENCE_S)
    assert await steps(link, order) == ["intended", "signed", "live"]
    (position,) = await portfolio.positions(link)
    assert position.size_e6 == fill.size_e6
    kept = await link.fetch("SELECT state FROM agent_checkpoints")
    assert [row["state"] for row in kept] == [{"n": 1}]


async def test_a_write_given_up_long_ago_undoes_nothing_when_it_arrives_after_all(
    journal: PostgresJournal, db: Database, make: Any
) -> None:
    """A server that hung carries out what was sent to it before it notices that nobody waits."""
    order = make.order()
    await journal.order_signed(order, make.market())
    live = entry("alpha", 1, OrderChanged(order.to(OrderState.LIVE)))
    await book(db, journal._lease, live, PATIENCE_S)
    await journal.order_changed(order.to(OrderState.CANCELLED))
    await book(db, journal._lease, live, PATIENCE_S)
    assert await steps(db, order) == ["intended", "signed", "live", "cancelled"]
    assert (await journal.load()).orders == ()


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.timeout(60)
async def test_draining_lets_the_loop_turn_while_a_record_is_on_its_way_to_the_disk(
    journal: PostgresJournal, link: Link, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk's word comes through the loop: who waits without turning waits for ever."""
    market, first, second = make.market(), make.order(1), make.order(2)
    link.down = True
    await journal.order_signed(first, market)
    at_disk, disk = threading.Event(), threading.Event()
    whole = HeldFile.append

    def slow(self: HeldFile, block: bytes) -> None:
        at_disk.set()
        disk.wait(30)
        whole(self, block)

    monkeypatch.setattr(HeldFile, "append", slow)
    writing = asyncio.create_task(journal.order_signed(second, market))
    await asyncio.to_thread(at_disk.wait, 30)
    link.down = False
    while journal.behind > 1:
        await asyncio.sleep(0.01)
    assert not writing.done()
    disk.set()
    await writing
    assert await journal.drained(PATIENCE_S)
    ids = {row["order_id"] for row in await link.database.fetch("SELECT order_id FROM orders")}
    assert ids == {first.order_id, second.order_id}


async def test_a_lease_that_may_have_lapsed_stops_orders_and_nothing_else(
    link: Link, make: Any, tmp_path: Path
) -> None:
    until = boot_s() + 3600
    lease = await lease_of(link.database)
    async with journal_of(link, lease, tmp_path, lambda: until) as journal:
        order = make.order(1)
        link.down = True
        await journal.order_signed(order, make.market())
        until = boot_s()
        for side in Side:
            with pytest.raises(StoreUnavailable, match="the lease of alpha may have lapsed"):
                await journal.order_signed(make.order(2, side=side), make.market())
        await journal.fill(make.fill(order))
        await journal.order_changed(order.to(OrderState.CANCELLED, filled_e6=4_000_000))
        link.down = False
        assert await journal.drained(PATIENCE_S)
        assert await steps(link, order) == ["intended", "signed", "cancelled"]
        assert len(await link.fetch("SELECT 1 FROM orders")) == 1


async def test_a_disk_that_took_its_time_does_not_get_an_order_out_after_the_lease(
    link: Link, make: Any, tmp_path: Path
) -> None:
    """The lease lapses between the append and the answer; the row then says: not sent."""
    looks = iter([math.inf, 0.0])
    lease = await lease_of(link.database)
    async with journal_of(link, lease, tmp_path, lambda: next(looks)) as journal:
        link.down = True
        with pytest.raises(StoreUnavailable, match="may have lapsed"):
            await journal.order_signed(make.order(), make.market())
        link.down = False
        assert await journal.drained(PATIENCE_S)
        state = await journal.load()
        assert state.orders == ()
        (order,) = state.ended
        assert order.state is OrderState.REJECTED
        assert order.note.startswith("not sent: Postgres has been away")


async def test_an_order_refused_after_a_cut_off_commit_is_in_the_books_as_not_sent(
    link: Link, make: Any, tmp_path: Path
) -> None:
    lease = await lease_of(link.database)
    async with journal_of(link, lease, tmp_path, None) as journal:
        task = asyncio.create_task(journal.order_signed(make.order(), make.market()))
        while not task.done():
            await asyncio.sleep(0)
            link.down = True
        with pytest.raises(StoreUnavailable, match="nothing else says that the lease still holds"):
            await task
        (row,) = await link.database.fetch("SELECT state FROM orders")
        assert row["state"] == "signed", "the commit did take place"
        link.down = False
        assert await journal.drained(PATIENCE_S)
        assert (await journal.load()).orders == ()
        await journal.order_signed(make.order(2, intent_id="intent-1"), make.market())


async def test_after_a_minute_nothing_new_is_bought_but_what_is_held_may_be_sold(
    link: Link, make: Any, tmp_path: Path
) -> None:
    lease = await lease_of(link.database)
    async with journal_of(link, lease, tmp_path, new_risk_s=0.0) as journal:
        link.down = True
        with pytest.raises(StoreUnavailable, match="nothing new is bought after 0 s"):
            await journal.order_signed(make.order(1), make.market())
        await journal.order_signed(make.order(2, side=Side.SELL), make.market())


async def test_a_full_disk_refuses_whole_records_and_keeps_those_before(
    db: Database, make: Any, tmp_path: Path, clean_postgres_url: str
) -> None:
    """In a process of its own, whose files may not grow beyond 2500 bytes."""
    lease = await lease_of(db)
    code = f"""
import asyncio, math, resource, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from models.errors import StoreUnavailable
from models.orders import OrderState
from store.database import Database
from store.journal import PostgresJournal
from store.leases import Lease
from tests.store.conftest import Make

async def main():
    away = Database("postgresql://floor@127.0.0.1:1/floor", timeout_s=0.1)
    async with away:
        journal = PostgresJournal(
            away, "alpha", Lease("alpha", "one", {lease.token}, 60),
            spool_dir=Path({str(tmp_path)!r}),
            patience_s=0.1, may_trade_until=lambda: math.inf)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))
        for n in range(1, 9):
            try:
                await journal.order_signed(Make.order(n), Make.market())
                print("kept", n)
            except StoreUnavailable as error:
                print(error)
        journal._backlog._wal._file.close()
        import os; sys.stdout.flush(); os._exit(0)

asyncio.run(main())
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    kept = [line for line in done.stdout.splitlines() if line.startswith("kept")]
    assert kept == ["kept 1", "kept 2"], done.stdout + done.stderr
    assert "can't be kept on the disk: File too large; free the disk" in done.stdout
    async with journal_of(db, await lease_of(db, "two"), tmp_path) as journal:
        state = await journal.load()
    assert [order.order_id for order in state.orders] == [make.order(n).order_id for n in (1, 2)]
    assert (journal.damaged, files(tmp_path)) == ([], [])


async def test_a_long_backlog_being_booked_is_no_absence(
    link: Link, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch is an answer: buying goes on although the file is not empty yet."""
    monkeypatch.setattr("store.journal_drain._BATCH", 1)
    async with journal_of(link, await lease_of(link.database), tmp_path) as journal:
        link.down = True
        for n in range(1, 4):
            await journal.order_signed(make.order(n), make.market())
        journal._backlog._away_since = boot_s() - 3600
        with pytest.raises(StoreUnavailable, match="nothing new is bought after 60 s"):
            await journal.order_signed(make.order(9), make.market())
        link.down = False
        while journal.behind == 3:
            await asyncio.sleep(0)
        assert journal.away_s < 3600
        await journal.order_signed(make.order(5), make.market())
        assert await journal.drained(PATIENCE_S)
        assert journal.away_s == 0.0
        assert len((await journal.load()).orders) == 4
