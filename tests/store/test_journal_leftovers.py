"""What sessions leave in files: booked by whoever comes after them, damage and all."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from models.conditional import Condition, ConditionKind, ConditionState
from models.errors import BadValue, LeaseLost
from models.events import SpotSource, SpotTick
from models.markets import Outcome
from models.orders import OrderState, TradeStatus
from models.units import SECOND_NS
from store import audit, leases
from store.checkpoints import CheckpointFiles
from store.database import Database
from store.frames import frame
from store.journal import PostgresJournal
from store.journal_drain import drain_dead
from store.marketdata import MarketDataWriter
from tests.store.sessions import PATIENCE_S, Link, files, journal_of, kill, lease_of, steps


@pytest.fixture
async def journal(link: Link, tmp_path: Path) -> AsyncIterator[PostgresJournal]:
    async with journal_of(link, await lease_of(link.database), tmp_path) as opened:
        yield opened


# --- taken over -----------------------------------------------------------------------------------


async def test_a_successor_books_what_its_dead_predecessor_left_before_it_loads(
    link: Link, make: Any, tmp_path: Path
) -> None:
    order = make.order()
    dying = journal_of(link, await lease_of(link.database), tmp_path)
    await dying.start()
    link.down = True
    await dying.order_signed(order, make.market())
    await dying.fill(make.fill(order))
    await kill(dying)
    link.down = False
    async with journal_of(link, await lease_of(link.database, "two"), tmp_path) as journal:
        state = await journal.load()
    assert [one.order_id for one in state.orders] == [order.order_id]
    assert state.fills == (make.fill(order),)
    (row,) = await link.fetch("SELECT lease_token FROM orders")
    assert row["lease_token"] == dying._lease.token
    assert files(tmp_path) == []


async def test_a_stale_session_learns_of_it_when_it_drains_and_its_file_stays(
    link: Link, make: Any, tmp_path: Path
) -> None:
    order = make.order()
    async with journal_of(link, await lease_of(link.database), tmp_path / "here") as stale:
        link.down = True
        await stale.order_signed(order, make.market())
        lease = await lease_of(link.database, "two")
        link.down = False
        with pytest.raises(LeaseLost, match="another session has taken over"):
            await stale.drained(PATIENCE_S)
        with pytest.raises(LeaseLost):
            await stale.order_changed(order.to(OrderState.LIVE))
    assert len(files(tmp_path / "here", "*.wal")) == 1
    # The other host's session knows nothing of it, and goes on; the file is booked beside it.
    async with journal_of(link, lease, tmp_path / "there") as current:
        assert (await current.load()).orders == ()
        assert await drain_dead(link, tmp_path / "here") == (1, [])
        assert [one.order_id for one in (await current.load()).orders] == [order.order_id]
    assert files(tmp_path / "here") == []


async def test_what_an_old_host_kept_never_undoes_what_is_known(
    link: Link, make: Any, tmp_path: Path
) -> None:
    known, unknown = make.order(1), make.order(2)
    old = journal_of(link, await lease_of(link.database), tmp_path / "here")
    await old.start()
    await old.order_signed(known, make.market())
    link.down = True
    await old.order_signed(unknown, make.market())
    await old.order_changed(known.to(OrderState.PARTIAL, filled_e6=1_000_000))
    await old.fill(make.fill(known, "t1", status=TradeStatus.MATCHED))
    await old.checkpoint({"by": "old"})
    await kill(old)
    link.down = False

    lease = await lease_of(link.database, "two")
    async with journal_of(link, lease, tmp_path / "there") as current:
        await current.load()
        done = known.to(OrderState.CANCELLED, filled_e6=4_000_000)
        await current.order_changed(done)
        await current.fill(make.fill(known, "t1", status=TradeStatus.CONFIRMED))
        await current.checkpoint({"by": "current"})
        for _ in range(2):
            await drain_dead(link, tmp_path / "here")
        state = await current.load()
    assert state.orders == (unknown,)
    assert state.ended == (done,)
    assert [fill.status for fill in state.fills] == [TradeStatus.CONFIRMED]
    assert state.checkpoint == {"by": "current"}
    assert await steps(link, known) == ["intended", "signed", "cancelled"]


async def test_two_orders_of_one_wish_are_both_kept_and_the_audit_log_says_so(
    link: Link, make: Any, tmp_path: Path
) -> None:
    first, second = make.order(1), make.order(2, intent_id="intent-1")
    old = journal_of(link, await lease_of(link.database), tmp_path / "here")
    await old.start()
    link.down = True
    await old.order_signed(first, make.market())
    await kill(old)
    link.down = False
    async with journal_of(link, await lease_of(link.database, "two"), tmp_path / "there") as there:
        await there.order_signed(second, make.market())
        await drain_dead(link, tmp_path / "here")
        assert (await there.load()).orders == (first, second)
    (entry,) = await link.fetch("SELECT actor, action, subject, detail FROM audit_log")
    assert (entry["actor"], entry["action"]) == ("journal of alpha", "intent_has_two_orders")
    assert entry["subject"] == first.order_id
    assert entry["detail"]["others"] == [second.order_id]
    assert await audit.verify(link) == []


async def test_a_file_that_a_living_process_has_is_waited_for_a_while_and_booked_later(
    link: Link, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.backlog._LEFTOVERS_S", 0.3)
    monkeypatch.setattr("store.backlog._LOOK_AGAIN_S", 0.05)
    frozen = journal_of(link, await lease_of(link.database), tmp_path)
    await frozen.start()
    link.down = True
    await frozen.order_signed(make.order(), make.market())
    for part in (frozen._backlog, frozen._log._signals, frozen._log._events):
        assert part._task is not None
        part._task.cancel()
    link.down = False
    async with journal_of(link, await lease_of(link.database, "two"), tmp_path) as journal:
        assert (await journal.load()).orders == ()
        assert journal.late == 0
        frozen._backlog._wal._file.close()
        async with asyncio.timeout(PATIENCE_S):
            while not journal.late:
                await asyncio.sleep(0.02)
        assert (await journal.load()).orders == (make.order(),)
        assert journal.late == 1


# --- damaged --------------------------------------------------------------------------------------


async def left_behind(link: Link, make: Any, folder: Path) -> Path:
    """Let a session die with an order, its fill, and a second order in its file."""
    dying = journal_of(link, await lease_of(link.database), folder)
    await dying.start()
    link.down = True
    for n in (1, 2):
        await dying.order_signed(make.order(n), make.market())
        await dying.order_changed(make.order(n).to(OrderState.LIVE))
    await dying.fill(make.fill(make.order(1)))
    await kill(dying)
    link.down = False
    (name,) = files(folder, "*.wal")
    return folder / name


async def test_a_damaged_record_is_named_and_those_around_it_are_booked(
    link: Link, make: Any, tmp_path: Path
) -> None:
    """The record of the second order's signing is lost; its change brings it back all the same."""
    path = await left_behind(link, make, tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(make.order(2).order_id.encode())] ^= 1
    path.write_bytes(data)
    async with journal_of(link, await lease_of(link.database, "two"), tmp_path) as journal:
        state = await journal.load()
        assert [order.order_id for order in state.orders] == [
            make.order(n).order_id for n in (1, 2)
        ]
        assert state.fills == (make.fill(make.order(1)),)
        assert journal.damaged == [f"{path.name}.damaged"]
    assert (tmp_path / journal.damaged[0]).read_bytes() == data


