"""The user channel: a client's own orders and trades."""

from collections import defaultdict
from typing import Any

from aiohttp import web

from venue.simulator.auth import Keyring
from venue.simulator.sockets import Hub, Subscriber, accept, decode, serve, text


class UserSubscriber(Subscriber):
    owner = ""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.markets: set[str] | None = None
        """Condition ids to tell about; None is all of them."""


class UserChannel:
    """Clients by the address that owns their API key."""

    def __init__(self, keyring: Keyring) -> None:
        self.hub = Hub()
        self._keyring = keyring
        self._by_owner: dict[str, set[UserSubscriber]] = defaultdict(set)

    def listens(self, owner: str) -> bool:
        """Whether anybody is connected with a key of this address."""
        return owner in self._by_owner

    def publish(self, owner: str, condition_id: str, message: Any) -> None:
        targets = self._by_owner.get(owner)
        if not targets:
            return
        encoded = text(message)
        for target in list(targets):
            if target.markets is None or condition_id in target.markets:
                target.push(encoded)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        client = UserSubscriber(request, await accept(request), self.hub)
        try:
            await serve(self.hub, client, lambda data: self._frame(client, data))
        finally:
            listening = self._by_owner.get(client.owner, set())
            listening.discard(client)
            if not listening:
                self._by_owner.pop(client.owner, None)
        return client.socket

    def _frame(self, client: UserSubscriber, data: str) -> bool:
        if data == "PING":
            client.reply("PONG")
            return True
        frame = decode(data)
        if not isinstance(frame, dict):
            client.reply("INVALID OPERATION")
            return True
        wanted = frame.get("markets")
        markets = {m for m in wanted if isinstance(m, str)} if isinstance(wanted, list) else set()
        operation = frame.get("operation")
        if str(frame.get("type", "")).lower() == "user":
            return self._authenticate(client, frame.get("auth"), markets or None)
        if not client.owner:
            return False
        if operation == "subscribe" and markets:
            client.markets = markets | (client.markets or set())
        elif operation == "unsubscribe" and client.markets is not None:
            client.markets -= markets
        return True

    def _authenticate(self, client: UserSubscriber, auth: Any, markets: set[str] | None) -> bool:
        auth = auth if isinstance(auth, dict) else {}
        key = self._keyring.verify_plain(
            auth.get("apiKey"), auth.get("secret"), auth.get("passphrase")
        )
        if key is None:
            return False
        client.owner = key.address
        client.markets = markets
        self._by_owner[key.address].add(client)
        return True
