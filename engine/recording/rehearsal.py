"""A recorded session played again: the backtester's agent hears, reads and is answered the same.

The books come from the tape through the backtester's compiled ladders, everything else from the
recording in its own order; when windows wake and when answers come is as it was. What the agent
then decides is its own doing, and `engine.recording.compare` holds it against what was decided.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from engine.backtest import layout as on
from engine.backtest.config import BacktestAgent, BacktestConfig
from engine.backtest.recorder import Recorder
from engine.backtest.reel import Reel
from engine.backtest.timing import Clock, Loop
from engine.backtest.views import Now
from engine.fills.latency import ConstantDelay
from engine.memory import take_up, unpack_desk
from engine.recording.floor import ReplayedFloor
from engine.recording.observed import Observed
from engine.recording.players import (
    ReplayedAgent,
    ReplayedJournal,
    ReplayedShelf,
    ReplayedVenue,
    ReplayedWindow,
)
from engine.recording.reading import stops
from engine.recording.replies import Replies, value_of
from models.agents import AgentSpec
from models.errors import ConfigError, FloorError
from models.events import (
    BookChange,
    BookSnapshot,
    OrderUpdate,
    TradeUpdate,
)
from models.orders import Fill, OrderRequest
from models.recording import (
    Absorbed,
    Answered,
    Asked,
    Began,
    Called,
    Closed,
    Entry,
    Floored,
    Held,
    Kept,
    Loaded,
    Noted,
    Opened,
    Record,
    Turn,
    Watched,
    time_of,
)
from models.tape import Tape
from models.units import SECOND_NS
from risk.limits import Limits
from strategies import library
from strategies.base import Strategy, View

Source = Callable[[], Iterable[Entry]]
"""Gives the recording from its beginning, as often as it is asked."""

ASKED_BY_THEMSELVES = frozenset({"cancel", "order", "trades"})
"""What the order manager asks in the background."""


@dataclass(slots=True)
class Course:
    """What an agent did: hooks called with what they wanted, decisions noted, orders signed."""

    calls: list[Called] = field(default_factory=list)
    noted: list[Noted] = field(default_factory=list)
    orders: list[OrderRequest] = field(default_factory=list)


@dataclass(slots=True)
class Rehearsal:
    """A recording's session as it was and as it was played again."""

    spec: AgentSpec
    live: Course
    again: Course
    fills: dict[tuple[str, str], Fill]
    """Fills of the session by trade and order."""
    events: int = 0
    """Events the trader heard."""


def strategy_of(spec: AgentSpec) -> Strategy:
    """The library's strategy that an agent names. Raises `ConfigError`."""
    return library.create(spec.strategy, spec.parameters)


def rehearse(
    source: Source, tape: Tape, build: Callable[[AgentSpec], Strategy] = strategy_of
) -> Rehearsal:
    """Play a recorded session again.

    Parameters
    ----------
    tape
        The market data of the recording (`store.tape.tape_from_events`), with every market it
        watched.
    build
        Makes the strategy.

    Raises
    ------
    ConfigError
        The recording has no beginning, or its agent can't be built.
    """
    first = next(iter(source()), None)
    if not isinstance(first, Opened):
        raise ConfigError("the recording does not say whose session it is; it is not whole")
    played = _Played(first, source, tape, build)
    for place, entry in enumerate(source()):
        played.step(place, entry)
    return played.result()


