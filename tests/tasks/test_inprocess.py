"""The in-process worker against a real Prefect server."""

import json
import os
import subprocess
import sys

import pytest

from models.settings import ROOT
from tasks.inprocess import load_entrypoint


@pytest.mark.timeout(240)
def test_runs_end_in_their_own_state_without_a_process_of_their_own() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.tasks.inprocess_runs"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    states = json.loads(done.stdout.strip().splitlines()[-1])["states"]
    assert [name for name, _ in states] == ["Completed", "Failed", "TimedOut"]
    assert "it broke" in states[1][1]


@pytest.mark.parametrize(
    "entrypoint",
    ["", "good", "flows/supervise.py:supervise", "tests.tasks.sample_flows.not_a_flow"],
)
def test_an_entrypoint_that_is_no_flow_is_refused_by_name(entrypoint: str) -> None:
    with pytest.raises(ValueError, match="entrypoint"):
        load_entrypoint(entrypoint)
