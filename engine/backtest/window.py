"""One market window of an agent: the live pace and questions, without a loop of its own."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from enum import Enum, auto
from typing import Any

from engine.asking import StrategyFailed, ask
from engine.backtest.layout import NEVER
from engine.desk import Desk
from engine.markets import MarketState
from engine.orders import OrderManager
from engine.pace import ON_TIMER, Pace
from engine.told import Told
from strategies.base import Intents, Strategy

Start = Callable[[Coroutine[Any, Any, Any]], "asyncio.Task[Any]"]


class Stage(Enum):
    """How far a window has come."""

    WAITING = auto()
    TRADING = auto()
    STOPPING = auto()
    """`on_stop` was asked; its intents are being carried out."""
    FAILED = auto()
    """The strategy raised; its orders are being cancelled."""
    GUARDING = auto()
    """Only what guards the position is still on watch."""
    CANCELLING = auto()
    OVER = auto()


_ASKING = (Stage.WAITING, Stage.TRADING, Stage.GUARDING)


class TapeWindow:
    """Implements `engine.markets.Listener`; does in turns what `engine.window.Window` does.

    Where the live window waits for an answer of the venue this one is busy: it does nothing
    until the answer is there, and goes on at that moment.

    Attributes
    ----------
    failed
        What the strategy raised, if it did.
    """

    def __init__(
        self,
        strategy: Strategy,
        state: MarketState,
        desk: Desk,
        orders: OrderManager,
        quit_ns: int,
        start: Start,
        memory: Mapping[str, Any] | None = None,
        seen_by_ns: int = 0,
    ) -> None:
        self.state = state
        self.view = state.view
        self.ladder: Any = state.ladder
        self.cadence_ms = strategy.cadence_ms
        self.on_tick = strategy.on_tick
        self.hears_trades = _overrides(strategy, "on_trade") or state.hears
        self.calls = 0
        self.failed: StrategyFailed | None = None
        self.stage = Stage.WAITING
        self.pace = Pace(state.market.start_ns, quit_ns, strategy.cadence_ms)
        if memory is not None:
            self.pace.restore(memory)
        self._told = Told(None if memory is None else memory.get("told"))
        self._seen_by_ns = seen_by_ns
        self._strategy = strategy
        self._desk = desk
        self._orders = orders
        self._start = start
        self._task: asyncio.Task[Any] | None = None
        self._condition_id = state.market.condition_id
        self._stirred = True
        self._begun = False
        self._stopping = False
        self._asks_timer = _overrides(strategy, "on_timer")

    # --- told from outside ----------------------------------------------------------------------

    def touch(self) -> None:
        self.pace.touch()
        self._stirred = True

    def tell(self, hook: str, news: object) -> None:
        if hook == "on_trade" and self._orders.held:
            return
        self.pace.tell(hook, news)
        self._stirred = True

    def rouse(self) -> None:
        self._stirred = True

    def stop(self) -> None:
        """End at the next turn: `on_stop`, then cancel."""
        self._stopping = True

    @property
    def over(self) -> bool:
        return self.stage is Stage.OVER

    @property
    def busy(self) -> bool:
        """Whether an answer of the venue is awaited."""
        return self._task is not None and not self._task.done()

    def wake_ns(self) -> int:
        """When to take a turn if nothing happens before."""
        if self.over or self.busy:
            return NEVER
        if self._task is not None or self._stopping:
            return 0
        if self.stage not in (Stage.TRADING, Stage.GUARDING):
            return 0
        if self._stirred and self.watchful:
            return 0
        if self._asks_timer or self.view.open_orders:
            return self._rest_until_ns()
        return self.pace.idle_wake_ns()

    def _rest_until_ns(self) -> int:
        """When the live window would look again; in the past when it would not wait."""
        wake_ns = self.pace.wake_ns()
        if self.view.open_orders and not self.pace.pulled:
            return min(wake_ns, self.view.stale_ns)
        return wake_ns

    @property
    def watchful(self) -> bool:
        """Whether conditional orders or executions look at every change."""
        return self._desk.promised(self._condition_id)

    # --- taking a turn --------------------------------------------------------------------------

    def turn(self, now_ns: int) -> None:
        """Do all that is due and needs no waiting."""
        self._stirred = True
        while not self.over and not self.busy:
            if self._task is not None:
                self._finish_task()
                continue
            if not self._advance(now_ns):
                return

    def _advance(self, now_ns: int) -> bool:
        """Take one step; False when nothing is due."""
        ends = self._stopping or self.pace.over(now_ns)
        if not self._begun:
            self._begun = True
            self.pace.begin(now_ns)
            for fill in self._told.missed(self._orders.portfolio.fills(self._condition_id)):
                self.pace.tell("on_fill", fill)
        if self._orders.held and self.stage in _ASKING:
            return self._stand_still(now_ns, ends)
        if self.stage is Stage.TRADING and not ends:
            return self._tended(now_ns) or self._pulled(now_ns) or self._work(now_ns)
        if self.stage is Stage.GUARDING and not ends and self.watchful:
            did = self._tended(now_ns) or self._pulled(now_ns)
            return did or self.pace.due(now_ns) is not None
        if self.stage is Stage.WAITING:
            if not ends and self._unseen(now_ns):
                return False
            self.stage = Stage.TRADING
            self._call("on_start", now_ns)
        elif self.stage is Stage.TRADING:
            self.stage = Stage.STOPPING
            self._call("on_stop", now_ns, closing=True)
        elif self.stage is Stage.FAILED:
            self.stage = Stage.GUARDING
            self._begin(self._desk.abandon(self.view, "the strategy failed"))
        elif self.stage is Stage.CANCELLING:
            self.stage = Stage.OVER
        else:
            self.stage = Stage.CANCELLING
            self._begin(self._orders.cancel_all(self._condition_id))
        return True

    def _stand_still(self, now_ns: int, ends: bool) -> bool:
        """Trading is suspended: only time passes, and a window that ends is not told."""
        if ends:
            self.stage = Stage.CANCELLING
            self._begin(self._orders.cancel_all(self._condition_id))
            return True
        return self.pace.beat(now_ns)

    def _tended(self, now_ns: int) -> bool:
        """Let conditional orders and executions do what they have due, once a turn."""
        if not self._stirred:
            return False
        self._stirred = False
        if not self.watchful:
            return False
        self.view.now_ns = now_ns
        self._begin(self._desk.tend(self.view))
        return True

    def _unseen(self, now_ns: int) -> bool:
        """Whether orders that were taken over wait for a book to judge them by."""
        self.view.now_ns = now_ns
        waits = bool(self.view.open_orders) and now_ns < self._seen_by_ns
        return waits and not self.view.fresh

    def _pulled(self, now_ns: int) -> bool:
        """Cancel this market's orders once when its data are no longer fresh."""
        view, resting = self.view, bool(self.view.open_orders)
        if not resting and not self.pace.pulled:
            return False
        view.now_ns = now_ns
        if not self.pace.pull(view.fresh, resting):
            return False
        self._begin(self._orders.cancel_all(self._condition_id))
        return True

    def _work(self, now_ns: int) -> bool:
        due = self.pace.due(now_ns)
        if due is None:
            return False
        if due is ON_TIMER and not self._asks_timer:
            return True
        if due.news is None:
            self._call(due.hook, now_ns)
        else:
            self._call(due.hook, now_ns, due.news)
        return True

    def _call(self, hook: str, now_ns: int, *news: object, closing: bool = False) -> None:
        self.view.now_ns = now_ns
        self.calls += 1
        try:
            intents = ask(self._strategy, hook, self.view, *news)
        except StrategyFailed as error:
            self._fail(error)
            return
        if intents:
            self._begin(self._desk.carry_out(intents, self.view, closing))

    def answered(self, answer: Intents, now_ns: int) -> None:
        """Take what `on_tick` returned when it was called from outside."""
        self.view.now_ns = now_ns
        try:
            intents = ask(_Answered(answer), "on_tick", self.view)
        except StrategyFailed as error:
            self._fail(error)
            return
        if intents:
            self._begin(self._desk.carry_out(intents, self.view, False))

    def raised(self, hook: str, error: Exception) -> None:
        """Take what a hook raised when it was called from outside."""
        self._fail(StrategyFailed(hook, error))

    def _fail(self, error: StrategyFailed) -> None:
        self.failed = self.failed or error
        self.stage = Stage.FAILED

    def _begin(self, work: Coroutine[Any, Any, Any]) -> None:
        self._task = self._start(work)

    def _finish_task(self) -> None:
        task, self._task = self._task, None
        assert task is not None
        task.result()


class _Answered(Strategy):
    """Gives an answer that was already given, so that it is run through as any other."""

    name = "answered"

    def __init__(self, answer: Intents) -> None:
        self._answer = answer

    def on_tick(self, view: object) -> Intents:
        return self._answer


def _overrides(strategy: Strategy, hook: str) -> bool:
    """Whether a strategy, its class or the instance itself, has a hook of its own."""
    return hook in vars(strategy) or getattr(type(strategy), hook) is not getattr(Strategy, hook)
