"""Runs the research flows under a real Prefect server and prints how they ended, as JSON.

A program of its own, because Prefect's test server leaves sockets behind that would fail
whichever test the garbage collector finds them in. Its argument is a folder to write to.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from flows.backtest import backtest
from models.settings import ROOT

RUN = "deployments/runs/two-agents-btc-15m.yaml"
SPEC: dict[str, Any] = {
    "name": "flow.run",
    "data": "book5",
    "agents": [
        {
            "name": "anna",
            "strategy": "momentum",
            "markets": [{"asset": "BTC", "timeframe": "15m"}],
            "parameters": {"lookback_s": 60, "threshold_pct": 0.05},
            "capital_usd": 500,
        }
    ],
    "end": "2026-02-21T00:50",
}


async def main(folder: Path) -> None:
    good = await backtest(SPEC, out=str(folder / "run"), return_state=True)
    bad = await backtest({**SPEC, "data": "nowhere"}, return_state=True)
    assert (ROOT / RUN).is_file()
    async with get_client() as client:
        artifacts = await client.read_artifacts()
        runs = await client.read_task_runs()
    print(
        json.dumps(
            {
                "ends": [[state.name, state.message] for state in (good, bad)],
                "artifacts": [[one.key, one.type, one.data] for one in artifacts],
                "steps": sorted({run.name.rsplit("-", 1)[0] for run in runs}),
            }
        )
    )


if __name__ == "__main__":
    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        asyncio.run(main(Path(sys.argv[1])))
