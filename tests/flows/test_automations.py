"""prefect.yaml and automations.yaml on a real server: idempotent, and firing as they say."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console.environment import child_environment
from models.settings import ROOT, Settings
from store.urls import Urls
from tasks.agent_files import AGENTS_DIR
from tests.flows.prefect_server import prefect_server, server_settings

pytestmark = pytest.mark.timeout(1_200)

AGENT = "market-maker-btc-15m"
AGENTS = sorted(path.stem for path in AGENTS_DIR.glob("*.yaml"))


@pytest.fixture(scope="module")
def settings(
    postgres_server: Urls, programs: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    home = tmp_path_factory.mktemp("prefect")
    return server_settings(home, postgres_server, programs.free_port())


@pytest.fixture(scope="module")
def seen(settings: Settings, postgres_server: Urls, programs: SimpleNamespace) -> dict[str, Any]:
    log = settings.floor_home / "server.log"
    more = {
        "SLACK_WEBHOOK_URL": f"http://127.0.0.1:{programs.free_port()}/hook",
        "DATABASE_URL": postgres_server.database,
    }
    with prefect_server(settings, log) as environment:
        return run_program("tests.flows.automation_runs", environment | more, log)


def run_program(name: str, environment: dict[str, str], log: Path) -> dict[str, Any]:
    """Run a program that prints what it saw as its last line."""
    done = subprocess.run(
        [sys.executable, "-m", name],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1_000,
        check=False,
    )
    told = done.stdout[-3000:] + done.stderr[-3000:] + log.read_text()[-2000:]
    assert done.returncode == 0, told
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def test_deploying_again_changes_nothing(seen: dict[str, Any]) -> None:
    assert seen["same"], "prefect deploy --all and the automations are not idempotent"
    assert seen["again"] == 0
    assert {"supervise", "reconcile", "collect", AGENT} <= set(seen["deployments"])


def test_every_automation_of_the_file_is_in_the_server_once(seen: dict[str, Any]) -> None:
    assert seen["ours"] == sorted(
        {
            "floor-run-without-heartbeat",
            "floor-supervise-silent",
            "floor-ops-failing",
            "floor-pool-without-worker",
            *(f"floor-crash-loop-{agent}" for agent in AGENTS),
            *(f"floor-crash-loop-over-{agent}" for agent in AGENTS),
        }
    )


def test_a_scheduled_deployment_gets_runs(seen: dict[str, Any]) -> None:
    """With SQLAlchemy 2.1 the server schedules nothing and says nothing."""
    assert all(count > 0 for count in seen["scheduled"].values())


def test_a_run_without_heartbeat_is_marked_crashed(seen: dict[str, Any]) -> None:
    assert seen["silent"][0] == "NoHeartbeat"
    assert seen["silent"][1].startswith("No heartbeat")


def test_a_run_that_ended_is_never_marked_crashed(seen: dict[str, Any]) -> None:
    """Not even where its last heartbeat arrives after its end, as it does now and then."""
    assert seen["ended"] == ["NotTrading", ""]


def test_a_crash_is_followed_by_a_new_run_and_ten_pause_the_trigger(seen: dict[str, Any]) -> None:
    assert seen["restarts_before"] == 0
    assert 1 <= seen["restarts"] <= seen["crashes"], "more runs than crashes"
    assert seen["crashes"] >= 10
    assert seen["others"], "another deployment's trigger was paused too"
    (notice,) = seen["notices"]
    assert f"{AGENT} crashes again and again" in notice


def test_a_file_that_differs_is_brought_in_and_nothing_else_is_touched(
    seen: dict[str, Any],
) -> None:
    created, updated, removed = seen["mended"]
    assert created == []
    assert "floor-run-without-heartbeat" in updated
    assert removed == ["floor-ops-failing"], "one of two of a name"
    assert seen["left"] == [True], "it was switched off by hand"
    assert seen["fewer"] == [[], [], ["floor-run-without-heartbeat"]]
    assert seen["foreign"], "an automation of somebody else was removed"


def test_without_a_webhook_nobody_is_told_and_no_address_is_kept(seen: dict[str, Any]) -> None:
    assert seen["mute_actions"] == ["do-nothing"]
    assert seen["blocks"] == []


def test_a_session_event_arrives_with_agent_window_and_reason(seen: dict[str, Any]) -> None:
    resource, payload = seen["event"]
    assert resource["prefect.resource.id"] == f"floor.agent.{AGENT}"
    assert payload == {"agent": AGENT, "window": "btc-1", "reason": "ten restarts", "count": 10}


def test_a_run_tells_its_agent_strategy_mode_and_what_it_made(seen: dict[str, Any]) -> None:
    name, tags = seen["run"]
    assert re.fullmatch(rf"{AGENT} \d\d-\d\d \d\d:\d\d", name)
    assert {f"agent:{AGENT}", "strategy:market-maker", "mode:sim", "market:btc-15m"} <= set(tags)
    ((key, description, page),) = seen["page"]
    assert key == f"session-{AGENT}"
    assert "0 windows, 0.00 USD, session over" in description
    assert "| strategy | market-maker |" in page


def test_a_run_whose_flow_is_missing_ends_and_its_worker_goes_on(seen: dict[str, Any]) -> None:
    assert seen["nowhere"] in ("CRASHED", "FAILED")


def test_what_is_old_is_cleaned_away_and_nothing_else(
    seen: dict[str, Any], settings: Settings
) -> None:
    """Runs after a week, with their states, logs and pages; events after a week at most."""
    environment = child_environment(settings, server=True)
    found = run_program(
        "tests.flows.cleaning_runs", environment, settings.floor_home / "server.log"
    )
    young, left = found["young"], found["left"]
    assert found["kept"] == young
    assert min(young.values()) >= 0 and young["ended"] > 10
    assert all(young[name] for name in ("others", "events", "resources", "logs", "artifacts"))
    assert left["others"] == young["others"]
    assert {name: count for name, count in left.items() if count} == {"others": young["others"]}
