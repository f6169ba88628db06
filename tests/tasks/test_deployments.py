"""Which runs are on their way, judged from what Prefect says of them."""

from datetime import timedelta
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.types._datetime import now

from tasks.deployments import on_their_way


def run(kind: StateType, age_s: float, due_in_s: float | None = None) -> FlowRun:
    due = None if due_in_s is None else now("UTC") + timedelta(seconds=due_in_s)
    return FlowRun(
        id=uuid4(),
        flow_id=uuid4(),
        state=State(type=kind, timestamp=now("UTC") - timedelta(seconds=age_s)),
        next_scheduled_start_time=due,
    )


@pytest.mark.parametrize(
    ("one", "coming"),
    [
        (run(StateType.SCHEDULED, 1, 0), True),
        (run(StateType.SCHEDULED, 1, 3600), False),
        # The worker is away: it is late, and starts when the worker is back.
        (run(StateType.SCHEDULED, 600, -600), True),
        (run(StateType.PENDING, 5), True),
        (run(StateType.PENDING, 300), False),
        (run(StateType.RUNNING, 5), True),
        (run(StateType.RUNNING, 300), False),
    ],
)
def test_runs_on_their_way(one: FlowRun, coming: bool) -> None:
    assert bool(on_their_way([one], "")) is coming
    assert on_their_way([one], str(one.id)) == []
