"""The environment processes get: what Prefect really makes of it, and what must not be in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from console.environment import child_environment, prefect_environment
from models.settings import Settings, variables
from store.urls import urls
from tasks.run_events import SessionEvent


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(floor_home=tmp_path, prefect_port=4321)


def test_prefect_reads_every_setting_as_it_is_meant(settings: Settings) -> None:
    """Prefect ignores a misspelt variable without a word, so its own view is what counts."""
    script = """
import json
from prefect.settings import get_current_settings
s = get_current_settings()
known = {name.upper() for name in s.to_environment_variables(exclude_unset=True)}
vacuum = s.server.services.db_vacuum
print(json.dumps({
    "known": sorted(known),
    "home": str(s.home), "api": s.api.url, "analytics": s.server.analytics_enabled,
    "lease": s.server.concurrency.lease_storage, "heartbeat": s.flows.heartbeat_frequency,
    "query": s.worker.query_seconds, "poll": s.runner.poll_frequency,
    "slot": s.server.deployments.concurrency_slot_wait_seconds,
    "events": s.server.events.retention_period.total_seconds(),
    "vacuum": sorted(vacuum.enabled), "runs": vacuum.retention_period.total_seconds(),
    "heartbeats": vacuum.event_retention_overrides["prefect.flow-run.heartbeat"].total_seconds(),
    "overrides": sorted({v.total_seconds() for v in vacuum.event_retention_overrides.values()}),
    "promo": s.server.ui.show_promotional_content, "cors": s.server.api.cors_allowed_origins,
    "database": s.server.database.connection_url.get_secret_value(),
    "ephemeral": s.server.ephemeral.enabled,
}))
"""
    environment = child_environment(settings, server=True)
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=settings.floor_home,
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(answer.stdout)
    ours = set(prefect_environment(settings)) - {"DO_NOT_TRACK"}
    aliases = {"PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"}
    assert ours - aliases <= set(seen.pop("known"))
    assert seen == {
        "home": str(settings.floor_home / "prefect"),
        "api": "http://127.0.0.1:4321/api",
        "analytics": False,
        "lease": "prefect.server.concurrency.lease_storage.filesystem",
        "heartbeat": 30,
        "query": 2.0,
        "poll": 2,
        "slot": 5.0,
        "events": 604_800.0,
        "vacuum": ["events", "flow_runs"],
        "runs": 604_800.0,
        "heartbeats": 86_400.0,
        "overrides": [86_400.0],
        "promo": False,
        "cors": "http://127.0.0.1:4321,http://localhost:4321",
        "database": urls(settings).prefect_database,
        "ephemeral": False,
    }


def test_only_the_server_gets_the_database_password(settings: Settings) -> None:
    server = child_environment(settings, server=True)
    password = json.loads((settings.floor_home / "secrets.json").read_text())["postgres"]
    assert password in server["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    for environment in child_environment(settings), prefect_environment(settings, server=False):
        assert all(password not in value for value in environment.values())


def test_settings_of_another_prefect_are_left_out(settings: Settings) -> None:
    base = {
        "PREFECT_API_KEY": "theirs",
        "PREFECT_PROFILE": "cloud",
        "PREFECT_API_URL": "https://api.prefect.cloud/api",
        "PREFECT_PORT": "4321",
        "CI": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": "/usr/bin",
        "LANG": "C.UTF-8",
    }
    environment = child_environment(settings, base)
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1:4321/api"
    assert environment["PREFECT_PORT"] == "4321", "a setting of the floor stays"
    assert environment["LANG"] == "C.UTF-8"
    gone = {"PREFECT_API_KEY", "PREFECT_PROFILE", "CI", "PYTHONDONTWRITEBYTECODE"}
    assert not gone & environment.keys()


def test_settings_are_pinned_and_secrets_are_not(tmp_path: Path) -> None:
    key = "0x" + "1b" * 32
    settings = Settings(
        floor_home=tmp_path,
        sim_port=4322,
        sim_window_seconds=60,
        risk_per_trade="12.5",
        polymarket_private_key=key,
    )
    environment = child_environment(settings, {})
    assert key not in environment.values()
    again = Settings(
        polymarket_private_key=key,
        **{name.lower(): value for name, value in environment.items() if name in variables()},
    )
    assert again == settings


def test_python_is_the_projects_own(settings: Settings) -> None:
    environment = child_environment(settings, {"PATH": "/usr/bin", "TMPDIR": "/tmp"})
    assert environment["TMPDIR"] == str(settings.floor_home / "tmp"), (
        "one user's floor is not another's"
    )
    first, *rest = environment["PATH"].split(os.pathsep)
    assert (Path(first) / "python").exists()
    assert Path(first) == Path(sys.executable).parent
    assert rest == ["/usr/bin"]
    again = child_environment(settings, environment)
    assert again["PATH"] == environment["PATH"]


def test_what_people_look_for_in_prefects_events_outlives_the_routine(settings: Settings) -> None:
    environment = prefect_environment(settings)
    name = "PREFECT_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES"
    routine = set(json.loads(environment[name]))
    kept = {each.value for each in SessionEvent} | {
        f"prefect.flow-run.{state}" for state in ("Crashed", "Failed", "NoHeartbeat", "ProcessGone")
    }
    assert not kept & routine
