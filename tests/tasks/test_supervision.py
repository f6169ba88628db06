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


DIED = {"lease_holder": "host:1:1"}


@pytest.mark.parametrize(
    ("change", "seen", "step"),
    [
        ({}, {}, Step.START),
        (DIED | {"status": AgentStatus.RUNNING}, {}, Step.START),
        ({}, {"coming": 1}, Step.NONE),
        ({"lease_live": True}, {}, Step.NONE),
        ({"desired": False}, {}, Step.NONE),
        ({"restarts_last_hour": 9}, {}, Step.START),
        ({"restarts_last_hour": 10}, {}, Step.PAUSE),
        ({"restarts_last_hour": 10}, {"coming": 1}, Step.NONE),
        (DIED | {"restarts_last_hour": 10}, {"coming": 1}, Step.PAUSE),
        ({"restarts_last_hour": 10, "status": AgentStatus.RUNNING}, {"coming": 1}, Step.PAUSE),
        ({"restarts_last_hour": 99, "lease_live": True}, {}, Step.NONE),
        ({"restarts_last_hour": 99, "desired": False}, {}, Step.NONE),
        # Its process is gone: the lease need not be waited out.
        (DIED | {"lease_live": True}, {"dead": True}, Step.START),
        (DIED | {"lease_live": True}, {"dead": True, "coming": 1}, Step.NONE),
        (DIED | {"lease_live": True, "desired": False}, {"dead": True}, Step.NONE),
        # Postgres is only just back: who lives renews, who is dead does not.
        (DIED, {"unsure": True}, Step.NONE),
        (DIED, {"unsure": True, "dead": True}, Step.START),
        ({}, {"unsure": True}, Step.START),
        # Runs that crash before they come to trade are on nobody else's ledger.
        ({}, {"crashes": 9}, Step.START),
        ({}, {"crashes": 10}, Step.PAUSE),
        ({"restarts_last_hour": 4}, {"crashes": 6, "coming": 1}, Step.PAUSE),
        ({"lease_live": True}, {"crashes": 10}, Step.NONE),
    ],
)
def test_decision(change: dict[str, Any], seen: dict[str, Any], step: Step) -> None:
    decision = decide(replace(IDLE, **change), max_restarts=10, **{"coming": 0, **seen})
    assert decision.step is step


def test_a_false_crash_of_a_healthy_session_starts_nothing() -> None:
    """Prefect may take a run for crashed after an outage; the lease says that it trades."""
    healthy = replace(IDLE, lease_holder="host:1:1", lease_live=True, status=AgentStatus.RUNNING)
    for crashes in (0, 1, 50):
        decision = decide(healthy, coming=0, max_restarts=10, crashes=crashes)
        assert decision.step is Step.NONE


def test_a_pause_says_how_it_ends() -> None:
    decision = decide(replace(IDLE, restarts_last_hour=12), coming=0, max_restarts=10)
    assert "12 restarts" in decision.reason
    assert "floor agents resume a" in decision.reason


@pytest.mark.parametrize(
    ("change", "seen", "reason"),
    [
        ({}, {}, "it is not running"),
        ({"status": AgentStatus.RUNNING}, {}, "its session died"),
        (DIED | {"lease_live": True}, {"dead": True}, "its session died"),
        (DIED, {}, "its lease ran out"),
        ({}, {"crashes": 2}, "its run crashed before it could trade"),
    ],
)
def test_a_start_says_why(change: dict[str, Any], seen: dict[str, Any], reason: str) -> None:
    decision = decide(replace(IDLE, **change), max_restarts=10, **{"coming": 0, **seen})
    assert decision.reason == reason
