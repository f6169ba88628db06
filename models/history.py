"""What the venue's rules for crypto up/down markets were at a date; for backtests.

Source: the venue's changelog. Where it gives no exact date the comment says so.
"""

from bisect import bisect_right
from datetime import UTC, datetime

from models.markets import FeeSchedule, Settlement
from models.units import SECOND_NS


def _ns(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * SECOND_NS


NO_FEE = FeeSchedule()
FIRST_FEE = FeeSchedule(rate_ppm=250_000, exponent=2, rebate_ppm=200_000, of_notional=True)
"""``C * p * 0.25 * (p * (1 - p)) ** 2``: 1.56 % of the notional at 0.50, its most."""
FEE = FeeSchedule(rate_ppm=70_000, exponent=1, rebate_ppm=200_000)
"""``C * 0.07 * p * (1 - p)``, today's."""

_SECOND_STRUCTURE_NS = _ns(2026, 3, 30)
_FIRST_CHARGED_NS = {"15m": _ns(2026, 1, 5), "5m": _ns(2026, 2, 12)}
"""5-minute markets began on 2026-02-12; that they charged from the start is our assumption."""
_OTHERS_CHARGED_NS = _ns(2026, 3, 6)

_DELAYS = (
    (_ns(2026, 2, 15), 0),  # the changelog says "about February"
    (_ns(2026, 6, 5), 250),
    (_ns(2026, 8, 17, 11), 50),
    (_ns(2026, 9, 4, 14), 150),
)
_FIRST_DELAY_MS = 500
_TWAP_FROM_NS = _ns(2026, 8, 7)


def fee_schedule(timeframe: str, at_ns: int) -> FeeSchedule:
    """Taker fee of crypto markets of a window length (`models.markets.TIMEFRAMES`) at a time."""
    if at_ns >= _SECOND_STRUCTURE_NS:
        return FEE
    charged_ns = _FIRST_CHARGED_NS.get(timeframe, _OTHERS_CHARGED_NS)
    return FIRST_FEE if at_ns >= charged_ns else NO_FEE


def taker_delay_ms(at_ns: int) -> int:
    """How long the venue held marketable orders of crypto markets at a time."""
    index = bisect_right(_DELAYS, at_ns, key=lambda step: step[0])
    return _DELAYS[index - 1][1] if index else _FIRST_DELAY_MS


def settlement_rule(at_ns: int) -> Settlement:
    """Rule that settles a market whose window ends at a time.

    From 2026-08-07 to 14 the 5-minute markets averaged 30 s instead of 60; that week counts as
    60 s here.
    """
    return Settlement.TWAP_60 if at_ns >= _TWAP_FROM_NS else Settlement.BOUNDARY
