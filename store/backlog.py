"""What a session could not write to Postgres: kept in its file, and brought there in order."""

import asyncio
import time
from pathlib import Path

import structlog

from models.errors import LeaseLost, StoreUnavailable
from store.database import Database
from store.journal_drain import Drain
from store.journal_entries import Entry, encode
from store.leases import Lease
from store.wal import WriteAheadLog

log = structlog.get_logger(__name__)

_LEFTOVERS_S = 10.0
"""How long `catch_up` waits for a file that a living process of the agent still has."""
_LOOK_AGAIN_S = 5.0
_PROBE_FIRST_S, _PROBE_MOST_S = 0.1, 1.0
_LAST_ANSWER_S = 2.0


class Backlog:
    """Entries of one session that wait for Postgres, and a task that books them.

    Attributes
    ----------
    lost
        Set once the drain found that another session has taken over; the file stays for it.
    late
        How many entries of other processes of the agent were booked since `catch_up`.
    stuck
        Why the last entry could be kept nowhere; empty once Postgres or the disk took one, or
        whoever found the disk mended has emptied it.
    """

    def __init__(self, database: Database, agent: str, lease: Lease, folder: Path) -> None:
        self.lost: LeaseLost | None = None
        self.late = 0
        self.stuck = ""
        self._agent = agent
        self._wal = WriteAheadLog(folder, agent)
        self._drain = Drain(database, agent, lease, self._wal, folder)
        self._drain.on_booked = self._note_answer
        self._draining = asyncio.Lock()
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._away_since: float | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"backlog-{self._agent}")

    async def close(self) -> None:
        """Book what waits if Postgres answers soon; the rest stays in the file."""
        self._closing = True
        self._drain.answer_s = _LAST_ANSWER_S
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None
        self._drain.close()
        await self._wal.close()

    # --- state ----------------------------------------------------------------------------------

    @property
    def behind(self) -> int:
        """Entries that wait."""
        return self._wal.behind

    @property
    def away_s(self) -> float:
        """Seconds since Postgres last answered; 0.0 while nothing waits for it.

        While a long backlog is being booked this is small: what waits is no longer Postgres.
        """
        return 0.0 if self._away_since is None else max(boot_s() - self._away_since, 1e-9)

    @property
    def damaged(self) -> list[str]:
        """Names of files that were set aside."""
        return self._drain.damaged

    def note_away(self, since_s: float, error: StoreUnavailable) -> None:
        """Note that Postgres did not answer a write begun at `since_s` of `boot_s`."""
        if self._away_since is None:
            self._away_since = since_s
            log.warning("journal_goes_to_the_disk", agent=self._agent, reason=str(error))

    def _note_answer(self) -> None:
        if self._away_since is not None:
            self._away_since = boot_s()

    def note_there(self) -> None:
        """Note that Postgres took a write."""
        self.stuck = ""
        if self._away_since is not None and not self.behind:
            log.info("journal_direct_again", agent=self._agent)
            self._away_since = None

    # --- keeping and booking --------------------------------------------------------------------

    async def keep(self, entry: Entry) -> None:
        """Append an entry behind all others. Raises `StoreUnavailable` where the disk refuses."""
        try:
            await self._wal.append(encode(entry))
        except StoreUnavailable as error:
            self.stuck = str(error)
            raise
        self.stuck = ""
        self._wake.set()

    async def drained(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing waits any more; False when that took longer.

        Raises `LeaseLost` once another session has taken over.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while self.behind:
            self.refuse_lost()
            if until is not None and time.monotonic() >= until:
                return False
            await asyncio.sleep(0.02)
        return True

    async def catch_up(self) -> None:
        """Book all that waits and all the dead left; wait a little for what the dying hold.

        Raises `LeaseLost` and `StoreUnavailable`.
        """
        give_up = time.monotonic() + _LEFTOVERS_S
        while True:
            async with self._draining:
                await self._drain.leftovers()
                await self._drain.own()
            held = self._wal.held_by_others()
            if not held:
                return
            if time.monotonic() >= give_up:
                log.warning("journal_held_by_another_process", agent=self._agent, files=held)
                return
            await asyncio.sleep(0.2)

    def refuse_lost(self) -> None:
        if self.lost is not None:
            raise LeaseLost(str(self.lost))

    # --- in the background ----------------------------------------------------------------------

    async def _run(self) -> None:
        """Book whenever something waits; now and then look for what the dead left."""
        while self.lost is None:
            try:
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await self._wake.wait()
            except TimeoutError:
                await self._leftovers()
            self._wake.clear()
            await self._own()
            if self._closing:
                return

    async def _own(self) -> None:
        pause_s = _PROBE_FIRST_S
        # What is still on its way to the disk needs this loop to turn, and wakes us afterwards.
        while self._wal.ready and self.lost is None:
            try:
                async with self._draining:
                    await self._drain.own()
            except LeaseLost as error:
                self.lost = error
            except Exception as error:  # nothing is lost by a defect: the file keeps it all
                if not isinstance(error, StoreUnavailable):
                    log.error("journal_not_drained", agent=self._agent, reason=repr(error))
                if self._closing:
                    return
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _PROBE_MOST_S)
            else:
                self.note_there()

    async def _leftovers(self) -> None:
        try:
            async with self._draining:
                self.late += await self._drain.leftovers()
        except LeaseLost as error:
            self.lost = error
        except Exception as error:
            if not isinstance(error, StoreUnavailable):
                log.error("leftovers_not_drained", agent=self._agent, reason=repr(error))


def boot_s() -> float:
    """Seconds since the host started, those it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
