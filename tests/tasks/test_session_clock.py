"""Sessions whose clock jumps, or for whom the venue's name can't be resolved."""

import asyncio
import socket
import time
from typing import Any

import pytest

from engine.clock import SystemClock
from engine.steady import SteadyTime
from models.errors import VenueUnavailable
from models.units import SECOND_NS
from store import state
from tasks import session_upkeep
from tasks.session_upkeep import Troubles, watch_clock
from tests.tasks.cut_line import Line
from tests.tasks.eager import settle_window, trade_window
from tests.tasks.session_kit import Stage, run

pytestmark = pytest.mark.timeout(600)


async def test_a_jump_suspends_until_the_venue_has_told_its_time(stage: Stage) -> None:
    wall = {"ahead_ns": 0}
    session = stage.session()
    session.clock = SystemClock(SteadyTime(wall_ns=lambda: time.time_ns() + wall["ahead_ns"]))
    assert await session.open() == ""
    async with session:
        following = asyncio.create_task(session.follow(trade_window, settle_window))
        await stage.until("it fills", stage.fills)
        wall["ahead_ns"] = 100 * SECOND_NS
        events = "SELECT count(*) FROM system_events WHERE kind = %s"

        async def suspended() -> object:
            return await stage.one(events, "trading_suspended")

        async def resumed() -> object:
            return await stage.one(events, "trading_resumed")

        await stage.until("it is suspended", suspended)
        await stage.until("it is resumed", resumed)
        filled = await stage.fills()

        async def more() -> bool:
            return await stage.fills() > filled

        await stage.until("it fills again", more)
        session.end()
        await following
    await stage.assert_books_agree()


class Steps:
    """Notes what a trader is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def suspend(self, cause: str, reason: str) -> None:
        self.told.append(f"suspend {cause}")

    def resume(self, cause: str) -> None:
        self.told.append(f"resume {cause}")


class Elsewhen:
    """A venue whose time is neither ours nor the wall clock's, once it answers."""

    def __init__(self) -> None:
        self.asked = 0

    async def server_time_ns(self) -> int:
        self.asked += 1
        if self.asked == 1:
            raise VenueUnavailable("not now", "restarting")
        return time.time_ns() - 5_000 * SECOND_NS


async def test_a_clock_that_stays_wrong_ends_the_session_and_people_hear_of_it_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, seconds in {"LOOK_S": 0.01, "CLOCK_RETRY_S": 0.01, "CLOCK_PATIENCE_S": 0.2}.items():
        monkeypatch.setattr(session_upkeep, name, seconds)
    wall = {"ahead_ns": 0}
    clock = SystemClock(SteadyTime(wall_ns=lambda: time.time_ns() + wall["ahead_ns"]))
    wall["ahead_ns"] = 600 * SECOND_NS
    trader: Any = Steps()
    said: list[str] = []
    ended = asyncio.Event()
    troubles = Troubles("anna", lambda kind, text: said.append(text))
    watching = asyncio.create_task(watch_clock(trader, clock, Elsewhen(), troubles, ended.set))
    async with asyncio.timeout(60):
        await ended.wait()
    watching.cancel()
    assert set(trader.told) == {"suspend clock"}
    (text,) = said
    assert "anna: suspended: the clock jumped by +600.0 s" in text


async def test_a_name_that_cannot_be_resolved_is_a_venue_away(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    lost: set[str] = set()
    asked: list[str] = []

    def resolve(host: Any, *args: Any, **more: Any) -> Any:
        if host in lost:
            asked.append(host)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with Line(stage.simulator.url) as line:
        named = line.url.replace("127.0.0.1", "localhost")
        following = asyncio.create_task(run(stage.session(sim_url=named)))
        await stage.until("it fills", stage.fills)
        lost.add("localhost")
        # What was connected is broken; without the name nothing new can be.
        await line.cut()
        await line.mend()

        async def tried() -> bool:
            return len(asked) > 3

        await stage.until("it asks for the name", tried)
        await asyncio.sleep(3)
        assert not following.done()
        before = len(await stage.orders())
        lost.clear()

        async def sends() -> bool:
            return len(await stage.orders()) > before

        await stage.until("it trades again by itself", sends)
        await state.set_halt(stage.database, "test over")
        assert await following == ""
    await stage.assert_books_agree()
