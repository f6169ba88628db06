"""The slow way: the live trader on a manual clock, over a tape, with a shadow that sees every row.

Nothing here is shared with the backtester but the tape and the engine's live parts.
"""

import asyncio
import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace

from fakes.journal import FakeJournal, FakeStore
from fakes.wire import Wire

from engine.backtest import BacktestAgent
from engine.book import Ladder
from engine.clock import ManualClock
from engine.fills.orders import Fill, OurOrder, Print
from engine.fills.shadow import Shadow
from engine.trader import Trader, TraderSettings
from models.errors import VenueRejected
from models.events import (
    BookChange,
    BookSnapshot,
    Channel,
    FeedState,
    FeedStatus,
    MarketResolved,
    SpotTick,
    TradePrint,
    TradeUpdate,
)
from models.fills import FillModel
from models.markets import Market, Outcome, Side
from models.orders import (
    CancelReport,
    OrderRequest,
    OrderState,
    SignedOrder,
    SubmitAck,
    TradeStatus,
    VenueLeg,
    VenueOrder,
    VenueTrade,
)
from models.tape import SPOT_SOURCES, Row, Tape
from models.units import SECOND_NS, notional_e6

CENT_E6 = 10_000
MINED_NS, CONFIRMED_NS = 2 * SECOND_NS, 4 * SECOND_NS


class Posts:
    def post(self, kind: str, text: str, **fields: object) -> None:
        """Nobody reads them here."""


