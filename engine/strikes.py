"""The price to beat: seen in the settlement feed first, confirmed by the venue later."""

import structlog

from engine.clock import WaitingClock
from engine.ports import Discovery
from engine.spot import SpotHistory
from models.errors import FloorError
from models.events import SpotSource
from models.markets import Market, Settlement
from models.units import SECOND_NS

log = structlog.get_logger(__name__)

FIRST_QUESTION_S = 5.0
SLOWEST_QUESTION_S = 60.0
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


async def find_strike(market: Market, discovery: Discovery, clock: WaitingClock) -> int | None:
    """Ask discovery for the official strike until it is known or the window is over.

    The venue publishes it seconds to minutes after the start, so the questions get rarer.
    """
    delay_s = FIRST_QUESTION_S
    start_s = market.start_ns // SECOND_NS
    while clock.now_ns() < market.end_ns:
        await clock.sleep(delay_s)
        delay_s = min(delay_s * 2, SLOWEST_QUESTION_S)
        try:
            known = await discovery.market(market.asset, market.timeframe, start_s)
        except FloorError as error:
            log.info("strike_not_known", market=market.slug, reason=str(error))
            continue
        if known is not None and known.strike_e8 is not None:
            return known.strike_e8
    return None