async def test_a_torn_end_costs_nothing_that_was_kept(
    link: Link, make: Any, tmp_path: Path
) -> None:
    path = await left_behind(link, make, tmp_path)
    with path.open("ab") as file:
        file.write(frame(b"half of this")[:-4])
    async with journal_of(link, await lease_of(link.database, "two"), tmp_path) as journal:
        state = await journal.load()
        assert len(state.orders) == 2
        assert state.fills == (make.fill(make.order(1)),)
        assert journal.damaged == [f"{path.name}.damaged"]


async def test_what_postgres_refuses_is_kept_aside_and_named_and_keeps_nothing_up(
    journal: PostgresJournal, link: Link, make: Any, tmp_path: Path
) -> None:
    link.down = True
    for n in (1, 2):
        await journal.order_signed(make.order(n), make.market())
    await journal.order_changed(make.order(1).to(OrderState.LIVE, filled_e6=10**12))
    await journal.order_changed(make.order(2).to(OrderState.LIVE))
    link.down = False
    assert await journal.drained(PATIENCE_S)
    state = await journal.load()
    assert [order.state for order in state.orders] == [OrderState.SIGNED, OrderState.LIVE]
    (name,) = journal.damaged
    assert name.endswith(".refused")
    assert files(tmp_path) == [name]


