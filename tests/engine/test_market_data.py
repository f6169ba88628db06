"""What is known of a market when it is met again."""

from dataclasses import replace
from typing import Any, cast

import pytest

from engine.markets import MarketData
from models.events import TickSizeChange
from tests.engine.traders.world import make_market

MARKET = replace(make_market(0), tick_e4=100, strike_e8=None)


def data() -> MarketData:
    nothing = cast("Any", None)
    return MarketData(nothing, nothing, max_book_age_s=30, max_spot_age_s=6)


def test_a_market_an_earlier_session_left_takes_the_tick_it_has_now() -> None:
    known = data()
    state = known.state(MARKET)
    assert known.state(replace(MARKET, tick_e4=10)) is state
    assert state.market.tick_e4 == state.view.market.tick_e4 == 10


def test_a_tick_the_feed_told_is_newer_than_discoverys() -> None:
    known = data()
    state = known.state(MARKET)
    state.watched = True
    known.tick_size(TickSizeChange(1, 1, MARKET.condition_id, MARKET.up_token, 10))
    known.state(MARKET)
    assert state.market.tick_e4 == 10


@pytest.mark.parametrize(("first", "then", "kept"), [(None, 5, 5), (5, None, 5), (5, 6, 5)])
def test_a_strike_once_known_stays(first: int | None, then: int | None, kept: int) -> None:
    known = data()
    state = known.state(replace(MARKET, strike_e8=first))
    known.state(replace(MARKET, strike_e8=then))
    assert state.market.strike_e8 == state.view.market.strike_e8 == kept
