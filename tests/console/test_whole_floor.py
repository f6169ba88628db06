"""The whole floor, started once: what the commands say of it, and how it is wound down."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from console.floor import stop

from .conftest import Floor, eventually, make_floor

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def whole() -> Iterator[Floor]:
    for floor in make_floor(SIM_WINDOW_SECONDS="60"):
        floor.floor("up")
        yield floor


def ask(floor: Floor, path: str, question: dict[str, Any]) -> Any:
    port = floor.ports["PREFECT_PORT"]
    answer = httpx.post(f"http://127.0.0.1:{port}/api/{path}", json=question, trust_env=False)
    return answer.raise_for_status().json()


def agents(floor: Floor) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in floor.status()["agents"]}


def test_doctor_finds_nothing_wrong(whole: Floor) -> None:
    result = whole.floor("doctor", "--json", check=False)
    found = {row["part"]: row for row in json.loads(result.stdout)}
    assert not [row for row in found.values() if row["verdict"] == "FAIL"]
    assert result.returncode == 0
    asked = {"python", "packages", "settings", "disk", "processes", "database", "tables"}
    assert asked | {"redis", "prefect", "schedules", "venue"} <= found.keys()


def test_scheduled_deployments_really_get_runs(whole: Floor) -> None:
    """With SQLAlchemy 2.1 the server looks well and never schedules anything."""
    state = {"type": {"any_": ["SCHEDULED"]}}
    assert ask(whole, "flow_runs/count", {"flow_runs": {"state": state}}) > 0
    done = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    eventually("supervise ran", lambda: ask(whole, "flow_runs/count", done), seconds=60)


def test_status_says_where_the_liquidity_comes_from(whole: Floor) -> None:
    liquidity = whole.status()["liquidity"]
    assert liquidity["liquidity"] == "replay"
    assert liquidity["window_seconds"] == 60


def test_tables_agree_with_the_code(whole: Floor) -> None:
    assert "agree" in whole.floor("db", "check").stdout
    assert "at head" in whole.floor("db", "upgrade").stdout


def test_no_password_in_any_command_line_or_log(whole: Floor) -> None:
    words = json.loads((whole.home / "secrets.json").read_text()).values()
    lines = [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]
    lines += [path.read_text(errors="replace") for path in (whole.home / "logs").iterdir()]
    assert not [word for word in words if any(word in line for line in lines)]


def test_agents_are_paused_resumed_and_drained(whole: Floor) -> None:
    name = "market-maker-btc-15m"
    eventually("its session runs", lambda: agents(whole)[name]["session_live"], seconds=90)

    whole.floor("agents", "pause", name, "--reason", "a look at it")
    eventually("its session ended", lambda: not agents(whole)[name]["session_live"], seconds=30)
    paused = agents(whole)[name]
    assert (paused["status"], paused["reason"]) == ("paused", "a look at it")
    assert paused["open_orders"] == 0
    assert "may trade again" in whole.floor("agents", "resume", name).stdout
    assert agents(whole)[name]["status"] != "paused"

    drained = whole.floor("drain", "--reason", "test of the drain")
    assert "no session runs any more" in drained.stdout
    assert whole.status()["halt"] == "test of the drain"
    assert not [row for row in agents(whole).values() if row["session_live"]]
    whole.floor("drain", "--off")
    assert whole.status()["halt"] == ""


def test_unknown_agent_is_one_clear_line(whole: Floor) -> None:
    result = whole.floor("agents", "pause", "nobody", check=False)
    assert result.returncode == 1
    assert "nobody" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_stopping_winds_down_and_leaves_nothing(whole: Floor) -> None:
    said: list[str] = []
    assert stop(whole.settings, said.append)
    assert not [line for line in said if re.search("still hold|could not be asked", line)], said
    assert whole.status()["up"] is False
