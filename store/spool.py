"""A local file that keeps records while Postgres is away: length- and checksum-framed, in order.

A frame is the record's length and CRC-32 (both big-endian, 4 bytes) and the record. Every process
appends to a file of its own, locked while it lives, so that a successor can tell which files
belong to the dead and drain these too.
"""

import fcntl
import os
import struct
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_HEADER = struct.Struct(">II")
_CHUNK = 2_000
"""Records handed over at once when draining."""


class Spool:
    """Files ``<folder>/<name>.*.spool``.

    Parameters
    ----------
    folder
        Made when the first record is kept.
    name
        Spools of the same name drain each other's leftovers.
    max_bytes
        Most this process keeps; `append` refuses beyond.
    """

    def __init__(self, folder: Path, name: str, *, max_bytes: int = 512 * 1024 * 1024) -> None:
        self._folder = folder
        self._name = name
        self._max_bytes = max_bytes
        self._handle: int | None = None
        self._path: Path | None = None
        self._size = 0

    def append(self, records: Sequence[bytes]) -> bool:
        """Keep records, flushed to the disk. False (nothing kept) when full or not writable."""
        block = b"".join(_HEADER.pack(len(r), zlib.crc32(r)) + r for r in records)
        if self._size + len(block) > self._max_bytes:
            return False
        try:
            handle = self._opened()
            start = os.lseek(handle, 0, os.SEEK_END)
            if os.write(handle, block) != len(block):
                os.ftruncate(handle, start)
                return False
            os.fsync(handle)
        except OSError as error:
            log.error("spool_not_writable", folder=str(self._folder), reason=error.strerror)
            return False
        self._size += len(block)
        return True

    def files(self) -> list[Path]:
        """List files with records to drain, oldest first; other living processes' included."""
        return sorted(self._folder.glob(f"{self._name}.*.spool"))

    async def drain(self, write: Callable[[Sequence[bytes]], Awaitable[int]]) -> int:
        """Hand every kept record to `write`, oldest first; returns the sum of what it returns.

        A file is removed once all of it was written. When `write` raises, the file stays whole and
        is handed over again from its start next time: `write` must ignore what it knows already.
        """
        count = 0
        for path in self.files():
            own = path == self._path
            handle = self._handle if own else _locked(path)
            if handle is None:
                continue
            try:
                for chunk in _chunks(_frames(path)):
                    count += await write(chunk)
                path.unlink()
                if own:
                    self._forget()
            finally:
                if not own:
                    os.close(handle)
        return count

    def close(self) -> None:
        """Let go of the file; what it still holds waits for the next process."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle, self._path, self._size = None, None, 0

    def _forget(self) -> None:
        self.close()

    def _opened(self) -> int:
        if self._handle is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self._folder / f"{self._name}.{time.time_ns():020d}-{os.getpid()}.spool"
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._handle, self._path, self._size = handle, path, 0
        return self._handle


def _locked(path: Path) -> int | None:
    """Open a file whose process is gone; None while somebody else has it."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    with suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return handle
    os.close(handle)
    return None


def _frames(path: Path) -> Iterator[bytes]:
    """Read whole, undamaged records; a torn end (the process died writing it) is left out."""
    data = path.read_bytes()
    at = 0
    while at + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, at)
        record = data[at + _HEADER.size : at + _HEADER.size + length]
        if len(record) < length or zlib.crc32(record) != checksum:
            break
        yield record
        at += _HEADER.size + length
    if at < len(data):
        aside = path.with_suffix(".damaged")
        aside.write_bytes(data[at:])
        log.error("spool_damaged", file=path.name, bytes=len(data) - at, kept_as=aside.name)


def _chunks(records: Iterator[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
