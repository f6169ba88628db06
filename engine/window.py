"""One market window: calls the strategy's hooks, one at a time, and carries out what it wants."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from engine.asking import StrategyFailed, ask
from engine.clock import WaitingClock
from engine.desk import Desk
from engine.orders import OrderManager
from engine.pace import ON_TICK, ON_TIMER, Pace
from engine.told import Told
from engine.view import MarketView
from models.errors import StoreUnavailable
from strategies.base import Execute, Place, Strategy, Target

__all__ = ["StrategyFailed", "Window"]

ONCE = (Place, Target, Execute)
"""Wishes that send another order each time they are made; a quote is compared with what rests."""


class Window:
    """Runs a strategy in one market, from now until `quit_ns`.

    Everything the strategy is told about this market goes through one loop, so hooks never
    overlap and each sees the market as it is at its call. Data only mark the window dirty; the
    loop calls `on_tick` when something changed, at most once per cadence.

    Parameters
    ----------
    memory
        Where a session before was in this window, as `snapshot` returned it.
    seen_by_ns
        Until when orders that were taken over stand although the data are not fresh yet.
    on_decision
        Called before anything is sent that would be sent twice if it were wished for again.

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
        memory: Mapping[str, Any] | None = None,
        seen_by_ns: int = 0,
        on_decision: Callable[[], None] = lambda: None,
    ) -> None:
        self.view = view
        self.decisions = 0
        self._strategy = strategy
        self._desk = desk
        self._orders = orders
        self._clock = clock
        self._on_beat = on_beat
        self._on_decision = on_decision
        self._pace = Pace(view.market.start_ns, quit_ns, strategy.cadence_ms)
        if memory is not None:
            self._pace.restore(memory)
        self._told = Told(None if memory is None else memory.get("told"))
        self._seen_by_ns = seen_by_ns
        self._wake: asyncio.Future[None] | None = None
        self._eager = False
        self._stopping = False
        self._keeps = False
        self._fatal: BaseException | None = None

    @property
    def ticks(self) -> int:
        return self._pace.ticks

    def snapshot(self) -> dict[str, Any]:
        """Return where this window is, JSON-serialisable."""
        return {**self._pace.snapshot(), "told": self._told.marks()}

    # --- told from outside ----------------------------------------------------------------------

    def touch(self) -> None:
        """Something in view changed."""
        dirtied = self._pace.touch() or self._eager
        if dirtied or self._desk.promised(self.view.market.condition_id):
            self.kick()

    def tell(self, hook: str, news: object) -> None:
        """Queue a call of `hook` with one argument beside the view.

        While trading is suspended public trades are not kept for later: they come by the
        thousand, and who was not asked then has no use for them.
        """
        if hook == "on_trade" and self._orders.held:
            return
        self._pace.tell(hook, news)
        self.kick()

    def rouse(self) -> None:
        """Look now, whatever the cadence."""
        self.kick()

    def stop(self, fatal: BaseException | None = None, keep: bool = False) -> None:
        """End soon: `on_stop`, then cancel. A `fatal` error is raised from `run` instead.

        With `keep` the orders stay and the strategy is not told: somebody else goes on.
        """
        self._stopping = True
        self._keeps = keep
        self._fatal = self._fatal or fatal
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
            for fill in self._told.missed(self._orders.portfolio.fills(condition_id)):
                self._pace.tell("on_fill", fill)
            await self._until_seen()
            if await self._until_resumed():
                await self._call("on_start")
            while not self._over():
                if await self._until_resumed():
                    await self._work()
                    await self._rest()
            if self._fatal is not None:
                raise self._fatal
            if self._keeps:
                await self._tell_the_rest()
            elif not self._orders.held:
                await self._call("on_stop", closing=True)
        finally:
            if self._fatal is None and not self._keeps:
                await self._orders.cancel_all(condition_id)

    def _over(self) -> bool:
        return self._stopping or self._pace.over(self._clock.now_ns())

    async def _until_start(self) -> None:
        start_ns = self.view.market.start_ns
        while self._clock.now_ns() < start_ns and not self._stopping:
            await self._wait_until(start_ns)
        self._pace.begin(self._clock.now_ns())

    async def _until_seen(self) -> None:
        """Let orders that were taken over stand until there is a book to judge them by."""
        self._eager = True
        while self.view.open_orders and not self._over():
            self.view.now_ns = self._clock.now_ns()
            if self.view.fresh or self.view.now_ns >= self._seen_by_ns:
                break
            await self._wait_until(self._seen_by_ns)
        self._eager = False

    async def _until_resumed(self) -> bool:
        """While trading is suspended only time passes; False when the window ended with that."""
        while self._orders.held and not self._over():
            if self._pace.beat(self._clock.now_ns()):
                self._on_beat()
            await self._wait_until(self._pace.next_second_ns)
        return not self._orders.held

    async def _work(self) -> None:
        """Do what is due now, one tick at most: everybody else's turn comes between two."""
        await self._tend()
        while not self._over():
            await self._pull_if_stale()
            due = self._pace.due(self._clock.now_ns())
            if due is None:
                return
            if due is ON_TIMER:
                self._on_beat()
            await self._call(due.hook, *(() if due.news is None else (due.news,)))
            if due is ON_TICK:
                return

    async def _tell_the_rest(self) -> None:
        """Give the strategy the news it has not had: whoever goes on here does not hear them."""
        while not self._orders.held and (due := self._pace.news()) is not None:
            await self._call(due.hook, due.news)

    async def guard(self) -> None:
        """Watch over the position's guards without the strategy, as long as there are any.

        Raises `LeaseLost`.
        """
        try:
            while self._desk.guards.watching(self.view.market.condition_id) and not self._over():
                if not await self._until_resumed():
                    continue
                if self._pace.due(self._clock.now_ns()) is ON_TIMER:
                    self._on_beat()
                await self._tend()
                await self._pull_if_stale()
                await self._rest()
        finally:
            if self._fatal is None:
                await self._orders.cancel_all(self.view.market.condition_id)
        if self._fatal is not None:
            raise self._fatal

    async def _tend(self) -> None:
        """Let conditional orders and executions do what they have due."""
        self.view.now_ns = self._clock.now_ns()
        await self._desk.tend(self.view)

    async def _rest(self) -> None:
        until_ns = self._pace.wake_ns()
        if self.view.open_orders and not self._pace.pulled:
            until_ns = min(until_ns, self.view.stale_ns)
        if not self._stopping and until_ns:
            await self._wait_until(until_ns)

    async def _wait_until(self, when_ns: int) -> None:
        """Wait until a time, or less when something happens that can be worked on."""
        self._wake = asyncio.get_running_loop().create_future()
        alarm = self._clock.call_at(when_ns, self.kick)
        try:
            await self._wake
        finally:
            alarm.cancel()
            self._wake = None

    async def _pull_if_stale(self) -> None:
        """Cancel this market's orders once when its data are no longer fresh."""
        self.view.now_ns = self._clock.now_ns()
        resting = bool(self.view.open_orders)
        if (resting or self._pace.pulled) and self._pace.pull(self.view.fresh, resting):
            await self._orders.cancel_all(self.view.market.condition_id)

    # --- calling the strategy -------------------------------------------------------------------

    async def _call(self, hook: str, *news: object, closing: bool = False) -> None:
        self.view.now_ns = self._clock.now_ns()
        for one in news:
            self._told.note(one)
        intents = ask(self._strategy, hook, self.view, *news)
        if not intents:
            return
        self.decisions += len(intents)
        if any(isinstance(intent, ONCE) for intent in intents):
            self._on_decision()
        try:
            await self._desk.carry_out(intents, self.view, closing)
        except StoreUnavailable:
            # The desk holds new orders back by itself; what was cancelled is tried again.
            self._pace.touch()
