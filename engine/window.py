"""One market window: calls the strategy's hooks, one at a time, and carries out what it wants."""

import asyncio
import traceback
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

from engine.clock import WaitingClock
from engine.desk import Desk
from engine.orders import OrderManager
from engine.view import MarketView
from models.errors import StoreUnavailable
from models.units import MILLISECOND_NS, SECOND_NS
from strategies.base import Cancel, Intent, Intents, Place, Quote, Strategy

MOST_INTENTS = 100
"""More than this from one call of a hook is a fault of the strategy."""

Hook = Callable[..., Intents]


class StrategyFailed(Exception):
    """A strategy raised, or answered nonsense. The window ends; nothing else is touched."""

    def __init__(self, hook: str, cause: BaseException) -> None:
        super().__init__(f"{hook} raised {type(cause).__name__}: {cause}")
        self.traceback = "".join(traceback.format_exception(cause))


class Window:
    """Runs a strategy in one market, from now until `quit_ns`.

    Everything the strategy is told about this market goes through one loop, so hooks never
    overlap and each sees the market as it is at its call. Data only mark the window dirty; the
    loop calls `on_tick` when something changed, at most once per cadence.

    Attributes
    ----------
    ticks, decisions
        Calls of `on_tick` so far, and intents that came of any hook.
    """

    def __init__(
        self,
        strategy: Strategy,
        view: MarketView,
        desk: Desk,
        orders: OrderManager,
        clock: WaitingClock,
        quit_ns: int,
        on_beat: Callable[[], None],
    ) -> None:
        self.view = view
        self.ticks = 0
        self.decisions = 0
        self._strategy = strategy
        self._desk = desk
        self._orders = orders
        self._clock = clock
        self._quit_ns = quit_ns
        self._on_beat = on_beat
        self._cadence_ns = strategy.cadence_ms * MILLISECOND_NS
        self._news: deque[tuple[str, Any]] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._dirty = True
        self._stopping = False
        self._fatal: BaseException | None = None
        self._next_tick_ns = 0
        self._next_second_ns = 0
        self._pulled = False

    # --- told from outside ----------------------------------------------------------------------

    def touch(self) -> None:
        """Something in view changed."""
        if not self._dirty:
            self._dirty = True
            self.kick()

    def tell(self, hook: str, news: object) -> None:
        """Queue a call of `hook` with one argument beside the view."""
        self._news.append((hook, news))
        self._dirty = True
        self.kick()

    def stop(self, fatal: BaseException | None = None) -> None:
        """End soon: `on_stop`, then cancel. A `fatal` error is raised from `run` instead."""
        self._stopping = True
        self._fatal = fatal
        self.kick()

    def kick(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # --- the loop -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Trade until the window's last moments; its orders are cancelled then.

        Raises
        ------
        StrategyFailed
            The strategy raised; its orders are cancelled.
        LeaseLost
            The session is no longer ours.
        """
        condition_id = self.view.market.condition_id
        try:
            await self._until_start()
            await self._call("on_start")
            while not self._over():
                await self._work()
                await self._rest()
            if self._fatal is not None:
                raise self._fatal
            await self._call("on_stop", closing=True)
        finally:
            if self._fatal is None:
                await self._orders.cancel_all(condition_id)

    def _over(self) -> bool:
        return self._stopping or self._clock.now_ns() >= self._quit_ns

    async def _until_start(self) -> None:
        start_ns = self.view.market.start_ns
        while self._clock.now_ns() < start_ns and not self._stopping:
            await self._wait_until(start_ns)
        self._next_second_ns = self._second_after(self._clock.now_ns())

    async def _work(self) -> None:
        """Do everything that is due now."""
        while self._news and not self._stopping:
            hook, news = self._news.popleft()
            await self._call(hook, news)
        now = self._clock.now_ns()
        if now >= self._next_second_ns:
            self._next_second_ns = self._second_after(now)
            self._on_beat()
            await self._pull_if_stale(now)
            await self._call("on_timer")
        if self._dirty and self._clock.now_ns() >= self._next_tick_ns:
            self._dirty = False
            self._next_tick_ns = self._clock.now_ns() + self._cadence_ns
            self.ticks += 1
            await self._call("on_tick")

    async def _rest(self) -> None:
        if self._news or self._stopping:
            return
        until = min(self._next_second_ns, self._quit_ns)
        if self._dirty:
            until = min(until, self._next_tick_ns)
        await self._wait_until(until)

    async def _wait_until(self, when_ns: int) -> None:
        """Wait until a time, or less when something happens that can be worked on."""
        self._wake = asyncio.get_running_loop().create_future()
        alarm = self._clock.call_at(when_ns, self.kick)
        try:
            await self._wake
        finally:
            alarm.cancel()
            self._wake = None

    async def _pull_if_stale(self, now_ns: int) -> None:
        """Cancel this market's orders once when its data are no longer fresh."""
        self.view.now_ns = now_ns
        if self.view.fresh:
            self._pulled = False
        elif not self._pulled and self.view.open_orders:
            self._pulled = True
            await self._orders.cancel_all(self.view.market.condition_id)

    def _second_after(self, now_ns: int) -> int:
        start_ns = self.view.market.start_ns
        return start_ns + ((now_ns - start_ns) // SECOND_NS + 1) * SECOND_NS

    # --- calling the strategy -------------------------------------------------------------------

    async def _call(self, hook: str, *news: object, closing: bool = False) -> None:
        self.view.now_ns = self._clock.now_ns()
        intents = self._ask(hook, *news)
        if not intents:
            return
        self.decisions += len(intents)
        try:
            await self._desk.carry_out(intents, self.view, closing)
        except StoreUnavailable:
            # The desk holds new orders back by itself; what was cancelled is tried again.
            self._dirty = True

    def _ask(self, hook: str, *news: object) -> list[Intent]:
        """Call a hook and run through its intents, if it is a generator too."""
        try:
            answer = getattr(self._strategy, hook)(self.view, *news)
            if answer is None:
                return []
            if isinstance(answer, Place | Quote | Cancel):
                return [answer]
            intents = list(islice(answer, MOST_INTENTS + 1))
        except Exception as error:
            raise StrategyFailed(hook, error) from error
        if len(intents) > MOST_INTENTS:
            fault = ValueError(f"more than {MOST_INTENTS} intents at once")
            raise StrategyFailed(hook, fault)
        return intents
