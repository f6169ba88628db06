"""Markets that are being settled, each once, beside the windows that are traded."""

import asyncio
from collections.abc import Callable

import structlog

from engine.asking import StrategyFailed
from engine.clock import WaitingClock
from engine.desk import Desk
from engine.failing import Failures
from engine.markets import MarketData, MarketState
from engine.ports import Feed
from engine.reports import Reporter
from engine.settling import STORE_RETRY_S, Settler
from engine.standing import Standing
from models.errors import StoreUnavailable
from models.journal import WindowResult
from models.markets import Market
from strategies.base import Strategy

log = structlog.get_logger(__name__)


class Settlements:
    """Settles one agent's markets and clears them away.

    Parameters
    ----------
    know
        Gives a market's state, a new one the first time.
    on_settled
        Told once of every market that is settled.
    """

    def __init__(
        self,
        settler: Settler,
        know: Callable[[Market], MarketState],
        strategy: Strategy,
        data: MarketData,
        standing: Standing,
        desk: Desk,
        feed: Feed,
        failures: Failures,
        reporter: Reporter,
        clock: WaitingClock,
        on_settled: Callable[[], None],
    ) -> None:
        self._settler = settler
        self._know = know
        self._strategy = strategy
        self._data = data
        self._standing = standing
        self._desk = desk
        self._feed = feed
        self._failures = failures
        self._reporter = reporter
        self._clock = clock
        self._on_settled = on_settled
        self._tasks: dict[str, asyncio.Task[WindowResult]] = {}

    def begun(self, condition_id: str) -> bool:
        """Whether a market was given here before."""
        return condition_id in self._tasks

    def running(self) -> list[asyncio.Task[WindowResult]]:
        return [task for task in self._tasks.values() if not task.done()]

    async def settle(self, market: Market) -> WindowResult:
        """See `engine.trader.Trader.settle`."""
        task = self._tasks.get(market.condition_id)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._settle(market), name=f"settle {market.slug}")
            self._tasks[market.condition_id] = task
        return await asyncio.shield(task)

    async def _settle(self, market: Market) -> WindowResult:
        state = self._know(market)
        resolved, result = await self._settler.settle(state)
        condition_id = market.condition_id
        try:
            state.view.now_ns = self._clock.now_ns()
            self._strategy.on_resolution(state.view, resolved)
        except Exception as error:
            self._failures.note(market, StrategyFailed("on_resolution", error))
        self._reporter.settled(result)
        self._on_settled()
        if state.watched:
            await self._feed.unwatch(market)
        self._data.states.pop(condition_id, None)
        self._standing.markets.pop(condition_id, None)
        await self._close(market)
        return result

    async def _close(self, market: Market) -> None:
        """End what was promised in a market that is over, once the store takes it."""
        while True:
            try:
                await self._desk.close(market)
            except StoreUnavailable as error:
                log.warning("promises_not_closed", market=market.slug, reason=str(error))
                await self._clock.sleep(STORE_RETRY_S)
            else:
                return
