"""A real Prefect server with the floor's own settings, on the tests' Postgres."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from console.environment import child_environment, prefect_api_url
from models.settings import ROOT, Settings
from store.urls import Urls

START_S = 180.0

QUICK = {
    # Silences are looked for every second, so that a test need not wait for the sixth.
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
}


def server_settings(home: Path, server: Urls, port: int, **more: object) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        floor_home=home,
        database_url=server.database,
        prefect_port=port,
        **more,
    )


@contextmanager
def prefect_server(settings: Settings, log: Path) -> Iterator[dict[str, str]]:
    """Run a server; yields the environment of its clients."""
    environment = child_environment(settings, dict(os.environ), server=True) | QUICK
    command = ["server", "start", "--host", "127.0.0.1", "--port", str(settings.prefect_port)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *command],
            cwd=ROOT, env=environment, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        _wait(f"{prefect_api_url(settings)}/ready", process, log)
        yield child_environment(settings, dict(os.environ)) | QUICK
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(
        f"Prefect's server does not answer; its log ends:\n{log.read_text()[-3000:]}"
    )
