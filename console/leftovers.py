"""Ending what an earlier life of the floor left behind, and never a stranger's process."""

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from console.environment import PROGRAM, SUPERVISED_HOME
from console.records import launches, read_floor, read_launch

TERM_SECONDS = 4.0
LAST_SECONDS = 12.0


def leftovers(home: Path) -> list[psutil.Process]:
    """Find the processes of the floor at `home`, whoever started them.

    They are known by the records their launchers wrote, or by the marks in their environment,
    which also their own children carry.
    """
    found = {process.pid: process for process in _recorded(home)}
    found.update((process.pid, process) for process in marked(home))
    found.pop(os.getpid(), None)
    return list(found.values())


def marked(home: Path, program: str | None = None) -> list[psutil.Process]:
    """Find processes by the marks the launcher put into their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        if environment.get(SUPERVISED_HOME) == str(home) and (
            program is None or environment.get(PROGRAM) == program
        ):
            found.append(process)
    return found


def end_earlier(home: Path, program: str) -> int:
    """End what an earlier start of `program` left running; returns how many there were."""
    ours = psutil.Process()
    keep = {ours.pid, *(parent.pid for parent in ours.parents())}
    found = {process.pid: process for process in marked(home, program)}
    # Servers that write their status over their environment are known by the record alone.
    record = read_launch(home, program)
    if record is not None and (recorded := record.identity.process()) is not None:
        found[recorded.pid] = recorded
    earlier = [process for pid, process in found.items() if pid not in keep]
    end(earlier)
    return len(earlier)


def end(processes: Iterable[psutil.Process]) -> None:
    """Ask the processes to end, then make them. Postgres goes last, as the others write to it."""
    others = [process for process in processes if not _is_postgres(process)]
    servers = [process for process in processes if _is_postgres(process)]
    _end(others, signal.SIGTERM, TERM_SECONDS)
    _end(servers, signal.SIGINT, LAST_SECONDS)


def _end(processes: list[psutil.Process], first: signal.Signals, seconds: float) -> None:
    for process in processes:
        send(process, first)
    for process in _wait(processes, seconds):
        send(process, signal.SIGKILL)
    _wait(processes, LAST_SECONDS)


def _wait(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until the processes ended; returns those that have not.

    One that nobody collects (in a container without an init) has ended all the same.
    """
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if lives(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return alive


def lives(process: psutil.Process) -> bool:
    """Whether the process still runs; one that only waits to be collected does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal; a process that has ended needs none."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _recorded(home: Path) -> list[psutil.Process]:
    identities = [record.identity for _, record in launches(home)]
    floor = read_floor(home)
    if floor is not None:
        identities.append(floor.identity)
    return [process for identity in identities if (process := identity.process()) is not None]


def _is_postgres(process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres"
    except psutil.Error:
        return False
