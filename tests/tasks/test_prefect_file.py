"""prefect.yaml: complete and in step with the agent files (its keys: test_prefect_strict.py)."""

from typing import Any

import pytest
import yaml

from models.settings import ROOT
from tasks.agent_files import AGENTS_DIR
from tasks.inprocess import load_entrypoint
from tasks.prefect_file import sync_trade_deployments

TEXT = (ROOT / "prefect.yaml").read_text()
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load(TEXT)["deployments"]
AGENTS = [path.stem for path in AGENTS_DIR.glob("*.yaml")]


def test_every_agent_file_has_its_trade_deployment() -> None:
    assert sync_trade_deployments(TEXT, AGENTS) == TEXT


def test_agents_come_and_go_and_what_a_person_wrote_stays() -> None:
    edited = TEXT.replace("tags: [floor, trader,", "tags: [mine, floor, trader,", 1)
    more = sync_trade_deployments(edited, [*AGENTS, "newcomer"])
    names = [entry["name"] for entry in yaml.safe_load(more)["deployments"]]
    assert sorted(names[-len(AGENTS) - 1 :]) == sorted([*AGENTS, "newcomer"])
    assert "tags: [mine, floor" in more
    assert sync_trade_deployments(more, AGENTS) == edited
    assert "flows.trade.trade" not in sync_trade_deployments(TEXT, [])


@pytest.mark.parametrize("entry", DEPLOYMENTS, ids=lambda entry: str(entry["name"]))
def test_every_entrypoint_is_a_flow_that_takes_the_parameters(entry: dict[str, Any]) -> None:
    flow = load_entrypoint(entry["entrypoint"])
    flow.validate_parameters(entry.get("parameters", {}))


@pytest.mark.parametrize("entry", DEPLOYMENTS, ids=lambda entry: str(entry["name"]))
def test_scheduled_flows_never_pile_up_and_end_in_time(entry: dict[str, Any]) -> None:
    if entry.get("schedules"):
        assert entry["concurrency_limit"]["limit"] == 1
        assert entry["concurrency_limit"]["collision_strategy"] == "CANCEL_NEW"
        timeout = load_entrypoint(entry["entrypoint"]).timeout_seconds
        # A tick that finds the one before still at work is cancelled; a minute later none is.
        assert timeout is not None and timeout <= 60
        assert all(schedule.get("anchor_date") for schedule in entry["schedules"]), (
            "without an anchor every deploy moves the schedule"
        )
