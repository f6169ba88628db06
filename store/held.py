"""Files a process appends to and holds locked while it lives, so that others know the dead's.

A file appears under its name only once it is locked, and a record is in it whole or not at all.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

DAMAGED = ".damaged"


class HeldFile:
    """One file ``<folder>/<name>.<time>-<pid><suffix>`` of this process, made by the first append.

    Parameters
    ----------
    folder
        Made with the first file.
    name
        Files of the same name and suffix are each other's leftovers.
    suffix
        Dot included.
    """

    def __init__(self, folder: Path, name: str, suffix: str) -> None:
        self._folder = folder
        self._name = name
        self._suffix = suffix
        self._handle: int | None = None
        self.path: Path | None = None
        self.size = 0

    def append(self, block: bytes) -> None:
        """Write a block to the disk. Raises `OSError`; the file is then as it was before."""
        handle = self._opened()
        try:
            view = memoryview(block)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        except OSError:
            try:
                os.ftruncate(handle, self.size)
            except OSError:
                # Its end can't be mended any more: leave it to whoever drains it, begin another.
                self.close()
            raise
        self.size += len(block)

    def remove(self) -> None:
        """Remove the file: all that is in it is kept elsewhere."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        self.close()

    def set_aside(self, ending: str) -> str:
        """Rename the file for people to look at, and let go of it; returns its new name."""
        assert self.path is not None
        aside = _aside(self.path, ending)
        self.close()
        return aside

    def close(self) -> None:
        """Let go of the file; what it still holds waits for the next process."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle, self.path, self.size = None, None, 0

    def files(self) -> list[Path]:
        """List files of this name, oldest first; other living processes' included."""
        return sorted(self._folder.glob(f"{self._name}.*{self._suffix}"))

    def leftovers(self) -> "Iterator[Leftover]":
        """Give the files of processes that are gone, oldest first, each locked until let go."""
        for path in self.files():
            if path == self.path:
                continue
            leftover = Leftover.locked(path)
            if leftover is not None:
                yield leftover

    def _opened(self) -> int:
        """Return the file, made and locked before it can be seen."""
        if self._handle is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self._folder / f"{self._name}.{_stamp():020d}-{os.getpid()}{self._suffix}"
            draft = path.with_name(path.name + ".new")
            handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                draft.rename(path)
                sync_folder(self._folder)
            except OSError:
                os.close(handle)
                with suppress(OSError):
                    draft.unlink(missing_ok=True)
                    path.unlink(missing_ok=True)
                raise
            self._handle, self.path, self.size = handle, path, 0
        return self._handle


class Leftover:
    """A file whose process is gone, locked by us; use it as a context."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    @classmethod
    def locked(cls, path: Path) -> "Leftover | None":
        """Lock a file; None while somebody else has it, once it is gone, or if it is not ours."""
        try:
            handle = os.open(path, os.O_RDWR)
        except OSError:
            return None
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:
                return cls(path, handle)
        os.close(handle)
        return None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def set_aside(self, ending: str) -> str:
        return _aside(self.path, ending)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        os.close(self._handle)


def sync_folder(folder: Path) -> None:
    """Make a new file's name as durable as its bytes."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _aside(path: Path, ending: str) -> str:
    aside = path.with_name(path.name + ending)
    path.rename(aside)
    return aside.name


_last_stamp = 0


def _stamp() -> int:
    """A time in nanoseconds above every earlier one of this process: names sort by it."""
    global _last_stamp
    _last_stamp = max(_last_stamp + 1, time.time_ns())
    return _last_stamp
