"""A local file that keeps records while Postgres is away, in order.

Every process appends to a file of its own, locked while it lives, so that a successor can tell
which files belong to the dead and drain these too.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog

from models.errors import FloorError
from store.frames import frame, scan
from store.held import DAMAGED, HeldFile, Leftover

log = structlog.get_logger(__name__)

_CHUNK = 2_000
"""Records handed over at once when draining."""

Write = Callable[[Sequence[bytes]], Awaitable[int]]


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

    Attributes
    ----------
    damaged
        Names of files that were damaged or could not be written. What could be was drained; the
        whole file was renamed and is left for people.
    """

    def __init__(self, folder: Path, name: str, *, max_bytes: int = 512 * 1024 * 1024) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._file = HeldFile(folder, name, ".spool")
        self.damaged: list[str] = []

    def append(self, records: Sequence[bytes]) -> bool:
        """Keep records, flushed to the disk. False (nothing kept) when full or not writable."""
        block = b"".join(map(frame, records))
        if self._file.size + len(block) > self._max_bytes:
            return False
        try:
            self._file.append(block)
        except OSError as error:
            log.error("spool_not_writable", folder=str(self._folder), reason=error.strerror)
            return False
        return True

    def files(self) -> list[Path]:
        """List files with records to drain, oldest first; other living processes' included."""
        return self._file.files()

    async def drain(self, write: Write) -> int:
        """Hand every kept record to `write`, oldest first; returns the sum of what it returns.

        A file is removed once all of it was written. When `write` raises an error of ours, the
        file stays whole and is handed over again from its start next time: `write` must ignore
        what it knows already. A file with a batch that made `write` fail otherwise is set aside.
        """
        count = 0
        for leftover in self._file.leftovers():
            with leftover:
                count += await self._drain(leftover, write)
        if self._file.path is not None:
            count += await self._drain(self._file, write)
        return count

    def close(self) -> None:
        """Let go of the file; what it still holds waits for the next process."""
        self._file.close()

    async def _drain(self, file: HeldFile | Leftover, write: Write) -> int:
        assert file.path is not None
        try:
            found = scan(file.path.read_bytes())
        except OSError as error:
            log.error("spool_not_readable", file=file.path.name, reason=error.strerror)
            return 0
        count, failed = 0, ""
        for begin in range(0, len(found.records), _CHUNK):
            try:
                count += await write(found.records[begin : begin + _CHUNK])
            except FloorError:
                raise
            except Exception as error:  # a defect: what comes after it must still be drained
                failed = repr(error)
        if not failed and not found.damaged_bytes:
            file.remove()
            return count
        aside = file.set_aside(DAMAGED)
        log.error("spool_damaged", bytes=found.damaged_bytes, failed=failed, kept_as=aside)
        self.damaged.append(aside)
        return count
