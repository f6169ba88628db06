"""The steps of a session as Prefect shows them."""

import json
import os
import subprocess
import sys

import pytest

from models.settings import ROOT


@pytest.mark.timeout(240)
def test_a_raising_strategy_fails_its_step_with_its_traceback_and_the_window_still_settles() -> (
    None
):
    done = subprocess.run(
        [sys.executable, "-m", "tests.flows.window_steps"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    window, settle = seen["ends"]
    assert window[0] == "Failed"
    assert "Traceback: no idea" in window[1]
    assert settle[0] == "Completed"
    (page,) = seen["pages"]
    assert "**$3" in page
