"""Suspended trading: nothing rests, nothing new leaves, and everything else goes on.

Several causes may hold at once; trading goes on when the last is gone and the books have been
compared with the venue. Fills are taken and written down all the while, windows turn and data
flow; only the strategy is not asked, and conditional orders and executions stand still.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from engine.clock import WaitingClock, wait_for
from engine.orders import OrderManager
from engine.ports import Journal
from models.errors import FloorError, LeaseLost
from models.units import SECOND_NS

log = structlog.get_logger(__name__)

CLEAR_S = 1.0
"""How long `suspend` waits for the venue to confirm that nothing rests."""
AGAIN_S, AGAIN_MOST_S = 0.5, 5.0
"""Time between two attempts to cancel everything: short at first, then a tenth of the time it has
taken so far."""
RECONCILE_AGAIN_S = 1.0
COMPARING = "comparing the books with the venue"
"""Said while nothing holds trading up any more but the reconciliation after it."""

SUSPENDED, RESUMED = "trading_suspended", "trading_resumed"
"""What the journal is told, at the very moment."""

Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


class Suspension:
    """The causes for which one agent does not trade now.

    Parameters
    ----------
    rouse
        Wakes the windows up.
    spawn
        Starts work in the background.
    on_lost
        Told when the lease is found lost on the way.
    """

    def __init__(
        self,
        agent: str,
        orders: OrderManager,
        journal: Journal,
        clock: WaitingClock,
        rouse: Callable[[], None],
        spawn: Spawn,
        on_lost: Callable[[LeaseLost], None],
    ) -> None:
        self._agent = agent
        self._orders = orders
        self._journal = journal
        self._clock = clock
        self._rouse = rouse
        self._spawn = spawn
        self._on_lost = on_lost
        self._reasons: dict[str, str] = {}
        self._live = False
        self._clearing: asyncio.Task[None] | None = None
        self._clear = asyncio.Event()
        self._resuming: asyncio.Task[None] | None = None

    @property
    def reason(self) -> str:
        """Why nothing is traded, the reasons joined; empty while there is none."""
        return self._orders.held

    def go_live(self) -> None:
        """The orders are recovered: from now on there is something to cancel and to compare."""
        self._live = True

    def end(self) -> None:
        """The trader has stopped: what is suspended stays so, and nothing goes on in between."""
        self._live = False
        self._stop_resuming()

    # --- suspending -----------------------------------------------------------------------------

    async def suspend(self, cause: str, reason: str) -> None:
        """Hold everything back at once, then cancel all that rests.

        Returns when nothing rests any more, or after `CLEAR_S`; until the venue has confirmed
        every cancel they are sent again in the background.
        """
        new = cause not in self._reasons
        self._reasons[cause] = reason
        self._stop_resuming()
        self._hold()
        if new:
            log.warning(SUSPENDED, agent=self._agent, cause=cause, reason=reason)
            self._journal.event(SUSPENDED, {"cause": cause, "reason": reason})
        self._rouse()
        if not self._live:
            return
        if self._clearing is None or self._clearing.done():
            self._clear.clear()
            self._clearing = self._spawn(self._clear_away(), "clear away")
        await wait_for(self._clock, self._clear, CLEAR_S)

    async def _clear_away(self) -> None:
        """Cancel everything until nothing rests, or trading goes on."""
        try:
            began_ns = self._clock.now_ns()
            await self._orders.cancel_all()
            while self._orders.open_orders() and self._reasons:
                taken_s = (self._clock.now_ns() - began_ns) / SECOND_NS
                await self._clock.sleep(min(max(AGAIN_S, taken_s / 10), AGAIN_MOST_S))
                if self._orders.open_orders() and self._reasons:
                    await self._orders.cancel_all()
        except LeaseLost as error:
            self._on_lost(error)
        finally:
            self._clear.set()

    # --- going on -------------------------------------------------------------------------------

    def resume(self, cause: str) -> None:
        """Take a cause away; with the last one trading goes on once the books are compared."""
        if self._reasons.pop(cause, None) is None:
            return
        self._journal.event("suspension_lifted", {"cause": cause, "left": sorted(self._reasons)})
        if self._reasons:
            self._hold()
            return
        if not self._live:
            self._go_on()
            return
        self._orders.hold(COMPARING)
        self._resuming = self._spawn(self._compare(), "resume")

    async def _compare(self) -> None:
        """Compare the books with the venue, as often as it takes; then let trading go on."""
        while True:
            try:
                await self._orders.reconcile()
            except LeaseLost as error:
                self._on_lost(error)
                return
            except FloorError as error:
                log.warning("resume_waits", agent=self._agent, reason=str(error))
                await self._clock.sleep(RECONCILE_AGAIN_S)
            else:
                break
        self._resuming = None
        self._go_on()

    # --- inside ---------------------------------------------------------------------------------

    def _go_on(self) -> None:
        self._hold()
        log.info(RESUMED, agent=self._agent)
        self._journal.event(RESUMED, {})
        self._rouse()

    def _hold(self) -> None:
        self._orders.hold("; ".join(self._reasons.values()))

    def _stop_resuming(self) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
