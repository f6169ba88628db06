"""Runs `flows.trade` and `flows.collect`, each in a process of its own, until they are terminated.

A real Prefect server hears of their runs. Prints how the processes ended and what the server says
of the runs, as JSON.
"""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

import flows.collect as collecting
import flows.trade as trading
from models.errors import VenueError
from models.settings import Settings, load_settings
from tests.tasks.eager import AGENT, Eager, play

FLOWS = ("trade", "collect")


def shortened() -> Settings:
    """Read the settings, with windows shorter than people may make them."""
    length = int(os.environ["EAGER_WINDOW_SECONDS"])
    return load_settings().model_copy(update={"sim_window_seconds": length})


def serve(name: str) -> None:
    """Be the process that runs a flow until SIGTERM."""
    play(Eager)
    trading.load_settings = collecting.load_settings = shortened
    run = {"trade": partial(trading.trade, AGENT), "collect": collecting.collect}[name]
    while True:
        # A busy machine's simulator may be slow to answer: then the next session starts.
        with suppress(VenueError):
            asyncio.run(run())  # type: ignore[arg-type]


async def seen() -> list[list[str]]:
    async with get_client() as client:
        runs = await client.read_flow_runs()
    return [[run.state.type.value, run.state.message or ""] for run in runs if run.state]


def start(name: str) -> "subprocess.Popen[bytes]":
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.flows.terminated", name],
        env={**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
        stdout=sys.stderr,
    )
    Path(os.environ["FLOOR_HOME"], f"{name}.pid").write_text(str(child.pid))
    return child


def main() -> None:
    with prefect_test_harness(server_startup_timeout=180):
        codes = [child.wait() for child in [start(name) for name in FLOWS]]
        runs = asyncio.run(seen())
    print(json.dumps({"codes": codes, "runs": runs}))


if __name__ == "__main__":
    serve(sys.argv[1]) if sys.argv[1:] else main()
