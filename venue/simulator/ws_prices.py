"""The price stream (RTDS) with its quirks.

No PONG is ever sent; an unknown topic spoils its whole frame; a filter works only as compact
JSON with one symbol; and the history of the Chainlink topic comes mislabelled `crypto_prices`.
"""

import json
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from models.units import SECOND_NS, SPOT_USD
from venue.simulator.sockets import Hub, Subscriber, accept, decode, serve, text

TOPICS = {
    "crypto_prices": "binance",
    "crypto_prices_chainlink": "chainlink",
    "crypto_prices_twap_thirty": "twap30",
    "crypto_prices_twap_sixty": "twap60",
}
SILENT = ("equity_prices", "comments", "activity")
"""Topics that exist but carry nothing here."""
HISTORY = 60
E18_PER_E8 = 10**10


@dataclass(frozen=True, slots=True)
class Price:
    """One price of one kind (``binance``, ``chainlink``, ``twap30``, ``twap60``)."""

    asset: str
    kind: str
    at_ns: int
    price_e8: int


def symbol(asset: str, kind: str) -> str:
    return f"{asset.lower()}usdt" if kind == "binance" else f"{asset.lower()}/usd"


class PriceSubscriber(Subscriber):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.wants: dict[str, set[str] | None] = {}
        """Symbols by kind; None is all."""

    def listens(self, kind: str, name: str) -> bool:
        symbols = self.wants.get(kind, set())
        return symbols is None or name in symbols


class PriceChannel:
    """Everyone who listens to prices."""

    def __init__(self) -> None:
        self.hub = Hub()
        self._history: dict[tuple[str, str], deque[Price]] = defaultdict(
            lambda: deque(maxlen=HISTORY)
        )

    def publish(self, price: Price) -> None:
        self._history[price.kind, price.asset].append(price)
        name = symbol(price.asset, price.kind)
        targets = [
            client
            for client in self.hub.clients
            if isinstance(client, PriceSubscriber) and client.listens(price.kind, name)
        ]
        if targets:
            self.hub.send(targets, text(update(price)))

    def last(self, kind: str, asset: str) -> Price | None:
        history = self._history.get((kind, asset))
        return history[-1] if history else None

    def history(self, kind: str, asset: str) -> list[Price]:
        return list(self._history.get((kind, asset), ()))

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        client = PriceSubscriber(request, await accept(request), self.hub)
        await serve(self.hub, client, lambda data: self._frame(client, data))
        return client.socket

    def _frame(self, client: PriceSubscriber, data: str) -> bool:
        if data.strip().upper() == "PING":
            return True
        frame = decode(data)
        entries = frame.get("subscriptions") if isinstance(frame, dict) else None
        if not isinstance(entries, list):
            return True
        topics = [e.get("topic") if isinstance(e, dict) else None for e in entries]
        if any(topic not in TOPICS and topic not in SILENT for topic in topics):
            client.reply(text({"statusCode": 401, "body": {"message": "Not authorized"}}))
            return True
        for entry in entries:
            kind = TOPICS.get(entry["topic"])
            if kind is None:
                continue
            if frame.get("action") == "unsubscribe":
                client.wants.pop(kind, None)
            else:
                self._subscribe(client, kind, entry.get("filters"))
        return True

    def _subscribe(self, client: PriceSubscriber, kind: str, filters: Any) -> None:
        if not filters:
            client.wants[kind] = None
            return
        wanted = _filter_symbol(filters)
        symbols = client.wants.get(kind, set())
        if wanted is None:
            client.wants.setdefault(kind, set())
            return
        client.wants[kind] = None if symbols is None else symbols | {wanted}
        for (of, asset), prices in self._history.items():
            if of == kind and symbol(asset, kind) == wanted and prices:
                self.hub.send((client,), text(_snapshot(wanted, list(prices))))


def _filter_symbol(filters: Any) -> str | None:
    """The one symbol of a filter; None for what the venue silently never matches."""
    if not isinstance(filters, str):
        return None
    parsed = decode(filters)
    if not isinstance(parsed, dict) or json.dumps(parsed, separators=(",", ":")) != filters:
        return None
    wanted = parsed.get("symbol")
    return wanted if isinstance(wanted, str) and "," not in wanted else None


def update(price: Price) -> dict[str, Any]:
    """The `update` message of a price."""
    payload: dict[str, Any] = {
        "symbol": symbol(price.asset, price.kind),
        "timestamp": price.at_ns // 1_000_000,
        "value": price.price_e8 / SPOT_USD,
    }
    topic = next(topic for topic, kind in TOPICS.items() if kind == price.kind)
    if price.kind == "binance":
        payload["full_accuracy_value"] = (
            f"{price.price_e8 // SPOT_USD}.{price.price_e8 % SPOT_USD:08d}"
        )
    else:
        payload["full_accuracy_value"] = str(price.price_e8 * E18_PER_E8)
    if price.kind.startswith("twap"):
        payload["window_s"] = int(price.kind[4:])
    return {
        "topic": topic,
        "type": "update",
        "timestamp": price.at_ns // 1_000_000,
        "connection_id": "simulator",
        "payload": payload,
    }


def _snapshot(name: str, prices: list[Price]) -> dict[str, Any]:
    return {
        "topic": "crypto_prices",
        "type": "subscribe",
        "timestamp": prices[-1].at_ns // 1_000_000,
        "payload": {
            "symbol": name,
            "data": [
                {
                    "timestamp": p.at_ns // SECOND_NS * 1000,
                    "value": p.price_e8 / SPOT_USD,
                }
                for p in prices
            ],
        },
    }
