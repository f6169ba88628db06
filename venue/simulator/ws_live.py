"""PolyBolt, the successor of the price stream: authenticated, sequenced, strict.

Close codes: 4008 for who sends too many frames, after which the official client gives up, and 4003
when the venue goes away, after which it comes back soon. What exactly the venue means by its codes
is not documented; this is how its client takes them.
"""

import asyncio
from collections import deque
from typing import Any

from aiohttp import web

from models.units import SPOT_USD
from venue.simulator.auth import Keyring
from venue.simulator.sockets import Hub, Subscriber, accept, decode, serve, text
from venue.simulator.ws_prices import Price, PriceChannel

CHANNELS = {"price.crypto": "chainlink", "price.crypto.twap": "twap60"}
PROVIDERS = ("chainlink", "pyth")
MAX_SUBSCRIPTIONS = 64
MAX_FRAMES = 20
"""Frames a client may send within a second."""
TOO_MANY_FRAMES, RESTARTING = 4008, 4003


class LiveSubscriber(Subscriber):
    authenticated = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.wants: dict[tuple[str, str], str] = {}
        """Provider by (channel, symbol)."""
        self.seq: dict[str, int] = {}
        self._sent: deque[float] = deque(maxlen=MAX_FRAMES)

    def too_fast(self) -> bool:
        """Count a frame of the client's; True when there were too many within a second."""
        now = asyncio.get_running_loop().time()
        full = len(self._sent) == MAX_FRAMES and now - self._sent[0] < 1.0
        self._sent.append(now)
        return full

    def next_seq(self, channel: str) -> int:
        self.seq[channel] = self.seq.get(channel, 0) + 1
        return self.seq[channel]


class LiveChannel:
    """Everyone connected to PolyBolt. Both providers carry the simulator's one price."""

    def __init__(self, keyring: Keyring, prices: PriceChannel) -> None:
        self.hub = Hub()
        self.hub.going_away = RESTARTING
        self._keyring = keyring
        self._prices = prices

    def publish(self, price: Price) -> None:
        channel = next((c for c, kind in CHANNELS.items() if kind == price.kind), None)
        if channel is None:
            return
        name = f"{price.asset.lower()}usd"
        for client in list(self.hub.clients):
            if isinstance(client, LiveSubscriber) and (channel, name) in client.wants:
                self.hub.send((client,), text(self._update(client, channel, name, price)))

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        client = LiveSubscriber(request, await accept(request), self.hub)
        await serve(self.hub, client, lambda data: self._frame(client, data))
        return client.socket

    def _frame(self, client: LiveSubscriber, data: str) -> bool:
        if client.too_fast():
            client.close_code = TOO_MANY_FRAMES
            return False
        if data == "PING":
            client.reply("PONG")
            return True
        frame = decode(data)
        if not isinstance(frame, dict):
            client.reply(_error(None, "bad_op"))
            return True
        rid, operation = frame.get("rid"), frame.get("op")
        if operation == "ping":
            client.reply(text({"op": "pong", "rid": rid}))
        elif operation == "auth":
            return self._authenticate(client, rid, frame.get("auth"))
        elif not client.authenticated:
            client.reply(_error(rid, "auth_required"))
        elif operation == "subscribe":
            self._subscribe(client, rid, frame.get("subscriptions"))
        elif operation == "unsubscribe":
            self._unsubscribe(client, rid, frame.get("subscriptions"))
        else:
            client.reply(_error(rid, "bad_op"))
        return True

    def _authenticate(self, client: LiveSubscriber, rid: Any, auth: Any) -> bool:
        auth = auth if isinstance(auth, dict) else {}
        key = self._keyring.verify_plain(
            auth.get("apiKey"), auth.get("secret"), auth.get("passphrase")
        )
        if key is None:
            client.reply(_error(rid, "auth_invalid"))
            return True
        client.authenticated = True
        client.reply(text({"op": "authed", "rid": rid}))
        return True

    def _subscribe(self, client: LiveSubscriber, rid: Any, entries: Any) -> None:
        for entry in entries if isinstance(entries, list) else [None]:
            parsed = _parse(entry)
            if isinstance(parsed, str):
                client.reply(_error(rid, parsed))
                continue
            channel, name, provider = parsed
            if len(client.wants) >= MAX_SUBSCRIPTIONS:
                client.reply(_error(rid, "sub_limit"))
                continue
            client.wants[channel, name] = provider
            client.reply(text({"op": "subscribed", "rid": rid, "channel": channel}))
            self._snapshot(client, channel, name, provider)

    def _unsubscribe(self, client: LiveSubscriber, rid: Any, entries: Any) -> None:
        for entry in entries if isinstance(entries, list) else []:
            parsed = _parse(entry)
            if not isinstance(parsed, str):
                client.wants.pop(parsed[:2], None)
                client.reply(text({"op": "unsubscribed", "rid": rid, "channel": parsed[0]}))

    def _snapshot(self, client: LiveSubscriber, channel: str, name: str, provider: str) -> None:
        history = self._prices.history(CHANNELS[channel], name.removesuffix("usd").upper())
        if not history:
            return
        body = self._envelope(client, channel, history[-1])
        body["snapshot"] = True
        body["payload"] = {
            "symbol": name,
            "source": provider,
            "data": [_point(price) for price in history],
        }
        if channel.endswith("twap"):
            body["payload"]["window_seconds"] = 60
        self.hub.send((client,), text(body))

    def _update(self, client: LiveSubscriber, channel: str, name: str, price: Price) -> Any:
        body = self._envelope(client, channel, price)
        body["payload"] = {
            "symbol": name,
            "source": client.wants[channel, name],
            **_point(price),
        }
        if channel.endswith("twap"):
            body["payload"]["window_seconds"] = 60
        return body

    def _envelope(self, client: LiveSubscriber, channel: str, price: Price) -> dict[str, Any]:
        return {
            "v": 1,
            "channel": channel,
            "seq": client.next_seq(channel),
            "ts": price.at_ns // 1_000_000,
        }


def _point(price: Price) -> dict[str, Any]:
    return {
        "timestamp": price.at_ns // 1_000_000,
        "value": price.price_e8 / SPOT_USD,
        "full_accuracy_value": f"{price.price_e8 // SPOT_USD}.{price.price_e8 % SPOT_USD:08d}",
    }


def _parse(entry: Any) -> tuple[str, str, str] | str:
    """Channel, symbol and provider of a subscription; or an error code."""
    if not isinstance(entry, dict) or entry.get("channel") not in CHANNELS:
        return "bad_channel"
    wanted = entry.get("filter")
    if not isinstance(wanted, dict) or not isinstance(wanted.get("symbol"), str):
        return "bad_filter"
    if entry["channel"] == "price.crypto.twap" and wanted.get("window_seconds") != 60:
        return "bad_filter"
    provider = wanted.get("provider", "pyth")
    if provider not in PROVIDERS:
        return "bad_filter"
    return entry["channel"], wanted["symbol"].lower(), provider


def _error(rid: Any, code: str) -> bytes:
    return text({"op": "error", "rid": rid, "code": code, "message": code.replace("_", " ")})
