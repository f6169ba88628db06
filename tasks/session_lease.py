"""A session's lease: waited for, guarded by a watchdog, renewed, doubted, given back."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from models.agents import AgentStatus
from models.errors import FloorError, LeaseLost
from store import agents, leases
from store.database import Database
from store.leases import Lease
from tasks.holders import is_dead, process_name
from tasks.watchdog import Verdict, Watchdog, boot_s

log = structlog.get_logger(__name__)

BEAT_S = 0.25
LEASE_POLL_S = 0.15
LEASE_GRACE_S = 15.0
"""How much longer than a lease a session waits for one that is about to hand over."""
ANNOUNCE_S = 2.0
RETRY_S = 0.5
RELEASE_S = 3.0
DOUBT_POLL_S = 0.05

Doubt = Callable[[str], Awaitable[None]]
"""Suspends trading, given why; returns once nothing more is sent."""
Sure = Callable[[], Awaitable[None]]
"""Lets trading go on; cancelled when the lease comes into doubt again."""


class LeaseKeeper:
    """Holds one agent's lease; `acquire`, `guard`, and `release` at the end.

    A lease that can't be renewed because Postgres is away comes into doubt `margin_s` before it
    lapses: trading is suspended, and goes on once it was renewed. All of it is judged by a clock
    that counts the time the machine slept.

    Attributes
    ----------
    lease
        Once it is acquired.
    until
        Second of `boot_s` until which this process may believe that it holds the lease.
    margin_s
        How long before that trading is suspended: time enough for what is on its way to the
        venue to arrive, and for all orders to be cancelled.
    predecessor_died
        Whether the session before this one ended without giving its lease back.
    successor
        Flow run of a session that is prepared to take over now; empty when there is none.
    window
        Slug of the window being traded, kept with the lease for people to see.
    """

    def __init__(self, database: Database, agent: str, ttl_s: float, flow_run_id: str) -> None:
        self.lease: Lease
        self.until = 0.0
        self.margin_s = min(5.0, max(1.0, 0.4 * ttl_s))
        self.predecessor_died = False
        self.successor = ""
        self.window = ""
        self.doubtful = False
        self._database = database
        self._agent = agent
        self._ttl_s = ttl_s
        self._flow_run_id = flow_run_id
        self._watchdog: Watchdog | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._released = False

    # --- taking ---------------------------------------------------------------------------------

    async def acquire(self) -> Lease | None:
        """Announce this session to a holder that is alive, and wait until it is done.

        One that is surely dead is not waited for. None when the holder goes on.
        """
        patience = time.monotonic() + self._ttl_s + LEASE_GRACE_S
        announced = 0.0
        while True:
            before = await leases.holder(self._database, self._agent)
            free = before is None or not before.holder
            self.predecessor_died = False
            if before is not None and before.holder:
                # One that is alive gives its lease back in good order, perhaps right now.
                self.predecessor_died = not before.live or is_dead(before.holder)
                if self.predecessor_died and before.live:
                    log.warning("lease_of_dead_process_ended", holder=before.holder)
                    await leases.expire(self._database, self._agent, before.token)
            if (free or self.predecessor_died) and await self._take():
                return self.lease
            if time.monotonic() >= patience:
                return None
            if not free and time.monotonic() - announced >= ANNOUNCE_S:
                announced = time.monotonic()
                await leases.announce(self._database, self._agent, self._flow_run_id)
            await asyncio.sleep(LEASE_POLL_S)

    async def _take(self) -> bool:
        asked = boot_s()
        lease = await leases.acquire(
            self._database, self._agent, process_name(), self._ttl_s, self._flow_run_id
        )
        if lease is not None:
            self.lease, self.until = lease, asked + lease.ttl_s
        return lease is not None

    # --- guarding -------------------------------------------------------------------------------

    def guard(self, stuck: Callable[[], bool], doubt: Doubt, sure: Sure) -> None:
        """Let a watchdog end the process when the loop stalls, is `stuck`, or the lease lapses.

        It may lapse once `doubt` has returned, until the lease was renewed and `sure` is called.
        """
        self._watchdog = Watchdog(lease_until=self.until)
        self._watchdog.start()
        self._tasks = [
            asyncio.create_task(self._beat(stuck), name="beat"),
            asyncio.create_task(self._renew(), name="renew"),
            asyncio.create_task(self._watch(doubt, sure), name="lease watch"),
        ]

    async def release(self, failure: str = "") -> None:
        """Stop guarding and give the lease back, if Postgres is there to take it.

        Parameters
        ----------
        failure
            What the session failed by, if it did; its successor backs off.
        """
        if self._released:
            return
        self._released = True
        if self._watchdog is not None:
            self._watchdog.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        status = AgentStatus.FAILED if failure else AgentStatus.STOPPED
        try:
            async with asyncio.timeout(RELEASE_S):
                if not self.doubtful:
                    await agents.set_status(self._database, self._agent, status, failure)
                await leases.release(self._database, self.lease)
        except (FloorError, TimeoutError) as error:
            log.warning("lease_not_released", reason=str(error) or type(error).__name__)

    async def _beat(self, stuck: Callable[[], bool]) -> None:
        """Feed the watchdog while the loop turns, and the windows with it."""
        assert self._watchdog is not None
        while True:
            if stuck():
                log.critical("windows_stuck", agent=self._agent, window=self.window)
            else:
                self._watchdog.beat()
            await asyncio.sleep(BEAT_S)

    async def _renew(self) -> None:
        """Renew the lease well within its time; a lost one ends the process at once."""
        assert self._watchdog is not None
        patience_s = min(3.0, max(1.0, self._ttl_s / 3))
        trouble = False
        while True:
            began, pause_s = boot_s(), min(4.0, self._ttl_s / 4)
            try:
                async with asyncio.timeout(patience_s):
                    successor = await leases.renew(self._database, self.lease, self.window)
            except LeaseLost as error:
                end_process(error)
            except Exception as error:
                pause_s = min(pause_s, RETRY_S)
                if not trouble:
                    log.warning("lease_not_renewed", reason=str(error) or type(error).__name__)
                trouble = True
            else:
                trouble = False
                self.successor = successor
                self.until = self._watchdog.lease_until = began + self.lease.ttl_s
            await asyncio.sleep(pause_s)

    # --- doubting -------------------------------------------------------------------------------

    async def _watch(self, doubt: Doubt, sure: Sure) -> None:
        """Suspend trading before the lease lapses unrenewed; let it go on once it is renewed."""
        assert self._watchdog is not None
        while True:
            await self._until(certain=False)
            self.doubtful = True
            log.warning("lease_in_doubt", agent=self._agent, lapses_in_s=self.until - boot_s())
            await doubt("its lease can't be renewed: Postgres is away")
            self._watchdog.harmless = True
            while not await self._goes_on(sure):  # noqa: ASYNC110
                await asyncio.sleep(RETRY_S)
            log.info("lease_sure_again", agent=self._agent)

    async def _goes_on(self, sure: Sure) -> bool:
        """Wait for the lease, then let trading go on; whether the doubt is over."""
        assert self._watchdog is not None
        await self._until(certain=True)
        going_on = asyncio.ensure_future(sure())
        again = asyncio.ensure_future(self._until(certain=False))
        try:
            await asyncio.wait({going_on, again}, return_when=asyncio.FIRST_COMPLETED)
            if not going_on.done():
                return False
            # From here on the process may not outlive its lease again.
            self._watchdog.harmless = self.doubtful = False
            going_on.result()
        except LeaseLost as error:
            end_process(error)
        except Exception as error:
            self._watchdog.harmless = self.doubtful = True
            log.error("not_resumed", agent=self._agent, reason=repr(error))
            return False
        finally:
            for task in (going_on, again):
                task.cancel()
            await asyncio.gather(going_on, again, return_exceptions=True)
        return True

    async def _until(self, *, certain: bool) -> None:
        """Wait until the lease is certain, or in doubt: for time to pass, or for a renewal."""
        while (self.until - boot_s() > self.margin_s) is not certain:  # noqa: ASYNC110
            await asyncio.sleep(DOUBT_POLL_S)


def end_process(error: LeaseLost) -> None:
    """End at once: another session trades, and this one must not do anything more."""
    with suppress(Exception):  # a log that can't be written must not keep the process alive
        log.critical("lease_lost", reason=str(error))
    os._exit(Verdict.LEASE_LAPSED.value)
