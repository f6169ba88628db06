"""The ways between the simulated venue and its clients, when settings make them long.

Orders, cancels and heartbeats travel before they meet the market: a request is authenticated when
it is received, then held, and only then acted on, committed and answered. What a client has an
answer to is on disk; what was still on its way when the process died never arrived. Frames of the
market and price channels travel after they were committed.

Each key's messages keep their order, and so do all frames of a channel, as on a connection.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from engine.fills.latency import InOrder, delay_of
from models.travel import Travel

MOST_KEYS = 10_000


class Planner(Protocol):
    """Who makes things happen later."""

    now_ns: int

    def at(self, due_ns: int, deed: Callable[[int], None]) -> None: ...


class OrderWay:
    """From a client to the market."""

    def __init__(self, travel: Travel, seed: int, planner: Planner) -> None:
        self._delay = delay_of(travel, seed)
        self._none = not travel.median_ns
        self._planner = planner
        self._keys: dict[str, InOrder] = {}

    async def arrive(self, key: str) -> bool:
        """Wait until a message of this API key, received now, meets the market.

        Returns
        -------
        Whether time has passed.
        """
        if self._none:
            return False
        arrived = asyncio.Event()
        due_ns = self._of(key).arrival_ns(self._planner.now_ns)
        self._planner.at(due_ns, lambda due: arrived.set())
        await arrived.wait()
        return True

    def _of(self, key: str) -> InOrder:
        way = self._keys.get(key)
        if way is None:
            if len(self._keys) >= MOST_KEYS:
                self._keys.clear()
            way = self._keys[key] = InOrder(self._delay)
        return way


def feed_way(
    travel: Travel, seed: int, planner: Planner
) -> Callable[[Callable[[], None]], None] | None:
    """Who delivers a channel's frames later; None when they do not travel."""
    if not travel.median_ns:
        return None
    way = InOrder(delay_of(travel, seed))

    def later(deliver: Callable[[], None]) -> None:
        planner.at(way.arrival_ns(planner.now_ns), lambda due: deliver())

    return later