class ReferenceFloor:
    """Venue, Feed and Discovery over a tape; orders and answers take constant times."""

    def __init__(
        self, tape: Tape, agent: BacktestAgent, model: FillModel, feed_ns: int, order_ns: int
    ):
        self.tape, self.model = tape, model
        self.feed_ns, self.order_ns = feed_ns, order_ns
        self.clock = ManualClock(int(tape.recv_ns[0]), drain_turns=25)
        self.shadow = Shadow(model)
        self.shadow.open_account("a", agent.spec.capital_e6)
        self.ladders: dict[int, Ladder] = {}
        self.orders: dict[str, SignedOrder] = {}
        self.known: dict[str, VenueTrade] = {}
        self.requests: list[tuple[int, OrderRequest]] = []
        self.strikes: dict[str, int] = {}
        self.watched: set[str] = set()
        self.sink: Callable[[object], None] = lambda event: None
        self.store = FakeStore()
        self.trader = Trader(
            spec=agent.spec, strategy=agent.build(), venue=self, feed=self, discovery=self,
            journal=FakeJournal(self.store, Wire()), notices=Posts(), clock=self.clock,
            limits=agent.limits,
            settings=TraderSettings(resolution_first_s=60, resolution_most_s=600),
        )  # fmt: skip

    # --- Venue ----------------------------------------------------------------------------------

    async def sign(self, request: OrderRequest, market: Market) -> SignedOrder:
        exact = request.price_e4 * request.size_e6
        maker, taker = -(-exact // 10_000), request.size_e6
        if request.side is Side.SELL:
            maker, taker = request.size_e6, exact // 10_000
        elif request.tif.immediate:
            maker = exact // 10_000 // CENT_E6 * CENT_E6
            taker = maker * 10_000 // request.price_e4 // 100 * 100
        signed = SignedOrder(f"a-{len(self.orders) + 1}", request, maker, taker, {})
        self.orders[signed.order_id] = signed
        return signed

    async def submit(self, signed: SignedOrder) -> SubmitAck:
        request = signed.request
        self.requests.append((self.clock.now_ns(), request))
        await self._sleep(self.order_ns)
        limited = request.tif.immediate and request.side is Side.BUY
        order = OurOrder(
            signed.order_id, "a", request.condition_id, request.outcome, request.side,
            request.price_e4, signed.taker_amount_e6 if limited else request.size_e6, request.tif,
            request.post_only, signed.maker_amount_e6 if limited else 0,
        )  # fmt: skip
        depth = self.shadow._rooms[request.condition_id].depth
        crosses = bool(depth.against(order.bid, order.up_price_e4))
        fills = self.shadow.place(order, self.clock.now_ns())
        trades = self._told(fills)
        await self._sleep(self.feed_ns)
        if request.post_only and crosses:
            raise VenueRejected("invalid post-only order: order crosses book", "crosses")
        if request.tif.immediate and not fills:
            raise VenueRejected("no match", "unmatched")
        state = OrderState.FILLED if request.tif.immediate else OrderState.LIVE
        return SubmitAck(signed.order_id, state, tuple(trades))

    async def cancel(self, order_ids: Sequence[str]) -> CancelReport:
        await self._sleep(self.order_ns)
        gone, refused = [], {}
        for order_id in order_ids:
            cid = self.orders[order_id].request.condition_id
            if order_id in self.shadow.ahead(cid):
                self.shadow.cancel(cid, order_id, self.clock.now_ns())
                gone.append(order_id)
            else:
                refused[order_id] = "Order not found or already canceled"
        await self._sleep(self.feed_ns)
        return CancelReport(tuple(gone), refused)

    async def cancel_all(self) -> CancelReport:
        ids = [o.order_id for o in await self.open_orders()]
        return await self.cancel(ids) if ids else CancelReport()

    async def order(self, order_id: str) -> VenueOrder | None:
        return next((o for o in await self.open_orders() if o.order_id == order_id), None)

    async def open_orders(self, condition_id: str | None = None) -> list[VenueOrder]:
        found = []
        for market in self.tape.markets:
            if condition_id in (None, market.condition_id):
                for one in self.shadow.resting(market.condition_id):
                    order = one.order
                    request = self.orders[order.order_id].request
                    found.append(
                        VenueOrder(
                            order.order_id,
                            order.condition_id,
                            request.token_id,
                            order.side,
                            order.price_e4,
                            order.size_e6,
                            order.size_e6 - one.left_e6,
                            OrderState.LIVE,
                        )
                    )
        return found

    async def trades(self, *, condition_id=None, after_s=None) -> list[VenueTrade]:
        return [t for t in self.known.values() if condition_id in (None, t.condition_id)]

    async def cash_e6(self) -> int:
        return self.shadow.accounts["a"].cash_e6

    async def shares_e6(self, token_id: str) -> int:
        return 0

    async def heartbeat(self) -> None:
        """Nothing here dies."""

    async def close(self) -> None:
        """Nothing is open."""

    async def _sleep(self, ns: int) -> None:
        await self.clock.sleep(ns / SECOND_NS)

    def _told(self, fills: Sequence[Fill]) -> list[str]:
        """Tell of fills a travel time later, and of their settlement."""
        ids = []
        for fill in fills:
            request = self.orders[fill.order_id].request
            leg = VenueLeg(
                fill.order_id, request.token_id, fill.side, fill.role, fill.size_e6,
                notional_e6(fill.price_e4, fill.size_e6), fill.fee_e6,
            )  # fmt: skip
            trade = VenueTrade(
                f"t{len(self.known) + 1}",
                fill.condition_id,
                TradeStatus.MATCHED,
                fill.at_ns,
                (leg,),
            )
            ids.append(trade.trade_id)
            self.known[trade.trade_id] = trade
            for after, status in (
                (0, TradeStatus.MATCHED),
                (MINED_NS, TradeStatus.MINED),
                (CONFIRMED_NS, TradeStatus.CONFIRMED),
            ):
                told = replace(trade, status=status)
                at = fill.at_ns + after + self.feed_ns
                self.clock.call_at(at, lambda t=told: self._tell(t))
        return ids

    def _tell(self, trade: VenueTrade) -> None:
        now = self.clock.now_ns()
        self.known[trade.trade_id] = trade
        self.sink(TradeUpdate(now, now, trade))

    # --- Feed and Discovery ---------------------------------------------------------------------

    async def start(self, sink) -> None:
        self.sink = sink
        now = self.clock.now_ns()
        for channel in Channel:
            sink(FeedStatus(now, now, channel, FeedState.UP))

    async def watch(self, market: Market) -> None:
        self.watched.add(market.condition_id)

    async def unwatch(self, market: Market) -> None:
        self.watched.discard(market.condition_id)

    async def market(self, asset: str, timeframe: str, start_s: int) -> Market | None:
        for market in self.tape.markets:
            if market.start_ns == start_s * SECOND_NS:
                return replace(market, strike_e8=self.strikes.get(market.condition_id))
        return None

    def window_start_s(self, timeframe: str, at_s: int) -> int:
        return at_s // 900 * 900

    async def resolution(self, market: Market) -> str | None:
        return None

    # --- the tape -------------------------------------------------------------------------------

    async def play(self) -> None:
        """Play the whole tape, window after window."""
        await self.trader.start()
        for market in self.tape.markets:
            self.shadow.list_market(market, self.tape.depth)
        tasks: list[asyncio.Task] = []
        steps = self._steps()
        for market in self.tape.markets:
            at = max(market.start_ns, self.clock.now_ns())
            heapq.heappush(steps, (at, 2, -1, self._opener(market, tasks)))
            known = max(at, market.start_ns + 5 * SECOND_NS)
            heapq.heappush(steps, (known - 1, 2, -1, self._publisher(market)))
        while steps:
            at, _, _, act = heapq.heappop(steps)
            await self.clock.advance_to(at - 1)
            self.clock._now_ns = max(at, self.clock._now_ns)
            act()
            await self.clock.drain()
        await self.clock.advance(30)
        await self.trader.stop("over") if not tasks else await self._stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _stop(self) -> None:
        stopping = asyncio.create_task(self.trader.stop("over"))
        for _ in range(20):
            await self.clock.advance(0.5)
            if stopping.done():
                break
        await stopping

    def _opener(self, market: Market, tasks: list) -> Callable[[], None]:
        async def trade() -> None:
            await self.trader.run_window(replace(market, strike_e8=None))
            await self.trader.settle(market)

        return lambda: tasks.append(asyncio.create_task(trade()))

    def _publisher(self, market: Market) -> Callable[[], None]:
        def publish() -> None:
            if market.strike_e8 is not None:
                self.strikes[market.condition_id] = market.strike_e8

        return publish

    def _steps(self) -> list:
        """Moments of the venue and of the view, in the order of time."""
        tape, steps = self.tape, []
        rows = list(
            zip(*(getattr(tape, n).tolist() for n in
                  ("ts_ns", "recv_ns", "kind", "side", "market", "price", "size")), strict=True)
        )  # fmt: skip
        for by, order, make in ((0, 0, self._happens), (1, 1, self._seen)):
            start = 0
            for end in range(1, len(rows) + 1):
                if end == len(rows) or rows[end][by] != rows[start][by]:
                    at = rows[start][by] + (self.feed_ns if by else 0)
                    steps.append((at, order, start, make(rows[start:end])))
                    start = end
        heapq.heapify(steps)
        return steps

    def _happens(self, rows: Sequence[tuple]) -> Callable[[], None]:
        def happen() -> None:
            prints: dict[int, list[Print]] = {}
            touched = set()
            for _, _, kind, side, market, price, size in rows:
                ladder = self.ladders.setdefault(market, Ladder())
                if kind == Row.CLEAR:
                    ladder.clear()
                elif kind == Row.LEVEL:
                    ladder.set(Side.SELL if side else Side.BUY, price, size)
                elif kind == Row.TRADE:
                    prints.setdefault(market, []).append(Print(side == 0, price, size))
                else:
                    continue
                touched.add(market)
            for market in sorted(touched):
                ladder = self.ladders[market]
                cid = self.tape.markets[market].condition_id
                fills = self.shadow.step(
                    cid, prints.get(market, ()), ladder.bids(None), ladder.asks(None),
                    self.clock.now_ns(),
                )  # fmt: skip
                self._told(fills)

        return happen

    def _seen(self, rows: Sequence[tuple]) -> Callable[[], None]:
        def see() -> None:
            now = self.clock.now_ns()
            books: dict[int, list[tuple]] = {}
            for row in rows:
                ts, _, kind, side, index, price, size = row
                market = self.tape.markets[index] if kind != Row.SPOT else None
                if kind == Row.SPOT:
                    self.sink(SpotTick(ts, now, self.tape.assets[index], SPOT_SOURCES[side], size))
                elif kind in (Row.CLEAR, Row.LEVEL):
                    books.setdefault(index, []).append(row)
                elif kind == Row.TRADE:
                    taker = Side.SELL if side else Side.BUY
                    self.sink(
                        TradePrint(
                            ts, now, market.condition_id, market.up_token, taker, price, size
                        )
                    )
                elif kind == Row.RESOLVED:
                    winner = Outcome.DOWN if side else Outcome.UP
                    self.shadow.settle(market.condition_id, winner, now)
                    self.sink(MarketResolved(ts, now, market.condition_id, winner))
            for index, changes in books.items():
                self._book(self.tape.markets[index], changes, now)

        return see

    def _book(self, market: Market, rows: list[tuple], now: int) -> None:
        sides = {0: Side.BUY, 1: Side.SELL}
        changes = tuple((sides[r[3]], r[5], r[6]) for r in rows if r[2] == Row.LEVEL)
        ids = (rows[0][0], now, market.condition_id, market.up_token)
        if rows[0][2] == Row.CLEAR:
            bids = tuple((p, s) for side, p, s in changes if side is Side.BUY)
            asks = tuple((p, s) for side, p, s in changes if side is Side.SELL)
            self.sink(BookSnapshot(*ids, bids, asks))
        else:
            self.sink(BookChange(*ids, changes))
