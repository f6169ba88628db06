"""Bringing what waited in files into Postgres: in order, and each entry once in effect."""

from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from models.errors import BadValue, StoreUnavailable
from store.database import Database
from store.fills import lock_agent
from store.frames import frame, scan
from store.held import DAMAGED, HeldFile, Leftover
from store.journal_booking import book_late, refuse_stale
from store.journal_entries import decode
from store.leases import Lease
from store.wal import WriteAheadLog

log = structlog.get_logger(__name__)

REFUSED = ".refused"
ANSWER_S = 5.0
_BATCH = 64


class Drain:
    """Books an agent's waiting entries, in batches that are committed whole.

    Parameters
    ----------
    lease
        Fences every batch: `LeaseLost` once it is not the newest grant any more. None books
        without one, for files of the dead; what is booked late never undoes what is known.

    Attributes
    ----------
    answer_s
        How long a batch may take before Postgres counts as away; then a smaller one is tried.
    on_booked
        Called after each batch of this process's own.
    damaged
        Names of files that were set aside: damaged, or with entries Postgres refuses.
    """

    def __init__(
        self, database: Database, agent: str, lease: Lease | None, wal: WriteAheadLog, folder: Path
    ) -> None:
        self.answer_s = ANSWER_S
        self.on_booked: Callable[[], None] = lambda: None
        self.damaged: list[str] = []
        self._database = database
        self._agent = agent
        self._lease = lease
        self._wal = wal
        self._refused = HeldFile(folder, f"{agent}.journal", REFUSED)
        self._batch = _BATCH

    async def own(self) -> None:
        """Book all that waits in this process's file; with the last of it the file goes.

        Raises
        ------
        LeaseLost
            Another session has taken over; the file stays for it.
        StoreUnavailable
            Postgres is away; what was not committed waits on.
        """
        while batch := self._wal.first(self._batch):
            refused = await self._book(batch)
            self._keep_refused(refused)
            self._wal.written(len(batch))
            self.on_booked()

    async def leftovers(self) -> int:
        """Book what processes left that are gone; returns how many entries there were.

        Raises like `own`; a file that was not booked to its end stays as it is.
        """
        count = 0
        for leftover in self._wal.leftovers():
            with leftover:
                count += await self._leftover(leftover)
        return count

    async def _leftover(self, leftover: Leftover) -> int:
        try:
            found = scan(leftover.path.read_bytes())
        except OSError as error:
            log.error("journal_not_readable", file=leftover.path.name, reason=error.strerror)
            return 0
        refused, at = 0, 0
        while at < len(found.records):
            batch = found.records[at : at + self._batch]
            refused += len(await self._book(batch))
            at += len(batch)
        log.info("journal_drained", file=leftover.path.name, entries=at, refused=refused)
        if found.damaged_bytes or refused:
            aside = leftover.set_aside(DAMAGED if found.damaged_bytes else REFUSED)
            log.error("journal_damaged", bytes=found.damaged_bytes, refused=refused, kept_as=aside)
            self.damaged.append(aside)
        else:
            leftover.remove()
        return at

    async def _book(self, batch: Sequence[bytes]) -> list[bytes]:
        """Commit a batch; returns the records that can't be booked at all."""
        try:
            await self._commit(batch)
        except BadValue:
            return [record for record in batch if await self._is_refused(record)]
        return []

    async def _is_refused(self, record: bytes) -> bool:
        try:
            await self._commit([record])
        except BadValue as error:
            log.error("journal_entry_refused", agent=self._agent, reason=str(error))
            return True
        return False

    async def _commit(self, batch: Sequence[bytes]) -> None:
        entries = [decode(record) for record in batch]
        strangers = {one.agent for one in entries} - {self._agent}
        if strangers:
            raise BadValue(f"entry of {min(strangers)} in a file of {self._agent}")
        try:
            async with self._database.transaction(self.answer_s) as connection:
                known = await lock_agent(connection, self._agent)
                if self._lease is not None:
                    refuse_stale(known, self._lease)
                for one in entries:
                    await book_late(connection, one)
        except StoreUnavailable:
            self._batch = max(1, self._batch // 2)
            raise
        self._batch = min(_BATCH, 2 * self._batch)

    def _keep_refused(self, records: Sequence[bytes]) -> None:
        """Keep aside what can't be booked, for people; trading goes on without it."""
        if not records:
            return
        first = self._refused.path is None
        try:
            self._refused.append(b"".join(map(frame, records)))
        except OSError as error:
            log.error("refused_entries_not_kept", agent=self._agent, reason=error.strerror)
        if first and self._refused.path is not None:
            self.damaged.append(self._refused.path.name)

    def close(self) -> None:
        self._refused.close()


async def drain_dead(database: Database, folder: Path) -> tuple[int, list[str]]:
    """Book what dead sessions of any agent left on this host; safe beside running ones.

    For an agent that went on elsewhere, so that its books are whole before it comes back here.

    Returns
    -------
    tuple
        How many entries were booked, and the names of files set aside.
    """
    count, damaged = 0, []
    for agent in _agents(folder):
        wal = WriteAheadLog(folder, agent)
        drain = Drain(database, agent, None, wal, folder)
        try:
            count += await drain.leftovers()
        finally:
            damaged += drain.damaged
            drain.close()
            await wal.close()
    return count, damaged


def _agents(folder: Path) -> list[str]:
    """Name the agents that have a file."""
    return sorted({path.name.split(".")[0] for path in folder.glob("*.journal.*.wal")})
