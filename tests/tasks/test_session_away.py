"""Sessions while Postgres is away: suspended before the lease lapses, and trading on afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from store import agents, state
from tasks.session import TradingSession
from tasks.watchdog import boot_s
from tests.tasks.cut_line import Line
from tests.tasks.eager import AGENT, settle_window, trade_window
from tests.tasks.session_kit import Stage, chat_room

pytestmark = pytest.mark.timeout(600)
"""Real processes on a busy machine."""

OUTAGE_S = 12.0
"""Four times the lease."""


@asynccontextmanager
async def trading(stage: Stage, line: Line, **changes: object) -> AsyncIterator[TradingSession]:
    """A session that trades through a line to Postgres which can be cut."""
    session = stage.session("only", database_url=SecretStr(line.url), **changes)
    assert await session.open() == ""
    async with session:
        following = asyncio.create_task(session.follow(trade_window, settle_window))
        yield session
        session.end()
        await following


async def test_suspended_while_the_lease_cannot_be_renewed_and_trading_on_afterwards(
    stage: Stage,
) -> None:
    assert stage.settings.database_url is not None
    url = stage.settings.database_url.get_secret_value()
    async with Line(url) as line, chat_room() as chat:
        changes = {"lease_seconds": 3, "slack_webhook_url": chat.url}
        async with trading(stage, line, **changes) as session:
            await stage.until("it fills", stage.fills)
            await stage.until("orders rest", stage.resting)
            token = session.lease.token
            await line.cut()
            began = time.monotonic()

            async def suspended() -> bool:
                return "lease" in session.trader.facts()["suspended"]

            await stage.until("trading is suspended", suspended)
            # Everything is cancelled while the lease is still ours.
            await stage.until("nothing rests", lambda: nothing_rests(stage))
            assert boot_s() < session.keeper.until
            sent = len(await stage.orders())
            while time.monotonic() - began < OUTAGE_S:
                await asyncio.sleep(0.5)
                assert await stage.resting() == []
            assert len(await stage.orders()) == sent
            await line.mend()

            async def trades_again() -> bool:
                return len(await stage.orders()) > sent + 2

            await stage.until("it trades again", trades_again)
            assert session.lease.token == token
            assert session.journal.behind == 0
            filled = await stage.fills()
            await stage.until("it fills again", lambda: more_fills(stage, filled))
        told = [text for text in chat.told if "suspended" in text or "sure again" in text]
    assert len(told) == 2
    assert "Postgres is away" in told[0]
    assert await agents.restarts_last_hour(stage.database, AGENT) == 0
    lease = await stage.lease()
    assert lease is not None and lease.token == token
    await stage.assert_books_agree()


async def nothing_rests(stage: Stage) -> bool:
    return not await stage.resting()


async def more_fills(stage: Stage, than: int) -> bool:
    return await stage.fills() > than


async def test_an_outage_shorter_than_the_lease_stops_nothing(stage: Stage) -> None:
    assert stage.settings.database_url is not None
    url = stage.settings.database_url.get_secret_value()
    async with Line(url) as line, trading(stage, line, lease_seconds=60) as session:
        await stage.until("it fills", stage.fills)
        await line.cut()
        sent = len(await stage.orders())
        behind = 0

        async def trades_without() -> bool:
            nonlocal behind
            behind = max(behind, session.journal.behind)
            return len(await stage.orders()) > sent + 2

        await stage.until("orders are signed into the local file", trades_without)
        assert behind > 0
        assert session.trader.facts()["suspended"] == ""
        await line.mend()

        async def drained() -> bool:
            return session.journal.behind == 0 and session.journal.away_s == 0.0

        await stage.until("Postgres has it all", drained)
    await stage.assert_books_agree()


async def test_a_halt_while_it_is_suspended_ends_it_in_good_order(stage: Stage) -> None:
    assert stage.settings.database_url is not None
    url = stage.settings.database_url.get_secret_value()
    async with Line(url) as line, trading(stage, line, lease_seconds=3) as session:
        await stage.until("orders rest", stage.resting)
        await line.cut()

        async def doubtful() -> bool:
            return session.keeper.doubtful

        await stage.until("its lease is in doubt", doubtful)
        await state.set_halt(stage.database, "a test")
        session.end()
        async with asyncio.timeout(60):
            await session.stop_trading()
        assert await stage.resting() == []
        await line.mend()
    lease = await stage.lease()
    assert lease is not None
    assert lease.token == session.lease.token
