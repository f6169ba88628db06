"""prefect.yaml: complete, in step with the agent files, and without keys Prefect drops."""

from typing import Any

import pytest
import yaml
from prefect.cli.deploy._models import DeploymentConfig  # the loader ignores unknown keys

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
def test_no_key_is_silently_dropped(entry: dict[str, Any]) -> None:
    assert not entry.keys() - DeploymentConfig.model_fields.keys()


@pytest.mark.parametrize("entry", DEPLOYMENTS, ids=lambda entry: str(entry["name"]))
def test_every_entrypoint_is_a_flow_that_takes_the_parameters(entry: dict[str, Any]) -> None:
    flow = load_entrypoint(entry["entrypoint"])
    flow.validate_parameters(entry.get("parameters", {}))


@pytest.mark.parametrize("entry", DEPLOYMENTS, ids=lambda entry: str(entry["name"]))
def test_scheduled_flows_never_pile_up_and_end_in_time(entry: dict[str, Any]) -> None:
    if entry.get("schedules"):
        assert entry["concurrency_limit"]["limit"] == 1
        assert entry["concurrency_limit"]["collision_strategy"] == "CANCEL_NEW"
        shortest = min(schedule["interval"] for schedule in entry["schedules"])
        timeout = load_entrypoint(entry["entrypoint"]).timeout_seconds
        assert timeout is not None and timeout <= shortest
