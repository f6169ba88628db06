"""The markets a trader knows: their books, their views, whether their data are fresh."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from engine.book import Ladder
from engine.indicators import Indicators
from engine.orders import OrderManager
from engine.portfolio import Portfolio
from engine.spot import SpotHistory
from engine.view import MarketView
from models.events import (
    BookChange,
    BookSnapshot,
    Channel,
    FeedState,
    FeedStatus,
    MarketResolved,
    SpotSource,
    SpotTick,
    TickSizeChange,
    TradePrint,
)
from models.markets import Market
from models.units import PRICE_ONE, SECOND_NS


class Listener(Protocol):
    """A window that is traded; see `engine.window.Window`."""

    def touch(self) -> None:
        """Something in view changed."""
        ...

    def tell(self, hook: str, news: object) -> None:
        """Call a hook of the strategy soon."""
        ...

    def rouse(self) -> None:
        """Look now, whatever the cadence: perhaps the data are no longer to be trusted."""
        ...


@dataclass(slots=True)
class MarketState:
    """One market while it is traded or waits for its resolution."""

    market: Market
    view: MarketView
    window: Listener | None = None
    watched: bool = False
    """Whether the feed was asked for it."""
    resolved: MarketResolved | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when `resolved` is."""
    hears: bool = field(init=False)
    """Whether any indicator is of this market's book or trades."""

    def __post_init__(self) -> None:
        self.hears = self.view.features.hears

    @property
    def ladder(self) -> Ladder:
        return self.view.ladder

    def change(self, market: Market) -> None:
        """Take a market with a new tick or a strike."""
        self.market = market
        self.view.market = market


