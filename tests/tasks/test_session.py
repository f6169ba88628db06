"""Sessions of a real agent against a real simulator, Postgres and Redis, without Prefect."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from models.agents import AgentStatus
from models.markets import Market
from store import agents, leases, state
from store.database import Database
from store.reserve import Reserve
from tasks import session as sessions
from tasks import session_lease, session_windows
from tasks.agent_files import find_agent
from tasks.holders import process_name
from tasks.open_costs import open_costs
from tasks.reconcile_floor import mend
from tasks.session import TradingSession, WindowFailed
from tests.tasks.conftest import play
from tests.tasks.eager import AGENT, Raising, settle_window, trade_window
from tests.tasks.session_kit import WINDOW_S, Stage, run

pytestmark = pytest.mark.timeout(600)

# --- ending in good order -----------------------------------------------------------------------


async def halt_floor(database: Database) -> None:
    await state.set_halt(database, "a test")


async def pause_agent(database: Database) -> None:
    await agents.pause(database, AGENT, "a test")


async def disable_agent(database: Database) -> None:
    await database.execute("UPDATE agents SET enabled = false WHERE name = %s", (AGENT,))


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (halt_floor, AgentStatus.STOPPED),
        (pause_agent, AgentStatus.PAUSED),
        (disable_agent, AgentStatus.STOPPED),
    ],
)
async def test_told_to_end_it_leaves_no_order_and_no_lease(
    stage: Stage, end: Callable[[Database], Awaitable[None]], status: AgentStatus
) -> None:
    running = asyncio.create_task(run(stage.session()))
    await stage.until("orders rest", stage.resting)
    await end(stage.database)
    async with asyncio.timeout(12):
        assert await running == ""
    assert await stage.resting() == []
    lease = await leases.holder(stage.database, AGENT)
    assert lease is not None and not lease.holder
    assert await stage.one("SELECT status FROM agents WHERE name = %s", AGENT) == status.value
    if end is not disable_agent:
        assert "a test" in await stage.session().open()
    assert await agents.restarts_last_hour(stage.database, AGENT) == 0


async def test_a_cancelled_session_cancels_its_orders_and_gives_its_lease_back(
    stage: Stage,
) -> None:
    running = asyncio.create_task(run(stage.session()))
    await stage.until("orders rest", stage.resting)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await stage.resting() == []
    lease = await leases.holder(stage.database, AGENT)
    assert lease is not None and not lease.holder
    assert await agents.restarts_last_hour(stage.database, AGENT) == 0


async def test_a_session_hands_over_and_its_successor_settles(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_windows, "SETTLE_S", 0.01)
    # The first session may fill early and still have a whole window to go.
    monkeypatch.setattr(session_lease, "LEASE_GRACE_S", 180.0)
    # It sees one window from its beginning, when both tokens are for sale.
    first = asyncio.create_task(run(stage.session("first", session_seconds=WINDOW_S)))
    await stage.until("it fills", stage.fills)
    successor = asyncio.create_task(run(stage.session("second")))
    await asyncio.sleep(0.5)
    assert not successor.done()
    assert await first == ""
    assert await stage.resting() == []
    before = await stage.one("SELECT count(*) FROM trades")

    async def took_over() -> bool:
        lease = await leases.holder(stage.database, AGENT)
        return lease is not None and lease.live and lease.flow_run_id == "second"

    await stage.until("the successor holds the lease", took_over)

    async def settled() -> bool:
        return bool(await stage.one("SELECT count(*) > %s FROM trades", before))

    await stage.until("the first session's last window is settled", settled)
    assert await agents.restarts_last_hour(stage.database, AGENT) == 0
    await state.set_halt(stage.database, "test over")
    assert await successor == ""


# --- not trading --------------------------------------------------------------------------------


async def test_a_held_lease_is_left_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_lease, "LEASE_GRACE_S", 0.0)
    await agents.sync_agents(stage.database, [find_agent(AGENT)])
    held = await leases.acquire(stage.database, AGENT, process_name(), 60, "other-run")
    assert held is not None
    reason = await run(stage.session(lease_seconds=1))
    assert "another session holds the lease" in reason
    lease = await leases.holder(stage.database, AGENT)
    assert lease is not None and lease.live and lease.token == held.token
    assert await agents.restarts_last_hour(stage.database, AGENT) == 0
    assert await stage.orders() == []


async def test_an_absent_venue_is_no_fault_of_the_agent(stage: Stage) -> None:
    await stage.simulator.close()
    with pytest.raises(sessions.AWAY):
        await stage.session().open()
    assert await agents.restarts_last_hour(stage.database, AGENT) == 0
    # It needs no lease to find that out.
    assert await leases.holder(stage.database, AGENT) is None


# --- faults within ------------------------------------------------------------------------------


async def test_a_raising_strategy_fails_its_window_not_the_session(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, Raising)
    faults: list[str] = []

    async def step(session: TradingSession, market: Market) -> None:
        try:
            await session.trade(market)
        except WindowFailed as error:
            faults.append(str(error))
            raise

    running = asyncio.create_task(run(stage.session(), step))

    async def failed() -> bool:
        return bool(faults)

    await stage.until("the window fails", failed)
    assert "no idea what to do" in faults[0] and "Traceback" in faults[0]
    await asyncio.sleep(1)
    assert not running.done()
    await state.set_halt(stage.database, "test over")
    assert await running == ""
    assert await agents.restarts_last_hour(stage.database, AGENT) == 0


async def test_windows_are_traded_and_settled_while_their_steps_cannot_begin(
    stage: Stage,
) -> None:
    async def away(session: TradingSession, market: Market) -> None:
        raise OSError("no Prefect")

    running = asyncio.create_task(run(stage.session(), away, away))
    await stage.until("it fills", stage.fills)

    async def settled() -> bool:
        return bool(await stage.one("SELECT count(*) FROM trades"))

    await stage.until("the window settles", settled)
    await state.set_halt(stage.database, "test over")
    assert await running == ""


async def test_a_lost_fill_is_adopted_and_cash_is_not_taken_for_moved(stage: Stage) -> None:
    assert (await stage.look()).differences == ()
    running = asyncio.create_task(run(stage.session()))
    await stage.until("it fills", stage.fills)
    await state.set_halt(stage.database, "test over")
    await running
    await stage.assert_books_agree()
    opening = await state.get(stage.database, "opening_cash_e6")
    await stage.database.execute("DELETE FROM trades")
    await stage.database.execute("DELETE FROM positions")
    await stage.database.execute("DELETE FROM fills")
    seen = await stage.look()
    kinds = {difference.kind for difference in seen.differences}
    assert kinds >= {"missing_fill", "cash"}
    await mend(stage.database, list(seen.differences), seen)
    assert await state.get(stage.database, "opening_cash_e6") == opening
    await stage.assert_books_agree()


# --- the floor's policies ---------------------------------------------------------------------


def policy_file(path: Path, text: str) -> None:
    """Write it as an editor does: whole, and with a stamp of its own."""
    stamp = path.stat().st_mtime_ns + 10**9 if path.exists() else 10**18
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    os.utime(draft, ns=(stamp, stamp))
    draft.replace(path)


async def test_policies_change_while_it_trades_and_its_room_is_reserved(
    stage: Stage, tmp_path: Path
) -> None:
    path = tmp_path / "risk.yaml"
    policy_file(path, "policies:\n- {type: TradeLimt, max_usd: 5}\n")
    wrong = stage.session(risk_file=path)
    assert "risk.yaml:2: unknown policy 'TradeLimt'" in await run(wrong)
    assert await agents.restarts_last_hour(stage.database, AGENT) == 0
    policy_file(path, "policies:\n- {type: FloorLimit, max_usd: 10}\n")
    session = stage.session(risk_file=path)
    assert await session.open() == ""
    async with session, Reserve(stage.settings.redis_url.get_secret_value()) as reserve:
        following = asyncio.create_task(session.follow(trade_window, settle_window))
        refused = "SELECT detail FROM signals WHERE kind = 'refused' AND detail->>'policy' = %s"

        async def full() -> object:
            held = (await reserve.used()).get(AGENT, 0)
            assert held <= 10_000_000
            return held > 7_000_000

        await stage.until("the floor's limit is nearly used", full)
        policy_file(path, "policies:\n- {type: KillSwitch, thrown: true}\n")
        await stage.until("the switch in the file stops it",
                          lambda: stage.one(refused, "KillSwitch"))  # fmt: skip
        detail = await stage.one(refused, "KillSwitch")
        assert detail["violated_policies"] == ["KillSwitch"]
        assert "thrown in the policy file" in detail["reasons"][0]
        kinds = "SELECT detail FROM system_events WHERE kind = %s"
        changed = (await stage.one(kinds, "policies_changed"))["changed"]
        assert changed == [
            "KillSwitch: thrown True is new", "FloorLimit: max_usd 10 is gone",
        ]  # fmt: skip
        policy_file(path, "policies: nothing")
        await stage.until("the fault is told", lambda: stage.one(kinds, "policies_wrong"))
        assert session.trader.fatal is None
        session.halt.set()
        await following
    # The books are what is held: orders are gone, what was bought still waits for its market.
    async with Reserve(stage.settings.redis_url.get_secret_value()) as reserve:
        held = (await reserve.used()).get(AGENT, 0)
        assert held == (await open_costs(stage.database)).get(AGENT, 0)
    await stage.assert_books_agree()
