"""Writes down what passes between a trader and its ports."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import msgspec

from engine.clock import WaitingClock
from engine.ports import Discovery, Feed, Floor, Journal, Sink, Venue
from engine.recording.clock import RecordingClock
from engine.recording.floor import RecordedFloorPort
from engine.recording.observed import Observed
from engine.recording.ports import RecordedJournalPort, RecordedVenuePort
from engine.trader import TraderSettings
from engine.window import Window
from models.agents import AgentSpec
from models.events import FeedEvent, MarketResolved, OrderUpdate, TradeUpdate
from models.markets import Market
from models.recording import (
    VERSION,
    Absorbed,
    Asked,
    Began,
    Called,
    Closed,
    Entry,
    Floored,
    Opened,
    Turn,
    Watched,
)
from risk.limits import Limits
from strategies.base import Strategy, View


class Recorder:
    """Wraps what a `Trader` is given; each of its parts goes through here once.

    Parameters
    ----------
    write
        Takes every record, in order, at once and without failing.
    clock
        The clock the trader would have had; it gets `self.clock`.
    """

    def __init__(self, write: Callable[[Entry], None], clock: WaitingClock) -> None:
        self._plainly = write
        self.clock = RecordingClock(clock, self._turned)
        self._news = False
        self._floor: RecordedFloorPort | None = None

    def open(
        self,
        spec: AgentSpec,
        limits: Limits,
        settings: TraderSettings,
        conditions: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down who trades; call it before anything else."""
        self._write(
            Opened(
                self.clock.stamp(), VERSION, spec.model_dump(mode="json"), asdict(limits),
                asdict(settings), conditions or {},
            )
        )  # fmt: skip

    def strategy(self, inner: Strategy) -> Strategy:
        return Observed(inner, self._called)

    def venue(self, inner: Venue) -> Venue:
        return RecordedVenuePort(inner, self._write, self.clock)

    def journal(self, inner: Journal) -> Journal:
        return RecordedJournalPort(inner, self._write, self.clock)

    def feed(self, inner: Feed) -> Feed:
        return _RecordedFeed(inner, self)

    def discovery(self, inner: Discovery) -> Discovery:
        return _RecordedDiscovery(inner, self._write, self.clock)

    def floor(self, inner: Floor | None) -> Floor | None:
        if inner is not None:
            self._floor = RecordedFloorPort(inner, self._write, self.clock)
        return self._floor

    # --- what passes ----------------------------------------------------------------------------

    def _write(self, entry: Entry) -> None:
        """Write a record, after what of the floor has changed before it."""
        if self._floor is not None and not isinstance(entry, Floored | Asked):
            self._floor.look(self._plainly)
        self._plainly(entry)

    def hear(self, event: FeedEvent, sink: Sink) -> None:
        """Pass an event on, stamped with the time at which the trader hears it."""
        event = msgspec.structs.replace(event, recv_ns=self.clock.stamp())
        self._write(event)
        sink(event)
        if isinstance(event, OrderUpdate | TradeUpdate) and not self._news:
            # The order manager's own loop was woken just now: this comes right after its turn.
            self._news = True
            asyncio.get_running_loop().call_soon(self._absorbed)

    def watched(self, market: Market) -> None:
        self._write(Watched(self.clock.stamp(), market))

    def began(self, market: Market) -> None:
        self._write(Began(self.clock.stamp(), market.condition_id))

    def closed(self) -> None:
        self._write(Closed(self.clock.stamp()))

    def _absorbed(self) -> None:
        self._news = False
        self._write(Absorbed(self.clock.now_ns()))

    def _turned(self, window: Window) -> None:
        self._write(Turn(self.clock.now_ns(), window.view.market.condition_id))

    def _called(self, view: View, hook: str, wants: tuple[str, ...]) -> None:
        self._write(Called(view.now_ns, view.market.condition_id, hook, wants))


class _RecordedFeed:
    def __init__(self, inner: Feed, recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder

    async def start(self, sink: Sink) -> None:
        await self._inner.start(lambda event: self._recorder.hear(event, sink))

    async def watch(self, market: Market) -> None:
        self._recorder.watched(market)
        await self._inner.watch(market)
        self._recorder.began(market)

    async def unwatch(self, market: Market) -> None:
        await self._inner.unwatch(market)

    async def close(self) -> None:
        await self._inner.close()
        self._recorder.closed()


class _RecordedDiscovery:
    """Strikes reach the journal, which is recorded; of resolutions the answer is written down."""

    def __init__(
        self, inner: Discovery, write: Callable[[Entry], None], clock: RecordingClock
    ) -> None:
        self._inner = inner
        self._write = write
        self._clock = clock

    async def market(self, asset: str, timeframe: str, start_s: int) -> Market | None:
        return await self._inner.market(asset, timeframe, start_s)

    def window_start_s(self, timeframe: str, at_s: int) -> int:
        return self._inner.window_start_s(timeframe, at_s)

    async def resolution(self, market: Market) -> str | None:
        token = await self._inner.resolution(market)
        if token in (market.up_token, market.down_token):
            now = self._clock.stamp()
            winner = market.outcome(token)
            self._write(MarketResolved(now, now, market.condition_id, winner))
        return token
