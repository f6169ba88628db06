"""The venue's rate limits, kept on our side so that we are never the ones it throttles.

Two kinds: per signer (orders and cancels; one order costs one, a batch its size, cancel-all one
plus what it cancels) and per address of this machine (each endpoint). Figures: the fact sheet's
section 8, Standard tier. Several processes share a signer, so replies' own headers
(``Poly-RateLimit-Remaining``, ``Retry-After``) correct our count whenever they come.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

from polymarket.rate_limit import RateLimitUpdate

from models.errors import VenueUnavailable

PATIENCE_S = 2.0
"""A call that would have to wait longer than this is refused: a late order is a wrong order."""
LATE_CANCEL_S = 15.0
"""The same for cancels, which are right even when they are late."""


class TokenBucket:
    """`rate` tokens a second, at most `burst` saved up.

    `take` queues its callers in order. Not for use from several threads.
    """

    def __init__(
        self,
        name: str,
        rate: float,
        burst: float,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._rate = rate
        self._burst = burst
        self._patience_s = patience_s
        self._clock = clock
        self._tokens = burst
        self._at = clock()
        self._blocked_until = 0.0

    def take_now(self, cost: float = 1.0) -> float:
        """Take `cost` tokens and return how many seconds to wait before using them.

        Tokens may go below zero, which is the queue. A cost above the burst waits for as long as
        it takes to earn it.

        Raises
        ------
        VenueUnavailable
            With mode ``rate_limited``, when the wait would exceed our patience; nothing is taken.
        """
        now = self._refill()
        wait = max(self._blocked_until - now, (cost - self._tokens) / self._rate, 0.0)
        if wait > self._patience_s + max(0.0, cost - self._burst) / self._rate:
            raise VenueUnavailable(
                f"{self.name}: our own rate limit is used up for {wait:.1f} s",
                "rate_limited",
                wait,
            )
        self._tokens -= cost
        return wait

    async def take(self, cost: float = 1.0) -> None:
        wait = self.take_now(cost)
        if wait > 0:
            await asyncio.sleep(wait)

    def charge(self, cost: float) -> None:
        """Take tokens for something already done (cancel-all learns its cost afterwards)."""
        self._refill()
        self._tokens -= cost

    def correct(self, remaining: float) -> None:
        """Believe the venue when it counts fewer tokens than we do."""
        self._refill()
        self._tokens = min(self._tokens, remaining)

    def block(self, seconds: float) -> None:
        """Send nothing for a while: the venue asked for it."""
        self._blocked_until = max(self._blocked_until, self._clock() + seconds)

    def _refill(self) -> float:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return now


_current: ContextVar[TokenBucket | None] = ContextVar("current_bucket", default=None)


class Limits:
    """The buckets of one venue client."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        def bucket(
            name: str, rate: float, burst: float, patience_s: float = PATIENCE_S
        ) -> TokenBucket:
            return TokenBucket(name, rate, burst, patience_s=patience_s, clock=clock)

        self.orders = bucket("orders", 40, 60)
        self.cancels = bucket("cancels", 80, 120, LATE_CANCEL_S)
        self.cancel_all = bucket("cancel-all", 10, 100, LATE_CANCEL_S)
        self.ledger = bucket("orders and trades listing", 40, 200)
        self.balances = bucket("balance", 10, 60)
        self.refreshes = bucket("balance refresh", 4, 20)
        self.heartbeats = bucket("heartbeats", 2, 10)

    @asynccontextmanager
    async def spend(self, bucket: TokenBucket, cost: float = 1.0) -> AsyncIterator[None]:
        """Wait for `cost` tokens, then run the call under this bucket's name.

        What the reply's headers say about the limit, and a 429, correct that bucket.
        """
        await bucket.take(cost)
        token = _current.set(bucket)
        try:
            yield
        except VenueUnavailable as error:
            if error.mode == "rate_limited":
                bucket.block(error.retry_after_s)
            raise
        finally:
            _current.reset(token)

    @staticmethod
    def heard(update: RateLimitUpdate) -> None:
        """Listener for the SDK; belongs to the call being made in the same task."""
        bucket = _current.get()
        if bucket is not None and update.remaining is not None:
            bucket.correct(update.remaining)
