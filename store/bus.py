"""Redis: market data fan-out, the floor's channel and heartbeats; never the only copy."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Self

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from models.errors import StoreUnavailable
from models.events import FeedEvent, FeedStatus, OrderUpdate, SpotTick, TradeUpdate
from store.rows import json_text

log = structlog.get_logger(__name__)

CHANNEL = "trading_floor"

_FLUSH_S = 0.05
_BATCH = 1_000
_RETRY_S = 1.0
_TIMEOUT_S = 2.0
_HEARTBEATS = "heartbeat:"
_STREAM_LIFE_S = 7_200
"""A stream nobody appends to is forgotten after this: its window is long over."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(FeedEvent).decode
_TROUBLE = (RedisError, OSError, TimeoutError)

Command = tuple[str, str, bytes, float]
"""What to do (``add``, ``tell``, ``set``), with which key, what, and for how long (seconds)."""


class Bus:
    """``async with Bus(url)``. Sync methods hand over to a background sender and never raise.

    While Redis is away, what is published is dropped and counted in `dropped`.

    Parameters
    ----------
    url
        ``redis://…``
    stream_length
        About how many events a market's stream keeps.
    max_queue
        Most messages waiting to be sent; the oldest are dropped beyond.
    """

    def __init__(self, url: str, *, stream_length: int = 5_000, max_queue: int = 20_000) -> None:
        self._redis = Redis.from_url(
            url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            health_check_interval=15,
            retry=Retry(NoBackoff(), 0),
        )
        self._stream_length = stream_length
        self._max_queue = max_queue
        self._queue: deque[Command] = deque()
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._away = False
        self.dropped = 0
        self.sent = 0

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="bus")

    async def close(self) -> None:
        """Send what waits, if Redis is there, and disconnect."""
        self._stop.set()
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None
        while self._queue and not self._away:
            await self._send()
        self._drop_all()
        with suppress(*_TROUBLE):
            await self._redis.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # --- publishing -----------------------------------------------------------------------------

    def publish(self, event: FeedEvent) -> None:
        """Append market data to a capped stream: ``md:{condition_id}``, ``md:{asset}`` for spot.

        Events about our own orders are nobody else's business and are ignored.
        """
        if isinstance(event, OrderUpdate | TradeUpdate | FeedStatus):
            return
        key = event.asset if isinstance(event, SpotTick) else event.condition_id
        self._put("add", f"md:{key}", _encode(event), 0.0)

    def message(self, kind: str, text: str = "", **fields: Any) -> None:
        """Send one JSON message to the ``trading_floor`` channel."""
        body = {**fields, "kind": kind, "text": text, "ts_ns": time.time_ns()}
        self._put("tell", CHANNEL, json_text(body).encode(), 0.0)

    def heartbeat(self, agent: str, fields: Mapping[str, Any], ttl_s: float) -> None:
        """Set the agent's heartbeat, which vanishes after `ttl_s` seconds."""
        body = {**fields, "ts_ns": time.time_ns()}
        self._put("set", f"{_HEARTBEATS}{agent}", json_text(body).encode(), ttl_s)

    # --- reading --------------------------------------------------------------------------------

    async def heartbeats(self) -> dict[str, dict[str, Any]]:
        """Return the heartbeats alive now; raises `StoreUnavailable` while Redis is away."""
        try:
            keys = [key async for key in self._redis.scan_iter(match=f"{_HEARTBEATS}*", count=500)]
            values = await self._redis.mget(keys) if keys else []
        except _TROUBLE as error:
            raise StoreUnavailable(f"Redis does not answer ({type(error).__name__})") from None
        return {
            key.decode().removeprefix(_HEARTBEATS): msgspec.json.decode(value)
            for key, value in zip(keys, values, strict=True)
            if value is not None
        }

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Iterate the channel's messages from now on, over reconnects; what is sent while Redis
        is away is missed."""
        while True:
            listener = self._redis.pubsub(ignore_subscribe_messages=True)
            try:
                await listener.subscribe(CHANNEL)
                while True:
                    item = await listener.get_message(timeout=_TIMEOUT_S / 2)
                    if item is not None:
                        yield msgspec.json.decode(item["data"])
            except _TROUBLE:
                await asyncio.sleep(_RETRY_S)
            finally:
                with suppress(*_TROUBLE):
                    await listener.aclose()  # type: ignore[no-untyped-call]

    async def follow(self, key: str, last_id: str = "$") -> AsyncIterator[FeedEvent]:
        """Iterate a stream (a condition id, or an asset for spot) from `last_id`, over reconnects.

        ``$`` begins with what comes next, ``0`` with the oldest event kept.
        """
        stream = f"md:{key}"
        while True:
            try:
                if last_id == "$":
                    newest: Any = await self._redis.xrevrange(stream, count=1)
                    last_id = newest[0][0].decode() if newest else "0-0"
                answer: Any = await self._redis.xread(
                    {stream: last_id}, count=_BATCH, block=int(_TIMEOUT_S * 500)
                )
            except _TROUBLE:
                await asyncio.sleep(_RETRY_S)
                continue
            for _, entries in answer:
                for entry_id, fields in entries:
                    last_id = entry_id.decode()
                    yield _decode(fields[b"e"])

    # --- the sender -----------------------------------------------------------------------------

    def _put(self, what: str, key: str, body: bytes, ttl_s: float) -> None:
        if len(self._queue) >= self._max_queue:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append((what, key, body, ttl_s))
        self._wake.set()

    async def _run(self) -> None:
        while not self._stop.is_set():
            await self._wake.wait()
            self._wake.clear()
            while self._queue and not self._stop.is_set():
                await self._send()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_RETRY_S if self._away else _FLUSH_S):
                        await self._stop.wait()

    async def _send(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for command in batch:
                    self._stage(pipe, command)
                for key in {key for what, key, _, _ in batch if what == "add"}:
                    pipe.expire(key, _STREAM_LIFE_S)
                await pipe.execute()
        except _TROUBLE as error:
            self.dropped += len(batch)
            self._drop_all()
            if not self._away:
                log.warning("redis_away", reason=type(error).__name__)
            self._away = True
            return
        if self._away:
            log.info("redis_back", dropped=self.dropped)
        self._away = False
        self.sent += len(batch)

    def _stage(self, pipe: Pipeline, command: Command) -> None:
        what, key, body, ttl_s = command
        if what == "add":
            pipe.xadd(key, {"e": body}, maxlen=self._stream_length, approximate=True)
        elif what == "tell":
            pipe.publish(key, body)
        else:
            pipe.set(key, body, px=max(1, int(ttl_s * 1000)))

    def _drop_all(self) -> None:
        self.dropped += len(self._queue)
        self._queue.clear()
