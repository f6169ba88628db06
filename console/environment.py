"""The environment every process of the floor runs in: ours, and above all Prefect's."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from console.shared_prefect import shared_environment
from models.settings import Settings, is_secret, variables
from store.urls import urls

INSTANCE = "FLOOR_INSTANCE"
"""Names one life of the floor, from start to stop."""
SUPERVISED_HOME = "FLOOR_SUPERVISED_HOME"
"""Marks every process the floor started, with the folder of its floor."""
PROGRAM = "FLOOR_PROGRAM"
"""Names the program (of deployments/processes.yaml) a process belongs to."""
HERE = "FLOOR_PROGRAMS"
"""Names all programs that run on this host, with commas; the others run elsewhere."""

_DAY_S = 86_400

_ROUTINE_EVENTS = (
    *(
        f"prefect.flow-run.{each}"
        for each in (
            "heartbeat", "Scheduled", "Pending", "Submitting", "Running", "Completed", "Cancelled",
            "Skipped", "pull-step.executed",
        )
    ),
    *(f"prefect.task-run.{each}" for each in ("Pending", "Running", "Completed")),
    "prefect.worker.submitted-flow-run",
    "prefect.worker.executed-flow-run",
    "prefect.artifact.created",
    "prefect.artifact-collection.updated",
)  # fmt: skip
"""Events of runs in which nothing happened: nearly all there are, so they go after a day."""

_FOREIGN = ("CI", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Belong to somebody else's shell; CI also stops Prefect's client from emitting events."""


def prefect_api_url(settings: Settings) -> str:
    return f"{prefect_ui_url(settings)}/api"


def prefect_ui_url(settings: Settings) -> str:
    here = f"http://{settings.own_host}:{settings.prefect_port}"
    return (settings.prefect_url or here).removesuffix("/api")


def prefect_login(settings: Settings) -> tuple[str, str] | None:
    """Return user and password of Prefect's API, None where it asks for none."""
    if settings.prefect_auth is None:
        return None
    user, _, password = settings.prefect_auth.get_secret_value().partition(":")
    return user, password


def prefect_environment(settings: Settings, *, server: bool = True) -> dict[str, str]:
    """Return Prefect's settings as environment variables.

    Parameters
    ----------
    settings
        The floor's.
    server
        Also what only the server needs, the address of its database with the password above all.
    """
    environment = _client(settings)
    if server:
        environment |= _server(settings)
    return environment


def _client(settings: Settings) -> dict[str, str]:
    return _login(settings, "PREFECT_API_AUTH_STRING") | {
        "PREFECT_HOME": str(settings.floor_home / "prefect"),
        "PREFECT_API_URL": prefect_api_url(settings),
        "PREFECT_PROFILES_PATH": str(settings.floor_home / "prefect" / "profiles.toml"),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_LOGGING_LEVEL": settings.log_level,
        # A session's death is noticed within three of these at the latest.
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_WORKER_HEARTBEAT_SECONDS": "30",
        "PREFECT_WORKER_ENABLE_CANCELLATION": "true",
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def _login(settings: Settings, name: str) -> dict[str, str]:
    login = settings.prefect_auth
    return {} if login is None else {name: login.get_secret_value()}


def _server(settings: Settings) -> dict[str, str]:
    environment = _alone(settings) | _login(settings, "PREFECT_SERVER_API_AUTH_STRING")
    if settings.listen_host != "127.0.0.1":
        # A browser elsewhere must ask the server its page came from.
        environment["PREFECT_SERVER_UI_API_URL"] = "/api"
    if settings.prefect_shared:
        environment |= shared_environment(urls(settings).redis)
    return environment


def _alone(settings: Settings) -> dict[str, str]:
    """What a server needs that shares its database with no other."""
    ui = prefect_ui_url(settings)
    return {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": urls(settings).prefect_database,
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": "5",
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_MAX_OVERFLOW": "10",
        # Leases in the server's memory would end every limited run after a restart of the server.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
        # Any web page could otherwise drive the API from its reader's browser.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{ui},http://localhost:{settings.prefect_port}",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # Runs take their states, steps, logs and pages with them (docs/supervision.md).
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(7 * _DAY_S),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P7D",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES": json.dumps(
            dict.fromkeys(_ROUTINE_EVENTS, _DAY_S)
        ),
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }


def child_environment(
    settings: Settings,
    base: Mapping[str, str] | None = None,
    *,
    server: bool = False,
) -> dict[str, str]:
    """Return the whole environment of a process of the floor.

    The project's Python comes first on the PATH; settings of another Prefect are left out. Our own
    settings are pinned, secrets apart: a process that is started again after somebody edited
    `.env` must not disagree with the others about ports, mode or limits.
    """
    source = os.environ if base is None else base
    ours = variables().keys()
    kept = {
        key: value
        for key, value in source.items()
        if key not in _FOREIGN and (not key.startswith("PREFECT_") or key in ours)
    }
    binaries = str(Path(sys.executable).parent)
    rest = [part for part in kept.get("PATH", os.defpath).split(os.pathsep) if part != binaries]
    kept["PATH"] = os.pathsep.join([binaries, *rest])
    kept["PYTHONUNBUFFERED"] = "1"
    # Prefect's worker keeps a folder of a fixed name there, which another user's floor may own.
    kept["TMPDIR"] = str(settings.floor_home / "tmp")
    for name in ours:
        value = getattr(settings, name.lower())
        if value is not None and not is_secret(name):
            kept[name] = str(value)
    return kept | prefect_environment(settings, server=server)
