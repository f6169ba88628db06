"""The flow runs' processes of this floor on this host, as the operating system knows them.

A process is known by marks in its environment: the folder of the floor and the program that
supervisord started, and the flow run that Prefect's worker gave it. A session that was started in
another way (a container, a test) has no such marks and is left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from tasks.holders import birth_of

WORKER = "traders"
"""Name of the program that starts flow runs' processes (deployments/processes.yaml)."""
HOME_MARK = "FLOOR_SUPERVISED_HOME"
PROGRAM_MARK = "FLOOR_PROGRAM"
RUN_MARK = "PREFECT__FLOW_RUN_ID"


@dataclass(frozen=True, slots=True)
class SessionProcess:
    """A process that carries out one flow run."""

    pid: int
    birth: str
    run_id: str
    orphan: bool
    """The worker that started it is gone: nobody could stop it, or see it end."""


@dataclass(frozen=True, slots=True)
class Here:
    """What of the floor runs on this host."""

    sessions: Mapping[str, SessionProcess]
    """By the flow run they carry out."""
    worker_since: float | None
    """When the worker was started, in seconds since the epoch; None while there is none."""


def look_here(home: Path) -> Here:
    """Return what of the floor at `home` runs on this host."""
    marks = {}
    for process in psutil.process_iter():
        environment = _environment(process)
        if environment.get(HOME_MARK) == str(home):
            marks[process.pid] = environment
    judged = [_judged(pid, own) for pid, own in marks.items() if own.get(RUN_MARK)]
    sessions = [process for process in judged if process is not None]
    workers = [
        _created(pid)
        for pid, own in marks.items()
        if own.get(PROGRAM_MARK) == WORKER and not own.get(RUN_MARK)
    ]
    # What a session left behind must not hide the session itself.
    sessions.sort(key=lambda process: not process.orphan)
    return Here(
        {process.run_id: process for process in sessions},
        min((created for created in workers if created is not None), default=None),
    )


def is_orphan(pid: int, home: Path) -> bool:
    """Whether this process was started by a worker of the floor at `home` that is gone."""
    try:
        own = _environment(psutil.Process(pid))
    except psutil.Error:
        return False
    if own.get(HOME_MARK) != str(home) or RUN_MARK not in own:
        return False
    process = _judged(pid, own)
    return process is not None and process.orphan


def _judged(pid: int, own: Mapping[str, str]) -> SessionProcess | None:
    """Judge one process; None for the helper of another, or where it ended meanwhile."""
    try:
        parent_id = psutil.Process(pid).ppid()
        parent = _environment(psutil.Process(parent_id))
    except psutil.Error:
        return None
    birth = birth_of(pid)
    if birth is None or parent.get(RUN_MARK) == own[RUN_MARK]:
        return None
    # A parent whose marks can't be read may be the worker: nobody is ended for that. The first
    # process of all can't be read where it is the system's; a container's may be the worker.
    known = parent_id == 1 or bool(parent)
    return SessionProcess(pid, birth, own[RUN_MARK], known and not _same_program(own, parent))


def _same_program(own: Mapping[str, str], parent: Mapping[str, str]) -> bool:
    return all(parent.get(mark) == own.get(mark) for mark in (HOME_MARK, PROGRAM_MARK))


def _created(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def _environment(process: psutil.Process) -> dict[str, str]:
    """The environment a process was started with; empty where it can't be read."""
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}
