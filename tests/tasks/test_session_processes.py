"""Flow runs' processes are known by their marks, and an orphan by its parent."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import State
from prefect.types._datetime import now

from tasks import session_processes
from tasks.holders import birth_of, kill_process
from tasks.orphans import orphaned
from tasks.session_processes import (
    HOME_MARK,
    PROGRAM_MARK,
    RUN_MARK,
    WORKER,
    SessionProcess,
    is_orphan,
    look_here,
)
from tasks.standing import ORPHAN_S

# A worker starts a session, which starts a helper of its own; each tells its process id.
TREE = f"""
import os, subprocess, sys
depth = int(sys.argv[1])
print(os.getpid(), flush=True)
if depth < 2:
    marks = dict({RUN_MARK}="run-1") if depth == 0 else dict()
    subprocess.Popen([sys.executable, "-c", sys.argv[2], str(depth + 1), sys.argv[2]],
                     env=os.environ | marks)
sys.stdin.read()
"""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[list[psutil.Process]]:
    """A worker, its session, and the session's helper."""
    worker = subprocess.Popen(
        [sys.executable, "-c", TREE, "0", TREE],
        env=os.environ | {HOME_MARK: str(tmp_path), PROGRAM_MARK: WORKER},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert worker.stdin is not None and worker.stdout is not None
    found = [psutil.Process(int(worker.stdout.readline())) for _ in range(3)]
    try:
        yield found
    finally:
        worker.stdin.close()
        for process in found:
            birth = birth_of(process.pid)
            if birth is not None:
                kill_process(process.pid, birth)
        worker.wait()
        worker.stdout.close()


def test_a_session_is_found_beside_its_worker_and_its_helper(
    tree: list[psutil.Process], tmp_path: Path
) -> None:
    worker, session, _helper = tree
    here = look_here(tmp_path)
    assert {one.run_id: (one.pid, one.orphan) for one in here.sessions.values()} == {
        "run-1": (session.pid, False)
    }
    assert here.worker_since == worker.create_time()
    assert not is_orphan(session.pid, tmp_path)
    # Another floor's processes are none of ours, and ours none of its.
    assert look_here(tmp_path / "other").sessions == {}
    assert not is_orphan(session.pid, tmp_path / "other")


def test_a_session_is_an_orphan_once_its_worker_is_gone(
    tree: list[psutil.Process], tmp_path: Path
) -> None:
    worker, session, _helper = tree
    worker.kill()
    deadline = time.monotonic() + 60
    while not is_orphan(session.pid, tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    here = look_here(tmp_path)
    assert [(one.pid, one.orphan) for one in here.sessions.values()] == [(session.pid, True)]
    assert here.worker_since is None


def test_a_parent_nobody_may_read_makes_no_orphan(
    tree: list[psutil.Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker may run there under another user; the session's own watchdog knows better."""
    worker, session, _helper = tree
    read = session_processes._environment
    monkeypatch.setattr(
        session_processes,
        "_environment",
        lambda process: {} if process.pid == worker.pid else read(process),
    )
    assert not is_orphan(session.pid, tmp_path)
    assert not look_here(tmp_path).sessions["run-1"].orphan


def test_a_process_is_killed_by_its_birth_and_never_by_its_id_alone(
    tree: list[psutil.Process],
) -> None:
    _, _, helper = tree
    birth = birth_of(helper.pid)
    assert birth is not None
    assert not kill_process(helper.pid, str(int(birth) + 1))
    assert birth_of(helper.pid) == birth
    assert kill_process(helper.pid, birth)
    deadline = time.monotonic() + 60
    while birth_of(helper.pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not kill_process(helper.pid, birth)


@given(
    tags=st.sets(st.sampled_from(["floor", "trader", "collect", "research"])),
    kind=st.sampled_from([StateType.RUNNING, StateType.CRASHED, StateType.COMPLETED]),
    age_s=st.floats(0, 2 * ORPHAN_S),
    orphan=st.booleans(),
)
def test_only_sessions_that_nobody_can_stop_any_more_are_orphaned(
    tags: set[str], kind: StateType, age_s: float, orphan: bool
) -> None:
    at = now("UTC")
    run = FlowRun(flow_id="a" * 32, tags=sorted(tags), state=State(type=kind, timestamp=at))
    later = at.add(seconds=age_s)
    found = orphaned(SessionProcess(1, "1", str(run.id), orphan), run, later)
    ours = bool(tags & {"trader", "collect"})
    over = kind is not StateType.RUNNING and age_s >= ORPHAN_S
    assert bool(found) is (ours and (orphan or over))
