"""Writes records in batches from the background, and loses none while Postgres is away."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from models.errors import BadValue, LeaseLost, NotReady, StoreUnavailable
from store.spool import Spool

log = structlog.get_logger(__name__)

Write = Callable[[Sequence[bytes]], Awaitable[None]]

_RETRY_S = 1.0
"""Between two tries to reach Postgres while it is away."""


class BatchWriter:
    """Takes records without waiting, writes them every `flush_s`.

    While Postgres is away the batches go to the spool; once it is back the spool is drained
    first, in order. A batch whose fate is unknown is written again, so `write` must ignore
    records it knows already: then each counts exactly once.

    Parameters
    ----------
    write
        Commits a batch. `StoreUnavailable` keeps it for later, `BadValue` looks for the record
        that is refused and drops it alone, `LeaseLost` refuses everything from then on.
    spool
        Where batches wait; leftovers of dead processes are drained too.
    max_buffer
        Records kept in memory between two flushes; more are dropped and counted.
    """

    def __init__(
        self, name: str, write: Write, spool: Spool, *, flush_s: float = 0.5, max_buffer: int
    ) -> None:
        self._name = name
        self._write = write
        self._spool = spool
        self._flush_s = flush_s
        self._max_buffer = max_buffer
        self._buffer: list[bytes] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._flushing = asyncio.Lock()
        self._away_until = 0.0
        self.lost: LeaseLost | None = None
        """Set once the lease was found to be gone."""
        self.written = 0
        self.spooled = 0
        self.dropped = 0
        self.refused = 0

    @property
    def damaged(self) -> list[str]:
        """Names of spool files that were damaged and set aside."""
        return self._spool.damaged

    def put(self, record: bytes) -> None:
        """Hand over one record; never waits, never raises."""
        if len(self._buffer) >= self._max_buffer:
            self.dropped += 1
            return
        self._buffer.append(record)
        if len(self._buffer) * 2 >= self._max_buffer:
            self._wake.set()

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"writer-{self._name}")

    async def close(self) -> None:
        """Write (or spool) what is left, then stop."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None
        await self.flush()
        self._spool.close()
        if self.dropped or self.refused:
            log.warning("records_lost", writer=self._name, dropped=self.dropped, bad=self.refused)

    async def flush(self) -> None:
        """Write what waits now: the spool first, then the buffer."""
        async with self._flushing:
            batch, self._buffer = self._buffer, []
            if self.lost is not None:
                self.refused += len(batch)
                return
            try:
                await self._try(batch)
            except LeaseLost as error:
                self.lost = error
                self.refused += len(batch)
                log.warning("records_refused", writer=self._name, reason=str(error))
            except Exception as error:  # a defect or a full disk: the next batch must still go
                self.refused += len(batch)
                log.error("records_not_written", writer=self._name, reason=repr(error))

    async def _run(self) -> None:
        while not self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._flush_s):
                    await self._wake.wait()
            self._wake.clear()
            await self.flush()

    async def _try(self, batch: list[bytes]) -> None:
        if time.monotonic() < self._away_until and not self._closing:
            self._keep(batch)
            return
        try:
            if self._spool.files():
                self.written += await self._spool.drain(self._commit)
            self.written += await self._commit(batch)
            self._away_until = 0.0
        except (StoreUnavailable, NotReady) as error:
            if self._away_until == 0.0:
                log.warning("records_spooled", writer=self._name, reason=str(error))
            self._away_until = time.monotonic() + _RETRY_S
            self._keep(batch)

    async def _commit(self, records: Sequence[bytes]) -> int:
        """Write records and return how many; one that is refused is found by halving the batch."""
        if not records:
            return 0
        try:
            await self._write(records)
        except BadValue as error:
            if len(records) > 1:
                middle = len(records) // 2
                return await self._commit(records[:middle]) + await self._commit(records[middle:])
            self.refused += 1
            log.error("record_refused", writer=self._name, reason=str(error))
            return 0
        return len(records)

    def _keep(self, batch: list[bytes]) -> None:
        """Spool a batch. What the disk does not take stays in memory, as far as that goes."""
        if not batch:
            return
        if self._spool.append(batch):
            self.spooled += len(batch)
            return
        kept = batch + self._buffer
        self.dropped += max(0, len(kept) - self._max_buffer)
        self._buffer = kept[: self._max_buffer]
