"""An in-memory venue with a small honest book: one agent's key among strangers.

Prices in e4, sizes in e6. Orders of strangers stand at levels; ours rest in time priority behind
them. Nothing is delivered by itself: news for the user channel waits in `news`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fakes.wire import Wire

from engine.ports import Clock
from models.errors import BadValue, VenueRejected
from models.events import OrderUpdate, TradeUpdate
from models.markets import FeeSchedule, Market, Outcome, Side, taker_fee_e6
from models.orders import (
    CancelReport,
    OrderRequest,
    OrderState,
    Role,
    SignedOrder,
    SubmitAck,
    TimeInForce,
    TradeStatus,
    VenueLeg,
    VenueOrder,
    VenueTrade,
)
from models.units import PRICE_ONE, SECOND_NS, notional_e6

LOT_E6 = 10_000


def make_market(
    name: str = "m1", *, rate_ppm: int = 70_000, start_s: int = 1_800_000_000
) -> Market:
    return Market(
        condition_id=f"0x{name}",
        slug=f"btc-updown-15m-{name}",
        question="Bitcoin up or down?",
        asset="BTC",
        timeframe="15m",
        up_token=f"{name}-up",
        down_token=f"{name}-down",
        start_ns=start_s * SECOND_NS,
        end_ns=(start_s + 900) * SECOND_NS,
        tick_e4=100,
        min_size_e6=5_000_000,
        fee=FeeSchedule(rate_ppm=rate_ppm),
    )


@dataclass(slots=True)
class Resident:
    """One of our orders as the venue has it."""

    signed: SignedOrder
    state: OrderState
    matched_e6: int = 0
    spent_e6: int = 0

    @property
    def request(self) -> OrderRequest:
        return self.signed.request

    @property
    def open(self) -> bool:
        return self.state in (OrderState.LIVE, OrderState.DELAYED)

    @property
    def left_e6(self) -> int:
        return self.request.size_e6 - self.matched_e6


@dataclass(slots=True)
class Levels:
    """What strangers bid and ask for one token: size by price."""

    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)

    def against(self, taker: Side) -> dict[int, int]:
        return self.asks if taker is Side.BUY else self.bids


class FakeVenue:
    """Implements `engine.ports.Venue`; the methods below `# --- the world` play everyone else."""

    def __init__(self, clock: Clock, wire: Wire, *markets: Market) -> None:
        self.markets = {market.condition_id: market for market in markets}
        self.orders: dict[str, Resident] = {}
        self.venue_trades: dict[str, VenueTrade] = {}
        self.levels: dict[str, Levels] = {}
        self.news: list[OrderUpdate | TradeUpdate] = []
        self.hidden: set[str] = set()
        """Ids of trades that happened but that REST does not list yet."""
        self.blind: set[str] = set()
        """Ids of open orders that REST does not show."""
        self.delaying = False
        """Whether orders that cross wait for `release` first."""
        self.last_beat_ns: int | None = None
        self._clock = clock
        self._wire = wire
        self._salt = 0

    # --- the port -----------------------------------------------------------------------------

    async def sign(self, request: OrderRequest, market: Market) -> SignedOrder:
        if not 0 < request.price_e4 < PRICE_ONE or request.price_e4 % market.tick_e4:
            raise BadValue(f"price {request.price_e4} is off the grid of {market.tick_e4}")
        if request.size_e6 < market.min_size_e6 or request.size_e6 % LOT_E6:
            raise BadValue(f"size {request.size_e6} is below the minimum or off the grid")
        return await self._wire.carry("sign", lambda: self._signed(request))

    def _signed(self, request: OrderRequest) -> SignedOrder:
        self._salt += 1
        order_id = "0x" + hashlib.sha256(f"{self._salt}:{request}".encode()).hexdigest()[:16]
        cash = notional_e6(request.price_e4, request.size_e6)
        return SignedOrder(order_id, request, cash, request.size_e6, {"salt": self._salt})

    async def submit(self, order: SignedOrder) -> SubmitAck:
        return await self._wire.carry("submit", lambda: self._accept(order))

    async def cancel(self, order_ids: Sequence[str]) -> CancelReport:
        ids = tuple(order_ids)
        return await self._wire.carry("cancel", lambda: self._cancel(ids))

    async def cancel_all(self) -> CancelReport:
        return await self._wire.carry("cancel_all", lambda: self._cancel(tuple(self.open_ids())))

    async def order(self, order_id: str) -> VenueOrder | None:
        return await self._wire.carry("order", lambda: self._shown(order_id))

    async def open_orders(self, condition_id: str | None = None) -> list[VenueOrder]:
        def listed() -> list[VenueOrder]:
            shown = [self._shown(order_id) for order_id in self.open_ids()]
            return [v for v in shown if v and condition_id in (None, v.condition_id)]

        return await self._wire.carry("open_orders", listed)

    async def trades(
        self, *, condition_id: str | None = None, after_s: int | None = None
    ) -> list[VenueTrade]:
        def listed() -> list[VenueTrade]:
            return [
                trade
                for trade in self.venue_trades.values()
                if trade.trade_id not in self.hidden
                and condition_id in (None, trade.condition_id)
                and trade.matched_ns // SECOND_NS >= (after_s or 0)
            ]

        return await self._wire.carry("trades", listed)

    async def cash_e6(self) -> int:
        return await self._wire.carry("cash", self.ledger_cash_e6)

    async def shares_e6(self, token_id: str) -> int:
        return await self._wire.carry("shares", lambda: self.ledger_shares_e6(token_id))

    async def heartbeat(self) -> None:
        def beat() -> None:
            self.sweep()
            self.last_beat_ns = self._clock.now_ns()

        await self._wire.carry("heartbeat", beat)

    async def close(self) -> None:
        return None

    # --- matching -----------------------------------------------------------------------------

    def _accept(self, order: SignedOrder) -> SubmitAck:
        self.sweep()
        if order.order_id in self.orders:
            raise VenueRejected(f"order {order.order_id} is invalid. Duplicated.", "duplicate")
        request = order.request
        crossing = self._crossing_e6(request)
        if request.post_only and crossing:
            raise VenueRejected("invalid post-only order: order crosses book", "crosses")
        short = request.tif is TimeInForce.FOK and crossing < request.size_e6
        if short or (request.tif is TimeInForce.FAK and not crossing):
            raise VenueRejected("no orders found to match", "unmatched")
        ours = Resident(order, OrderState.LIVE)
        self.orders[order.order_id] = ours
        if self.delaying and crossing:
            ours.state = OrderState.DELAYED
            self._tell(ours)
            return SubmitAck(order.order_id, OrderState.DELAYED)
        trade_ids = self._take(ours)
        state = OrderState.FILLED if trade_ids else OrderState.LIVE
        return SubmitAck(order.order_id, state, tuple(trade_ids))

    def _crossing_e6(self, request: OrderRequest) -> int:
        """Shares on the other side, at the limit or better."""
        level = self._levels(request.token_id).against(request.side)
        strangers = sum(size for price, size in level.items() if _crosses(request, price))
        own = sum(o.left_e6 for o in self._opposite(request))
        return strangers + own

    def _opposite(self, request: OrderRequest) -> list[Resident]:
        return [
            other
            for other in self.orders.values()
            if other.state is OrderState.LIVE
            and other.request.token_id == request.token_id
            and other.request.side is request.side.opposite
            and _crosses(request, other.request.price_e4)
        ]

    def _take(self, ours: Resident) -> list[str]:
        """Match an order that arrives, best prices first, strangers before our own."""
        request = ours.request
        level = self._levels(request.token_id).against(request.side)
        makers: list[tuple[int, Resident | None]] = [(p, None) for p in level]
        makers += [(o.request.price_e4, o) for o in self._opposite(request)]
        makers.sort(key=lambda maker: maker[0], reverse=request.side is Side.SELL)
        ids = []
        for price, own in makers:
            there = level[price] if own is None else own.left_e6
            size = min(self._wanted_e6(ours, price), there)
            if size <= 0 or not _crosses(request, price):
                continue
            legs = [self._matched(ours, price, size, Role.TAKER)]
            if own is None:
                level[price] -= size
                legs.append(_stranger(request, price, size, Role.MAKER))
            else:
                legs.append(self._matched(own, price, size, Role.MAKER))
            ids.append(self._trade(request, legs))
            if own is not None:
                self._rest(own)
        self._rest(ours)
        return ids

    def _wanted_e6(self, ours: Resident, price_e4: int) -> int:
        request = ours.request
        if not (request.tif.immediate and request.side is Side.BUY):
            return ours.left_e6
        cash = notional_e6(request.price_e4, request.size_e6) - ours.spent_e6
        return cash * PRICE_ONE // price_e4 // LOT_E6 * LOT_E6

    def _matched(self, ours: Resident, price_e4: int, size_e6: int, role: Role) -> VenueLeg:
        request = ours.request
        cash = notional_e6(price_e4, size_e6)
        ours.matched_e6 += size_e6
        ours.spent_e6 += cash
        schedule = self.markets[request.condition_id].fee
        fee = taker_fee_e6(price_e4, size_e6, schedule) if role is Role.TAKER else 0
        order_id = ours.signed.order_id
        return VenueLeg(order_id, request.token_id, request.side, role, size_e6, cash, fee)

    def _trade(self, request: OrderRequest, legs: Sequence[VenueLeg]) -> str:
        trade = VenueTrade(
            trade_id=f"t{len(self.venue_trades) + 1}",
            condition_id=request.condition_id,
            status=TradeStatus.MATCHED,
            matched_ns=self._clock.now_ns(),
            legs=tuple(legs),
        )
        self.venue_trades[trade.trade_id] = trade
        self._tell_trade(trade)
        return trade.trade_id

    def _rest(self, ours: Resident) -> None:
        """Leave what is open in the book, or end the order."""
        if not ours.open:
            return
        immediate = ours.request.tif.immediate
        if immediate or ours.left_e6 <= 0:
            ours.state = OrderState.FILLED
        self._tell(ours)

    def _levels(self, token_id: str) -> Levels:
        return self.levels.setdefault(token_id, Levels())

    def _cancel(self, order_ids: Sequence[str]) -> CancelReport:
        self.sweep()
        gone, refused = [], {}
        for order_id in order_ids:
            ours = self.orders.get(order_id)
            if ours is not None and ours.state is OrderState.LIVE:
                self._end(ours)
                gone.append(order_id)
            elif ours is not None and ours.state is OrderState.DELAYED:
                refused[order_id] = "order is delayed"
            else:
                refused[order_id] = "Order not found or already canceled"
        return CancelReport(tuple(gone), refused)

    def _end(self, ours: Resident) -> None:
        ours.state = OrderState.CANCELLED
        self._tell(ours)

    def _shown(self, order_id: str) -> VenueOrder | None:
        self.sweep()
        ours = self.orders.get(order_id)
        if ours is None or not ours.open or order_id in self.blind:
            return None
        request = ours.request
        return VenueOrder(
            order_id=order_id,
            condition_id=request.condition_id,
            token_id=request.token_id,
            side=request.side,
            price_e4=request.price_e4,
            original_size_e6=request.size_e6,
            size_matched_e6=ours.matched_e6,
            state=ours.state,
        )

    def _tell(self, ours: Resident) -> None:
        now = self._clock.now_ns()
        order_id, cid = ours.signed.order_id, ours.request.condition_id
        self.news.append(OrderUpdate(now, now, order_id, cid, ours.state, ours.matched_e6))

    def _tell_trade(self, trade: VenueTrade) -> None:
        now = self._clock.now_ns()
        self.news.append(TradeUpdate(now, now, trade))

    # --- the world ----------------------------------------------------------------------------

    def stand(self, token_id: str, side: Side, price_e4: int, size_e6: int) -> None:
        """Strangers bid (BUY) or ask (SELL) at a price."""
        levels = self._levels(token_id)
        book = levels.bids if side is Side.BUY else levels.asks
        book[price_e4] = book.get(price_e4, 0) + size_e6

    def hit(self, order_id: str, size_e6: int) -> str | None:
        """A stranger takes from one of our resting orders; return the trade's id."""
        ours = self.orders[order_id]
        size = min(size_e6, ours.left_e6)
        if ours.state is not OrderState.LIVE or size <= 0:
            return None
        leg = self._matched(ours, ours.request.price_e4, size, Role.MAKER)
        stranger = _stranger(ours.request, ours.request.price_e4, size, Role.TAKER)
        trade_id = self._trade(ours.request, [stranger, leg])
        self._rest(ours)
        return trade_id

    def progress(self, trade_id: str, status: TradeStatus) -> None:
        """A trade settles further, or fails."""
        trade = self.venue_trades[trade_id]
        if status.rank > trade.status.rank:
            trade = replace(trade, status=status, transaction_hash=f"0x{trade_id}")
            self.venue_trades[trade_id] = trade
            self._tell_trade(trade)

    def drop(self, order_id: str) -> None:
        """The venue cancels one of our orders on its own."""
        if self.orders[order_id].open:
            self._end(self.orders[order_id])

    def release(self) -> None:
        """Let delayed orders reach the book."""
        for ours in list(self.orders.values()):
            if ours.state is OrderState.DELAYED:
                ours.state = OrderState.LIVE
                if not self._take(ours) and ours.request.tif.immediate:
                    self._end(ours)

    def sweep(self) -> None:
        """Cancel everything if the key armed the dead man's switch and fell silent."""
        if self.last_beat_ns is None:
            return
        if self._clock.now_ns() - self.last_beat_ns > 10 * SECOND_NS:
            for order_id in self.open_ids():
                self.drop(order_id)

    # --- the truth ----------------------------------------------------------------------------

    def open_ids(self) -> list[str]:
        return [order_id for order_id, ours in self.orders.items() if ours.open]

    def legs(self, order_id: str | None = None) -> list[VenueLeg]:
        """Our legs of trades that did not fail."""
        return [
            leg
            for trade in self.venue_trades.values()
            if trade.status is not TradeStatus.FAILED
            for leg in trade.legs
            if leg.order_id in self.orders and order_id in (None, leg.order_id)
        ]

    def ledger_cash_e6(self) -> int:
        """Net cash our trades brought, fees included."""
        signed = {Side.BUY: -1, Side.SELL: 1}
        return sum(signed[leg.side] * leg.cash_e6 - leg.fee_e6 for leg in self.legs())

    def ledger_shares_e6(self, token_id: str) -> int:
        signed = {Side.BUY: 1, Side.SELL: -1}
        return sum(
            signed[leg.side] * leg.size_e6 for leg in self.legs() if leg.token_id == token_id
        )


def _crosses(request: OrderRequest, price_e4: int) -> bool:
    if request.side is Side.BUY:
        return price_e4 <= request.price_e4
    return price_e4 >= request.price_e4


def _stranger(request: OrderRequest, price_e4: int, size_e6: int, role: Role) -> VenueLeg:
    """The other side: another agent of the same account, whose leg must not be counted as ours."""
    cash = notional_e6(price_e4, size_e6)
    side = request.side.opposite
    return VenueLeg("0xstranger", request.token_id, side, role, size_e6, cash, 0)


def make_request(
    market: Market,
    intent_id: str,
    *,
    side: Side = Side.BUY,
    outcome: Outcome = Outcome.UP,
    price_e4: int = 5000,
    shares: int = 10,
    tif: TimeInForce = TimeInForce.GTC,
    post_only: bool = False,
    agent: str = "anna",
) -> OrderRequest:
    """A request with everything sensible, so that a test names only what it is about."""
    return OrderRequest(
        intent_id=intent_id,
        agent=agent,
        condition_id=market.condition_id,
        token_id=market.token(outcome),
        outcome=outcome,
        side=side,
        price_e4=price_e4,
        size_e6=shares * 1_000_000,
        tif=tif,
        post_only=post_only,
    )
