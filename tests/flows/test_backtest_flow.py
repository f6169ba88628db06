"""Backtests and sweeps as Prefect runs them: their ends, their pages, and Dask's results."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.settings import ROOT
from store.results.runs import load_run


@pytest.mark.timeout(540)
def test_research_flows_end_in_their_own_state_with_their_pages(tmp_path: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.flows.research_runs", str(tmp_path)],
        cwd=ROOT,
        env=kept | {"FLOOR_HOME": str(tmp_path / "home"), "LOG_LEVEL": "WARNING"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    good, bad, swept, on_dask = seen["ends"]
    assert good[0] == "Completed"
    assert str(tmp_path / "run") in good[1]
    assert bad[0] == "Failed"
    assert "'nowhere': no such file or recorded set" in bad[1]
    assert swept[0] == on_dask[0] == "Completed"

    saved = load_run(tmp_path / "run")
    assert saved.report is not None
    pages = {key: (kind, data) for key, kind, data in seen["artifacts"] if key}
    kind, page = pages["backtest-flow-run"]
    assert kind == "markdown"
    assert f"{saved.summary.total.money.pnl_e6 / 1e6:+,.2f}" in page
    assert saved.report.as_uri() in page
    assert json.loads(pages["figures-flow-run"][1])[0]["agent"] == "anna"
    assert pages["running-flow-run"] == ("progress", 100)
    assert "lookback" in pages["sweep-small"][1]
    # A task a step, never one a tick or a trial.
    assert {"load data", "run agents", "summarise", "save report"} < set(seen["steps"])

    assert Path(seen["kept"], "sweep.json").is_file()
    assert seen["same"], "Dask found something else than this machine"
    assert seen["random_trials"] == 12

    # What `floor backtest --prefect` starts.
    assert seen["begun"]
    assert "/runs/flow-run/" in seen["link"]
    assert "backtest/nothing is not deployed" in seen["missing"]
