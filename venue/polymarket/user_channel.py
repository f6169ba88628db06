"""Our own orders and trades as they happen.

The channel is silent unless we trade, so silence says nothing by itself. But every order the
venue took must be heard of here; one that is not within `unheard_s` means that the channel is
frozen: it is STALE and is connected anew. After every UP the consumer reconciles by REST, for
nothing is replayed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import structlog
from polymarket.models import ApiKeyCreds

from engine.ports import Sink
from models.errors import VenueError
from models.events import Channel, FeedState, TradeUpdate
from models.markets import FeeSchedule
from venue.polymarket.channel import Outlet
from venue.polymarket.orders import WireOrder, order_update
from venue.polymarket.registry import Markets
from venue.polymarket.trades import Party, WireTrade, trade_of
from venue.polymarket.ws import Link, LinkTiming, nap

log = structlog.get_logger(__name__)

MOST_HEARD = 4096
"""Order ids remembered as heard of; an answer is never later than so many orders."""


@dataclass(frozen=True, slots=True)
class UserTiming:
    """When the channel grows suspicious. Seconds."""

    link: LinkTiming = field(default_factory=LinkTiming)
    check_s: float = 1.0
    unheard_s: float = 10.0
    """An accepted order not heard of by then means a frozen channel."""
    refused_opens: int = 3
    """Connections ended before their first PONG after which the API key is looked at."""


class Account(Protocol):
    """What the channel needs to know of the venue client."""

    markets: Markets
    on_accepted: Callable[[str], None]

    @property
    def credentials(self) -> ApiKeyCreds: ...
    @property
    def party(self) -> Party: ...
    async def fee(self, condition_id: str) -> FeeSchedule: ...
    async def check_login(self) -> None: ...


class _Kind(msgspec.Struct):
    event_type: str = ""


_kinds = msgspec.json.Decoder(_Kind)
_orders = msgspec.json.Decoder(WireOrder, strict=False)
_trades = msgspec.json.Decoder(WireTrade, strict=False)


class UserChannel:
    """One connection to the user channel of one API key."""

    def __init__(
        self, url: str, account: Account, sink: Sink, timing: UserTiming | None = None
    ) -> None:
        self._timing = timing or UserTiming()
        self._account = account
        self.outlet = Outlet(Channel.USER, sink)
        self._unheard: dict[str, float] = {}
        self._heard: dict[str, None] = {}
        self._opens_refused = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._watchdog: asyncio.Task[None] | None = None
        self.link = Link(
            "user",
            url,
            on_open=self._opened,
            on_frame=self._frame,
            on_down=self._went_down,
            timing=self._timing.link,
        )

    def start(self) -> None:
        self._account.on_accepted = self._accepted
        self._watchdog = asyncio.create_task(self._watch_over(), name="user-watchdog")
        self.link.start()

    async def close(self) -> None:
        self._account.on_accepted = lambda order_id: None
        watchdog, self._watchdog = self._watchdog, None
        for task in (watchdog, *self._tasks):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await self.link.close()

    async def _opened(self) -> None:
        """Authenticate; the first PING follows, and its PONG says that we were let in."""
        self._unheard.clear()
        creds = self._account.credentials
        auth = {"apiKey": creds.key, "secret": creds.secret, "passphrase": creds.passphrase}
        await self.link.send(msgspec.json.encode({"type": "user", "auth": auth}))
        self._spawn(self._announce())

    async def _announce(self) -> None:
        await self.link.ponged.wait()
        self._opens_refused = 0
        self.link.healthy()
        self.outlet.set(FeedState.UP)

    def _went_down(self, reason: str) -> None:
        for task in self._tasks:
            task.cancel()
        if not self.link.ponged.is_set():
            self._opens_refused += 1
        self.outlet.set(FeedState.DOWN, reason)

    def _accepted(self, order_id: str) -> None:
        """The venue took an order: wait to hear of it, unless its event overtook the answer."""
        if self.outlet.state is FeedState.UP and order_id not in self._heard:
            self._unheard[order_id] = time.monotonic()

    def _hear(self, order_id: str) -> None:
        self._unheard.pop(order_id, None)
        self._heard[order_id] = None
        if len(self._heard) > MOST_HEARD:
            del self._heard[next(iter(self._heard))]

    # --- what comes -----------------------------------------------------------------------------

    def _frame(self, frame: bytes, recv_ns: int) -> None:
        bad = 0
        try:
            raws = _split(frame)
        except msgspec.DecodeError:
            raws, bad = [], 1
        for raw in raws:
            try:
                self._message(raw, recv_ns)
            except (msgspec.DecodeError, ValueError, VenueError):
                bad += 1
        self.outlet.bad(bad, frame)

    def _message(self, raw: msgspec.Raw, recv_ns: int) -> None:
        kind = _kinds.decode(raw).event_type
        if kind == "order":
            wire = _orders.decode(raw)
            self._hear(wire.id)
            update = order_update(wire, recv_ns)
            if update is None:
                raise ValueError("an order event names no order")
            self.outlet.emit(update)
        elif kind == "trade":
            self._trade(_trades.decode(raw), recv_ns)

    def _trade(self, wire: WireTrade, recv_ns: int) -> None:
        for order_id in (wire.taker_order_id, *(m.order_id for m in wire.maker_orders or ())):
            self._hear(order_id)
        fee = self._account.markets.fee(wire.market)
        if fee is None:
            # A market another agent trades; the trade waits for its fee schedule, nobody else.
            self._spawn(self._trade_later(wire, recv_ns))
        else:
            self._emit_trade(wire, fee, recv_ns)

    async def _trade_later(self, wire: WireTrade, recv_ns: int) -> None:
        try:
            self._emit_trade(wire, await self._account.fee(wire.market), recv_ns)
        except (VenueError, ValueError) as error:
            self.outlet.bad(1, b"")
            log.warning("trade_not_read", trade=wire.id, reason=str(error))

    def _emit_trade(self, wire: WireTrade, fee: FeeSchedule, recv_ns: int) -> None:
        trade = trade_of(wire, self._account.party, fee)
        if not trade.trade_id:
            raise ValueError("a trade event has no id")
        if trade.legs:
            self.outlet.emit(TradeUpdate(trade.matched_ns or recv_ns, recv_ns, trade))

    # --- watchdog -------------------------------------------------------------------------------

    async def _watch_over(self) -> None:
        while True:
            if not await nap(self._timing.check_s):
                continue
            now = time.monotonic()
            late = [o for o, at in self._unheard.items() if now - at > self._timing.unheard_s]
            if late:
                reason = f"{len(late)} accepted orders not heard of, first {late[0]}"
                self._unheard.clear()
                self.outlet.set(FeedState.STALE, reason)
                self.link.restart(reason)
            if self._opens_refused >= self._timing.refused_opens:
                self._opens_refused = 0
                await self._check_key()

    async def _check_key(self) -> None:
        """Connections end before they answer: perhaps the key is no longer good."""
        try:
            await self._account.check_login()
        except VenueError as error:
            log.warning("api_key_not_checked", reason=str(error))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _split(frame: bytes) -> list[msgspec.Raw]:
    """Objects of a frame, each still as text, so that one bad object spoils no other."""
    if frame.lstrip()[:1] == b"[":
        return msgspec.json.decode(frame, type=list[msgspec.Raw])
    return [msgspec.Raw(frame)]
