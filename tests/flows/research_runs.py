"""Runs the research flows under a real Prefect server and prints how they ended, as JSON.

A program of its own, because Prefect's test server leaves sockets behind that would fail
whichever test the garbage collector finds them in. Its argument is a folder to write to.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from distributed import LocalCluster
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from console.prefect_runs import start
from flows.backtest import backtest
from flows.sweep import sweep
from models.errors import FloorError
from tasks.sweeping.run import Sweep
from tests.tasks.sweep_kit import settings_at, small_tape, sweep_raw, sweep_spec

RUN: dict[str, Any] = {
    "name": "flow.run",
    "agents": sweep_raw(Path())["run"]["agents"],
    "seed": 3,
}
GRID = {
    "sampler": "grid",
    "space": {"lookback_s": [20, 40], "threshold_pct": [0.05, 0.1]},
    "walk_forward": {"folds": 1, "train_share": 2, "embargo_s": 0},
}


async def main(folder: Path) -> None:
    tape = small_tape(folder / "small.tape")
    states = [
        await backtest({**RUN, "data": str(tape)}, out=str(folder / "run"), return_state=True),
        await backtest({**RUN, "data": "nowhere"}, return_state=True),
        await sweep(sweep_raw(tape, **GRID), return_state=True),
    ]
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
        host="127.0.0.1", memory_limit=0,
    ) as cluster:  # fmt: skip
        on_dask = sweep_raw(tape, **GRID, dask=cluster.scheduler_address)
        # The sweep of before is finished; this one is to be done, by the cluster.
        states.append(await sweep(on_dask, fresh=True, return_state=True))
        random = sweep_spec(tape, dask=cluster.scheduler_address)
        by_dask = await asyncio.to_thread(Sweep(random, settings_at(folder / "dask")).run)
    here = await asyncio.to_thread(Sweep(sweep_spec(tape), settings_at(folder / "here")).run)
    async with get_client() as client:
        await client.create_deployment(await client.create_flow(backtest), name="backtest")
        port = urlsplit(PREFECT_API_URL.value()).port
        floor = settings_at(folder / "home").model_copy(update={"prefect_port": port})
        wanted = {"spec": {**RUN, "data": str(tape)}, "out": None, "overwrite": False}
        link = await asyncio.to_thread(start, floor, "backtest/backtest", wanted)
        begun = await client.read_flow_run(UUID(link.rsplit("/", 1)[1]))
        try:
            await asyncio.to_thread(start, floor, "backtest/nothing", wanted)
        except FloorError as error:
            missing = str(error)
        artifacts = await client.read_artifacts()
        runs = await client.read_task_runs()
    (kept,) = (folder / "home" / "sweeps").iterdir()
    print(
        json.dumps(
            {
                "ends": [[state.name, state.message] for state in states],
                "artifacts": [[one.key, one.type, one.data] for one in artifacts],
                "steps": sorted({run.name.rsplit("-", 1)[0] for run in runs}),
                "kept": str(kept),
                "link": link,
                "begun": begun.parameters == wanted,
                "missing": missing,
                "same": by_dask.result.folds == here.result.folds
                and by_dask.result.trials == here.result.trials,
                "random_trials": len(by_dask.result.trials),
            }
        )
    )


if __name__ == "__main__":
    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        asyncio.run(main(Path(sys.argv[1])))
