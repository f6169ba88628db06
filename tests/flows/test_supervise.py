"""What the supervise flow does about one agent, without a Prefect server."""

from typing import Any

import pytest

import flows.supervise as module
from models.markets import Outcome
from models.settings import Settings
from store import agents, risk
from store.database import Database
from store.leases import LeaseStatus
from tasks import attending
from tasks.agent_files import find_agent
from tasks.attending import Around, holder_of
from tasks.holders import process_name
from tasks.session_processes import Here
from tasks.standing import Holder
from tasks.supervision import Step
from tests.tasks.risk_rows import add_market, add_position, window

AGENT = "momentum-btc-15m"
HERE = Here({}, None)
DEPLOYED = Around({f"trade/{AGENT}": []}, HERE, "traders-here", unsure=False)
NOT_DEPLOYED = Around({}, HERE, "traders-here", unsure=False)


def lease(
    live: bool, heartbeat_age_s: float | None, holder: str = "h:1:1", successor: str = ""
) -> LeaseStatus:
    return LeaseStatus(
        AGENT, holder if live else "", 3, "a-run", live, 5, heartbeat_age_s, "", successor
    )


def dead_process() -> str:
    place, pid, birth = process_name().split(":")
    return f"{place}:{pid}:{int(birth) + 1}"


@pytest.mark.parametrize(
    ("seen", "holder"),
    [
        (None, Holder()),
        (lease(True, 2.0), Holder("a-run", live=True)),
        (lease(True, 2.0, successor="b-run"), Holder("a-run", live=True, successor="b-run")),
        (lease(True, 2.0, dead_process()), Holder("a-run", dead=True, live=True)),
        # Given back a moment ago: the run is about to complete, and must not be marked Crashed.
        (lease(False, 2.0), Holder("a-run")),
        (lease(False, 500.0), Holder()),
        (lease(False, None), Holder()),
    ],
)
def test_the_holder_of_a_lease(seen: LeaseStatus | None, holder: Holder) -> None:
    assert holder_of(seen) == holder


@pytest.fixture
async def database(clean_postgres_url: str) -> Any:
    async with Database(clean_postgres_url, max_size=2) as opened:
        await agents.sync_agents(opened, [find_agent(AGENT)])
        yield opened


async def attend(
    database: Database, around: Around = DEPLOYED, has_file: bool = True, halted: str = ""
) -> Any:
    (agent,) = await agents.agent_overview(database)
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    return await module._attend(database, settings, agent, around, halted, has_file=has_file)


async def test_trouble_with_one_agent_is_an_answer_not_an_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_answer(deployment: str, since: Any) -> None:
        raise OSError("Prefect is away")

    monkeypatch.setattr(attending, "crashed_since", no_answer)
    decision = await attend(database)
    assert (decision.step, decision.reason) == (Step.FAILED, "Prefect is away")


async def test_an_agent_without_a_deployment_is_told_not_started(database: Database) -> None:
    decision = await attend(database, NOT_DEPLOYED)
    assert decision.step is Step.FAILED
    assert "is not deployed" in decision.reason


async def stop(database: Database, how: str) -> None:
    """Keep the agent from trading in one of the ways there are."""
    if how == "breaker":
        row = {"status": "tripped", "reason": "x"}
        await risk.save_breaker(database, f"agent-losses:{AGENT}", row)
    elif how == "kill switch":
        await risk.throw_kill(database, risk.Kill("x", "tester", 1))
    elif how == "pause":
        await agents.pause(database, AGENT, "x")


@pytest.mark.parametrize(
    ("how", "given", "reason"),
    [
        ("file", {"has_file": False}, "its file is wrong or gone"),
        ("halt", {"halted": "the floor is halted: x"}, "the floor is halted: x"),
        ("breaker", {}, f"breaker agent-losses:{AGENT}: x"),
        ("kill switch", {}, "the kill switch is thrown: x"),
        ("pause", {}, "x"),
    ],
)
async def test_what_must_not_trade_is_not_started(
    database: Database, how: str, given: dict[str, Any], reason: str
) -> None:
    await stop(database, how)
    decision = await attend(database, **given)
    assert decision.step is Step.NONE
    assert decision.reason.startswith(reason)


@pytest.mark.parametrize(("how", "settles"), [("pause", True), ("breaker", True), ("halt", False)])
async def test_windows_that_a_stopped_agent_left_are_settled_by_a_session(
    database: Database, monkeypatch: pytest.MonkeyPatch, how: str, settles: bool
) -> None:
    started: list[str] = []

    async def start(deployment: str, key: str, name: str, tags: list[str]) -> str:
        started.append(name)
        return key

    monkeypatch.setattr(attending, "start_run", start)
    await stop(database, how)
    halted = "the floor is halted: x" if how == "halt" else ""
    over = await add_market(database, window(left_s=-2))
    await add_position(database, AGENT, over, Outcome.UP, shares=20, paid=8)
    decision = await attend(database, halted=halted)
    name = f"{AGENT} settle: 1 windows are left to settle"
    assert started == ([name] if settles else [])
    assert decision.step is (Step.SETTLE if settles else Step.NONE)
