"""What the market channel is told, and the rule that nothing is told before it is on disk."""

from collections.abc import Callable
from typing import Any, Protocol

from models.markets import Outcome, Side
from models.units import PRICE_ONE
from venue.simulator import wire
from venue.simulator.windows import Window
from venue.simulator.ws_market import MarketChannel


class BookSource(Protocol):
    def book(
        self, condition_id: str, outcome: Outcome
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]: ...


class Outbox:
    """Messages that wait for the next commit."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def add(self, send: Callable[[], None]) -> None:
        self._waiting.append(send)

    def release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for send in waiting:
            send()


class Tape:
    """Writes the public messages of all markets."""

    def __init__(self, books: BookSource, outbox: Outbox) -> None:
        self._books = books
        self._outbox = outbox
        self._best: dict[str, tuple[int, int]] = {}
        self.channel = MarketChannel(self)
        self.window_of: Callable[[str], Window | None] = lambda token: None
        self.now_ns: Callable[[], int] = lambda: 0

    def ws_book(self, token: str) -> dict[str, Any] | None:
        window = self.window_of(token)
        if window is None or window.closed:
            return None
        body = self.rest_book(window, token)
        body["event_type"] = "book"
        return body

    def rest_book(self, window: Window, token: str) -> dict[str, Any]:
        bids, asks = self._books.book(window.condition_id, window.market.outcome(token))
        return wire.book(window, token, bids, asks, self.now_ns())

    def levels(self, window: Window, changes: dict[tuple[Side, int], int], at_ns: int) -> None:
        """Tell the new sizes of levels; `changes` has Up's side and price (e4), size in e6."""
        market = window.market
        if not self.channel.watched((market.up_token, market.down_token)):
            return
        rows: list[dict[str, Any]] = []
        best: list[tuple[str, int, int]] = []
        for outcome in (Outcome.UP, Outcome.DOWN):
            token = market.token(outcome)
            bids, asks = self._books.book(window.condition_id, outcome)
            bid, ask = bids[0][0] if bids else 0, asks[0][0] if asks else PRICE_ONE
            digest = wire.book(window, token, bids, asks, at_ns)["hash"]
            for (side, price), size in changes.items():
                up = outcome is Outcome.UP
                rows.append(
                    {
                        "asset_id": token,
                        "price": wire.price(price if up else PRICE_ONE - price),
                        "size": wire.amount(size),
                        "side": (side if up else side.opposite).value,
                        "hash": digest,
                        "best_bid": wire.price(bid),
                        "best_ask": wire.price(ask),
                    }
                )
            if self._best.get(token) != (bid, ask):
                self._best[token] = (bid, ask)
                best.append((token, bid, ask))
        self._send(
            window,
            {
                "event_type": "price_change",
                "market": market.condition_id,
                "price_changes": rows,
                "timestamp": wire.millis(at_ns),
            },
        )
        for token, bid, ask in best:
            self._best_bid_ask(window, token, bid, ask, at_ns)

    def _best_bid_ask(self, window: Window, token: str, bid: int, ask: int, at_ns: int) -> None:
        message = {
            "event_type": "best_bid_ask",
            "market": window.condition_id,
            "asset_id": token,
            "best_bid": wire.price(bid),
            "best_ask": wire.price(ask),
            "spread": wire.price(ask - bid),
            "timestamp": wire.millis(at_ns),
        }
        self._outbox.add(lambda: self.channel.publish((token,), message, custom=True))

    def traded(
        self, window: Window, token: str, side: Side, price_e4: int, size_e6: int, at_ns: int
    ) -> None:
        """Tell a trade on its taker's token."""
        window.last_trade[token] = (price_e4, side.value)
        message = {
            "event_type": "last_trade_price",
            "market": window.condition_id,
            "asset_id": token,
            "price": wire.price(price_e4),
            "side": side.value,
            "size": wire.amount(size_e6),
            "fee_rate_bps": "0",
            "timestamp": wire.millis(at_ns),
        }
        self._outbox.add(lambda: self.channel.publish((token,), message))

    def tick_changed(self, window: Window, old_e4: int, new_e4: int, at_ns: int) -> None:
        for token in (window.market.up_token, window.market.down_token):
            message = {
                "event_type": "tick_size_change",
                "market": window.condition_id,
                "asset_id": token,
                "old_tick_size": wire.price(old_e4),
                "new_tick_size": wire.price(new_e4),
                "timestamp": wire.millis(at_ns),
            }
            self._outbox.add(lambda m=message, t=token: self.channel.publish((t,), m))  # type: ignore[misc]

    def listed(self, window: Window, at_ns: int) -> None:
        message = self._head(window, "new_market", at_ns) | {
            "description": "",
            "active": True,
            "clob_token_ids": [window.market.up_token, window.market.down_token],
            "condition_id": window.condition_id,
            "order_price_min_tick_size": wire.price(window.market.tick_e4),
            "group_item_title": "",
            "taker_base_fee": "1000",
            "fees_enabled": not window.market.fee.free,
        }
        self._outbox.add(lambda: self.channel.announce(message))

    def resolved(self, window: Window, at_ns: int) -> None:
        winner = window.winner or Outcome.UP
        message = self._head(window, "market_resolved", at_ns) | {
            "winning_asset_id": window.market.token(winner),
            "winning_outcome": winner.value,
        }
        tokens = (window.market.up_token, window.market.down_token)
        self._outbox.add(lambda: self.channel.publish(tokens, message, custom=True))
        for token in tokens:
            self._best.pop(token, None)

    def _head(self, window: Window, kind: str, at_ns: int) -> dict[str, Any]:
        market = window.market
        return {
            "event_type": kind,
            "id": window.number,
            "question": market.question,
            "market": market.condition_id,
            "slug": market.slug,
            "assets_ids": [market.up_token, market.down_token],
            "outcomes": [Outcome.UP.value, Outcome.DOWN.value],
            "event_message": {
                "id": window.number,
                "ticker": market.slug,
                "slug": market.slug,
                "title": market.question,
                "description": "",
            },
            "timestamp": wire.millis(at_ns),
            "tags": ["crypto", market.asset.lower()],
        }

    def _send(self, window: Window, message: dict[str, Any]) -> None:
        tokens = (window.market.up_token, window.market.down_token)
        self._outbox.add(lambda: self.channel.publish(tokens, message))
