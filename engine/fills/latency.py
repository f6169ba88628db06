"""How long messages take: the market's to us, and ours to the market."""

import math
import random
from dataclasses import dataclass
from typing import Protocol

from models.errors import BadValue
from models.travel import Travel
from models.units import MILLISECOND_NS


class Delay(Protocol):
    """One direction's travel time."""

    def next_ns(self) -> int:
        """Travel time of the next message, in ns; never negative."""
        ...


class ConstantDelay:
    """Every message takes the same time."""

    __slots__ = ("_delay_ns",)

    def __init__(self, delay_ns: int = 0) -> None:
        if delay_ns < 0:
            raise BadValue(f"delay_ns: {delay_ns} is negative; a message cannot arrive before")
        self._delay_ns = delay_ns

    def next_ns(self) -> int:
        return self._delay_ns


class SampledDelay:
    """Log-normal travel times with a floor; the same seed gives the same times.

    Source and assumption: round trips over the internet have a hard minimum and a long right
    tail, for which a shifted log-normal is the usual shape. Successive times are independent.

    Parameters
    ----------
    floor_ns
        No message is faster.
    median_ns
        Median of what comes on top of the floor.
    sigma
        Standard deviation of its logarithm; 0 makes every message take floor plus median.
    ceiling_ns
        No message is slower: where the sender gives up.
    """

    __slots__ = ("_ceiling_ns", "_floor_ns", "_mu", "_random", "_sigma")

    def __init__(
        self,
        seed: int,
        median_ns: int,
        sigma: float = 0.5,
        floor_ns: int = 0,
        ceiling_ns: int = 5_000 * MILLISECOND_NS,
    ) -> None:
        if median_ns <= 0 or sigma < 0 or not 0 <= floor_ns <= ceiling_ns:
            raise BadValue(
                f"delay: median_ns {median_ns} must be positive, sigma {sigma} not negative, and "
                f"0 <= floor_ns {floor_ns} <= ceiling_ns {ceiling_ns}"
            )
        self._random = random.Random(seed)
        self._mu = math.log(median_ns)
        self._sigma = sigma
        self._floor_ns = floor_ns
        self._ceiling_ns = ceiling_ns

    def next_ns(self) -> int:
        # Cut off before exp, which overflows for an absurd sigma.
        power = min(self._mu + self._sigma * self._random.gauss(0.0, 1.0), 60.0)
        return min(self._floor_ns + round(math.exp(power)), self._ceiling_ns)


def delay_of(travel: Travel, seed: int) -> Delay:
    """Make the delay a travel time describes; the same seed gives the same times."""
    if travel.sigma:
        return SampledDelay(seed, travel.median_ns, travel.sigma)
    return ConstantDelay(travel.median_ns)


@dataclass(frozen=True, slots=True)
class Latency:
    """Both directions. `feed` is what we see later than it happened, `order` what we do later.

    On the order's way messages may overtake each other only as far as their delays say; who
    needs a connection that keeps them in order uses `InOrder`.
    """

    feed: Delay
    order: Delay


class InOrder:
    """Arrival times over one connection: no message arrives before an earlier one."""

    __slots__ = ("_delay", "_last_ns")

    def __init__(self, delay: Delay) -> None:
        self._delay = delay
        self._last_ns = 0

    def arrival_ns(self, sent_ns: int) -> int:
        """When a message sent at `sent_ns` arrives; call it in the order of sending."""
        self._last_ns = max(self._last_ns, sent_ns + self._delay.next_ns())
        return self._last_ns


def no_latency() -> Latency:
    """Everything arrives at once: for paper trading, whose delays are real."""
    return Latency(ConstantDelay(), ConstantDelay())
