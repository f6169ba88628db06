from dataclasses import replace
from typing import Any

import pytest

from models.agents import AgentStatus, Lifecycle
from store.agents import AgentOverview
from tasks.supervision import Step, decide

IDLE = AgentOverview(
    name="a",
    strategy="momentum",
    status=AgentStatus.STOPPED,
    lifecycle=Lifecycle.PAPER,
    desired=True,
    reason="",
    capital_e6=1,
    pnl_today_e6=0,
    pnl_total_e6=0,
    open_orders=0,
    position_cost_e6=0,
    heartbeat_age_s=None,
    restarts_last_hour=0,
    window_slug="",
    lease_holder="",
    lease_live=False,
)


@pytest.mark.parametrize(
    ("change", "coming", "step"),
    [
        ({}, 0, Step.START),
        ({"lease_holder": "host:1:1", "status": AgentStatus.RUNNING}, 0, Step.START),
        ({}, 1, Step.NONE),
        ({"lease_live": True}, 0, Step.NONE),
        ({"desired": False}, 0, Step.NONE),
        ({"restarts_last_hour": 9}, 0, Step.START),
        ({"restarts_last_hour": 10}, 0, Step.PAUSE),
        ({"restarts_last_hour": 10}, 1, Step.NONE),
        ({"restarts_last_hour": 10, "lease_holder": "host:1:1"}, 1, Step.PAUSE),
        ({"restarts_last_hour": 10, "status": AgentStatus.RUNNING}, 1, Step.PAUSE),
        ({"restarts_last_hour": 99, "lease_live": True}, 0, Step.NONE),
        ({"restarts_last_hour": 99, "desired": False}, 0, Step.NONE),
    ],
)
def test_decision(change: dict[str, Any], coming: int, step: Step) -> None:
    decision = decide(replace(IDLE, **change), runs_on_their_way=coming, max_restarts=10)
    assert decision.step is step


def test_a_pause_says_how_it_ends() -> None:
    decision = decide(replace(IDLE, restarts_last_hour=12), runs_on_their_way=0, max_restarts=10)
    assert "12 restarts" in decision.reason
    assert "floor agents resume a" in decision.reason


def test_the_reason_tells_a_death_from_a_first_start() -> None:
    died = decide(replace(IDLE, lease_holder="h:1:1"), runs_on_their_way=0, max_restarts=10)
    assert died.reason == "its session died"
    assert decide(IDLE, runs_on_their_way=0, max_restarts=10).reason == "it is not running"
