"""Spot prices: Chainlink, its 60-second average and Binance, once a second each.

The stream is known to stall while its socket stays open, and it answers no PING. So the age of
the last tick is the sign of life: the channel is UP once prices come, and STALE, and connected
anew, when a price that settles markets has not come for a while, on this connection or ever
before. A Binance price that stops only does so with the others.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field

from engine.ports import Sink
from models.events import Channel, FeedState, SpotSource, SpotTick
from venue.polymarket.channel import Outlet
from venue.polymarket.price_wire import decode_ticks, subscribe_frames
from venue.polymarket.ws import Link, LinkTiming, nap

Series = tuple[SpotSource, str]
_SETTLES = (SpotSource.CHAINLINK, SpotSource.TWAP_60)


@dataclass(frozen=True, slots=True)
class PriceTiming:
    """When the channel grows suspicious. Seconds."""

    link: LinkTiming = field(default_factory=lambda: LinkTiming(ping_s=5.0, pong_s=None))
    check_s: float = 1.0
    stale_s: float = 10.0
    """Most seconds between two ticks of one series, and from a connect to its first tick."""


class PriceChannel:
    """One connection to the price stream. Emits ticks of the assets it was told to follow."""

    def __init__(self, url: str, sink: Sink, timing: PriceTiming | None = None) -> None:
        self._timing = timing or PriceTiming()
        self.outlet = Outlet(Channel.SPOT, sink)
        self._assets: set[str] = set()
        self._heard: dict[Series, float] = {}
        self._expected: set[Series] = set()
        self._last_ns: dict[Series, int] = {}
        self._opened_at = 0.0
        self._watchdog: asyncio.Task[None] | None = None
        self.link = Link(
            "prices",
            url,
            on_open=self._opened,
            on_frame=self._frame,
            on_down=self._went_down,
            timing=self._timing.link,
        )

    def start(self) -> None:
        self._watchdog = asyncio.create_task(self._watch_over(), name="price-watchdog")
        self.link.start()

    def follow(self, asset: str) -> None:
        """Emit an asset's prices from now on. Assets stay followed: their history is of use."""
        self._assets.add(asset)

    async def close(self) -> None:
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.cancel()
            with suppress(asyncio.CancelledError):
                await watchdog
        await self.link.close()

    async def _opened(self) -> None:
        self._heard.clear()
        self._opened_at = time.monotonic()
        for frame in subscribe_frames():
            await self.link.send(frame)

    def _went_down(self, reason: str) -> None:
        self.outlet.set(FeedState.DOWN, reason)

    def _frame(self, frame: bytes, recv_ns: int) -> None:
        ticks, bad = decode_ticks(frame, recv_ns)
        for tick in ticks:
            self._tick(tick)
        self.outlet.bad(bad, frame)

    def _tick(self, tick: SpotTick) -> None:
        if tick.asset not in self._assets:
            return
        series = (tick.source, tick.asset)
        self._heard[series] = time.monotonic()
        if tick.source in _SETTLES:
            self._expected.add(series)
        if self.outlet.state is not FeedState.UP and self._expected <= set(self._heard):
            self.link.healthy()
            self.outlet.set(FeedState.UP)
        if tick.ts_ns > self._last_ns.get(series, 0):
            self._last_ns[series] = tick.ts_ns
            self.outlet.emit(tick)

    async def _watch_over(self) -> None:
        while True:
            if not await nap(self._timing.check_s):
                continue
            if self.link.connected and self._assets:
                reason = self._complaint()
                if reason:
                    self.outlet.set(FeedState.STALE, reason)
                    self.link.restart(reason)

    def _complaint(self) -> str:
        """What has not come for too long; empty while all is well."""
        now, most = time.monotonic(), self._timing.stale_s
        if not self._heard and not self._expected:
            return f"no price for {most:.0f} s" if now - self._opened_at > most else ""
        for series in self._expected:
            age = now - self._heard.get(series, self._opened_at)
            if age > most:
                return f"no {series[0]} price of {series[1]} for {age:.0f} s"
        return ""
