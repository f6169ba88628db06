"""When a collector is started, by what is heard of one and what Prefect believes of its runs."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.types._datetime import now

from store import state
from store.database import Database
from tasks import attending, collecting
from tasks.attending import Around
from tasks.collecting import DEPLOYMENT, SILENT_S, keep_collecting
from tasks.collector import STATE_KEY
from tasks.session_processes import Here, SessionProcess

HERE = "traders"


def run(kind: StateType, age_s: float = 1_000, worker: str = HERE) -> FlowRun:
    return FlowRun(
        id=uuid4(), flow_id=uuid4(), name="collect", infrastructure_pid="7",
        labels={"prefect.worker.name": worker},
        state=State(type=kind, timestamp=now("UTC") - timedelta(seconds=age_s)),
        next_scheduled_start_time=now("UTC"),
    )  # fmt: skip


class Floor:
    """What Prefect was told to do; the database is real."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.started: list[str] = []
        self.settled: list[FlowRun] = []

    async def heard(self, age_s: float) -> None:
        at_ns = time.time_ns() - int(age_s * 1e9)
        await state.put(self.database, STATE_KEY, {"at_ns": at_ns})

    async def look(self, *runs: FlowRun, here: tuple[FlowRun, ...] = (), **more: Any) -> list[str]:
        processes = {
            str(one.id): SessionProcess(1, "none", str(one.id), orphan=False) for one in here
        }
        around = Around({DEPLOYMENT: list(runs)}, Here(processes, 0.0), HERE, unsure=False)
        for name, value in more.items():
            object.__setattr__(around, name, value)
        return await keep_collecting(self.database, around)


@pytest.fixture
async def floor(clean_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Floor]:
    async with Database(clean_postgres_url, max_size=2) as database:
        found = Floor(database)

        async def start(deployment: str, key: str, name: str) -> str:
            found.started.append(name)
            return key

        async def settle(runs: list[FlowRun], why: str = "") -> None:
            found.settled += runs

        monkeypatch.setattr(collecting, "start_run", start)
        monkeypatch.setattr(attending, "settle_gone", settle)
        monkeypatch.setattr(attending, "settle_cancelled", settle)
        yield found


async def test_one_that_is_heard_is_left_alone(floor: Floor) -> None:
    await floor.heard(1)
    mine, elsewhere = run(StateType.RUNNING), run(StateType.RUNNING, worker="traders-b")
    assert await floor.look(mine, elsewhere, here=(mine,)) == []
    assert await floor.look(elsewhere) == []
    assert (floor.started, floor.settled) == ([], [])


async def test_one_that_falls_silent_is_followed(floor: Floor) -> None:
    await floor.heard(SILENT_S + 1)
    elsewhere = run(StateType.RUNNING, age_s=40, worker="traders-b")
    assert await floor.look(elsewhere) == ["collect started: it fell silent"]
    assert floor.settled == [elsewhere]
    assert await floor.look() == ["collect started: it fell silent"]


async def test_a_death_on_this_host_is_not_waited_out(floor: Floor) -> None:
    """Its worker was killed with it, so no trigger fires; the market's data must not age."""
    await floor.heard(3)
    lost = run(StateType.RUNNING)
    assert await floor.look(lost) == ["collect started: its process died"]
    assert floor.settled == [lost]


async def test_one_that_is_coming_is_waited_for(floor: Floor) -> None:
    await floor.heard(SILENT_S + 1)
    assert await floor.look(run(StateType.SCHEDULED, worker="")) == []
    fresh = run(StateType.RUNNING, age_s=5, worker="traders-b")
    assert await floor.look(fresh) == []
    await floor.heard(3)
    assert await floor.look(run(StateType.RUNNING), run(StateType.SCHEDULED, worker="")) == []
    assert floor.started == []


async def test_a_predecessor_that_died_is_settled_beside_one_at_work(floor: Floor) -> None:
    await floor.heard(1)
    lost, mine = run(StateType.RUNNING), run(StateType.RUNNING)
    assert await floor.look(lost, mine, here=(mine,)) == []
    assert (floor.settled, floor.started) == ([lost], [])


async def test_a_cancelled_one_whose_process_is_gone_is_settled(floor: Floor) -> None:
    await floor.heard(1)
    cancelled = run(StateType.CANCELLING)
    assert await floor.look(cancelled) == []
    assert (floor.settled, floor.started) == ([cancelled], [])


async def test_after_postgres_was_away_silence_says_nothing(floor: Floor) -> None:
    await floor.heard(300)
    assert await floor.look(unsure=True) == []


async def test_without_a_deployment_it_says_so(floor: Floor) -> None:
    assert await floor.look(runs={}) == ["collect is not deployed"]