class _Played:
    def __init__(
        self, opened: Opened, source: Source, tape: Tape, build: Callable[[AgentSpec], Strategy]
    ) -> None:
        spec = AgentSpec.model_validate(opened.agent)
        self._index = {market.condition_id: i for i, market in enumerate(tape.markets)}
        self.clock = Clock(opened.at_ns)
        self.loop = Loop(self.clock)  # type: ignore[abstract]
        self._now = Now()
        self._reel = Reel(
            tape, 0, len(tape), ConstantDelay(0), lambda market: True, self._seated, False
        )
        self._shelf = ReplayedShelf(self._reel.view, self._reel.slot_of, self._index, self._now)
        self._replies = Replies(source(), self.clock.now_ns)
        self._stops = dict(stops(source()))
        self._closed = False
        self._last_input_ns = opened.at_ns
        self._signing: dict[int, str] = {}
        self._news: list[OrderUpdate | TradeUpdate] = []
        self._windows: dict[str, ReplayedWindow] = {}
        self._result = Rehearsal(spec, Course(), Course(), {})
        self.venue = ReplayedVenue(spec.name, self._replies, self.clock.now_ns)
        self.journal = ReplayedJournal(Recorder(self._index), self.clock.now_ns, self._replies)
        strategy = Observed(build(spec), self._called)
        limits = Limits(**opened.limits)
        asked = BacktestAgent(spec, limits, strategy)
        config = BacktestConfig(
            (asked,),
            max_book_age_s=opened.trader["max_book_age_s"],
            max_spot_age_s=opened.trader["max_spot_age_s"],
            quit_before_end_s=opened.trader["quit_before_end_s"],
        )
        self.agent = ReplayedAgent(
            asked, config, self.clock, self.venue, self.journal, self._shelf, self.loop.start,
        )  # fmt: skip
        self.agent.adopt_ns = round(opened.trader.get("adopt_s", 0.0) * SECOND_NS)
        clearing = self.agent.desk.clearing
        self._floor = ReplayedFloor(clearing.gate, limits, self._replies)
        # A backtest's agent has no floor but its own limits; this one has the session's.
        clearing._floor = self._floor

    # --- playing --------------------------------------------------------------------------------

    def step(self, place: int, entry: Entry) -> None:
        """Let one record happen, and all that follows from it at once."""
        self._go_to(time_of(entry))
        if isinstance(entry, Turn | Began | Absorbed | Answered) or not isinstance(entry, Record):
            self._last_input_ns = time_of(entry)
        self._closed = self._closed or isinstance(entry, Closed)
        stopping = self._windows.get(self._stops.get(place, ""))
        if stopping is not None:
            stopping.stop()
        if isinstance(entry, Record):
            self._record(entry)
        else:
            self._result.events += 1
            self._hear(entry)
        self._settle()

    def result(self) -> Rehearsal:
        """End the session and return what was done."""
        for task in self.agent.settling.values():
            task.cancel()
        self.loop.settle()
        result = self._result
        result.again.noted = self.journal.noted
        result.again.orders = [request for _, request in self.venue.signed]
        if not self._closed:
            self._leave_out_last_step()
        return result

    def _leave_out_last_step(self) -> None:
        """A session that died left its last step half written: it is compared up to that step."""
        live, again, last_ns = self._result.live, self._result.again, self._last_input_ns
        for course in (live, again):
            course.calls = [one for one in course.calls if one.at_ns < last_ns]
            course.noted = [one for one in course.noted if one.at_ns < last_ns]
        # What was signed then is live's only once its answer is written down.
        early = sum(at_ns < last_ns for at_ns, _ in self.venue.signed)
        again.orders = again.orders[: max(early, len(live.orders))]

    def _go_to(self, now_ns: int) -> None:
        """Let time pass, with the alarms that ring until then."""
        while (due_ns := self.clock.next_ns()) <= now_ns:
            self.clock.now = max(self.clock.now, due_ns)
            self.clock.ring()
            self._settle()
        self.clock.now = max(self.clock.now, now_ns)

    def _settle(self) -> None:
        self.loop.settle()
        for window in list(self._windows.values()):
            window.resume(self.clock.now)
            self._close_if_over(window)

    def _record(self, entry: Record) -> None:
        live = self._result.live
        if isinstance(entry, Turn):
            self._turn(entry.condition_id)
        elif isinstance(entry, Called):
            live.calls.append(entry)
        elif isinstance(entry, Noted):
            live.noted.append(entry)
            self._strike(entry)
        elif isinstance(entry, Absorbed):
            self._absorb()
        elif isinstance(entry, Asked):
            self._asked(entry)
        elif isinstance(entry, Answered):
            self._answered(entry)
        elif isinstance(entry, Watched):
            self.agent.watch(entry.market)
        elif isinstance(entry, Began):
            self._windows[entry.condition_id] = self.agent.begin(entry.condition_id)
            self._turn(entry.condition_id)
        elif isinstance(entry, Loaded):
            self.loop.start(self._take_over(entry))
        elif isinstance(entry, Floored):
            self._floor.hear(entry)
        elif isinstance(entry, Held):
            self.agent.orders.hold(entry.reason)
        elif isinstance(entry, Kept):
            self._result.fills[entry.fill.trade_id, entry.fill.order_id] = entry.fill

    # --- hearing --------------------------------------------------------------------------------

    def _hear(self, event: Any) -> None:
        if isinstance(event, OrderUpdate | TradeUpdate):
            self._news.append(event)
            return
        while self._reel.run(event.recv_ns, False) != on.LIMIT:
            pass
        self._now.version += 1
        if isinstance(event, BookSnapshot | BookChange):
            self._book(event)
        else:
            self.agent.hearing.hear(event)

    def _book(self, event: BookSnapshot | BookChange) -> None:
        """Let a market's indicators and window know, as `engine.markets.MarketData.book` does."""
        state = self.agent.data.states.get(event.condition_id)
        if state is None or event.token_id != state.market.up_token:
            return
        ladder = state.ladder
        bid, ask = ladder.bid_e4, ladder.ask_e4
        known = ladder.ready and bid is not None and ask is not None
        if state.hears and known and bid < ask:  # type: ignore[operator]
            sizes = ladder.bid_size_e6, ladder.ask_size_e6
            state.view.features.on_book(event.ts_ns, bid, sizes[0], ask, sizes[1])  # type: ignore[arg-type]
        if state.window is not None:
            state.window.touch()

    def _absorb(self) -> None:
        """Let the order manager take the news that waited for it."""
        for event in self._news:
            self.agent.orders.on_event(event)
        if self._news:
            self._news.clear()
            self.loop.start(self.agent.orders.work_off())

    def _strike(self, entry: Noted) -> None:
        """A strike that the venue told; what the feed shows the agent sees by itself."""
        if entry.kind != "strike":
            return
        detail = msgspec.json.decode(entry.detail)
        state = self.agent.data.states.get(entry.condition_id)
        if detail["source"] == "feed" or state is None:
            return
        state.change(replace(state.market, strike_e8=detail["strike_e8"]))
        if state.window is not None:
            state.window.touch()

    async def _take_over(self, entry: Loaded) -> None:
        """Begin from what the journal knew, as `engine.trader.Trader.start` does."""
        state, agent = entry.state, self.agent
        agent.standing.begin(state)
        assets = {one.asset for one in agent.spec.markets}
        take_up(state, agent.strategy, agent.data, self.clock.now_ns(), assets)
        await agent.orders.recover(state)
        agent.desk.load(state)
        unpack_desk(state.checkpoint, agent.desk.restore)
        waiting = {fill.condition_id for fill in agent.portfolio.fills()}
        waiting |= {order.request.condition_id for order in agent.orders.open_orders()}
        for market in state.markets:
            if market.condition_id in waiting:
                agent.settle(market)

    # --- asking ---------------------------------------------------------------------------------

    def _asked(self, entry: Asked) -> None:
        """What the session asked in the background somebody must ask here too."""
        if entry.what == "sign":
            self._signing[entry.call] = entry.what
        if self._replies.awaited(entry):
            return
        orders = self.agent.orders
        if entry.what == "open_orders":
            self._absorb()
            self.loop.start(self._reconcile())
        elif entry.what == "cancel_all":
            self.loop.start(orders.cancel_all())
        elif entry.what in ASKED_BY_THEMSELVES:
            self.loop.start(orders.work_off())

    async def _reconcile(self) -> None:
        with suppress(FloorError):
            await self.agent.orders.reconcile()

    def _answered(self, entry: Answered) -> None:
        if self._signing.pop(entry.call, None) is not None:
            signed = value_of("sign", entry)
            if signed is not None:
                self._result.live.orders.append(signed.request)
        self._replies.deliver(entry)

    # --- windows --------------------------------------------------------------------------------

    def _turn(self, condition_id: str) -> None:
        window = self._windows.get(condition_id)
        if window is None or self.clock.now < window.state.market.start_ns:
            return
        window.turn(self.clock.now)
        self._close_if_over(window)

    def _close_if_over(self, window: ReplayedWindow) -> None:
        if window.over and window in self.agent.windows:
            del self._windows[window.state.market.condition_id]
            self.agent.closed(window)

    def _seated(self, index: int, slot: int) -> None:
        self._shelf.seat(index, slot)

    def _called(self, view: View, hook: str, wants: tuple[str, ...]) -> None:
        cid = view.market.condition_id
        self._result.again.calls.append(Called(view.now_ns, cid, hook, wants))
