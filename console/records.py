"""What is written down about running processes, so that the next command knows its own.

A process id alone proves nothing: ids are used again. A record therefore keeps the moment the
process was created as well; the pair belongs to one process for ever, also across ``exec``.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import psutil

CREATION_SLACK_S = 2.0
"""The operating system's idea of when a process was created wanders with the clock."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, never to be mistaken for another."""

    pid: int
    created: float
    """Seconds since the epoch."""

    @classmethod
    def of(cls, pid: int) -> "Identity":
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """Return the process while it lives, None once it ended or its id is another's."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < CREATION_SLACK_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


@dataclass(frozen=True, slots=True)
class LaunchRecord:
    """How far a program has come: written by its launcher, read by the commands."""

    pid: int
    created: float
    state: str
    """``waiting``, ``running``, ``done`` (a step's end) or ``failed``."""
    instance: str
    note: str = ""
    starts: list[float] = field(default_factory=list)
    """When it was started lately, seconds since the epoch, oldest first."""

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.created)


@dataclass(frozen=True, slots=True)
class FloorRecord:
    """One life of the floor: its supervisor."""

    pid: int
    created: float
    instance: str
    socket: str
    foreground: bool
    started_at: float = field(default_factory=time.time)
    programs: list[str] = field(default_factory=list)
    """What was started here, in order."""
    worker: bool = False
    """A host that only trades: its floor's servers run elsewhere."""

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.created)


def run_folder(home: Path) -> Path:
    return home / "run"


def write_launch(home: Path, name: str, record: LaunchRecord) -> None:
    _write(run_folder(home) / f"{name}.json", asdict(record))


def read_launch(home: Path, name: str) -> LaunchRecord | None:
    raw = _read(run_folder(home) / f"{name}.json", LaunchRecord)
    return LaunchRecord(**raw) if raw else None


def launches(home: Path) -> Iterator[tuple[str, LaunchRecord]]:
    """Yield every program's latest record."""
    for path in sorted(run_folder(home).glob("*.json")):
        record = read_launch(home, path.stem)
        if record is not None:
            yield path.stem, record


def write_floor(home: Path, record: FloorRecord) -> None:
    _write(home / "floor.json", asdict(record))


def read_floor(home: Path) -> FloorRecord | None:
    raw = _read(home / "floor.json", FloorRecord)
    return FloorRecord(**raw) if raw else None


def forget(home: Path) -> None:
    """Remove every record: nothing of the floor runs."""
    for path in [*run_folder(home).glob("*.json"), home / "floor.json"]:
        path.unlink(missing_ok=True)


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write so that a reader sees the old content or the new, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content))
    draft.replace(path)


def _read(path: Path, kind: type[Any]) -> dict[str, Any] | None:
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(raw, dict) or not isinstance(raw.get("pid"), int):
        return None
    # A record of another version of the floor may have other keys.
    needed = {item.name for item in fields(kind) if item.default is item.default_factory is MISSING}
    return raw if needed <= raw.keys() <= {item.name for item in fields(kind)} else None
