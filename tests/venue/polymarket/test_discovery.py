"""Discovery against a scripted Gamma, CLOB and data service."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from models.errors import BadValue, VenueUnavailable, VenueUnknown
from models.markets import Market
from models.settings import Settings, TradingMode
from venue.polymarket.discovery import GammaDiscovery

SLUG = "btc-updown-15m-1800000000"
EVENT = f"GET /events/slug/{SLUG}"
MARKET = f"GET /markets/slug/{SLUG}"


@pytest.fixture
async def discovery(settings: Settings, scripted: Any) -> AsyncIterator[GammaDiscovery]:
    async with GammaDiscovery(settings, scripted.where) as found:
        yield found


def gamma(market: Market, **changes: Any) -> dict[str, Any]:
    return {
        "slug": market.slug, "conditionId": market.condition_id, "outcomes": '["Up", "Down"]',
        "clobTokenIds": f'["{market.up_token}", "{market.down_token}"]', "feesEnabled": False,
        "eventStartTime": "2027-01-15T08:00:00Z", "endDate": "2027-01-15T08:15:00Z",
    } | changes  # fmt: skip


async def test_finds_a_market_with_its_events_strike(
    discovery: GammaDiscovery, scripted: Any, market: Market
) -> None:
    event = {"eventMetadata": {"priceToBeat": 100000.25}, "markets": [gamma(market)]}
    scripted.plays[EVENT] = [(200, event)]
    found = await discovery.market("BTC", "15m", 1_800_000_000)
    assert found is not None
    assert found.condition_id == market.condition_id
    assert found.strike_e8 == 10_000_025_000_000


async def test_falls_back_to_the_market_itself(
    discovery: GammaDiscovery, scripted: Any, market: Market
) -> None:
    scripted.plays[MARKET] = [(200, gamma(market))]
    assert await discovery.market("btc", "15m", 1_800_000_000) is not None


async def test_an_unlisted_market_is_none(discovery: GammaDiscovery) -> None:
    assert await discovery.market("BTC", "15m", 1_800_000_000) is None


@pytest.mark.parametrize(("reply", "error"), [
    ((500, {"error": "x"}), VenueUnknown), ((200, "not json"), VenueUnknown),
    ((429, {}), VenueUnavailable),
])  # fmt: skip
async def test_trouble_is_not_taken_for_absence(
    discovery: GammaDiscovery, scripted: Any, reply: Any, error: type[Exception]
) -> None:
    scripted.plays[EVENT] = [reply]
    with pytest.raises(error):
        await discovery.market("BTC", "15m", 1_800_000_000)


async def test_nobody_there_is_unknown(settings: Settings) -> None:
    async with GammaDiscovery(settings) as discovery:
        with pytest.raises(VenueUnknown):
            await discovery.market("BTC", "15m", 1_800_000_000)


@pytest.mark.parametrize("source", ["gamma", "clob", "data"])
async def test_any_of_the_three_may_know_the_winner(
    discovery: GammaDiscovery, scripted: Any, market: Market, source: str
) -> None:
    scripted.plays[EVENT] = [(200, {"markets": [gamma(market)]})]
    if source == "gamma":
        closed = gamma(market, closed=True, outcomePrices='["0", "1"]')
        scripted.plays[EVENT] = [(200, {"markets": [closed]})]
    elif source == "clob":
        tokens = [{"token_id": market.down_token, "winner": True}]
        path = f"GET /markets/{market.condition_id}"
        scripted.plays[path] = [(200, {"closed": True, "tokens": tokens})]
    else:
        row = {"condition_id": market.condition_id, "payouts": ["0", "1000000"]}
        scripted.plays["GET /v2/resolutions"] = [(200, {"data": [row]})]
    assert await discovery.resolution(market) == market.down_token


async def test_no_winner_yet(discovery: GammaDiscovery, scripted: Any, market: Market) -> None:
    scripted.plays[EVENT] = [(200, {"markets": [gamma(market)]})]
    assert await discovery.resolution(market) is None


async def test_a_silent_source_is_passed_over_and_three_are_an_error(
    discovery: GammaDiscovery, scripted: Any, market: Market
) -> None:
    scripted.plays[EVENT] = [(503, {})]
    scripted.plays[f"GET /markets/{market.condition_id}"] = [(500, {})]
    row = {"payouts": [1_000_000, 0]}
    scripted.plays["GET /v2/resolutions"] = [(200, [row])]
    assert await discovery.resolution(market) == market.up_token
    scripted.plays["GET /v2/resolutions"] = [(502, {})]
    with pytest.raises(VenueUnknown):
        await discovery.resolution(market)


async def test_a_winner_that_is_no_token_of_the_market_is_refused(
    discovery: GammaDiscovery, scripted: Any, market: Market
) -> None:
    odd = gamma(market, closed=True, outcomePrices='["1", "0"]', clobTokenIds='["8", "9"]')
    scripted.plays[EVENT] = [(200, {"markets": [odd]})]
    with pytest.raises(VenueUnknown, match="not one of its tokens"):
        await discovery.resolution(market)


async def test_window_starts(settings: Settings) -> None:
    async with GammaDiscovery(settings) as real:
        assert real.window_start_s("15m", 1_800_000_899) == 1_800_000_000
        assert real.window_start_s("5m", 1_800_000_899) == 1_800_000_600
        with pytest.raises(BadValue, match="7m"):
            real.window_start_s("7m", 0)
    short = settings.model_copy(update={"sim_window_seconds": 40})
    async with GammaDiscovery(short) as shortened:
        assert shortened.window_start_s("15m", 1_800_000_059) == 1_800_000_040
    paper = short.model_copy(update={"trading_mode": TradingMode.PAPER})
    async with GammaDiscovery(paper) as unshortened:
        assert unshortened.window_start_s("15m", 1_800_000_059) == 1_800_000_000
