"""The price to beat: seen in the settlement feed first, confirmed by the venue later."""

from engine.spot import SpotHistory
from models.events import SpotSource
from models.markets import Market, Settlement
from models.units import SECOND_NS

MAX_GAP_NS = 3 * SECOND_NS
"""A tick older than this at the start second is not the one the venue settles against."""


def settlement_source(market: Market) -> SpotSource:
    """Which feed holds the price that settles the market."""
    if market.settlement is Settlement.TWAP_60:
        return SpotSource.TWAP_60
    return SpotSource.CHAINLINK


def observed_strike_e8(market: Market, history: SpotHistory) -> int | None:
    """The settlement feed's price at the start second, None where the feed does not show it.

    Both rules read the same: the last tick at or before the start, of the price feed for
    BOUNDARY and of the averaged feed for TWAP_60. It is certain once a tick at or after the
    start has come.
    """
    if history.last_ns < market.start_ns:
        return None
    return history.at(market.start_ns, MAX_GAP_NS)
