"""Where a run stands, judged from Prefect's word, its agent's lease and this host's processes."""

import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.types._datetime import now

from tasks.session_processes import Here, SessionProcess
from tasks.standing import ORPHAN_S, Holder, Standing, standing

HERE = "traders-here"
RUN = uuid4()


def run(
    kind: StateType,
    age_s: float,
    due_in_s: float | None = None,
    worker: str = "",
    pid: str | None = None,
) -> FlowRun:
    due = None if due_in_s is None else now("UTC") + timedelta(seconds=due_in_s)
    return FlowRun(
        id=RUN,
        flow_id=uuid4(),
        state=State(type=kind, timestamp=now("UTC") - timedelta(seconds=age_s)),
        next_scheduled_start_time=due,
        labels={"prefect.worker.name": worker} if worker else {},
        infrastructure_pid=pid,
    )


def stands(
    one: FlowRun, holder: Holder | None = None, alive: bool = False, worker_s: float | None = 600
) -> Standing:
    """Judge a run beside a worker that was started so many seconds ago, if there is one."""
    found = {str(RUN): SessionProcess(1, "1", str(RUN), orphan=False)} if alive else {}
    here = Here(found, None if worker_s is None else time.time() - worker_s)
    return standing(one, holder or Holder(), here, HERE, now("UTC"))


@pytest.mark.parametrize(
    ("kind", "age_s", "due_in_s", "expected"),
    [
        (StateType.SCHEDULED, 1, 0, Standing.COMING),
        (StateType.SCHEDULED, 1, 3600, Standing.LATER),
        # The worker is away: it is late, and starts when the worker is back.
        (StateType.SCHEDULED, 600, -600, Standing.COMING),
        (StateType.PENDING, 5, None, Standing.COMING),
        (StateType.PENDING, 300, None, Standing.STRAY),
        (StateType.RUNNING, 5, None, Standing.COMING),
        (StateType.RUNNING, 300, None, Standing.STRAY),
        (StateType.CANCELLING, 5, None, Standing.CANCELLING),
    ],
)
def test_a_run_of_another_host_is_believed_for_as_long_as_a_start_takes(
    kind: StateType, age_s: float, due_in_s: float | None, expected: Standing
) -> None:
    assert stands(run(kind, age_s, due_in_s)) is expected


@pytest.mark.parametrize(
    ("kind", "age_s", "pid", "alive", "expected"),
    [
        # Killed with its worker: Prefect goes on believing that it runs.
        (StateType.RUNNING, 5, "77", False, Standing.GONE),
        (StateType.RUNNING, 1, "77", False, Standing.COMING),
        (StateType.RUNNING, 5, "77", True, Standing.COMING),
        (StateType.RUNNING, ORPHAN_S + 1, "77", True, Standing.STRAY),
        (StateType.PENDING, 5, "77", False, Standing.GONE),
        # Stranded between the worker's taking it and its process.
        (StateType.PENDING, 5, None, False, Standing.COMING),
        (StateType.PENDING, 70, None, False, Standing.GONE),
        (StateType.PENDING, 70, None, True, Standing.COMING),
    ],
)
def test_a_run_of_this_host_is_where_its_process_is(
    kind: StateType, age_s: float, pid: str | None, alive: bool, expected: Standing
) -> None:
    one = run(kind, age_s, worker=HERE, pid=pid)
    assert stands(one, alive=alive) is expected


def test_a_pending_run_that_strands_is_settled_and_holds_nothing_up() -> None:
    stranded = run(StateType.PENDING, 25, worker=HERE)
    # Its worker still is the one that took it, or another, or none.
    assert stands(stranded, worker_s=30) is Standing.COMING
    assert stands(stranded, worker_s=20) is Standing.GONE
    assert stands(stranded, worker_s=None) is Standing.GONE
    assert stands(run(StateType.PENDING, 61, worker="traders-elsewhere")) is Standing.STRAY


@pytest.mark.parametrize("kind", [StateType.RUNNING, StateType.PENDING])
@pytest.mark.parametrize("alive", [True, False])
def test_the_run_that_holds_the_lease_is_left_alone(kind: StateType, alive: bool) -> None:
    one = run(kind, 5_000, worker=HERE, pid="77")
    assert stands(one, Holder(str(RUN)), alive) is Standing.HOLDS
    assert stands(one, Holder(str(RUN), dead=True)) is Standing.GONE


def test_a_prepared_successor_may_wait_for_as_long_as_it_announces_itself() -> None:
    one = run(StateType.RUNNING, 5_000, worker=HERE, pid="77")
    assert stands(one, Holder("another", successor=str(RUN)), alive=True) is Standing.COMING
    assert stands(one, Holder("another"), alive=True) is Standing.STRAY


@pytest.mark.parametrize("holder", [Holder(), Holder(str(RUN)), Holder(str(RUN), dead=True)])
def test_a_cancelled_run_is_somebodys_wish_whoever_it_is(holder: Any) -> None:
    assert stands(run(StateType.CANCELLING, 500, worker=HERE), holder) is Standing.CANCELLING
