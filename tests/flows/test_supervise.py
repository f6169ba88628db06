"""What the supervise flow does about one agent, without a Prefect server."""

from typing import Any

import pytest

import flows.supervise as module
from models.settings import Settings
from store import agents, risk
from store.database import Database
from store.leases import LeaseStatus
from tasks.agent_files import find_agent
from tasks.supervision import Step

AGENT = "momentum-btc-15m"


def lease(live: bool, heartbeat_age_s: float | None) -> LeaseStatus:
    return LeaseStatus(AGENT, "h:1:1" if live else "", 3, "a-run", live, 5, heartbeat_age_s, "")


@pytest.mark.parametrize(
    ("seen", "run"),
    [
        (None, ""),
        (lease(True, 2.0), "a-run"),
        # Given back a moment ago: the run is about to complete, and must not be marked Crashed.
        (lease(False, 2.0), "a-run"),
        (lease(False, 500.0), ""),
        (lease(False, None), ""),
    ],
)
def test_the_run_of_a_lease(seen: LeaseStatus | None, run: str) -> None:
    assert module._run_of(seen) == run


@pytest.fixture
async def database(clean_postgres_url: str) -> Any:
    async with Database(clean_postgres_url, max_size=2) as opened:
        await agents.sync_agents(opened, [find_agent(AGENT)])
        yield opened


async def attend(database: Database, has_file: bool = True) -> Any:
    (agent,) = await agents.agent_overview(database)
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    return await module._attend(database, settings, agent, has_file=has_file)


async def test_trouble_with_one_agent_is_an_answer_not_an_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_answer(deployment: str) -> None:
        raise OSError("Prefect is away")

    monkeypatch.setattr(module, "open_runs", no_answer)
    decision = await attend(database)
    assert (decision.step, decision.reason) == (Step.FAILED, "Prefect is away")


async def test_an_agent_without_a_deployment_is_told_not_started(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(deployment: str) -> None:
        return None

    monkeypatch.setattr(module, "open_runs", unknown)
    decision = await attend(database)
    assert decision.step is Step.FAILED
    assert "is not deployed" in decision.reason


async def test_an_agent_whose_file_is_wrong_is_not_started(database: Database) -> None:
    decision = await attend(database, has_file=False)
    assert decision.step is Step.NONE


async def test_an_agent_is_not_started_while_a_breaker_or_the_kill_switch_stops_it(
    database: Database,
) -> None:
    await risk.save_breaker(database, f"agent-losses:{AGENT}", {"status": "tripped", "reason": "x"})
    decision = await attend(database)
    assert (decision.step, decision.reason) == (Step.NONE, f"breaker agent-losses:{AGENT}: x")
    await risk.forget_breaker(database, f"agent-losses:{AGENT}")
    await risk.throw_kill(database, risk.Kill("a drill", "tester", 1))
    decision = await attend(database)
    assert decision.step is Step.NONE and "kill switch is thrown: a drill" in decision.reason
