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
    ("kind", "age_s", "due_in_s", "coming"),
    [
        (StateType.SCHEDULED, 1, 0, True),
        (StateType.SCHEDULED, 1, 3600, False),
        # The worker is away: it is late, and starts when the worker is back.
        (StateType.SCHEDULED, 600, -600, True),
        (StateType.PENDING, 5, None, True),
        (StateType.PENDING, 300, None, False),
        (StateType.RUNNING, 5, None, True),
        (StateType.RUNNING, 300, None, False),
    ],
)
def test_runs_on_their_way(
    kind: StateType, age_s: float, due_in_s: float | None, coming: bool
) -> None:
    one = run(kind, age_s, due_in_s)
    assert bool(on_their_way([one], "")) is coming
    assert on_their_way([one], str(one.id)) == []
