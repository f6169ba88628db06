"""The public market channel: books, changes, trades, ticks, new and resolved markets."""

from collections import defaultdict
from typing import Any, Protocol

from aiohttp import web

from venue.simulator.sockets import Hub, Subscriber, accept, decode, serve, text


class Books(Protocol):
    """Where the channel takes initial books from."""

    def ws_book(self, token: str) -> dict[str, Any] | None:
        """The `book` message of a token, None for an unknown one."""
        ...


class MarketSubscriber(Subscriber):
    custom = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.tokens: set[str] = set()


class MarketChannel:
    """Clients by token; a message is encoded once whoever gets it."""

    def __init__(self, books: Books) -> None:
        self.hub = Hub()
        self._books = books
        self._by_token: dict[str, set[MarketSubscriber]] = defaultdict(set)

    @property
    def clients(self) -> int:
        return len(self.hub.clients)

    def watched(self, tokens: tuple[str, ...]) -> bool:
        """Whether anybody watches any of `tokens`."""
        return any(token in self._by_token for token in tokens)

    def publish(self, tokens: tuple[str, ...], message: Any, custom: bool = False) -> None:
        """Send to everyone who watches any of `tokens`; `custom` only to those who asked."""
        targets: set[MarketSubscriber] = set()
        for token in tokens:
            targets |= self._by_token.get(token, set())
        if custom:
            targets = {target for target in targets if target.custom}
        if targets:
            self.hub.send(targets, text(message))

    def announce(self, message: Any) -> None:
        """Send to everyone with the custom features, whatever they watch."""
        clients = (c for c in self.hub.clients if isinstance(c, MarketSubscriber) and c.custom)
        self.hub.send(list(clients), text(message))

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        client = MarketSubscriber(request, await accept(request), self.hub)
        try:
            await serve(self.hub, client, lambda data: self._frame(client, data))
        finally:
            self._unwatch(client, set(client.tokens))
        return client.socket

    def _frame(self, client: MarketSubscriber, data: str) -> bool:
        if data == "PING":
            client.reply("PONG")
            return True
        frame = decode(data)
        if not isinstance(frame, dict):
            client.reply("INVALID OPERATION")
            return True
        operation = frame.get("operation")
        wanted = frame.get("assets_ids", frame.get("asset_ids"))
        tokens = {t for t in wanted if isinstance(t, str)} if isinstance(wanted, list) else set()
        if isinstance(frame.get("custom_feature_enabled"), bool):
            client.custom = frame["custom_feature_enabled"]
        if operation == "unsubscribe":
            self._unwatch(client, tokens)
        elif operation == "subscribe" or str(frame.get("type", "")).lower() == "market":
            self._watch(client, tokens, dump=frame.get("initial_dump", True) is not False)
        else:
            client.reply("INVALID OPERATION")
        return True

    def _watch(self, client: MarketSubscriber, tokens: set[str], dump: bool) -> None:
        new = tokens - client.tokens
        client.tokens |= new
        for token in new:
            self._by_token[token].add(client)
        books = [book for token in sorted(new) if (book := self._books.ws_book(token))]
        if dump and books:
            self.hub.send((client,), text(books))

    def _unwatch(self, client: MarketSubscriber, tokens: set[str]) -> None:
        client.tokens -= tokens
        for token in tokens:
            watching = self._by_token.get(token)
            if watching is not None:
                watching.discard(client)
                if not watching:
                    del self._by_token[token]
