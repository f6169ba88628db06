"""A session's lease: waited for, guarded by a watchdog, renewed, given back."""

import asyncio
import os
import time
from collections.abc import Callable

import structlog

from models.agents import AgentStatus
from models.errors import LeaseLost, StoreUnavailable
from store import agents, leases
from store.database import Database
from store.leases import Lease
from tasks.holders import is_dead, process_name
from tasks.watchdog import Verdict, Watchdog

log = structlog.get_logger(__name__)

BEAT_S = 0.25
LEASE_POLL_S = 0.5
LEASE_GRACE_S = 5.0


class LeaseKeeper:
    """Holds one agent's lease; `acquire`, `guard`, and `release` at the end.

    Attributes
    ----------
    lease
        Once it is acquired.
    predecessor_died
        Whether the session before this one ended without giving its lease back.
    window
        Slug of the window being traded, kept with the lease for people to see.
    """

    def __init__(self, database: Database, agent: str, ttl_s: float, flow_run_id: str) -> None:
        self.lease: Lease
        self.predecessor_died = False
        self.window = ""
        self._database = database
        self._agent = agent
        self._ttl_s = ttl_s
        self._flow_run_id = flow_run_id
        self._tasks: list[asyncio.Task[None]] = []

    async def acquire(self) -> Lease | None:
        """Wait out a predecessor that is about to end; take over from one that is surely dead."""
        patience = time.monotonic() + self._ttl_s + LEASE_GRACE_S
        while True:
            before = await leases.holder(self._database, self._agent)
            self.predecessor_died = False
            if before is not None and before.holder:
                # One that is alive gives its lease back in good order, perhaps right now.
                self.predecessor_died = not before.live or is_dead(before.holder)
                if self.predecessor_died and before.live:
                    log.warning("lease_of_dead_process_ended", holder=before.holder)
                    await leases.expire(self._database, self._agent, before.token)
            self._asked = time.monotonic()
            lease = await leases.acquire(
                self._database, self._agent, process_name(), self._ttl_s, self._flow_run_id
            )
            if lease is not None:
                self.lease = lease
            if lease is not None or time.monotonic() >= patience:
                return lease
            await asyncio.sleep(LEASE_POLL_S)

    def guard(self, stuck: Callable[[], bool]) -> None:
        """Let a watchdog end the process once the lease lapses, the loop stalls or is `stuck`."""
        self._watchdog = Watchdog(lease_until=self._asked + self.lease.ttl_s)
        self._watchdog.start()
        self._tasks = [
            asyncio.create_task(self._beat(stuck), name="beat"),
            asyncio.create_task(self._renew(), name="renew"),
        ]

    async def release(self) -> None:
        """Stop guarding and give the lease back, if Postgres is there to take it."""
        self._watchdog.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await agents.set_status(self._database, self._agent, AgentStatus.STOPPED)
            await leases.release(self._database, self.lease)
        except (StoreUnavailable, LeaseLost) as error:
            log.warning("lease_not_released", reason=str(error))

    async def _beat(self, stuck: Callable[[], bool]) -> None:
        """Feed the watchdog while the loop turns, and the windows with it."""
        while True:
            if stuck():
                log.critical("windows_stuck", agent=self._agent, window=self.window)
            else:
                self._watchdog.beat()
            await asyncio.sleep(BEAT_S)

    async def _renew(self) -> None:
        """Renew the lease well within its time; a lost one ends the process at once."""
        while True:
            began = time.monotonic()
            try:
                await leases.renew(self._database, self.lease, self.window)
                self._watchdog.lease_until = began + self.lease.ttl_s
            except LeaseLost as error:
                end_process(error)
            except Exception as error:
                log.warning("lease_not_renewed", reason=str(error))
            await asyncio.sleep(min(4.0, self.lease.ttl_s / 4))


def end_process(error: LeaseLost) -> None:
    """End at once: another session trades, and this one must not do anything more."""
    log.critical("lease_lost", reason=str(error))
    os._exit(Verdict.LEASE_LAPSED.value)