async def test_records_of_another_agent_or_of_none_are_refused(
    link: Link, make: Any, tmp_path: Path
) -> None:
    path = await left_behind(link, make, tmp_path)
    path.rename(tmp_path / path.name.replace("alpha", "beta"))
    with (tmp_path / path.name.replace("alpha", "beta")).open("ab") as file:
        file.write(frame(b"not an entry"))
    lease = await leases.acquire(link.database, "beta", "one", 60)
    assert lease is not None
    async with PostgresJournal(link, "beta", lease, spool_dir=tmp_path) as journal:
        state = await journal.load()
    assert (state.orders, state.fills) == ((), ())
    assert [name.endswith(".refused") for name in journal.damaged] == [True]


# --- checkpoints and prices -----------------------------------------------------------------------


async def test_the_newer_of_file_and_postgres_is_the_checkpoint(
    link: Link, make: Any, tmp_path: Path
) -> None:
    kept = CheckpointFiles(tmp_path / "checkpoints", "alpha")
    lease = await lease_of(link.database)
    async with journal_of(link, lease, tmp_path, checkpoints=kept) as journal:
        kept.write({"n": 1})
        assert (await journal.load()).checkpoint == {"n": 1}
        await journal.checkpoint({"n": 2})
        assert (await journal.load()).checkpoint == {"n": 2}
        kept.write({"n": 3})
        assert (await journal.load()).checkpoint == {"n": 3}
        link.down = True
        await journal.checkpoint({"n": 4})
        assert journal.behind == 0, "a checkpoint without Postgres is a local file"
        link.down = False
        assert (await journal.load()).checkpoint == {"n": 4}
    # On another host the agent went on; what this one's files say is of the past.
    async with journal_of(link, await lease_of(link.database, "two"), tmp_path / "b") as there:
        await there.checkpoint({"n": 5})
    kept = CheckpointFiles(tmp_path / "checkpoints", "alpha")
    lease = await lease_of(link.database, "three")
    async with journal_of(link, lease, tmp_path, checkpoints=kept) as journal:
        assert (await journal.load()).checkpoint == {"n": 5}


async def test_a_damaged_checkpoint_is_named_and_the_next_older_counts(
    link: Link, tmp_path: Path
) -> None:
    kept = CheckpointFiles(tmp_path / "checkpoints", "alpha")
    lease = await lease_of(link.database)
    async with journal_of(link, lease, tmp_path, checkpoints=kept) as journal:
        await journal.checkpoint({"n": 1})
        kept.write({"n": 2})
        kept.write({"n": 3})
        (*_, newest) = sorted((tmp_path / "checkpoints").iterdir())
        newest.write_bytes(newest.read_bytes()[:-1])
        assert (await journal.load()).checkpoint == {"n": 2}
        assert journal.damaged == [f"{newest.name}.damaged"]


async def test_spot_prices_seen_lately_fill_the_gap_of_an_absence(
    journal: PostgresJournal, db: Database, tmp_path: Path
) -> None:
    (row,) = await db.fetch("SELECT (extract(epoch FROM now()) * 1000)::bigint AS now_ms")
    now_ns = row["now_ms"] * 1_000_000
    async with MarketDataWriter(db, tmp_path / "market") as writer:
        for asset, age_s in (("BTC", 5), ("BTC", 10), ("BTC", 3_000), ("ETH", 5)):
            ts_ns = now_ns - age_s * SECOND_NS
            writer.spot(SpotTick(ts_ns, ts_ns, asset, SpotSource.CHAINLINK, 100 + age_s))
    assert (await journal.load()).spot == (
        ("BTC", "chainlink", now_ns - 10 * SECOND_NS, 110),
        ("BTC", "chainlink", now_ns - 5 * SECOND_NS, 105),
    )


async def test_a_triggered_condition_is_not_armed_again_by_a_late_record(
    journal: PostgresJournal, link: Link, make: Any
) -> None:
    market = make.market()
    armed = Condition(
        "c1", "g1", "alpha", market.condition_id, market.up_token, Outcome.UP,
        ConditionKind.STOP_LOSS, trigger_e4=4_000, created_ns=1_000,
    )  # fmt: skip
    link.down = True
    await journal.conditions_changed([armed], market)
    await journal.conditions_changed([armed.to(ConditionState.DONE, 5_000)], market)
    link.down = False
    assert await journal.drained(PATIENCE_S)
    assert (await journal.load()).conditions == ()


async def test_bad_values_are_refused_before_anything_waits(
    journal: PostgresJournal, link: Link, make: Any
) -> None:
    link.down = True
    with pytest.raises(BadValue, match="beta's, not alpha's"):
        await journal.order_signed(make.order(1, agent="beta"), make.market())
    with pytest.raises(BadValue, match="its market is not"):
        await journal.order_signed(make.order(1, condition_id="0xother"), make.market())
    assert journal.behind == 0
