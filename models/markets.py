"""Markets: a binary question with a start, an end, two tokens and a fee schedule."""

from dataclasses import dataclass
from enum import StrEnum

from models.units import PRICE_ONE, SECOND_NS


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class Outcome(StrEnum):
    UP = "Up"
    DOWN = "Down"

    @property
    def other(self) -> "Outcome":
        return Outcome.DOWN if self is Outcome.UP else Outcome.UP


class Settlement(StrEnum):
    """Which price settles the market (the venue changed the rule on 2026-08-07)."""

    BOUNDARY = "boundary"
    """The last feed price at or before the boundary second."""
    TWAP_60 = "twap60"
    """The 60-second time-weighted average at the boundary."""


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """Taker fee ``C * rate * (p * (1 - p)) ** exponent``; makers pay nothing.

    ``rate_ppm`` is the rate in millionths (0.07 is 70 000). ``rebate_ppm`` is the makers' share
    of the collected fee, in millionths. ``of_notional`` multiplies the fee by the price once more,
    as the venue's first schedule did (January to March 2026); today's never does.
    """

    rate_ppm: int = 0
    exponent: int = 1
    rebate_ppm: int = 0
    of_notional: bool = False

    @property
    def free(self) -> bool:
        return self.rate_ppm == 0


@dataclass(frozen=True, slots=True)
class Market:
    """One binary market. `start_ns` to `end_ns` is its window.

    ``strike_e8`` is the price to beat, None until it is known (a few seconds into the window).
    """

    condition_id: str
    slug: str
    question: str
    asset: str
    timeframe: str
    up_token: str
    down_token: str
    start_ns: int
    end_ns: int
    tick_e4: int
    min_size_e6: int
    fee: FeeSchedule
    settlement: Settlement = Settlement.TWAP_60
    neg_risk: bool = False
    strike_e8: int | None = None

    def token(self, outcome: Outcome) -> str:
        return self.up_token if outcome is Outcome.UP else self.down_token

    def outcome(self, token_id: str) -> Outcome:
        """Outcome of a token of this market. Raises KeyError for any other token."""
        if token_id == self.up_token:
            return Outcome.UP
        if token_id == self.down_token:
            return Outcome.DOWN
        raise KeyError(token_id)

    @property
    def window_s(self) -> int:
        return (self.end_ns - self.start_ns) // SECOND_NS


def taker_fee_e6(price_e4: int, size_e6: int, fee: FeeSchedule) -> int:
    """Fee a taker pays for `size_e6` shares at `price_e4`, in e6.

    ``C * rate * (p * (1 - p)) ** exponent``, rounded half up to 5 decimals (10 base units);
    what is below half a 0.00001 pUSD is free. Source: the venue's fee page; its rounding mode is
    not documented, half up is our reading.
    """
    if fee.rate_ppm == 0:
        return 0
    variance = int((price_e4 * (PRICE_ONE - price_e4)) ** fee.exponent)
    numerator = size_e6 * fee.rate_ppm * variance
    denominator = int(1_000_000 * PRICE_ONE ** (2 * fee.exponent) * 10)
    if fee.of_notional:
        numerator *= price_e4
        denominator *= PRICE_ONE
    return (numerator + denominator // 2) // denominator * 10


TIMEFRAMES: dict[str, int] = {"5m": 300, "15m": 900, "1h": 3600, "4h": 14400}
"""Window lengths in seconds by the name used in market slugs."""
