"""What runs beside a session's trading and guards it: lease, hand-over, line, policies, clock."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from models.errors import LeaseLost
from tasks.guards import Progress
from tasks.policies import watch_policies
from tasks.run_events import SessionEvent, tell_event
from tasks.session_handover import HandOver, asked_to_hand_over
from tasks.session_lease import end_process
from tasks.session_upkeep import watch_clock, watch_store

if TYPE_CHECKING:
    from tasks.session import TradingSession

log = structlog.get_logger(__name__)

STUCK_S = 120.0
"""Windows that stood still for so long end the process; a new one recovers."""
DRAIN_S = 600.0
AGAIN_S = 1.0

Work = Callable[[], Coroutine[Any, Any, None]]


class SessionGuards:
    """Tasks beside one session's trading; one that fails is logged and begun again."""

    def __init__(self, session: "TradingSession") -> None:
        self._session = session
        self._tasks: list[asyncio.Task[None]] = []
        self._suspending: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Guard the lease and let the heart beat, from the moment the lease is ours."""
        self._session.keeper.guard(self._stuck(), self._doubt, self._sure)
        self._spawn("heartbeats", self._session.heartbeats)

    def watch_trading(self) -> None:
        """Watch over a trader that has started."""
        session = self._session
        trader, journal, troubles = session.trader, session.journal, session.troubles
        self._spawn("checkpoints", session.checkpoints.run)
        self._spawn("line to the floor", self._keep_line)
        self._spawn("policies", self._watch_policies)
        self._spawn("store", partial(watch_store, trader, journal, session.files, troubles))
        venue = session.prepared.venue
        self._spawn(
            "clock",
            partial(
                watch_clock, trader, session.clock, venue, troubles, session.leave_a_wrong_clock
            ),
        )
        self._spawn("end of trading", self._stop_when_told)
        if session.successor is not None and not session.prepared.settle_only:
            self._spawn("hand-over", self._hand_over)

    async def end(self) -> None:
        """End all of them."""
        tasks = [task for task in (*self._tasks, self._suspending) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, name: str, work: Work) -> None:
        self._tasks.append(asyncio.create_task(self._keep_on(name, work), name=name))

    async def _keep_on(self, name: str, work: Work) -> None:
        while True:
            try:
                return await work()
            except LeaseLost as error:
                end_process(error)
            except Exception as error:  # what it is, the others and the trader go on
                log.error("guard_failed", guard=name, reason=repr(error))
            await asyncio.sleep(AGAIN_S)

    # --- lease ----------------------------------------------------------------------------------

    def _stuck(self) -> Callable[[], bool]:
        """Return what says whether the windows stand still although the event loop turns."""
        progress = Progress(STUCK_S)

        def stuck() -> bool:
            trader = getattr(self._session, "trader", None)
            return trader is not None and progress.stuck(
                time.monotonic(), trader.active, trader.last_loop_ns
            )

        return stuck

    async def _doubt(self, why: str) -> None:
        """Suspend trading: nothing new leaves from this very call on."""
        session = self._session
        session.troubles.begin("lease", f"suspended: {why}")
        tell_event(SessionEvent.SUSPENDED, session.spec.name, reason=why)
        if hasattr(session, "trader"):
            # It cancels what rests for as long as the venue makes it wait; no order follows.
            self._suspending = asyncio.create_task(session.trader.suspend("lease", why))
            await asyncio.wait({self._suspending}, timeout=session.keeper.margin_s / 2)

    async def _sure(self) -> None:
        """Let trading go on, once Postgres has all that happened meanwhile."""
        session = self._session
        if hasattr(session, "trader"):
            await session.journal.drained(DRAIN_S)
            session.trader.resume("lease")
        session.troubles.over("lease", "its lease is sure again; it trades on")
        tell_event(SessionEvent.RESUMED, session.spec.name, reason="its lease is sure again")

    # --- ending ---------------------------------------------------------------------------------

    async def _stop_when_told(self) -> None:
        await self._session.halt.wait()
        await self._session.stop_trading()

    async def _hand_over(self) -> None:
        session = self._session
        assert session.successor is not None
        name, run = session.spec.name, session.flow_run_id
        handing = HandOver(
            name,
            session.deadline,
            session.successor,
            lambda: session.keeper.successor,
            lambda: asked_to_hand_over(session.database, name, run),
        )
        await handing.run()
        session.hand_over()

    # --- the floor ------------------------------------------------------------------------------

    async def _keep_line(self) -> None:
        """Keep reservation and facts up to date; a newer session's word ends the process."""
        await self._session.line.run(self._session.trader.open_e6)

    async def _watch_policies(self) -> None:
        session = self._session
        await watch_policies(
            session.settings,
            session.database,
            session.prepared.policies,
            session.line.file,
            session.line.adopt,
            session.journal.event,
        )
