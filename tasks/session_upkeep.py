"""What a session does beside trading: heartbeats, checkpoints, a look at its clock and store."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import psutil
import structlog

from engine.clock import SystemClock
from engine.steady import ClockVerdict
from engine.trader import Trader
from models.errors import FloorError, StoreUnavailable
from models.units import SECOND_NS
from store.bus import Bus
from store.checkpoints import CheckpointFiles
from store.journal import PostgresJournal

log = structlog.get_logger(__name__)

LOOK_S = 1.0
CLOCK_RETRY_S = 2.0
CLOCK_PATIENCE_S = 60.0
AWAY_ALERT_S = 3.0
"""Postgres away for less than this is nobody's business."""

Say = Callable[[str, str], None]
"""Posts a notice: its kind and text."""


class Asked(Protocol):
    """What tells the venue's time."""

    async def server_time_ns(self) -> int: ...


class Troubles:
    """Tells people of each trouble once when it begins, and once when it is over."""

    def __init__(self, agent: str, say: Say) -> None:
        self._agent = agent
        self._say = say
        self._now: set[str] = set()

    def begin(self, what: str, text: str) -> None:
        """Tell of a trouble, unless it is known."""
        if what not in self._now:
            self._now.add(what)
            self._say("error", f"{self._agent}: {text}")

    def over(self, what: str, text: str) -> None:
        """Tell that it is over, if it was there."""
        if what in self._now:
            self._now.discard(what)
            self._say("agent_started", f"{self._agent}: {text}")


async def send_heartbeats(
    bus: Bus, agent: str, facts: Callable[[], Mapping[str, Any]], interval_s: float
) -> None:
    """Tell Redis every `interval_s` that the session lives, with its facts and its memory's size.

    Three missed beats mean that it does not.
    """
    process = psutil.Process(os.getpid())
    while True:
        try:
            rss_mb = round(process.memory_info().rss / 2**20, 1)
            bus.heartbeat(agent, {**facts(), "rss_mb": rss_mb}, ttl_s=3.0 * interval_s)
        except Exception as error:
            log.error("heartbeat_not_sent", reason=repr(error))
        await asyncio.sleep(interval_s)


class Checkpoints:
    """Keeps a trader's memory: in a local file when it changed, in Postgres every now and then.

    Parameters
    ----------
    interval_s
        Seconds between two checkpoints in Postgres.
    """

    def __init__(
        self,
        trader: Trader,
        journal: PostgresJournal,
        files: CheckpointFiles,
        troubles: Troubles,
        interval_s: float,
    ) -> None:
        self._trader = trader
        self._journal = journal
        self._files = files
        self._troubles = troubles
        self._interval_s = interval_s
        self._revision = -1
        self._due = 0.0
        self._window_over = False

    def window_over(self) -> None:
        """A window ended: what it left goes to Postgres soon."""
        self._window_over = True

    async def run(self) -> None:
        """Keep checkpoints until cancelled."""
        self._due = time.monotonic() + self._interval_s
        while True:
            await asyncio.sleep(LOOK_S)
            await self.keep_file()
            if self._window_over or time.monotonic() >= self._due:
                self._window_over, self._due = False, time.monotonic() + self._interval_s
                await self._keep_row()

    def keep_now(self) -> None:
        """Write the local file at once: what was just decided must survive this very process.

        A few milliseconds, before the order of a rare decision leaves; never for quotes.
        """
        revision = self._trader.revision
        try:
            self._files.write(self._trader.checkpoint())
        except Exception as error:
            self._told_not_kept(error)
        else:
            self._revision = revision

    def _told_not_kept(self, error: Exception) -> None:
        log.warning("checkpoint_file_not_kept", reason=str(error))
        self._troubles.begin("checkpoint", f"{error}; it trades on, Postgres has checkpoints")

    async def keep_file(self) -> None:
        """Write the local file if anything that matters changed since the last one."""
        revision = self._trader.revision
        if revision == self._revision:
            return
        try:
            await asyncio.to_thread(self._files.write, self._trader.checkpoint())
        except Exception as error:
            self._told_not_kept(error)
        else:
            self._revision = revision
            self._troubles.over("checkpoint", "checkpoints are kept on the disk again")

    async def _keep_row(self) -> None:
        try:
            await self._journal.checkpoint(self._trader.checkpoint())
        except Exception as error:
            log.warning("checkpoint_not_kept", reason=str(error))


async def watch_store(
    trader: Trader, journal: PostgresJournal, files: CheckpointFiles, troubles: Troubles
) -> None:
    """Tell people when Postgres is away and which files were damaged; without either store, stop.

    While neither Postgres nor the disk takes what happens, nothing may happen: trading is
    suspended until one of them does again.
    """
    told: set[str] = set()
    stopped, late = False, 0
    while True:
        for name in {*journal.damaged, *files.damaged} - told:
            told.add(name)
            troubles.begin(name, f"a local file was damaged and is set aside as {name}")
        if journal.late > late:
            # Orders of a session before this one: reconcile compares them with the venue.
            late = journal.late
            journal.event("entries_of_earlier_sessions", {"entries": late})
        if journal.away_s > AWAY_ALERT_S:
            troubles.begin("store", "Postgres is away; what happens is kept on the disk")
        elif journal.away_s == 0.0:
            troubles.over("store", "Postgres is back and has all that happened")
        if journal.stuck:
            reason = f"neither Postgres nor the disk can be written: {journal.stuck}"
            troubles.begin("disk", f"suspended, {reason}")
            await trader.suspend("disk", reason)
            stopped = True
            await _find_a_place(trader, journal, files)
        elif stopped:
            stopped = False
            trader.resume("disk")
            troubles.over("disk", "there is a place to write again; it trades on")
        await asyncio.sleep(LOOK_S)


async def _find_a_place(trader: Trader, journal: PostgresJournal, files: CheckpointFiles) -> None:
    """Try the disk, then Postgres: nothing else is written while trading is suspended."""
    try:
        await asyncio.to_thread(files.write, trader.checkpoint())
    except StoreUnavailable:
        with suppress(StoreUnavailable):
            await journal.checkpoint(trader.checkpoint())
    else:
        journal.try_again()


async def watch_clock(
    trader: Trader,
    clock: SystemClock,
    venue: Asked,
    troubles: Troubles,
    give_up: Callable[[], None],
) -> None:
    """Suspend trading when the wall clock jumps, until the venue says which clock is right.

    Where neither is for `CLOCK_PATIENCE_S`, `give_up` is called: a new process reckons anew.
    """
    since = 0.0
    while True:
        await asyncio.sleep(LOOK_S)
        jump_ns = clock.jump_ns()
        if not jump_ns:
            continue
        jump = f"the clock jumped by {jump_ns / SECOND_NS:+.1f} s"
        await trader.suspend("clock", jump)
        verdict = await _settle(clock, venue)
        if verdict is ClockVerdict.WRONG:
            since = since or time.monotonic()
            troubles.begin("clock", f"suspended: {jump}, and the venue's time is neither; mend it")
            if time.monotonic() - since > CLOCK_PATIENCE_S:
                give_up()
            continue
        since = 0.0
        trader.resume("clock")
        troubles.over("clock", "the clock is near the venue's again; it trades on")
        log.info("clock_settled", jump=jump, verdict=verdict.value)


async def _settle(clock: SystemClock, venue: Asked) -> ClockVerdict:
    """Ask the venue for its time until it answers, and decide by it."""
    while True:
        try:
            return clock.settle(await venue.server_time_ns())
        except FloorError as error:
            log.warning("venue_time_not_known", reason=str(error))
            await asyncio.sleep(CLOCK_RETRY_S)
