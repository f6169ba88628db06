"""Redis: market data fan-out, the floor's channel and heartbeats; never the only copy."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

from models.events import FeedEvent

CHANNEL = "trading_floor"


class Bus:
    """``async with Bus(url)``. Sync methods hand over to a background sender and never raise.

    While Redis is away, what is published is dropped and counted in `dropped`.
    """

    dropped: int

    def __init__(self, url: str, *, stream_length: int = 5_000, max_queue: int = 20_000) -> None:
        raise NotImplementedError

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *exc: object) -> None: ...

    def publish(self, event: FeedEvent) -> None:
        """Append market data to a capped stream: ``md:{condition_id}``, ``md:{asset}`` for spot."""

    def message(self, kind: str, text: str = "", **fields: Any) -> None:
        """Send one JSON message to the ``trading_floor`` channel."""

    def heartbeat(self, agent: str, fields: Mapping[str, Any], ttl_s: float) -> None:
        """Set the agent's heartbeat, which vanishes after `ttl_s` seconds."""

    async def heartbeats(self) -> dict[str, dict[str, Any]]:
        """Return the heartbeats alive now; raises `StoreUnavailable` while Redis is away."""
        raise NotImplementedError

    def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Iterate the channel's messages from now on, over reconnects."""
        raise NotImplementedError

    def follow(self, condition_id: str, last_id: str = "$") -> AsyncIterator[FeedEvent]:
        """Iterate a market's stream from `last_id` on, over reconnects."""
        raise NotImplementedError
