"""SIGTERM ends a session in good order; another one takes up where it left off."""

import asyncio
import time

import pytest

from store import agents, state
from tests.tasks.eager import AGENT
from tests.tasks.session_kit import LONG_S, Stage, run

pytestmark = pytest.mark.timeout(600)
"""Real processes on a busy machine."""


@pytest.mark.parametrize("policy", ["cancel", "keep"])
async def test_orders_are_cancelled_or_kept_and_the_lease_is_given_back(
    long_stage: Stage, policy: str
) -> None:
    stage = long_stage
    process = stage.process(
        STOP_ORDERS=policy, EAGER_PLAYS="quoter", EAGER_WINDOW_SECONDS=str(LONG_S)
    )
    try:

        async def both_rest() -> bool:
            return len(await stage.resting()) == 2

        await stage.until("orders rest", both_rest)
        resting = set(await stage.resting())
        began = time.monotonic()
        process.terminate()

        async def given_back() -> bool:
            lease = await stage.lease()
            return lease is not None and not lease.holder

        await stage.until("the lease is given back", given_back)
        took = time.monotonic() - began
        assert await asyncio.to_thread(process.wait, 180) == 143
    finally:
        process.kill()
        process.wait()
    assert took < 10
    assert set(await stage.resting()) == (resting if policy == "keep" else set())
    assert await stage.one("SELECT count(*) FROM agent_checkpoints") > 0
    assert await agents.restarts_last_hour(stage.database, AGENT) == 0


async def test_a_waiting_session_that_is_terminated_leaves_the_holder_alone(stage: Stage) -> None:
    holding = asyncio.create_task(run(stage.session("first")))
    await stage.until("it holds the lease", lambda: stage.held_by("first"))
    process = stage.process(EAGER_RUN="second")
    try:
        announced = "SELECT successor FROM agent_leases WHERE agent = %s"

        async def waits() -> bool:
            return bool(await stage.one(announced, AGENT) == "second")

        await stage.until("the second one waits", waits)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 60) != 0
    finally:
        process.kill()
        process.wait()
    assert await stage.held_by("first") and not holding.done()
    await state.set_halt(stage.database, "test over")
    assert await holding == ""
