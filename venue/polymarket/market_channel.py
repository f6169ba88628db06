"""Books and public trades of the watched markets, in step with the venue or said not to be.

After every connect a token's changes are dropped until its snapshot has come; the channel is UP
once every watched token has had one. A snapshot that does not come over the socket is fetched.

Silence is not proof of trouble: a quiet market says nothing for minutes, and a frozen socket
answers PINGs. So when no data has come for a while, the best prices we last heard are compared
with the venue's REST books. If they agree, the market is quiet. If they differ twice with nothing
heard in between, or nobody can be asked for long, the channel is STALE and is connected anew.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import structlog

from engine.ports import Sink
from engine.steady import STEADY
from models.errors import VenueError
from models.events import Channel, FeedState, MarketResolved
from models.markets import Market, Outcome
from venue.polymarket.books import BookSource
from venue.polymarket.channel import Outlet
from venue.polymarket.market_wire import (
    RestBook,
    WireBook,
    WireEvent,
    WirePriceChange,
    WirePrint,
    WireResolved,
    WireTick,
    book_changes,
    decode_frame,
    snapshot,
    tick_change,
    trade_print,
)
from venue.polymarket.numbers import epoch_ns, price_e4
from venue.polymarket.ws import Link, LinkTiming, nap

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MarketTiming:
    """When the channel grows suspicious. Seconds."""

    link: LinkTiming = field(default_factory=LinkTiming)
    check_s: float = 0.5
    snapshot_s: float = 3.0
    """A snapshot not heard by then is fetched."""
    quiet_s: float = 3.0
    """Silence after which the books are compared, and again after as long.

    A market of ours that trades is heard several times a second, so this is long for it, and one
    that is quiet costs a question every three seconds. With `check_s` and `recheck_s` a frozen
    socket is found out within some five seconds, if its book moves."""
    recheck_s: float = 1.0
    """Pause before a difference is looked at a second time: it may have been under way."""
    unconfirmed_s: float = 30.0
    """Silence that nobody could explain for this long is taken for a frozen socket."""


Best = tuple[int, int]
"""Best bid and ask in e4; 0 where a side is empty."""


class MarketChannel:
    """One connection to the market channel."""

    def __init__(
        self, url: str, source: BookSource, sink: Sink, timing: MarketTiming | None = None
    ) -> None:
        self._timing = timing or MarketTiming()
        self._source = source
        self.outlet = Outlet(Channel.MARKET, sink)
        self._markets: dict[str, Market] = {}
        self._tokens: dict[str, Market] = {}
        self._told: set[str] = set()
        self._synced: dict[str, int] = {}
        self._waiting: dict[str, float] = {}
        self._best: dict[str, Best] = {}
        self._explained_at = 0.0
        self._suspicions = 0
        self._dumped = False
        """Whether this connection has brought a book itself."""
        self._next_check_at = 0.0
        self._telling = asyncio.Lock()
        self._watchdog: asyncio.Task[None] | None = None
        self.link = Link(
            "market",
            url,
            on_open=self._opened,
            on_frame=self._frame,
            on_down=self._went_down,
            timing=self._timing.link,
        )

    # --- what is watched ------------------------------------------------------------------------

    async def watch(self, market: Market) -> None:
        """Follow both tokens of a market; connects when it is the first."""
        self._markets[market.condition_id] = market
        for token in (market.up_token, market.down_token):
            self._tokens[token] = market
        if self._watchdog is None:
            self._watchdog = asyncio.create_task(self._watch_over(), name="market-watchdog")
        self.link.start()
        await self._tell()

    async def unwatch(self, market: Market) -> None:
        self._markets.pop(market.condition_id, None)
        for token in (market.up_token, market.down_token):
            self._tokens.pop(token, None)
            self._forget(token)
        await self._tell()
        self._note_progress()

    async def close(self) -> None:
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.cancel()
            with suppress(asyncio.CancelledError):
                await watchdog
        await self.link.close()

    def _forget(self, token: str) -> None:
        for memory in (self._synced, self._waiting, self._best):
            memory.pop(token, None)

    async def _tell(self) -> None:
        """Tell the venue what changed since we last told it on this connection."""
        async with self._telling:
            if not self.link.connected or not (self._told or self._tokens):
                return
            gone, new = self._told - set(self._tokens), set(self._tokens) - self._told
            if gone and await self.link.send(_operation("unsubscribe", gone)):
                self._told -= gone
            if new and await self.link.send(_operation("subscribe", new)):
                self._told |= new
                self._expect(new)

    async def _opened(self) -> None:
        """Subscribe anew; every book must come again before it is believed."""
        async with self._telling:
            self._synced.clear()
            self._waiting.clear()
            self._best.clear()
            self._told = set(self._tokens)
            self._suspicions = 0
            self._dumped = False
            self._explained_at = time.monotonic()
            first = {
                "type": "market",
                "assets_ids": sorted(self._told),
                "custom_feature_enabled": True,
            }
            await self.link.send(msgspec.json.encode(first))
            self._expect(self._told)
        self._note_progress()

    def _expect(self, tokens: set[str]) -> None:
        now = time.monotonic()
        for token in tokens:
            self._waiting[token] = now

    def _went_down(self, reason: str) -> None:
        self._told.clear()
        self._synced.clear()
        self._waiting.clear()
        self.outlet.set(FeedState.DOWN, reason)

    # --- what comes -----------------------------------------------------------------------------

    def _frame(self, frame: bytes, recv_ns: int) -> None:
        messages, bad = decode_frame(frame)
        for message in messages:
            try:
                self._message(message, recv_ns)
            except ValueError:
                bad += 1
        self._suspicions = 0
        self.outlet.bad(bad, frame)

    def _message(self, message: WireEvent, recv_ns: int) -> None:
        if isinstance(message, WirePriceChange):
            self._changes(message, recv_ns)
        elif isinstance(message, WireBook):
            self._dumped = True
            self._book(message, recv_ns)
        elif isinstance(message, WirePrint):
            if message.asset_id in self._tokens:
                self.outlet.emit(trade_print(message, recv_ns))
        elif isinstance(message, WireTick):
            if message.asset_id in self._tokens:
                self.outlet.emit(tick_change(message, recv_ns))
        elif isinstance(message, WireResolved):
            self._resolved(message, recv_ns)

    def _changes(self, message: WirePriceChange, recv_ns: int) -> None:
        if self._synced and not self._dumped:
            # Opened while frozen, its books fetched by REST: what it held back is lost.
            self._give_up("the socket thawed without a book of its own")
            return
        for event in book_changes(message, recv_ns):
            since = self._synced.get(event.token_id)
            if since is not None and event.ts_ns >= since:
                self.outlet.emit(event)
        if not message.price_changes:
            self._best.pop(message.asset_id, None)
        for row in message.price_changes:
            if row.asset_id not in self._synced:
                continue
            if row.best_bid or row.best_ask:
                self._best[row.asset_id] = (_best(row.best_bid), _best(row.best_ask))
            else:
                self._best.pop(row.asset_id, None)

    def _book(self, book: WireBook | RestBook, recv_ns: int) -> None:
        if book.asset_id not in self._tokens:
            return
        event = snapshot(book, recv_ns)
        self._synced[book.asset_id] = event.ts_ns if isinstance(book, RestBook) else 0
        self._waiting.pop(book.asset_id, None)
        self._best[book.asset_id] = (
            event.bids[0][0] if event.bids else 0,
            event.asks[0][0] if event.asks else 0,
        )
        self.outlet.emit(event)
        self._note_progress()

    def _resolved(self, message: WireResolved, recv_ns: int) -> None:
        market = self._markets.get(message.market)
        if market is None:
            return
        try:
            winner = market.outcome(message.winning_asset_id)
        except KeyError:
            winner = Outcome(message.winning_outcome)
        ts_ns = epoch_ns(message.timestamp) or recv_ns
        self.outlet.emit(MarketResolved(ts_ns, recv_ns, market.condition_id, winner))

    def _note_progress(self) -> None:
        """Announce UP once nothing is waited for any more."""
        if self.link.connected and self._synced and not self._waiting:
            self.link.healthy()
            self.outlet.set(FeedState.UP)

    # --- watchdog -------------------------------------------------------------------------------

    async def _watch_over(self) -> None:
        while True:
            if not await nap(self._timing.check_s):
                continue
            if self.link.connected and self._tokens:
                try:
                    await self._fetch_missing()
                    await self._explain_silence()
                except VenueError as error:
                    log.info("books_not_compared", reason=str(error))

    async def _fetch_missing(self) -> None:
        """Fetch snapshots the socket did not bring.

        A token the venue does not know yet no longer holds up the others; it is asked for again
        and again, and subscribed anew once it is there.
        """
        now = time.monotonic()
        late = [t for t, at in self._waiting.items() if now - at > self._timing.snapshot_s]
        if not late:
            return
        self._expect(set(late))
        books = await self._source.books(late)
        for token in late:
            if token in books and token in self._waiting:
                await self._subscribe_again(token)
                self._book(books[token], STEADY.now_ns())
        if not any(token in books for token in late) and self._synced:
            self.outlet.set(FeedState.UP, f"{len(late)} tokens not listed yet")

    async def _subscribe_again(self, token: str) -> None:
        await self.link.send(_operation("unsubscribe", {token}))
        await self.link.send(_operation("subscribe", {token}))

    async def _explain_silence(self) -> None:
        """Compare books after a silence; give the connection up when they differ."""
        now = time.monotonic()
        silent_for = now - self.link.data_at
        if silent_for < self._timing.quiet_s or now < self._next_check_at:
            return
        comparable = self._comparable()
        if not comparable:
            return
        heard_at = self.link.data_at
        try:
            agree = self._agrees(await self._source.books(comparable))
        except VenueError:
            self._next_check_at = time.monotonic() + self._timing.recheck_s
            if now - max(heard_at, self._explained_at) > self._timing.unconfirmed_s:
                self._give_up(f"no data for {silent_for:.0f} s and no book to compare with")
            raise
        if agree or self.link.data_at != heard_at:
            self._suspicions = 0
            self._explained_at = time.monotonic()
            self._next_check_at = self._explained_at + self._timing.quiet_s
            return
        self._suspicions += 1
        self._next_check_at = time.monotonic() + self._timing.recheck_s
        if self._suspicions > 1:
            self._give_up(f"no data for {silent_for:.0f} s while the book moved")

    def _comparable(self) -> list[str]:
        """Tokens whose best prices we know, of windows that have not ended."""
        now_ns = STEADY.now_ns()
        return sorted(
            token
            for token in self._best
            if token in self._tokens and self._tokens[token].end_ns > now_ns
        )

    def _agrees(self, books: dict[str, RestBook]) -> bool:
        """Whether the venue's best prices are ours; a token it leaves out says nothing."""
        for token, book in books.items():
            best = self._best.get(token)
            if best is None:
                continue
            seen = snapshot(book, 0)
            bid = seen.bids[0][0] if seen.bids else 0
            ask = seen.asks[0][0] if seen.asks else 0
            if best != (bid, ask):
                return False
        return True

    def _give_up(self, reason: str) -> None:
        self.outlet.set(FeedState.STALE, reason)
        self.link.restart(reason)


def _best(text: str) -> int:
    """Best price as the venue writes it; 0 for an empty side (``""``, ``"0"``, ``"1"``)."""
    return price_e4(text) % 10_000


def _operation(name: str, tokens: set[str]) -> bytes:
    return msgspec.json.encode(
        {"operation": name, "assets_ids": sorted(tokens), "custom_feature_enabled": True}
    )
