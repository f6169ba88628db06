"""The launcher: what it waits for, what it becomes, and with whom it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.environment import INSTANCE, PROGRAM, SUPERVISED_HOME
from console.launch import LONGEST_PAUSE_S, MEMORY_S, pause_s
from console.records import LaunchRecord, read_launch, run_folder
from models.settings import ROOT

from .conftest import Floor, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

START = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "console.launch", sys.argv[1]])
print(child.pid, flush=True)
time.sleep(600)
"""
"""Stands for supervisord: starts the launcher and does nothing else."""


class Started:
    """A launcher below a parent of its own, as below supervisord."""

    def __init__(self, floor: Floor, name: str) -> None:
        self.floor, self.name = floor, name
        run_folder(floor.home).mkdir(parents=True, exist_ok=True)
        marks = {INSTANCE: "life", PROGRAM: name, SUPERVISED_HOME: str(floor.home)}
        self.parent = subprocess.Popen(
            [sys.executable, "-c", START, name],
            cwd=ROOT,
            env=floor.environment | marks,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.parent.stdout is not None
        with self.parent.stdout as output:
            self.pid = int(output.readline())

    def record(self) -> LaunchRecord | None:
        return read_launch(self.floor.home, self.name)

    def runs(self) -> bool:
        record = self.record()
        return record is not None and record.state == "running" and record.pid == self.pid

    def end(self) -> None:
        self.parent.kill()
        self.parent.wait()


@pytest.fixture
def start(a_floor: Floor) -> "Callable[[str], Started]":
    made: list[Started] = []

    def make(name: str) -> Started:
        made.append(Started(a_floor, name))
        return made[-1]

    yield make
    for started in made:
        started.end()


def test_launcher_becomes_the_program(start: Callable[[str], Started]) -> None:
    redis = start("redis")
    eventually("redis runs", redis.runs)
    name = eventually("it is exec'ed", lambda: psutil.Process(redis.pid).name() == "redis-server")
    assert name, "a signal to supervisord's pid hits the real thing"


def test_program_ends_with_its_parent(
    start: Callable[[str], Started], alive: Callable[[int], bool]
) -> None:
    """Also after a kill -9 of supervisord nothing is left, Postgres' change of user included."""
    redis, postgres = start("redis"), start("postgres")
    eventually("both run", lambda: redis.runs() and postgres.runs())
    eventually("postgres is exec'ed", lambda: psutil.Process(postgres.pid).name() == "postgres")
    redis.end()
    postgres.end()
    eventually("both ended", lambda: not alive(redis.pid) and not alive(postgres.pid))


def test_launcher_says_what_it_waits_for(start: Callable[[str], Started]) -> None:
    database = start("database")

    def note() -> str:
        record = database.record()
        return record.note if record is not None else ""

    assert eventually("it waits", note) == "waits for embedded Postgres"


def test_second_start_ends_what_the_first_left(
    start: Callable[[str], Started], alive: Callable[[int], bool]
) -> None:
    first = start("redis")
    eventually("redis runs", first.runs)
    # Its parent lives on, so nothing but the second start can end it.
    os.kill(first.pid, signal.SIGSTOP)
    second = start("redis")
    eventually("the second runs", second.runs)
    eventually("the first ended", lambda: not alive(first.pid))


def test_ignored_signals_do_not_reach_the_program(start: Callable[[str], Started]) -> None:
    """A shell's background job ignores Ctrl-C, and exec would hand that on to the workers."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        redis = start("redis")
    finally:
        signal.signal(signal.SIGINT, before)
    eventually("redis runs", redis.runs)
    eventually("it is exec'ed", lambda: psutil.Process(redis.pid).name() == "redis-server")
    os.kill(redis.pid, signal.SIGINT)
    eventually("SIGINT ended it", lambda: not psutil.pid_exists(redis.pid) or _ended(redis.pid))


def _ended(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_wrong_setting_is_noted_and_not_tried_again(a_floor: Floor) -> None:
    run_folder(a_floor.home).mkdir(parents=True)
    marks = {INSTANCE: "life", PROGRAM: "redis", SUPERVISED_HOME: str(a_floor.home)}
    result = subprocess.run(
        [sys.executable, "-m", "console.launch", "redis"],
        cwd=ROOT,
        env=a_floor.environment | marks | {"SESSION_SECONDS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 78
    record = read_launch(a_floor.home, "redis")
    assert record is not None
    assert record.state == "failed"
    assert record.note.startswith("SESSION_SECONDS='1'")


def test_unknown_program_is_refused() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "console.launch", "rediss"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 78
    assert "there are: postgres, redis" in json.loads(result.stderr)["reason"]


def test_only_a_program_that_keeps_ending_is_slowed_down() -> None:
    now = 1_000_000.0
    starts = [now - 10 + number for number in range(10)]
    pauses = [pause_s(starts[: count + 1], now) for count in range(10)]
    assert pauses == [0, 0, 1, 2, 4, 8, 15, 15, 15, 15]


@given(
    starts=st.lists(st.floats(0, 10 * MEMORY_S), max_size=30),
    now=st.floats(0, 10 * MEMORY_S),
)
def test_pause_is_bounded_and_forgets(starts: list[float], now: float) -> None:
    pause = pause_s(starts, now)
    assert 0 <= pause <= LONGEST_PAUSE_S
    assert pause_s(starts, now + 11 * MEMORY_S) == 0
    assert pause_s([*starts, now], now) >= pause
