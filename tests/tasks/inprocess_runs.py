"""Runs the sample flows on an in-process worker, has the supervisor put runs right, prints JSON.

A program of its own, because Prefect's test server leaves sockets behind that would fail
whichever test the garbage collector finds them in.
"""

import asyncio
import json
import os
from datetime import timedelta
from typing import Any

from prefect import Flow, results
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Pending, Running, Scheduled
from prefect.testing.utilities import prefect_test_harness
from prefect.types._datetime import now

from tasks.inprocess import InProcessWorker
from tasks.left_runs import settle_left
from tests.tasks import sample_flows
from tests.tasks.supervised_runs import supervise_runs

POOL = "ops-test"


async def schedule(client: PrefectClient, flow: Flow[..., Any], **parameters: Any) -> FlowRun:
    """Deploy a flow of `sample_flows` and start one run of it."""
    deployment_id = await client.create_deployment(
        flow_id=await client.create_flow(flow),
        name="test",
        entrypoint=f"tests.tasks.sample_flows.{flow.fn.__name__}",
        work_pool_name=POOL,
        parameters=parameters,
    )
    return await client.create_flow_run_from_deployment(deployment_id)


async def final_state(client: PrefectClient, run: FlowRun) -> Any:
    while True:
        now = await client.read_flow_run(run.id)
        if now.state is not None and now.state.is_final():
            return now.state
        await asyncio.sleep(0.2)


asked: list[str] = []
"""Calls of Prefect's that wait for the server without yielding to the event loop."""


def ask_nothing() -> None:
    asked.append("default result storage")


async def main() -> None:
    results._read_server_default_result_storage_block_id = ask_nothing
    async with InProcessWorker(work_pool_name=POOL, name=POOL) as worker, get_client() as client:
        runs = [
            await schedule(client, sample_flows.good, word=str(os.getpid())),
            await schedule(client, sample_flows.bad),
            await schedule(client, sample_flows.slow),
        ]
        await worker.get_and_submit_flow_runs()
        states = [await final_state(client, run) for run in runs]
        late = await after_an_outage(client, worker, runs[0])
        death = await after_a_death(client, worker)
        blocking = list(asked)
        supervised = await supervise_runs(client)
    ended = [[state.name, state.message] for state in states]
    print(
        json.dumps(
            {"states": ended, "late": late, "death": death, "blocking": blocking, **supervised}
        )
    )


async def after_a_death(client: PrefectClient, worker: InProcessWorker) -> list[str]:
    """Return how runs end while a dead process' run holds the only slot, and once it is settled."""
    deployment_id = await client.create_deployment(
        flow_id=await client.create_flow(sample_flows.good),
        name="one at a time",
        entrypoint="tests.tasks.sample_flows.good",
        work_pool_name=POOL,
        concurrency_limit=1,
        concurrency_options={"collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60},
    )
    dead = await client.create_flow_run_from_deployment(deployment_id)
    await client.set_flow_run_state(dead.id, Pending())
    await client.set_flow_run_state(dead.id, Running())
    ends = []
    for settle in (False, True):
        if settle:
            ends.append(str(await settle_left(["sample-good"])))
        run = await client.create_flow_run_from_deployment(deployment_id)
        await worker.get_and_submit_flow_runs()
        ends.append((await final_state(client, run)).name)
    return [*ends, (await final_state(client, dead)).name]


async def after_an_outage(
    client: PrefectClient, worker: InProcessWorker, like: FlowRun
) -> list[str]:
    """Let several runs of one deployment be late at once; return how each ended, oldest first."""
    assert like.deployment_id is not None
    runs = [
        await client.create_flow_run_from_deployment(
            like.deployment_id,
            state=Scheduled(scheduled_time=now("UTC") - timedelta(seconds=30 * ago)),
        )
        for ago in range(5, 0, -1)
    ]
    await worker.get_and_submit_flow_runs()
    return [(await final_state(client, run)).name for run in runs]


if __name__ == "__main__":
    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        asyncio.run(main())