class MarketData:
    """Books by condition id, spot by asset and source, and how old they may be.

    Only Up's book is kept: Down's is its exact mirror.
    """

    def __init__(
        self,
        orders: OrderManager,
        portfolio: Portfolio,
        max_book_age_s: float,
        max_spot_age_s: float,
        indicators: Indicators | None = None,
    ) -> None:
        self.states: dict[str, MarketState] = {}
        self.strikes: dict[str, int] = {}
        """Strikes an earlier session knew, by condition id."""
        self.paces: dict[str, Mapping[str, Any]] = {}
        """Where an earlier session's windows were, by condition id: see `engine.pace`."""
        self.indicators = indicators or Indicators()
        """What the strategy declared; fed here."""
        self._orders = orders
        self._portfolio = portfolio
        self._max_book_ns = round(max_book_age_s * SECOND_NS)
        self._max_spot_ns = round(max_spot_age_s * SECOND_NS)
        self._spot: dict[tuple[str, SpotSource], SpotHistory] = {}
        self._spot_recv_ns: dict[str, int] = {}
        self._channels: dict[Channel, FeedState] = {}

    # --- knowing --------------------------------------------------------------------------------

    def state(self, market: Market) -> MarketState:
        """Return the market's state, a new one the first time."""
        known = self.states.get(market.condition_id)
        if known is not None:
            strike = known.market.strike_e8
            # Until it is watched nobody tells of a new tick: what discovery says is newer.
            tick = known.market.tick_e4 if known.watched else market.tick_e4
            if (tick, strike or market.strike_e8) != (known.market.tick_e4, strike):
                known.change(
                    replace(known.market, tick_e4=tick, strike_e8=strike or market.strike_e8)
                )
            return known
        if market.strike_e8 is None:
            market = replace(market, strike_e8=self.strikes.get(market.condition_id))
        ladder = self.new_ladder(market)
        asset = market.asset

        def fresh(now_ns: int) -> bool:
            return self.fresh(ladder, asset, now_ns)

        def fresh_until() -> int:
            return self.fresh_until_ns(ladder, asset)

        spot = self.history(asset, SpotSource.CHAINLINK)
        features = self.indicators.market(market.condition_id, asset)
        view = MarketView(
            market, ladder, spot, self._orders, self._portfolio, fresh, features, fresh_until
        )
        state = self.states[market.condition_id] = MarketState(market, view)
        return state

    def new_ladder(self, market: Market) -> Ladder:
        """Make the book of a market that is new here."""
        return Ladder()

    def history(self, asset: str, source: SpotSource) -> SpotHistory:
        known = self._spot.get((asset, source))
        if known is None:
            known = self._spot[asset, source] = SpotHistory()
        return known

    def histories(self, source: SpotSource) -> dict[str, SpotHistory]:
        """Return the histories of one source by asset."""
        return {asset: rows for (asset, kind), rows in self._spot.items() if kind is source}

    def fresh(self, ladder: Ladder, asset: str, now_ns: int) -> bool:
        """Whether a book and its spot price are young enough to act on."""
        down = (FeedState.DOWN, FeedState.STALE)
        if self._channels.get(Channel.MARKET) in down or self._channels.get(Channel.SPOT) in down:
            return False
        if not ladder.ready or ladder.crossed or now_ns - ladder.recv_ns > self._max_book_ns:
            return False
        return now_ns - self._spot_recv_ns.get(asset, 0) <= self._max_spot_ns

    def fresh_until_ns(self, ladder: Ladder, asset: str) -> int:
        """The last moment at which these data are young enough, if nothing comes; 0 if none."""
        book_ns = ladder.recv_ns + self._max_book_ns
        until = min(book_ns, self._spot_recv_ns.get(asset, 0) + self._max_spot_ns)
        return until if self.fresh(ladder, asset, until) else 0

    def unseen_until_ns(self, asset: str, until_ns: int) -> int:
        """How long orders may stand that were taken over, without a book seen here: `until_ns` at
        most, and while the price that the session before heard last is young enough."""
        return min(until_ns, self._spot_recv_ns.get(asset, 0) + self._max_spot_ns)

    def spot_heard_ns(self) -> dict[str, int]:
        """When each asset's price was last heard."""
        return dict(self._spot_recv_ns)

    def hear_spot(self, recv_ns: Mapping[str, int]) -> None:
        """Take over when prices were last heard: they are as old as they are."""
        for asset, at_ns in recv_ns.items():
            self._spot_recv_ns[asset] = max(at_ns, self._spot_recv_ns.get(asset, 0))

    def marks_e4(self) -> dict[str, int]:
        """What each held token could be sold for: its best bid, where there is one."""
        marks: dict[str, int] = {}
        for state in self.states.values():
            bid, ask = state.ladder.bid_e4, state.ladder.ask_e4
            if bid is not None:
                marks[state.market.up_token] = bid
            if ask is not None:
                marks[state.market.down_token] = PRICE_ONE - ask
        return marks

    # --- hearing --------------------------------------------------------------------------------

    def book(self, event: BookSnapshot | BookChange) -> None:
        state = self.states.get(event.condition_id)
        if state is None or event.token_id != state.market.up_token:
            return
        ladder = state.view.ladder
        ladder.apply(event)
        if state.hears:
            bid, ask = ladder.bid_e4, ladder.ask_e4
            if ladder.ready and bid is not None and ask is not None and bid < ask:
                sizes = ladder.bid_size_e6, ladder.ask_size_e6
                state.view.features.on_book(event.ts_ns, bid, sizes[0], ask, sizes[1])
        if state.window is not None:
            state.window.touch()

    def trade(self, event: TradePrint) -> None:
        state = self.states.get(event.condition_id)
        if state is None:
            return
        if state.hears:
            state.view.features.on_trade(event.ts_ns, event.size_e6)
        if state.window is not None:
            state.window.tell("on_trade", event)

    def tick_size(self, event: TickSizeChange) -> None:
        state = self.states.get(event.condition_id)
        if state is not None and state.market.tick_e4 != event.tick_e4:
            state.change(replace(state.market, tick_e4=event.tick_e4))
            if state.window is not None:
                state.window.touch()

    def past_spot(self, event: SpotTick) -> None:
        """Take a price that tells only of the past."""
        self.history(event.asset, event.source).append(event.ts_ns, event.price_e8)
        if event.source is SpotSource.CHAINLINK and self.indicators.hears_spot:
            self.indicators.on_spot(event.asset, event.ts_ns, event.price_e8)

    def spot(self, event: SpotTick) -> None:
        self.past_spot(event)
        if event.source is not SpotSource.CHAINLINK:
            return
        self._spot_recv_ns[event.asset] = event.recv_ns
        for state in self.states.values():
            if state.window is not None and state.market.asset == event.asset:
                state.window.touch()

    def resolved(self, event: MarketResolved) -> None:
        state = self.states.get(event.condition_id)
        if state is not None and state.resolved is None:
            state.resolved = event
            state.settled.set()

    def status(self, event: FeedStatus) -> None:
        """Note a channel's state. After a lost connection books wait for a new snapshot."""
        self._channels[event.channel] = event.state
        if event.channel is Channel.MARKET and event.state is FeedState.DOWN:
            for state in self.states.values():
                state.ladder.clear()
                state.view.features.on_dark()
        if event.channel is Channel.SPOT and event.state is FeedState.DOWN:
            self.indicators.on_dark()
        for state in self.states.values():
            if state.window is not None:
                state.window.touch()
                state.window.rouse()
