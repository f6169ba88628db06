"""Cleaning up after an earlier life: everything of ours, nothing of anybody else's."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from console import leftovers as module
from console.environment import PROGRAM, SUPERVISED_HOME
from console.leftovers import end, end_earlier, leftovers
from console.records import Identity, LaunchRecord, run_folder, write_launch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads other processes' marks")


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TERM_SECONDS", 0.5)


STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


def marked_process(home: Path, program: str = "redis") -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN],
        env=os.environ | {SUPERVISED_HOME: str(home), PROGRAM: program},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout as output:
        output.readline()
    return process


def test_marked_process_ends_even_when_it_ignores_sigterm(
    tmp_path: Path, alive: Callable[[int], bool]
) -> None:
    process = marked_process(tmp_path)
    found = leftovers(tmp_path)
    assert [each.pid for each in found] == [process.pid]
    end(found)
    assert not alive(process.pid)
    process.wait()


def test_process_of_another_floor_stays(tmp_path: Path) -> None:
    process = marked_process(tmp_path / "other")
    assert leftovers(tmp_path) == []
    process.kill()
    process.wait()


def test_recorded_process_ends(tmp_path: Path, alive: Callable[[int], bool]) -> None:
    run_folder(tmp_path).mkdir()
    process = subprocess.Popen(["sleep", "600"])
    identity = Identity.of(process.pid)
    record = LaunchRecord(identity.pid, identity.created, "running", "life")
    write_launch(tmp_path, "redis", record)
    end(leftovers(tmp_path))
    assert not alive(process.pid)
    process.wait()


def test_stranger_with_a_recorded_id_stays(
    tmp_path: Path, stranger: "subprocess.Popen[bytes]"
) -> None:
    """The id was used again after a reboot or a long time: the record means somebody else."""
    run_folder(tmp_path).mkdir()
    then = Identity.of(stranger.pid).created - 3600
    write_launch(tmp_path, "redis", LaunchRecord(stranger.pid, then, "running", "life"))
    assert leftovers(tmp_path) == []


def test_only_the_same_program_is_ended_before_a_start(
    tmp_path: Path, alive: Callable[[int], bool]
) -> None:
    old, other = marked_process(tmp_path, "traders"), marked_process(tmp_path, "ops")
    assert end_earlier(tmp_path, "traders") == 1
    assert not alive(old.pid)
    old.wait()
    assert alive(other.pid)
    end([psutil.Process(other.pid)])
    other.wait()


def test_nothing_to_end_is_fine(tmp_path: Path) -> None:
    end(leftovers(tmp_path / "never-was"))
