"""A session whose process is killed, and the one that follows it."""

import asyncio
import signal
import time

import pytest

from store import agents, leases, state
from tests.tasks.eager import AGENT, settle_window, trade_window
from tests.tasks.session_kit import Stage

pytestmark = pytest.mark.timeout(600)
"""Real processes on a busy machine."""


async def test_a_killed_session_is_followed_at_once_and_nothing_is_lost(stage: Stage) -> None:
    assert (await stage.look()).differences == ()
    process = stage.process()
    try:

        async def trades() -> bool:
            return await stage.fills() >= 2 and len(await stage.resting()) > 0

        await stage.until("the first session trades", trades)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
    left = set(await stage.resting())
    assert left
    process.wait()
    before = await leases.holder(stage.database, AGENT)
    assert before is not None and before.live

    session = stage.session("next-run")
    began = time.monotonic()
    assert await session.open() == ""
    # Its lease would have lasted for a minute.
    assert time.monotonic() - began < 30
    assert session.lease.token == before.token + 1
    assert await agents.restarts_last_hour(stage.database, AGENT) == 1
    async with session:
        assert left.isdisjoint(await stage.resting())
        count = await stage.fills()
        following = asyncio.create_task(session.follow(trade_window, settle_window))

        async def goes_on() -> bool:
            return await stage.fills() > count

        await stage.until("it fills again", goes_on)
        await state.set_halt(stage.database, "test over")
        await following
    await stage.assert_books_agree()
