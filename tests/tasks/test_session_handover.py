"""One session follows another in the middle of a window, and nobody at the exchange notices."""

import asyncio
import subprocess
import time
from itertools import pairwise
from typing import Any

import pytest

from models.settings import OrderPolicy
from models.units import SECOND_NS
from store import agents, state
from tasks import session_handover
from tasks.session_handover import HandOver, handover_key
from tests.tasks.eager import AGENT, nobody
from tests.tasks.session_kit import LONG_S, Stage, run

pytestmark = pytest.mark.timeout(600)
"""Real processes on a busy machine."""

GAP_S = 2.0


async def longest_gap_s(stage: Stage, until_ns: int) -> float:
    """Longest time without a resting order, from the first one of the agent on."""
    orders = sorted(await stage.orders(), key=lambda order: order["created_ns"])
    covered_ns, gap_ns = orders[0]["created_ns"], 0
    for order in orders:
        gap_ns = max(gap_ns, order["created_ns"] - covered_ns)
        end_ns = until_ns if order["open"] else order["updated_ns"]
        covered_ns = max(covered_ns, end_ns)
    return max(gap_ns, until_ns - covered_ns) / SECOND_NS


async def quotes(stage: Stage) -> bool:
    return len(await stage.resting()) == 2


@pytest.mark.parametrize("policy", [OrderPolicy.KEEP, OrderPolicy.CANCEL])
async def test_a_successor_quotes_on_within_two_seconds(
    long_stage: Stage, policy: OrderPolicy
) -> None:
    stage = long_stage
    first = stage.session("first", nobody, session_seconds=4, handover_orders=policy)
    leading = asyncio.create_task(run(first))
    await stage.until("it quotes", lambda: quotes(stage))
    before = set(await stage.resting())
    second = stage.session("second", nobody, handover_orders=policy)
    following = asyncio.create_task(run(second))
    await stage.until("the successor holds the lease", lambda: stage.held_by("second"))
    assert await leading == ""
    assert first.reason == "handed over"
    # A while later, so that a second pair of orders would have come to light.
    await asyncio.sleep(2.0)
    await stage.until("the successor quotes", lambda: quotes(stage))
    assert await longest_gap_s(stage, time.time_ns()) < GAP_S
    kept = set(await stage.resting()) == before
    assert kept is (policy is OrderPolicy.KEEP)
    assert len(await stage.orders()) == (2 if kept else 4)
    # Decision memory went over with the checkpoint.
    assert second.trader.decisions < second.prepared.strategy.asked  # type: ignore[attr-defined]
    assert await agents.restarts_last_hour(stage.database, AGENT) == 0
    await state.set_halt(stage.database, "test over")
    assert await following == ""
    assert await stage.resting() == []
    await stage.assert_books_agree()


async def test_without_a_successor_it_trades_on_and_calls_again(
    long_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect is away, then a successor dies on its way: neither ends trading."""
    stage = long_stage
    monkeypatch.setattr(session_handover, "PATIENCE_S", 1.0)
    calls: list[int] = []
    successors: list[subprocess.Popen[bytes]] = []

    async def call(attempt: int) -> None:
        calls.append(attempt)
        if attempt == 1:
            raise ConnectionError("Prefect is away")
        if attempt == 2:
            successors.append(stage.process(EAGER_RUN="dying", EAGER_DIES="before_acquire"))

    session = stage.session("first", call, session_seconds=1)
    leading = asyncio.create_task(run(session))
    await stage.until("it quotes", lambda: quotes(stage))

    async def called() -> bool:
        return len(calls) >= 3

    await stage.until("it calls a third time", called)
    assert not leading.done()
    assert await stage.held_by("first") and await quotes(stage)
    following = asyncio.create_task(run(stage.session("second", nobody)))
    await stage.until("the successor holds the lease", lambda: stage.held_by("second"))
    assert await leading == ""
    for process in successors:
        assert await asyncio.to_thread(process.wait, 180) == -9
    await state.set_halt(stage.database, "test over")
    await following


async def test_a_session_hands_over_when_it_is_asked_to(long_stage: Stage) -> None:
    stage = long_stage
    leading = asyncio.create_task(run(stage.session("first", nobody)))
    await stage.until("it quotes", lambda: quotes(stage))
    await state.put(stage.database, handover_key(AGENT), "first")
    following = asyncio.create_task(run(stage.session("second", nobody)))
    await stage.until("the successor holds the lease", lambda: stage.held_by("second"))
    assert await leading == ""
    await state.delete(stage.database, handover_key(AGENT))
    await state.set_halt(stage.database, "test over")
    await following


async def test_killed_anywhere_on_the_way_from_one_session_to_the_next(long_stage: Stage) -> None:
    stage = long_stage
    started: list[subprocess.Popen[bytes]] = []

    def start(run: str, dies: str, **more: str) -> "subprocess.Popen[bytes]":
        process = stage.process(
            EAGER_PLAYS="quoter",
            EAGER_WINDOW_SECONDS=str(LONG_S),
            EAGER_RUN=run,
            EAGER_DIES=dies,
            **more,
        )
        started.append(process)
        return process

    async def killed(process: "subprocess.Popen[bytes]") -> None:
        assert await asyncio.to_thread(process.wait, 180) == -9

    try:
        first = start("first", "before_release", EAGER_SESSION_SECONDS="1")
        await stage.until("the first one quotes", lambda: quotes(stage))
        # Prepared and waiting, so that the first one stops and dies with the lease in its hands.
        second = start("second", "after_release", EAGER_SESSION_SECONDS="1")
        await killed(first)
        await stage.until("the second one holds the lease", lambda: stage.held_by("second"))
        await stage.until("the second one quotes", lambda: quotes(stage))
        # It hands over to one that is dead by then, and dies as soon as the lease is free.
        third = start("third", "after_announce")
        await killed(third)
        await killed(second)
        await killed(start("fourth", "after_acquire"))
    finally:
        for process in started:
            process.kill()
            process.wait()
    heir = asyncio.create_task(run(stage.session("heir")))
    await stage.until("the heir holds the lease", lambda: stage.held_by("heir"))
    await stage.until("the heir quotes", lambda: quotes(stage))
    await asyncio.sleep(1.0)
    assert len(await stage.resting()) == 2
    # Two died with the lease in their hands; who released it is no restart.
    assert await agents.restarts_last_hour(stage.database, AGENT) == 2
    await state.set_halt(stage.database, "test over")
    assert await heir == ""
    assert await stage.resting() == []
    await stage.assert_books_agree()


# --- calling ------------------------------------------------------------------------------------


async def test_a_successor_is_called_once_when_time_is_up_and_ever_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_handover, "PATIENCE_S", 0.2)
    monkeypatch.setattr(session_handover, "LONGEST_PATIENCE_S", 0.4)
    calls: list[float] = []
    prepared = ""

    async def call(attempt: int) -> None:
        nonlocal prepared
        calls.append(time.monotonic())
        if attempt == 4:
            prepared = "fourth"

    async def not_asked() -> bool:
        return False

    deadline = time.monotonic() + 0.3
    handing = HandOver("anna", deadline, call, lambda: prepared, not_asked)
    assert await handing.run() == "fourth"
    assert calls[0] >= deadline
    pauses: list[Any] = [later - sooner for sooner, later in pairwise(calls)]
    assert pauses[0] >= 0.2
    assert min(pauses[1:]) >= 0.4
