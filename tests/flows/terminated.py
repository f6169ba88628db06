"""Runs `flows.trade` in a process of its own under a real Prefect server until it is terminated.

Prints how the process ended and what the server says of its run, as JSON.
"""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

import flows.trade as module
from models.errors import VenueError
from models.settings import Settings, load_settings
from tests.tasks.eager import AGENT, Eager, play

PID_FILE = "trading.pid"


def trade() -> None:
    """Be the process that trades."""
    length = int(os.environ["EAGER_WINDOW_SECONDS"])

    def shortened() -> Settings:
        return load_settings().model_copy(update={"sim_window_seconds": length})

    play(Eager)
    module.load_settings = shortened
    while True:
        # A busy machine's simulator may be slow to answer: then the next session starts.
        with suppress(VenueError):
            asyncio.run(module.trade(AGENT))  # type: ignore[arg-type]


async def seen() -> list[list[str]]:
    async with get_client() as client:
        runs = await client.read_flow_runs()
    return [[run.state.type.value, run.state.message or ""] for run in runs if run.state]


def main() -> None:
    with prefect_test_harness(server_startup_timeout=180):
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.flows.terminated", "trade"],
            env={**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
            stdout=sys.stderr,
        )
        Path(os.environ["FLOOR_HOME"], PID_FILE).write_text(str(child.pid))
        code = child.wait()
        runs = asyncio.run(seen())
    print(json.dumps({"code": code, "runs": runs}))


if __name__ == "__main__":
    trade() if sys.argv[1:] == ["trade"] else main()
