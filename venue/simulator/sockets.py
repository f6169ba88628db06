"""WebSocket plumbing: one bounded queue per client, and nobody ever waits for a slow one.

A message is framed once for all who get it, and what a client is owed in one turn of the event
loop leaves in one write: hundreds of readers of a busy market cost little more than one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

QUEUE_LIMIT = 4096
"""Messages a client may lag behind before its connection is dropped."""
MAX_FRAME = 1 << 20

FULL_BUFFER = 1 << 20
"""Bytes the network has not taken yet from which on a client's messages stay in its queue."""
FULL_NAP_S = 0.005

_encode = msgspec.json.encode


def text(message: Any) -> bytes:
    """Frame of a message as compact JSON text."""
    return framed(_encode(message))


def framed(payload: bytes) -> bytes:
    """One unmasked, uncompressed text frame, as servers send them (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class Faults:
    """Switches that make sockets misbehave, shared by all clients of one hub."""

    def __init__(self) -> None:
        self.frozen = False
        """Data stops, connections and PONGs go on."""
        self.duplicate = False
        """Every message is sent twice."""


class Subscriber:
    """One connected client."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, hub: "Hub") -> None:
        self._request = request
        self.socket = socket
        self._faults = hub.faults
        self._queue: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._dead = False
        self.overflowed = False
        self.close_code: int | None = None
        """With what the connection ends once `on_frame` has said so."""

    def push(self, frame: bytes) -> None:
        """Queue data; drops the connection when the client lags too far behind."""
        if self._dead or self._faults.frozen:
            return
        self._put(frame)
        if self._faults.duplicate:
            self._put(frame)

    def reply(self, message: str | bytes) -> None:
        """Queue an answer to the client's own frame, frozen or not: a word, or a framed message."""
        if not self._dead:
            self._put(framed(message.encode()) if isinstance(message, str) else message)

    def _put(self, frame: bytes) -> None:
        if len(self._queue) >= QUEUE_LIMIT:
            self.overflowed = True
            self.drop()
            return
        self._queue.append(frame)
        self._wake.set()

    def drop(self) -> None:
        """Cut the connection at once, without a closing handshake."""
        self._dead = True
        self._queue.clear()
        self._wake.set()
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    async def pump(self) -> None:
        """Send what is queued until the connection ends."""
        while not self._dead:
            transport = self._request.transport
            if transport is None or transport.is_closing():
                return
            if self._queue and transport.get_write_buffer_size() < FULL_BUFFER:
                transport.write(b"".join(self._queue))
                self._queue.clear()
            if self._queue:
                await asyncio.sleep(FULL_NAP_S)
                continue
            self._wake.clear()
            await self._wake.wait()


class Hub:
    """The clients of one channel."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.going_away: int = WSCloseCode.GOING_AWAY
        """What clients are told when the venue shuts down."""
        self.clients: set[Subscriber] = set()
        self.later: Callable[[Callable[[], None]], None] | None = None
        """Delivers what was published now when it arrives; None delivers at once."""

    def send(self, targets: Iterable[Subscriber], frame: bytes) -> None:
        """Send data to those who listen now, however long it travels."""
        if self.later is None:
            _deliver(targets, frame)
        else:
            listening = tuple(targets)
            self.later(lambda: _deliver(listening, frame))

    def drop_all(self) -> int:
        """Cut every connection; returns how many there were."""
        clients = list(self.clients)
        for client in clients:
            client.drop()
        return len(clients)

    async def close(self) -> None:
        for client in list(self.clients):
            await client.socket.close(code=self.going_away)


def _deliver(targets: Iterable[Subscriber], frame: bytes) -> None:
    for target in targets:
        target.push(frame)


async def serve(hub: Hub, subscriber: Subscriber, on_frame: Callable[[str], bool]) -> None:
    """Run one connection until either side ends it; `on_frame` returns False to end it."""
    socket = subscriber.socket
    hub.clients.add(subscriber)
    pump = asyncio.create_task(subscriber.pump())
    try:
        async for frame in socket:
            if frame.type is web.WSMsgType.TEXT and not on_frame(frame.data):
                if subscriber.close_code is not None:
                    await socket.close(code=subscriber.close_code)
                break
    finally:
        hub.clients.discard(subscriber)
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


async def accept(request: web.Request) -> web.WebSocketResponse:
    """Complete the handshake."""
    socket = web.WebSocketResponse(max_msg_size=MAX_FRAME, compress=False)
    await socket.prepare(request)
    return socket


def decode(data: str) -> Any:
    """JSON of a client's frame; None when it is none."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
