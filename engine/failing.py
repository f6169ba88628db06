"""Strategies that raise: what failed is noted, and the next window waits, ever longer."""

import asyncio

from engine.asking import StrategyFailed
from engine.clock import WaitingClock, wait_for
from engine.reports import Reporter, WindowFailure
from engine.trader_settings import TraderSettings
from models.markets import Market
from models.units import SECOND_NS


class Failures:
    """The failures of one agent's strategy.

    Attributes
    ----------
    by_market
        Windows whose strategy raised, by condition id.
    in_a_row
        Windows that failed since one ended well.
    """

    def __init__(self, reporter: Reporter, settings: TraderSettings, clock: WaitingClock) -> None:
        self.by_market: dict[str, WindowFailure] = {}
        self.in_a_row = 0
        self._reporter = reporter
        self._settings = settings
        self._clock = clock

    def note(self, market: Market, error: StrategyFailed) -> None:
        self.in_a_row += 1
        failure = WindowFailure(market.slug, str(error), error.traceback)
        self.by_market[market.condition_id] = failure
        self._reporter.failure(failure)

    async def back_off(self, until_ns: int, stopping: asyncio.Event) -> None:
        """Pause after failures, doubling, but not beyond the window or a stop."""
        if not self.in_a_row:
            return
        pause_s = min(
            self._settings.failure_backoff_s * 2.0 ** min(self.in_a_row - 1, 30),
            self._settings.failure_backoff_most_s,
            max(0.0, (until_ns - self._clock.now_ns()) / SECOND_NS),
        )
        await wait_for(self._clock, stopping, pause_s)
