"""The network's edge before the venue: limits per address and endpoint that queue, then refuse.

As in front of the real venue a request over its limit waits. Only one that would have to wait
longer than `PATIENCE_S` is refused, with 429 and ``Retry-After``. Figures: the venue's page on
rate limits, per 10 seconds and, for trading, per 10 minutes too. Time is real here: the edge knows
nothing of the venue's clock.
"""

import asyncio
import time
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from venue.simulator.errors import Refusal

PATIENCE_S = 5.0
SPAN_S, LONG_SPAN_S = 10.0, 600.0
MOST_ADDRESSES = 10_000

Name = tuple[str, str]
Rule = tuple[Name, int, float]
"""What is limited, how many requests, in how many seconds."""

LIMITS: dict[Name, int] = {
    ("*", ""): 15_000,
    ("*", "/clob"): 9_000,
    ("*", "/gamma"): 4_000,
    ("*", "/data"): 1_000,
    ("POST", "/clob/order"): 5_000,
    ("DELETE", "/clob/order"): 5_000,
    ("POST", "/clob/orders"): 2_000,
    ("DELETE", "/clob/orders"): 2_000,
    ("DELETE", "/clob/cancel-all"): 250,
    ("DELETE", "/clob/cancel-market-orders"): 1_500,
    ("GET", "/clob/ok"): 100,
    ("GET", "/clob/book"): 1_500,
    ("GET", "/clob/price"): 1_500,
    ("GET", "/clob/midpoint"): 1_500,
    ("POST", "/clob/books"): 500,
    ("POST", "/clob/prices"): 500,
    ("POST", "/clob/midpoints"): 500,
    ("GET", "/clob/prices-history"): 1_000,
    ("GET", "/clob/tick-size"): 200,
    ("GET", "/clob/balance-allowance"): 200,
    ("GET", "/clob/balance-allowance/update"): 50,
    ("GET", "/clob/data/orders"): 500,
    ("GET", "/clob/data/trades"): 500,
    ("GET", "/clob/notifications"): 125,
    ("*", "/clob/auth"): 100,
    ("*", "/clob/data"): 900,
    ("GET", "/gamma/events"): 500,
    ("GET", "/gamma/markets"): 300,
    ("GET", "/data/trades"): 200,
    ("GET", "/data/positions"): 150,
}
"""Requests per 10 seconds by method and path; a whole service or group stands under ``*``."""

LONG_LIMITS: dict[Name, int] = {
    ("POST", "/clob/order"): 120_000,
    ("DELETE", "/clob/order"): 120_000,
    ("POST", "/clob/orders"): 21_000,
    ("DELETE", "/clob/orders"): 15_000,
    ("DELETE", "/clob/cancel-all"): 6_000,
    ("DELETE", "/clob/cancel-market-orders"): 21_000,
}
"""Requests per 10 minutes, beside those per 10 seconds."""

FREE = ("/admin", "/ws")
"""The simulator's own doors, and sockets once they are open, are not limited."""


class Edge:
    """Token buckets by address and rule.

    Parameters
    ----------
    scale
        Multiplies every limit at the moment of a request: 1 as usual, less to see what happens.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self, scale: Callable[[], float] = lambda: 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._scale = scale
        self._clock = clock
        self._free_at: dict[tuple[str, Name, float], float] = {}
        self._rules: dict[Name, list[Rule]] = {}

    def wait_s(self, address: str, method: str, path: str) -> float:
        """Count a request and return how long it has to wait.

        Raises
        ------
        Refusal
            429 when that is longer than `PATIENCE_S`; the request is then not counted.
        """
        now, scale = self._clock(), self._scale()
        booked = []
        wait = 0.0
        for name, limit, span in self._rules_of(method, path):
            # A bucket as the moment at which it would be full again.
            key = (address, name, span)
            full_at = max(self._free_at.get(key, now), now) + span / (limit * scale)
            wait = max(wait, full_at - now - span)
            booked.append((key, full_at))
        if wait > PATIENCE_S:
            retry = str(max(1, round(wait - PATIENCE_S + 0.5)))
            raise Refusal(429, "Too Many Requests", headers={"Retry-After": retry})
        self._free_at.update(booked)
        if len(self._free_at) > MOST_ADDRESSES:
            self._free_at = {key: at for key, at in self._free_at.items() if at > now}
        return wait

    def _rules_of(self, method: str, path: str) -> list[Rule]:
        """The rules of an endpoint; only those of fixed paths are remembered."""
        known = self._rules.get((method, path))
        if known is not None:
            return known
        parts = path.split("/")
        groups = [("*", "/".join(parts[:count])) for count in (1, 2, 3)]
        names = dict.fromkeys([*groups, (method, path)])
        found = [
            (name, table[name], span)
            for table, span in ((LIMITS, SPAN_S), (LONG_LIMITS, LONG_SPAN_S))
            for name in names
            if name in table
        ]
        if (method, path) in LIMITS:
            self._rules[method, path] = found
        return found

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through when its turn has come."""
        if not request.path.startswith(FREE):
            wait = self.wait_s(request.remote or "", request.method, request.path)
            if wait > 0:
                await asyncio.sleep(wait)
        return await handler(request)
