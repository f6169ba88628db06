"""Showing the logs of the local processes."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from console.processes import table
from models.errors import ConfigError

POLL_S = 0.25
TAIL_BYTES = 200_000


def log_files(home: Path, name: str | None) -> dict[str, Path]:
    """Return the log of one process, or of all that have one.

    Raises
    ------
    ConfigError
        There is no such process, or it has not logged anything yet.
    """
    names = [*table(), "supervisord"]
    if name is not None and name not in names:
        raise ConfigError(f"no process {name!r}; there are: {', '.join(names)}")
    chosen = [name] if name is not None else names
    files = {each: home / "logs" / f"{each}.log" for each in chosen}
    found = {each: path for each, path in files.items() if path.is_file()}
    if not found:
        raise ConfigError(f"no logs in {home / 'logs'} yet; start the floor with `floor up`")
    return found


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a file without reading all of it."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - TAIL_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    return text.splitlines()[-count:]


def follow(files: dict[str, Path], stopped: Callable[[], bool]) -> Iterator[tuple[str, str]]:
    """Yield (name, line) as lines are written, through rotation of the files, until stopped."""
    opened = {name: _open_at_end(path) for name, path in files.items()}
    try:
        while not stopped():
            idle = True
            for name, path in files.items():
                for line in _new_lines(opened[name]):
                    idle = False
                    yield name, line
                if _replaced(opened[name], path):
                    opened[name].close()
                    opened[name] = path.open(encoding="utf-8", errors="replace")
                    idle = False
            if idle:
                time.sleep(POLL_S)
    finally:
        for file in opened.values():
            file.close()


def _open_at_end(path: Path) -> TextIO:
    file = path.open(encoding="utf-8", errors="replace")
    file.seek(0, 2)
    return file


def _new_lines(file: TextIO) -> Iterator[str]:
    while True:
        start = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(start)  # a line still being written is read again when it is whole
            return
        yield line.rstrip("\n")


def _replaced(file: TextIO, path: Path) -> bool:
    """Whether the log was rotated away under the open file."""
    try:
        now = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(file.fileno())
    return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino)
