"""The venue's ports over the real matching core, in memory and on a manual clock."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from engine.clock import ManualClock
from engine.matching import Exchange
from engine.matching.types import (
    Cancelled,
    CancelRefused,
    CoreEvent,
    CoreOrder,
    Leg,
    LevelChanged,
    Matched,
    Placed,
    Released,
    TickChanged,
)
from engine.ports import Sink
from models.errors import BadValue, VenueUnavailable
from models.events import (
    BookChange,
    BookSnapshot,
    Channel,
    FeedState,
    FeedStatus,
    MarketResolved,
    OrderUpdate,
    SpotSource,
    SpotTick,
    TickSizeChange,
    TradePrint,
    TradeUpdate,
)
from models.markets import Market, Outcome, Side
from models.orders import (
    CancelReport,
    OrderRequest,
    OrderState,
    Role,
    SignedOrder,
    SubmitAck,
    TradeStatus,
    VenueLeg,
    VenueOrder,
    VenueTrade,
)
from models.units import MILLISECOND_NS, PRICE_ONE, SECOND_NS, SPOT_USD

OURS, STREET = "ours", "street"
CENT_E6 = 10_000
MINED_NS, CONFIRMED_NS = 2 * SECOND_NS, 4 * SECOND_NS


class ExchangeVenue:
    """Implements Venue, Feed and Discovery; what the exchange does reaches the sink at once."""

    def __init__(self, clock: ManualClock, cash_e6: int, latency_ms: int = 0) -> None:
        self.exchange = Exchange()
        self.exchange.open_account(OURS, cash_e6)
        self.exchange.open_account(STREET, unlimited=True)
        self.markets: dict[str, Market] = {}
        self.strikes: dict[str, int] = {}
        self.venue_trades: dict[str, VenueTrade] = {}
        self.watched: set[str] = set()
        self.unavailable: list[VenueUnavailable] = []
        self.submitted: list[OrderRequest] = []
        self.tell_resolution = True
        self.resolutions_asked = 0
        self._latency_s = latency_ms / 1000
        self._clock = clock
        self._sink: Sink | None = None
        self._salt = 0
        self._by_token: dict[str, Market] = {}

    # --- Venue --------------------------------------------------------------------------------

    async def sign(self, request: OrderRequest, market: Market) -> SignedOrder:
        if request.price_e4 % self.exchange.tick_e4(request.condition_id):
            raise BadValue(f"price {request.price_e4} is off the grid")
        self._salt += 1
        order_id = "0x" + hashlib.sha256(f"{self._salt}:{request}".encode()).hexdigest()[:16]
        maker, taker = _amounts(request)
        return SignedOrder(order_id, request, maker, taker, {"salt": self._salt})

    async def submit(self, order: SignedOrder) -> SubmitAck:
        await self._travel()
        if self.unavailable:
            raise self.unavailable.pop(0)
        request = order.request
        self.submitted.append(request)
        cash_limited = request.tif.immediate and request.side is Side.BUY
        core = CoreOrder(
            order_id=order.order_id,
            account=OURS,
            condition_id=request.condition_id,
            token_id=request.token_id,
            side=request.side,
            price_e4=request.price_e4,
            maker_amount_e6=order.maker_amount_e6,
            taker_amount_e6=order.taker_amount_e6,
            size_e6=order.taker_amount_e6 if cash_limited else request.size_e6,
            tif=request.tif,
            post_only=request.post_only,
            expires_s=request.expires_s,
            created_ns=self._clock.now_ns(),
        )
        events = self.exchange.submit(core, self._clock.now_ns())
        self.spread(events)
        state = next(event.status for event in events if isinstance(event, Placed))
        if state is OrderState.CANCELLED:
            state = OrderState.FILLED
        return SubmitAck(order.order_id, state)

    async def cancel(self, order_ids: Sequence[str]) -> CancelReport:
        await self._travel()
        gone, refused = [], {}
        for order_id in order_ids:
            try:
                self.spread(self.exchange.cancel(order_id, self._clock.now_ns()))
                gone.append(order_id)
            except CancelRefused as error:
                refused[order_id] = str(error)
        return CancelReport(tuple(gone), refused)

    async def cancel_all(self) -> CancelReport:
        await self._travel()
        ids = [status.order.order_id for status in self.exchange.open_orders(OURS)]
        self.spread(self.exchange.cancel_account(OURS, self._clock.now_ns()))
        return CancelReport(tuple(ids))

    async def order(self, order_id: str) -> VenueOrder | None:
        status = self.exchange.order(order_id)
        return None if status is None or status.state.terminal else _shown(status)

    async def open_orders(self, condition_id: str | None = None) -> list[VenueOrder]:
        found = [_shown(status) for status in self.exchange.open_orders(OURS)]
        return [order for order in found if condition_id in (None, order.condition_id)]

    async def trades(
        self, *, condition_id: str | None = None, after_s: int | None = None
    ) -> list[VenueTrade]:
        return [
            trade
            for trade in self.venue_trades.values()
            if condition_id in (None, trade.condition_id)
            and trade.matched_ns // SECOND_NS >= (after_s or 0)
        ]

    async def cash_e6(self) -> int:
        return self.exchange.balance(OURS).cash_e6

    async def shares_e6(self, token_id: str) -> int:
        return self.exchange.shares(OURS, token_id)[0]

    async def heartbeat(self) -> None:
        return None

    async def close(self) -> None:
        self._sink = None

    async def _travel(self) -> None:
        if self._latency_s:
            await self._clock.sleep(self._latency_s)

    # --- Feed ---------------------------------------------------------------------------------

    async def start(self, sink: Sink) -> None:
        self._sink = sink
        for channel in Channel:
            self.status(channel, FeedState.UP)

    async def watch(self, market: Market) -> None:
        self.watched.add(market.condition_id)
        self.snapshot(market)

    async def unwatch(self, market: Market) -> None:
        self.watched.discard(market.condition_id)

    # --- Discovery ----------------------------------------------------------------------------

    async def market(self, asset: str, timeframe: str, start_s: int) -> Market | None:
        for market in self.markets.values():
            if market.asset == asset and market.start_ns == start_s * SECOND_NS:
                strike = self.strikes.get(market.condition_id)
                return replace(market, strike_e8=strike)
        return None

    def window_start_s(self, timeframe: str, at_s: int) -> int:
        return at_s // 900 * 900

    async def resolution(self, market: Market) -> str | None:
        self.resolutions_asked += 1
        winner = self.exchange.winner(market.condition_id)
        return None if winner is None else market.token(winner)

    # --- the world ----------------------------------------------------------------------------

    def list_market(self, market: Market, taker_delay_ms: int = 0) -> Market:
        self.exchange.add_market(market, taker_delay_ms)
        self.markets[market.condition_id] = market
        for token in (market.up_token, market.down_token):
            self._by_token[token] = market
        return market

    def impose(
        self, market: Market, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]
    ) -> None:
        """Let the street's book be this; levels are Up's (price_e4, size_e6)."""
        now = self._clock.now_ns()
        self.spread(
            self.exchange.impose(market.condition_id, STREET, tuple(bids), tuple(asks), now)
        )

    def take(self, market: Market, token_id: str, side: Side, price_e4: int, size_e6: int) -> None:
        """Let the street trade against what rests."""
        now = self._clock.now_ns()
        self.spread(
            self.exchange.take(market.condition_id, STREET, token_id, side, price_e4, size_e6, now)
        )

    def spot(
        self, price: float, source: SpotSource = SpotSource.CHAINLINK, ago_ms: int = 0
    ) -> None:
        now = self._clock.now_ns()
        at = now - ago_ms * MILLISECOND_NS
        self.emit(SpotTick(at, now, "BTC", source, round(price * SPOT_USD)))

    def resolve(self, market: Market, winner: Outcome) -> None:
        now = self._clock.now_ns()
        self.spread(self.exchange.resolve(market.condition_id, winner, now))
        if self.tell_resolution:
            self.emit(MarketResolved(now, now, market.condition_id, winner))

    def status(self, channel: Channel, state: FeedState) -> None:
        now = self._clock.now_ns()
        self.emit(FeedStatus(now, now, channel, state))

    def snapshot(self, market: Market) -> None:
        now = self._clock.now_ns()
        for outcome in Outcome:
            bids, asks = self.exchange.book(market.condition_id, outcome)
            token = market.token(outcome)
            self.emit(BookSnapshot(now, now, market.condition_id, token, tuple(bids), tuple(asks)))

    def emit(self, event: object) -> None:
        if self._sink is not None:
            self._sink(event)  # type: ignore[arg-type]

    # --- from the exchange's events to the feed's -----------------------------------------------

    def spread(self, events: Iterable[CoreEvent]) -> None:
        for event in events:
            now = self._clock.now_ns()
            if isinstance(event, LevelChanged):
                self._level(event, now)
            elif isinstance(event, Matched):
                self._matched(event, now)
            elif isinstance(event, Cancelled) and event.account == OURS:
                self._update(event.order_id, event.condition_id, OrderState.CANCELLED, now)
            elif isinstance(event, Placed | Released) and event.order.account == OURS:
                self._update(event.order.order_id, event.condition_id, event.status, now)
            elif isinstance(event, TickChanged):
                market = self.markets[event.condition_id]
                for token in (market.up_token, market.down_token):
                    self.emit(
                        TickSizeChange(now, now, event.condition_id, token, event.new_tick_e4)
                    )

    def _level(self, event: LevelChanged, now: int) -> None:
        if event.condition_id not in self.watched:
            return
        market = self.markets[event.condition_id]
        up = ((event.side, event.price_e4, event.size_e6),)
        down = ((event.side.opposite, PRICE_ONE - event.price_e4, event.size_e6),)
        self.emit(BookChange(now, now, event.condition_id, market.up_token, up))
        self.emit(BookChange(now, now, event.condition_id, market.down_token, down))

    def _matched(self, event: Matched, now: int) -> None:
        trade = event.trade
        taker = trade.taker
        self.emit(
            TradePrint(
                now, now, trade.condition_id, taker.token_id, taker.side, trade.price_e4,
                trade.size_e6,
            )
        )  # fmt: skip
        legs = tuple(_leg(leg) for leg in (taker, *trade.makers) if leg.account == OURS)
        if not legs:
            return
        told = VenueTrade(
            f"t{trade.number}", trade.condition_id, TradeStatus.MATCHED, trade.matched_ns, legs
        )
        self._tell(told)
        for after, status in (
            (MINED_NS, TradeStatus.MINED),
            (CONFIRMED_NS, TradeStatus.CONFIRMED),
        ):
            later = replace(told, status=status)
            self._clock.call_at(now + after, lambda later=later: self._tell(later))
        for leg in (taker, *trade.makers):
            if leg.account == OURS:
                state = OrderState.LIVE if leg.open_e6 else OrderState.FILLED
                self._update(leg.order_id, trade.condition_id, state, now)

    def _tell(self, trade: VenueTrade) -> None:
        now = self._clock.now_ns()
        self.venue_trades[trade.trade_id] = trade
        self.emit(TradeUpdate(now, now, trade))

    def _update(self, order_id: str, condition_id: str, state: OrderState, now: int) -> None:
        status = self.exchange.order(order_id)
        matched = 0 if status is None else status.filled_e6
        self.emit(OrderUpdate(now, now, order_id, condition_id, state, matched))


def _amounts(request: OrderRequest) -> tuple[int, int]:
    """Maker and taker amount as the official client signs them."""
    exact = request.price_e4 * request.size_e6
    if request.side is Side.SELL:
        return request.size_e6, exact // PRICE_ONE
    if not request.tif.immediate:
        return -(-exact // PRICE_ONE), request.size_e6
    cash = exact // PRICE_ONE // CENT_E6 * CENT_E6
    return cash, cash * PRICE_ONE // request.price_e4 // 100 * 100


def _shown(status: object) -> VenueOrder:
    order = status.order  # type: ignore[attr-defined]
    return VenueOrder(
        order_id=order.order_id,
        condition_id=order.condition_id,
        token_id=order.token_id,
        side=order.side,
        price_e4=order.price_e4,
        original_size_e6=order.size_e6,
        size_matched_e6=status.filled_e6,  # type: ignore[attr-defined]
        state=status.state,  # type: ignore[attr-defined]
    )


def _leg(leg: Leg) -> VenueLeg:
    role = Role.TAKER if leg.role is Role.TAKER else Role.MAKER
    return VenueLeg(
        leg.order_id, leg.token_id, leg.side, role, leg.size_e6, leg.cash_e6, leg.fee_e6
    )
