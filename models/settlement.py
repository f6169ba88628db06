"""Which price settles a market, and who wins."""

from bisect import bisect_right
from collections.abc import Sequence

from models.markets import Outcome, Settlement
from models.units import SECOND_NS

TWAP_SECONDS = 60
TWAP_LAG_S = 3
"""The feed's average at T was measured to end about 3 s before T (third party, not official)."""

Tick = tuple[int, int]
"""(ts_ns, price_e8)"""


def settlement_price(
    ticks: Sequence[Tick],
    at_ns: int,
    rule: Settlement,
    *,
    seconds: int = TWAP_SECONDS,
    lag_s: int = TWAP_LAG_S,
) -> int | None:
    """Price (e8) that a boundary at `at_ns` settles on, None where the ticks do not reach back.

    Parameters
    ----------
    ticks
        Feed prices as (ts_ns, price_e8), oldest first.
    rule
        BOUNDARY: the last price at or before the boundary (markets before 2026-08-07). TWAP_60:
        the mean, rounded half up, of one price a whole second, the last at or before each, over
        `seconds` seconds that end `lag_s` before the boundary.
    """
    if rule is Settlement.BOUNDARY:
        return _last_at(ticks, at_ns)
    newest_ns = at_ns // SECOND_NS * SECOND_NS - lag_s * SECOND_NS
    prices = [_last_at(ticks, newest_ns - i * SECOND_NS) for i in range(seconds)]
    known = [price for price in prices if price is not None]
    if len(known) < seconds:
        return None
    return (2 * sum(known) + seconds) // (2 * seconds)


def winner(opening_e8: int, closing_e8: int) -> Outcome:
    """Up wins when the price ends at or above where it began: a tie is Up."""
    return Outcome.UP if closing_e8 >= opening_e8 else Outcome.DOWN


def _last_at(ticks: Sequence[Tick], at_ns: int) -> int | None:
    """Price of the last tick at or before a moment."""
    index = bisect_right(ticks, at_ns, key=_when)
    return ticks[index - 1][1] if index else None


def _when(tick: Tick) -> int:
    return tick[0]
