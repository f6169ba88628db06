"""Traps of Prefect the floor steps around; docs/supervision.md lists them all."""

import inspect
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from console.environment import prefect_environment
from models.settings import ROOT, Settings
from tasks.inprocess import load_entrypoint

DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())[
    "deployments"
]
FLOWS = sorted({entry["entrypoint"] for entry in DEPLOYMENTS})
UNSAFE = {"fastapi": "0.151", "sqlalchemy": "2.1", "prefect": "3.10"}
"""From here on: the server does not start, schedules nothing, is not known to us."""


def _pinned() -> dict[str, Version]:
    """Versions of requirements.lock."""
    lock = (ROOT / "requirements.lock").read_text()
    found = re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", lock, flags=re.MULTILINE)
    return {name: Version(number) for name, number in found}


@pytest.mark.parametrize(("name", "bound"), UNSAFE.items())
def test_versions_that_break_prefect_are_neither_wanted_nor_pinned_nor_installed(
    name: str, bound: str
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {r.name: r for r in map(Requirement, project["dependencies"])}[name]
    assert not wanted.specifier.contains(bound), f"{wanted} lets {bound} in"
    assert _pinned()[name] < Version(bound)
    assert Version(version(name)) < Version(bound)


def test_no_session_can_be_ended_by_a_limit_of_prefects(tmp_path: Path) -> None:
    """A limit's lease that the server forgets ends its run: sessions have no limit at all."""
    limited = [entry["name"] for entry in DEPLOYMENTS if entry.get("concurrency_limit")]
    assert limited == ["supervise", "reconcile"]
    environment = prefect_environment(Settings(floor_home=tmp_path))
    storage = environment["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"]
    # What is limited keeps its leases through a restart of the server.
    assert storage.endswith(".filesystem")


@pytest.mark.parametrize("entrypoint", FLOWS)
def test_flows_are_async_and_have_no_hooks(entrypoint: str) -> None:
    """A synchronous flow waits a second for its heartbeat; hooks are called by keyword, at best."""
    flow = load_entrypoint(entrypoint)
    assert flow.isasync
    hooks = ("on_completion", "on_failure", "on_cancellation", "on_crashed", "on_running")
    assert not any(getattr(flow, f"{hook}_hooks") for hook in hooks)


def test_prefects_database_is_postgres(tmp_path: Path) -> None:
    """SQLite answers some of the server's calls with 503 as soon as two come at a time."""
    environment = prefect_environment(Settings(floor_home=tmp_path))
    url = environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert url.startswith("postgresql+asyncpg://")


@pytest.mark.parametrize("entrypoint", FLOWS)
def test_flows_are_modules_of_the_installed_project(entrypoint: str) -> None:
    """No file is fetched for a run that could be missing when the worker looks after a crash."""
    module, _, name = entrypoint.rpartition(".")
    assert module.startswith("flows.") and name.isidentifier()


def test_sessions_are_bounded_and_prefect_hears_of_windows_never_of_ticks(tmp_path: Path) -> None:
    """The UI draws every task of a run, and a run keeps every task in memory."""
    with pytest.raises(ValueError, match="less than or equal to 86400"):
        Settings(session_seconds=86_401)
    environment = prefect_environment(Settings(floor_home=tmp_path))
    assert int(environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]) >= 10
    # Two tasks a window; nothing below flows/ is a task of Prefect's.
    with_tasks = [
        path.relative_to(ROOT).as_posix()
        for room in ("models", "risk", "strategies", "engine", "venue", "store", "tasks")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"^\s*@task\b", path.read_text(), flags=re.MULTILINE)
    ]
    assert with_tasks == []
    module = inspect.getmodule(load_entrypoint("flows.trade.trade").fn)
    assert inspect.getsource(module).count("@task(") == 2  # type: ignore[arg-type]
