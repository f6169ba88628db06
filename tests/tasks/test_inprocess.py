"""The in-process worker and the supervisor's repairs against a real Prefect server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from models.settings import ROOT
from models.tables import metadata
from tasks.inprocess import load_entrypoint
from tasks.session_processes import HOME_MARK, PROGRAM_MARK, WORKER

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def seen(kept_database: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program printed; one server serves all of it."""
    home: Path = tmp_path_factory.mktemp("floor")
    with psycopg.connect(kept_database, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in metadata.tables:
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    done = subprocess.run(
        [sys.executable, "-m", "tests.tasks.inprocess_runs"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        | {"DATABASE_URL": kept_database, "FLOOR_HOME": str(home), "REDIS_URL": "redis://:x@[::]:1"}
        | {HOME_MARK: str(home), PROGRAM_MARK: WORKER},
        capture_output=True,
        text=True,
        timeout=360,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def test_runs_end_in_their_own_state_without_a_process_of_their_own(seen: dict[str, Any]) -> None:
    states = seen["states"]
    assert [name for name, _ in states] == ["Completed", "Failed", "TimedOut"]
    assert "it broke" in states[1][1]


def test_no_run_blocks_the_process_while_it_asks_the_server(seen: dict[str, Any]) -> None:
    """Watches share the event loop: a server that hangs must not keep them from looking."""
    assert seen["blocking"] == []


def test_a_run_of_a_dead_process_gives_its_slot_to_the_next(seen: dict[str, Any]) -> None:
    assert seen["death"] == ["Cancelled", "1", "Completed", "ProcessGone"]


def test_late_runs_after_an_outage_are_one_catch_up_not_a_herd(seen: dict[str, Any]) -> None:
    assert seen["late"] == ["Skipped"] * 4 + ["Completed"]


def test_a_false_crash_of_a_session_that_holds_its_lease_starts_nothing(
    seen: dict[str, Any],
) -> None:
    assert seen["falsely_crashed"] == {"step": "none", "open": 0}


def test_a_cancelled_session_ends_though_its_worker_forgot_how(seen: dict[str, Any]) -> None:
    """Prefect's runner gives up cancelling once the server was away for a while."""
    found = seen["cancelled"]
    assert found["early"] == "", "the worker has its time first"
    assert found["asked"] == "its run was cancelled in Prefect"
    assert found["before"] == ["CANCELLING", "Cancelling"]
    assert found["after"] == ["CANCELLED", "Cancelled"]


def test_a_session_is_restarted_without_any_trigger_and_only_once(seen: dict[str, Any]) -> None:
    """Triggers may come a quarter of an hour late, or never."""
    found = seen["killed_with_its_worker"]
    assert found["automations"] == 0
    assert found["state"] == ["CRASHED", "ProcessGone"]
    assert found["steps"] == ["start", "none"]
    assert found["reasons"] == ["its session died", "a run is on its way"]
    assert found["open"] == 1


def test_a_restart_says_why_in_its_name_and_tags(seen: dict[str, Any]) -> None:
    found = seen["killed_with_its_worker"]
    assert found["name"] == "market-maker-btc-15m restart: its session died"
    assert found["tags"] == ["floor", "restart", "trader"]


def test_runs_that_crash_before_they_trade_use_up_the_budget_too(seen: dict[str, Any]) -> None:
    found = seen["crashing_before_it_trades"]
    assert found["steps"] == ["start", "start", "start", "pause", "none"]
    assert found["status"] == "paused"
    assert "`floor agents resume market-maker-btc-15m` starts it again" in found["reason"]


def test_a_process_that_outlives_its_run_is_ended_and_no_other(seen: dict[str, Any]) -> None:
    found = seen["outliving_its_run"]
    lives = {"over": False, "research": True, "running": True, "holding": True}
    assert found == {"found": 4, "lives": lives, "told": 1}


def test_a_halted_floor_starts_nothing_and_keeps_its_books(seen: dict[str, Any]) -> None:
    found = seen["while_halted"]
    assert (found["told"], found["open"]) == ("the floor is halted: a drill", 0)
    assert found["saved"] >= 1


@pytest.mark.parametrize(
    "entrypoint",
    ["", "good", "flows/supervise.py:supervise", "tests.tasks.sample_flows.not_a_flow"],
)
def test_an_entrypoint_that_is_no_flow_is_refused_by_name(entrypoint: str) -> None:
    with pytest.raises(ValueError, match="entrypoint"):
        load_entrypoint(entrypoint)
