"""What a trader hears from its feed, and where it goes: books, spot, strikes, windows, orders.

Everything here happens at once and without waiting.
"""

from collections.abc import Callable
from dataclasses import replace

import structlog

from engine.clock import WaitingClock
from engine.desk import Desk
from engine.markets import MarketData, MarketState
from engine.orders import OrderManager
from engine.ports import Discovery, Journal
from engine.strikes import find_strike, observed_strike_e8, settlement_source
from models.events import (
    BookChange,
    BookSnapshot,
    Channel,
    FeedEvent,
    FeedState,
    FeedStatus,
    MarketResolved,
    OrderUpdate,
    SpotTick,
    TickSizeChange,
    TradePrint,
    TradeUpdate,
)

log = structlog.get_logger(__name__)


class Hearing:
    """Passes each event on to whoever it is for.

    Parameters
    ----------
    on_reconnected
        Called when the user channel is up: what was missed must be asked for.
    """

    def __init__(
        self,
        data: MarketData,
        orders: OrderManager,
        desk: Desk,
        journal: Journal,
        discovery: Discovery,
        clock: WaitingClock,
        on_reconnected: Callable[[], object],
    ) -> None:
        self._data = data
        self._orders = orders
        self._desk = desk
        self._journal = journal
        self._discovery = discovery
        self._clock = clock
        self._on_reconnected = on_reconnected

    def hear(self, event: FeedEvent) -> None:
        """Take one event from the feed."""
        if isinstance(event, BookChange | BookSnapshot):
            self._data.book(event)
        elif isinstance(event, SpotTick):
            self._data.spot(event)
            self._observe_strikes(event)
        elif isinstance(event, TradePrint):
            self._desk.heard(event)
            self._data.trade(event)
        elif isinstance(event, OrderUpdate | TradeUpdate):
            self._orders.on_event(event)
        elif isinstance(event, TickSizeChange):
            self._data.tick_size(event)
        elif isinstance(event, MarketResolved):
            self._data.resolved(event)
        else:
            self._status(event)

    def tell(self, condition_id: str, hook: str, news: object) -> None:
        """Have a hook called in the market's window, if it is being traded."""
        state = self._data.states.get(condition_id)
        if state is not None and state.window is not None:
            state.window.tell(hook, news)

    def _status(self, event: FeedStatus) -> None:
        self._data.status(event)
        self._journal.event(
            "feed", {"channel": event.channel, "state": event.state, "detail": event.detail}
        )
        if event.channel is Channel.USER and event.state is FeedState.UP:
            self._on_reconnected()

    # --- strikes --------------------------------------------------------------------------------

    def _observe_strikes(self, tick: SpotTick) -> None:
        for state in self._data.states.values():
            market = state.market
            if (
                market.strike_e8 is None
                and market.asset == tick.asset
                and settlement_source(market) is tick.source
            ):
                self.observe_strike(state)

    def observe_strike(self, state: MarketState) -> None:
        """Take the strike from the settlement feed as soon as it shows the start second."""
        market = state.market
        history = self._data.history(market.asset, settlement_source(market))
        strike = None if market.strike_e8 else observed_strike_e8(market, history)
        if strike is not None:
            self._set_strike(state, strike, "feed")

    async def find_strike(self, state: MarketState) -> None:
        """Ask the venue for the strike until it is known."""
        strike = await find_strike(state.market, self._discovery, self._clock)
        if strike is not None:
            self._set_strike(state, strike, "venue")

    def _set_strike(self, state: MarketState, strike_e8: int, source: str) -> None:
        before = state.market.strike_e8
        if before == strike_e8:
            return
        if before is not None:
            log.warning("strike_corrected", market=state.market.slug, was=before, now=strike_e8)
        state.change(replace(state.market, strike_e8=strike_e8))
        detail = {"strike_e8": strike_e8, "source": source}
        self._journal.signal(state.market.condition_id, "strike", detail)
        if state.window is not None:
            state.window.touch()
