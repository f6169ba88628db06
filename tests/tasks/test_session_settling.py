"""What a paused agent left behind is settled, and nothing else is done."""

import asyncio

import pytest

from models.agents import AgentStatus
from store import agents, state
from tasks.session_settling import unsettled_ended
from tests.tasks.eager import AGENT
from tests.tasks.session_kit import Stage, run

pytestmark = pytest.mark.timeout(600)


async def test_a_session_of_a_paused_agent_settles_what_is_over_and_trades_nothing(
    stage: Stage,
) -> None:
    trading = asyncio.create_task(run(stage.session("first")))
    await stage.until("it fills", stage.fills)
    await agents.pause(stage.database, AGENT, "a test")
    assert await trading == ""
    assert await stage.one("SELECT count(*) FROM positions WHERE NOT settled")

    async def over() -> bool:
        return bool(await unsettled_ended(stage.database, AGENT))

    await stage.until("its window is over", over)
    sent = len(await stage.orders())
    # A halted floor starts nothing, whatever is left.
    await state.set_halt(stage.database, "a test")
    assert "halted" in await run(stage.session("none"))
    await state.clear_halt(stage.database)
    assert await run(stage.session("second")) == ""
    assert await unsettled_ended(stage.database, AGENT) == []
    assert await stage.one("SELECT count(*) FROM trades") > 0
    assert len(await stage.orders()) == sent
    status = await stage.one("SELECT status FROM agents WHERE name = %s", AGENT)
    assert status == AgentStatus.PAUSED.value
    lease = await stage.lease()
    assert lease is not None and not lease.holder
    assert "is paused" in await run(stage.session("third"))
    await stage.assert_books_agree()
