"""Per-signer token buckets, with the headers that tell a client how much is left."""

from dataclasses import dataclass

from models.units import SECOND_NS
from venue.simulator.errors import Refusal

TIER = "standard"
LOW = 0.1
"""Part of the burst below which answers carry a warning; when the venue warns it does not say."""
RATES = {"order": (40.0, 60.0), "cancel": (80.0, 120.0)}
"""Tokens a second and burst, by kind of request."""


@dataclass(slots=True)
class Bucket:
    """`rate` tokens a second, at most `burst` of them saved up."""

    rate: float
    burst: float
    tokens: float
    at_ns: int

    def take(self, cost: int, now_ns: int) -> bool:
        """Take `cost` tokens, or none at all."""
        self.tokens = min(
            self.burst, self.tokens + max(0, now_ns - self.at_ns) / SECOND_NS * self.rate
        )
        self.at_ns = now_ns
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True


class Limits:
    """Buckets by signer and kind of request."""

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def charge(self, kind: str, signer: str, cost: int, now_ns: int) -> dict[str, str]:
        """Charge a request; a batch is charged whole or not at all.

        Returns
        -------
        Headers for the answer.

        Raises
        ------
        Refusal
            429 with ``Retry-After`` when the bucket does not hold `cost` tokens.
        """
        if not self.enabled:
            return {}
        rate, burst = RATES[kind]
        bucket = self._buckets.get((kind, signer))
        if bucket is None:
            bucket = self._buckets[kind, signer] = Bucket(rate, burst, burst, now_ns)
        granted = bucket.take(cost, now_ns)
        wait = 0.0 if granted else (cost - bucket.tokens) / rate
        headers = {
            "Poly-RateLimit-Remaining": str(int(bucket.tokens)),
            "Poly-RateLimit-Reset": f"{(burst - bucket.tokens) / rate:.3f}",
            "Poly-RateLimit-Tier": TIER,
        }
        if bucket.tokens < LOW * burst:
            headers["Poly-RateLimit-Warning"] = f"{kind} limit of {rate:.0f}/s is nearly used up"
        if not granted:
            retry = {"Retry-After": str(max(1, int(wait + 0.999)))}
            raise Refusal(429, "Too Many Requests", headers=headers | retry)
        return headers
