"""Harm done to real processes, and taken back."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tasks.drilling import harm
from tasks.drilling.invariants import FEW, Memory, leaks
from tasks.drilling.stage import holder_process, log_events

BEATS = """
import asyncio, sys, threading, time, pathlib
folder = pathlib.Path(sys.argv[1])
def note(name):
    (folder / name).write_text(str(time.monotonic_ns()))
def beside():
    while True:
        note("thread"); time.sleep(0.02)
async def loop():
    while True:
        note("loop"); await asyncio.sleep(0.02)
threading.Thread(target=beside, daemon=True).start()
asyncio.run(loop())
"""
GROWS = """
import sys, time
file = open(sys.argv[1] + "/file", "wb", buffering=0)
held = []
while True:
    try:
        file.write(b"x" * 1000); print("wrote", flush=True)
    except OSError as error:
        print("refused", error.errno, flush=True)
    try:
        held.append(bytearray(50_000_000))
        print("took", flush=True); held.clear()
    except MemoryError:
        print("no memory", flush=True)
    time.sleep(0.02)
"""


Child = subprocess.Popen[str]
Keep = Callable[[Child], Child]


def started(code: str, folder: Path) -> Child:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def ended() -> Iterator[Keep]:
    """Ends what it is given after the test, whatever became of it."""
    children: list[Child] = []

    def keep(child: Child) -> Child:
        children.append(child)
        return child

    yield keep
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def beating(tmp_path: Path, ended: Keep) -> psutil.Process:
    """A process whose event loop and another thread each write their beat to a file."""
    child = ended(started(BEATS, tmp_path))
    until(lambda: (tmp_path / "loop").exists() and (tmp_path / "thread").exists())
    return psutil.Process(child.pid)


def until(is_so: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.01)


def beat(folder: Path, name: str) -> str:
    return (folder / name).read_text()


def beats_on(folder: Path, name: str) -> None:
    before = beat(folder, name)
    until(lambda: beat(folder, name) not in ("", before))


def test_a_hung_loop_stands_while_threads_run_and_goes_on_when_let_go(
    beating: psutil.Process, tmp_path: Path
) -> None:
    let_go = harm.hang(beating)
    stood = beat(tmp_path, "loop")
    beats_on(tmp_path, "thread")
    time.sleep(0.2)
    assert beat(tmp_path, "loop") == stood
    let_go()
    beats_on(tmp_path, "loop")


def test_a_hung_process_that_ends_itself_is_seen_by_its_parent(tmp_path: Path, ended: Keep) -> None:
    """The holder of a stopped thread must not keep the worker from hearing of the end."""
    code = BEATS.replace(
        "def beside():", "def beside():\n    import os\n    end = time.monotonic() + 3"
    ).replace('note("thread"); ', 'note("thread"); time.monotonic() > end and os._exit(70); ')
    child = ended(started(code, tmp_path))
    until(lambda: (tmp_path / "loop").exists())
    let_go = harm.hang(psutil.Process(child.pid))
    assert child.wait(60) == 70
    let_go()


def test_a_frozen_process_stands_still_and_thaws(beating: psutil.Process, tmp_path: Path) -> None:
    thaw = harm.freeze([beating])
    until(lambda: beating.status() == psutil.STATUS_STOPPED)
    stood = beat(tmp_path, "thread")
    time.sleep(0.1)
    assert beat(tmp_path, "thread") == stood
    thaw()
    beats_on(tmp_path, "loop")


def test_a_family_is_killed_whole(beating: psutil.Process) -> None:
    members = harm.family(beating)
    assert members == [beating]
    harm.kill(members)
    until(lambda: beating.status() == psutil.STATUS_ZOMBIE)
    harm.kill(members)  # those that are gone are no trouble
    assert harm.family(psutil.Process())[0].pid == psutil.Process().pid


@pytest.mark.parametrize(
    ("resource", "most", "refused", "allowed"),
    [
        (psutil.RLIMIT_FSIZE, lambda process: 0, "refused 27", "wrote"),
        (psutil.RLIMIT_AS, lambda process: process.memory_info().vms // 2, "no memory", "took"),
    ],
)
def test_limits_take_hold_in_a_running_process_and_are_lifted(
    tmp_path: Path,
    ended: Keep,
    resource: int,
    most: Callable[[psutil.Process], int],
    refused: str,
    allowed: str,
) -> None:
    child = ended(started(GROWS, tmp_path))
    assert child.stdout is not None
    lines = iter(child.stdout)
    assert any(line.strip() == allowed for line in lines)
    process = psutil.Process(child.pid)
    before = process.rlimit(resource)
    restore = harm.limit(process, resource, most(process))
    assert any(line.strip() == refused for line in lines)
    restore()
    assert process.rlimit(resource) == before
    assert any(line.strip() == allowed for line in lines)


def test_harm_to_a_process_that_is_gone_says_so() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    gone = psutil.Process(child.pid)
    child.wait()
    with pytest.raises(harm.CannotHarm, match="can't be stopped"):
        harm.hang(gone)
    with pytest.raises(harm.NotReady, match="ended before"):
        harm.limit(gone, psutil.RLIMIT_FSIZE, 0)
    with pytest.raises(harm.NotReady, match="no process of this host"):
        holder_process(f"host:{gone.pid}:1")


# --- reading what the floor left ----------------------------------------------------------------


def test_new_lines_of_a_log_are_read_once_and_half_lines_later(tmp_path: Path) -> None:
    log = tmp_path / "traders.log"
    log.write_text('{"event": "old"}\nplain text\n')
    _, end = log_events(log, 0)
    with log.open("a") as file:
        file.write('10:00 | INFO | {"event": "new", "n": 1}\nnot {json}\n{"event": "ha')
    events, end = log_events(log, end)
    assert [event["event"] for event in events] == ["new"]
    with log.open("a") as file:
        file.write('lf"}\n')
    events, end = log_events(log, end)
    assert [event["event"] for event in events] == ["half"]
    log.write_text('{"event": "rotated"}\n')
    assert [event["event"] for event in log_events(log, end)[0]] == ["rotated"]
    assert log_events(tmp_path / "absent.log", 7) == ([], 7)


def test_only_lasting_growth_is_a_leak() -> None:
    memory = Memory()
    for look in range(4 * FEW):
        hours = look / 60
        memory.note("steady", 1, hours, 100 + look % 3)
        memory.note("leaky", 2, hours, 100 + 60 * hours)
        memory.note("filled its caches first", 3, hours, min(300, 100 + 1000 * hours))
    for look in range(FEW - 1):
        memory.note("young", 4, look / 60, 100 + 500 * look)
    found = leaks(memory.slopes())
    assert found == ["leaky (2) grows by 60 MB an hour"]
