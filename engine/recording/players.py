"""The backtester's parts as a recorded session drives them: its venue, journal, windows, agent."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from engine.backtest.agent import Agent
from engine.backtest.config import BacktestAgent, BacktestConfig
from engine.backtest.recorder import Recorder, RunJournal
from engine.backtest.timing import Clock
from engine.backtest.venue import TapeVenue
from engine.backtest.views import Shelf, TapeLadder
from engine.backtest.window import Stage, TapeWindow
from engine.fills.account import Account
from engine.recording.ports import plain
from engine.recording.replies import Replies
from models.conditional import Condition
from models.errors import VenueUnknown
from models.execution import Execution
from models.journal import WindowResult
from models.markets import Market
from models.orders import (
    CancelReport,
    Order,
    OrderRequest,
    SignedOrder,
    SubmitAck,
    VenueOrder,
    VenueTrade,
)
from models.recording import Noted


class ReplayedVenue(TapeVenue):
    """A venue that answers what it answered, when it answered it.

    What the session did not ask changes nothing: open orders are then as our books have them.
    """

    def __init__(self, agent: str, replies: Replies, now_ns: Callable[[], int]) -> None:
        super().__init__(agent, agent, Account(0, 0))
        self._now_ns = now_ns
        self.signed: list[tuple[int, OrderRequest]] = []
        self.books: Callable[[], Sequence[Order]] = tuple
        self._replies = replies

    async def sign(self, request: OrderRequest, market: Market) -> SignedOrder:
        self.signed.append((self._now_ns(), request))
        order: SignedOrder = await self._replies.ask("sign", request.condition_id)
        return SignedOrder(
            order.order_id, request, order.maker_amount_e6, order.taker_amount_e6, {}
        )

    async def submit(self, order: SignedOrder) -> SubmitAck:
        ack: SubmitAck = await self._replies.ask("submit", order.order_id)
        return ack

    async def cancel(self, order_ids: Sequence[str]) -> CancelReport:
        report: CancelReport = await self._replies.ask("cancel", *sorted(order_ids))
        return report

    async def cancel_all(self) -> CancelReport:
        report: CancelReport = await self._replies.ask("cancel_all")
        return report

    async def order(self, order_id: str) -> VenueOrder | None:
        found: VenueOrder | None = await self._replies.ask("order", order_id)
        return found

    async def open_orders(self, condition_id: str | None = None) -> list[VenueOrder]:
        about = () if condition_id is None else (condition_id,)
        try:
            shown: list[VenueOrder] = await self._replies.ask("open_orders", *about)
        except VenueUnknown:
            return [_shown(order) for order in self.books()]
        return shown

    async def trades(
        self, *, condition_id: str | None = None, after_s: int | None = None
    ) -> list[VenueTrade]:
        about = () if condition_id is None else (condition_id,)
        try:
            told: list[VenueTrade] = await self._replies.ask("trades", *about)
        except VenueUnknown:
            return []
        return told


def _shown(order: Order) -> VenueOrder:
    request = order.request
    return VenueOrder(
        order.order_id, request.condition_id, request.token_id, request.side, request.price_e4,
        request.size_e6, order.filled_e6, order.state,
    )  # fmt: skip


class ReplayedJournal(RunJournal):
    """A journal that takes as long as it took."""

    def __init__(self, recorder: Recorder, now_ns: Callable[[], int], replies: Replies) -> None:
        super().__init__(0, recorder, now_ns)
        self.noted: list[Noted] = []
        self._replies = replies

    async def order_signed(self, order: Order, market: Market) -> None:
        await self._replies.ask("commit", order.order_id)

    async def order_changed(self, order: Order) -> None:
        """What became of orders is compared where it is heard."""

    async def conditions_changed(self, changed: Sequence[Condition], market: Market) -> None:
        await self._replies.ask("arm", market.condition_id)

    async def execution_changed(self, execution: Execution, market: Market) -> None:
        await self._replies.ask("execution", execution.id)

    async def settled(self, result: WindowResult) -> None:
        await self._replies.ask("settled", result.condition_id)

    def signal(self, condition_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        self.noted.append(Noted(self.now_ns(), condition_id, kind, plain(detail)))


class ReplayedLadder(TapeLadder):
    """A ladder of a tape; a lost connection is a row of the tape and empties it there."""

    __slots__ = ()

    def clear(self) -> None:
        """The tape says it."""


class ReplayedShelf(Shelf):
    """Ladders that can be told of a lost connection."""

    def ladder(self, market: Market) -> TapeLadder:
        """Make the book of a market."""
        ladder = ReplayedLadder(self._books, self._now)
        index = self._index[market.condition_id]
        slot = int(self._slot_of[index])
        ladder.sit(slot if slot >= 0 else None)
        self._ladders.setdefault(index, []).append(ladder)
        return ladder


class ReplayedWindow(TapeWindow):
    """A window that wakes when it woke: `turn` when it had waited, `resume` after an answer."""

    _last = ""

    @property
    def rests(self) -> bool:
        """Whether it waits for its next turn, all that it began being done."""
        return self._task is None

    def resume(self, now_ns: int) -> None:
        """Go on after an answer as far as the live window goes without waiting."""
        if self._task is None or self.busy:
            return
        ticked = self._last == "on_tick" and self.stage is Stage.TRADING
        if ticked and not self._stopping and self._rest_until_ns():
            self._finish_task()
            return
        self._stirred = ticked
        while not self.over and not self.busy:
            if self._task is not None:
                self._finish_task()
            elif not self._advance(now_ns):
                return

    def _tended(self, now_ns: int) -> bool:
        did = super()._tended(now_ns)
        if did:
            self._last = "tend"
        return did

    def _pulled(self, now_ns: int) -> bool:
        did = super()._pulled(now_ns)
        if did:
            self._last = "pull"
        return did

    def _call(self, hook: str, now_ns: int, *news: object, closing: bool = False) -> None:
        self._last = hook
        super()._call(hook, now_ns, *news, closing=closing)


class ReplayedAgent(Agent):
    """The backtester's agent, whose windows are opened and woken from outside.

    Attributes
    ----------
    adopt_ns
        How long orders that were taken over stand before there is a book to judge them by.
    """

    def __init__(
        self,
        asked: BacktestAgent,
        config: BacktestConfig,
        clock: Clock,
        venue: ReplayedVenue,
        journal: ReplayedJournal,
        shelf: Shelf,
        start: Callable[[Coroutine[Any, Any, Any]], Any],
    ) -> None:
        super().__init__(0, asked, config, clock, venue, journal, shelf, start)
        self.adopt_ns = 0
        venue.books = self.orders.open_orders

    def watch(self, market: Market) -> None:
        """Know a market, and its strike where it is known, as `engine.trader.Trader` does."""
        state = self.data.state(market)
        self.standing.markets[market.condition_id] = market
        self.hearing.observe_strike(state)

    def settle(self, market: Market) -> None:
        """Settle a market that a session before has left open; called by a running coroutine."""
        state = self.data.state(market)
        self.standing.markets[market.condition_id] = market
        task = asyncio.get_running_loop().create_task(self._settle(state))
        self.settling[market.condition_id] = task

    def begin(self, condition_id: str) -> ReplayedWindow:
        """Open the window of a market that is watched."""
        state = self.data.states[condition_id]
        quit_ns = state.market.end_ns - self._quit_ns
        memory = self.data.paces.pop(condition_id, None)
        window = ReplayedWindow(
            self.strategy, state, self.desk, self.orders, quit_ns, self._start, memory,
            self.data.unseen_until_ns(state.market.asset, self._clock.now_ns() + self.adopt_ns),
        )  # fmt: skip
        state.window = window
        self.windows.append(window)
        return window
