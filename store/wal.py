"""The journal's own local file: what waits for Postgres, in order, on the disk before it counts."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import structlog

from models.errors import StoreUnavailable
from store.frames import HEAD_BYTES, frame
from store.held import HeldFile, Leftover

log = structlog.get_logger(__name__)


class WriteAheadLog:
    """Files ``<folder>/<agent>.journal.*.wal``: this process's own, and what the dead left.

    What this process appended it also remembers: damage to its own file does it no harm. The file
    is for whoever comes after it.

    Parameters
    ----------
    max_bytes
        Most this process keeps; `append` refuses beyond.
    """

    def __init__(self, folder: Path, agent: str, *, max_bytes: int = 256 * 1024 * 1024) -> None:
        self._agent = agent
        self._max_bytes = max_bytes
        self._file = HeldFile(folder, f"{agent}.journal", ".wal")
        self._waiting: deque[bytes] = deque()
        self._appending = asyncio.Lock()
        self._asked = 0

    @property
    def behind(self) -> int:
        """Records of this process that wait, those on their way to the disk included."""
        return len(self._waiting) + self._asked

    @property
    def ready(self) -> bool:
        """Whether records are on the disk that can be written to Postgres now."""
        return bool(self._waiting)

    async def append(self, record: bytes) -> None:
        """Keep a record behind all others; it is on the disk once this returns.

        A caller that is cancelled meanwhile leaves it open whether the record was kept.

        Raises
        ------
        StoreUnavailable
            The disk refuses, or the file is full; nothing was kept, what was before is whole.
        """
        self._asked += 1
        task = asyncio.create_task(self._append(record), name=f"wal-{self._agent}")
        await asyncio.shield(task)

    async def _append(self, record: bytes) -> None:
        try:
            async with self._appending:
                if self._file.size + len(record) + HEAD_BYTES > self._max_bytes:
                    raise self._refusal("it is full")
                try:
                    await asyncio.to_thread(self._file.append, frame(record))
                except OSError as error:
                    raise self._refusal(error.strerror or str(error)) from None
                self._waiting.append(record)
        finally:
            self._asked -= 1
            if not self.behind:
                self._file.remove()

    def first(self, most: int) -> Sequence[bytes]:
        """Return the oldest records of this process that wait."""
        return list(islice(self._waiting, most))

    def written(self, count: int) -> None:
        """Forget the oldest records: they are in Postgres. With the last one the file goes."""
        for _ in range(count):
            self._waiting.popleft()
        if not self.behind:
            self._file.remove()

    def leftovers(self) -> Iterator[Leftover]:
        """Give the files of this agent's processes that are gone, oldest first, locked."""
        return self._file.leftovers()

    def held_by_others(self) -> list[str]:
        """Name files of this agent that a living process has."""
        names = []
        for path in self._file.files():
            if path == self._file.path:
                continue
            leftover = Leftover.locked(path)
            if leftover is None:
                names.append(path.name)
            else:
                with leftover:
                    pass
        return names

    async def close(self) -> None:
        """Let go of the file; what still waits is the next process's to drain."""
        async with self._appending:
            self._file.close()
            self._waiting.clear()

    def _refusal(self, why: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"Postgres is away and the journal of {self._agent} can't be kept on the disk: {why}; "
            "free the disk, or mend Postgres"
        )
