"""A process that hangs is ended by its guardian; one that lives is left alone."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from models.settings import ROOT
from tasks.guardian import Guardian, read_note

SILENT_S = 2.0
PROGRAM = """
import asyncio, sys, time
from pathlib import Path
from tasks.guardian import Guardian

async def main():
    async with Guardian(Path(sys.argv[1]), silent_s={silent}) as guardian:
        print(guardian.pid, flush=True)
        await asyncio.sleep({healthy})
        {then}
    print("ended by itself", flush=True)

asyncio.run(main())
"""


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "ops-hung.json"


def guarded(
    note: Path, then: str, healthy: float = 0.5, silent_s: float = SILENT_S
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(silent=silent_s, healthy=healthy, then=then),
         str(note)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def guardian_of(process: "subprocess.Popen[str]") -> psutil.Process:
    assert process.stdout is not None
    return psutil.Process(int(process.stdout.readline()))


def until(what: str, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_blocked_event_loop_is_ended_and_the_next_life_is_told_once(note: Path) -> None:
    with guarded(note, "time.sleep(600)") as process:
        assert process.wait(60) == -signal.SIGKILL
    assert read_note(note) == "its event loop did not turn for 2 s"
    assert read_note(note) == ""


def test_a_stopped_process_is_ended(note: Path) -> None:
    with guarded(note, "await asyncio.sleep(600)", healthy=600) as process:
        guardian_of(process)
        process.send_signal(signal.SIGSTOP)
        assert process.wait(60) == -signal.SIGKILL


def test_one_that_lives_is_left_alone_and_takes_its_guardian_with_it(note: Path) -> None:
    with guarded(note, "pass", healthy=5, silent_s=4) as process:
        guardian = guardian_of(process)
        assert process.wait(60) == 0
        assert process.stdout is not None
        assert process.stdout.read().strip() == "ended by itself"
    until("the guardian ends too", lambda: gone(guardian))
    assert read_note(note) == ""


def test_a_guardian_goes_with_a_parent_that_was_killed(note: Path) -> None:
    with guarded(note, "await asyncio.sleep(600)", healthy=600) as process:
        guardian = guardian_of(process)
        process.kill()
        process.wait(60)
    until("the guardian ends too", lambda: gone(guardian))
    assert read_note(note) == ""


async def test_a_guardian_that_was_killed_is_followed_by_another(note: Path) -> None:
    async with Guardian(note, silent_s=60) as guardian:
        first = guardian.pid
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(60):
            while guardian.pid == first:
                await asyncio.sleep(0.05)
        second = psutil.Process(guardian.pid)
        assert second.ppid() == os.getpid()
    assert gone(second)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at": 1}', "null"])
def test_a_note_nobody_can_read_tells_nothing(note: Path, text: str) -> None:
    note.write_text(text)
    assert read_note(note) == ""
