"""A worker waits for a server that is away, says so once, and comes back with one run of each."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.settings import ROOT
from tasks.patience import is_refusal, split_late

NOW = datetime(2026, 1, 1, tzinfo=UTC)

AWAY = """
import asyncio, json, sys
from structlog.testing import capture_logs
from flows.traders import TradersWorker
from tasks.inprocess import InProcessWorker

async def main():
    found = {}
    for kind in (TradersWorker, InProcessWorker):
        with capture_logs() as logs:
            async with kind(work_pool_name="traders", name="w") as worker:
                for _ in range(2):
                    assert await worker._get_scheduled_flow_runs() == []
                    await worker._sync_and_initialize()
                away = worker.away
                worker.leaving = True
                assert await worker._get_scheduled_flow_runs() == []
        found[kind.__name__] = [away, [entry["event"] for entry in logs]]
    print(json.dumps(found))

asyncio.run(main())
"""


@pytest.mark.timeout(240)
def test_a_server_that_is_away_ends_no_worker_and_is_told_of_once() -> None:
    """Prefect's own gives up after a while and ends every session as it leaves."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-c", AWAY],
        cwd=ROOT,
        env=kept | {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_LOGGING_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    once = [True, ["prefect_away"]]
    assert found == {"TradersWorker": once, "InProcessWorker": once}


@pytest.mark.parametrize(
    ("status", "refused"), [(401, True), (404, True), (422, True), (500, False), (503, False)]
)
def test_only_a_server_that_is_away_is_waited_for(status: int, refused: bool) -> None:
    request = httpx.Request("GET", "http://127.0.0.1:9/api")
    error = httpx.HTTPStatusError("", request=request, response=httpx.Response(status))
    assert is_refusal(error) is refused
    assert not is_refusal(httpx.ConnectError("away"))


def entry(deployment: UUID, due_s: float) -> Any:
    run = SimpleNamespace(
        id=uuid4(), deployment_id=deployment, next_scheduled_start_time=NOW + timedelta(0, due_s)
    )
    return SimpleNamespace(flow_run=run)


DEPLOYMENTS = [UUID(int=number) for number in range(3)]


@given(st.lists(st.tuples(st.sampled_from(DEPLOYMENTS), st.integers(-4_000, 60)), max_size=40))
def test_of_what_is_late_the_newest_of_each_deployment_is_kept(
    due: list[tuple[UUID, int]],
) -> None:
    entries = [entry(*one) for one in due]
    kept, skipped = split_late(entries, NOW)
    assert sorted(map(id, kept + skipped)) == sorted(map(id, entries))
    for deployment in DEPLOYMENTS:
        late = [s for one, s in due if one == deployment and s <= 0]
        coming = sorted(s for one, s in due if one == deployment and s > 0)
        times = sorted(
            int((one.flow_run.next_scheduled_start_time - NOW).total_seconds())
            for one in kept
            if one.flow_run.deployment_id == deployment
        )
        assert times == ([max(late)] if late else []) + coming
