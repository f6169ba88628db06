"""A wish becomes an order on the grid, or a reason why not."""

from dataclasses import replace

import pytest
from fakes.venue import make_market
from hypothesis import given
from hypothesis import strategies as st

from engine.book import Ladder
from engine.intents import Refusal, to_request
from models.events import BookSnapshot
from models.markets import Outcome, Side
from models.orders import OrderRequest, TimeInForce
from models.units import SECOND_NS, SHARE, USD
from risk.sizing import worst_cost_e6
from strategies.base import Place

MARKET = make_market()
NAN = float("nan")


def book(bid=4900, ask=5000):
    ladder = Ladder()
    bids = () if bid is None else ((bid, 100 * SHARE),)
    asks = () if ask is None else ((ask, 100 * SHARE),)
    ladder.apply(BookSnapshot(1, 1, MARKET.condition_id, MARKET.up_token, bids, asks))
    return ladder


def wish(place, ladder=None, market=MARKET, now_s=100, room=1_000 * USD):
    now_ns = market.start_ns + now_s * SECOND_NS
    return to_request(place, ladder or book(), market, "anna", "i1", now_ns, room)


LIMIT = Place(Outcome.UP, Side.BUY, 4500, 10 * SHARE, tif=TimeInForce.GTC, reason="cheap")
TAKE = Place(Outcome.UP, Side.BUY, budget_e6=20 * USD)


def test_a_limit_order_is_taken_as_it_is():
    request = wish(LIMIT)
    assert isinstance(request, OrderRequest)
    assert (request.price_e4, request.size_e6) == (4500, 10 * SHARE)
    assert (request.token_id, request.reason, request.expires_s) == (MARKET.up_token, "cheap", 0)


@pytest.mark.parametrize(
    ("place", "price"),
    [
        (TAKE, 5100),
        (replace(TAKE, slippage_ticks=0), 5000),
        (replace(TAKE, slippage_ticks=3), 5300),
        (replace(TAKE, slippage_ticks=99), 9900),
        (Place(Outcome.UP, Side.SELL, size_e6=SHARE), 4800),
        (Place(Outcome.UP, Side.SELL, size_e6=SHARE, slippage_ticks=99), 100),
    ],
)
def test_without_a_price_it_crosses_with_slippage_inside_the_grid(place, price):
    request = wish(place)
    assert isinstance(request, OrderRequest)
    assert request.price_e4 == price


def test_a_budget_covers_price_and_worst_fee():
    request = wish(TAKE)
    cost = worst_cost_e6(request.price_e4, request.size_e6, MARKET.fee, TimeInForce.FAK, False)
    assert 19_980_000 < cost <= 20 * USD
    assert request.size_e6 % 10_000 == 0


def test_a_budget_is_cut_to_what_limits_leave():
    assert wish(TAKE, room=10 * USD).size_e6 < wish(TAKE).size_e6
    refused = wish(TAKE, room=500_000)
    assert refused.policy == "min_size"
    assert "limits leave $0.50 of $20.00" in refused.reason


def test_an_order_good_till_a_date_dies_with_the_window_or_as_soon_as_the_venue_allows():
    place = replace(LIMIT, tif=TimeInForce.GTD)
    end_s = MARKET.end_ns // SECOND_NS
    assert wish(place).expires_s == end_s + 60
    assert wish(place, now_s=890).expires_s == end_s - 10 + 181


@pytest.mark.parametrize(
    ("place", "policy", "text"),
    [
        (replace(LIMIT, price_e4=NAN), "invalid", "price_e4=nan"),
        (replace(LIMIT, price_e4=45.5), "invalid", "price_e4=45.5"),
        (replace(LIMIT, price_e4=0), "invalid", "must be 100 to 9900"),
        (replace(LIMIT, price_e4=-100), "invalid", "must be 100 to 9900"),
        (replace(LIMIT, price_e4=10_000), "invalid", "must be 100 to 9900"),
        (replace(LIMIT, price_e4=4550), "invalid", "not a multiple of the tick 100"),
        (replace(LIMIT, size_e6=0), "invalid", "size_e6=0"),
        (replace(LIMIT, size_e6=NAN), "invalid", "size_e6=nan"),
        (replace(LIMIT, size_e6=1e7), "invalid", "size_e6=10000000.0"),
        (replace(LIMIT, size_e6=True), "invalid", "size_e6=True"),
        (replace(LIMIT, size_e6=4 * SHARE), "min_size", "below the minimum of 5.00"),
        (replace(LIMIT, budget_e6=USD), "invalid", "either size_e6 or budget_e6"),
        (replace(LIMIT, size_e6=None), "invalid", "either size_e6 or budget_e6"),
        (replace(LIMIT, confidence=NAN), "invalid", "confidence=nan"),
        (replace(LIMIT, confidence=1.1), "invalid", "confidence=1.1"),
        (replace(LIMIT, outcome="Up?"), "invalid", "'Up?'"),
        (replace(LIMIT, tif="GTC?"), "invalid", "'GTC?'"),
        (replace(TAKE, post_only=True), "invalid", "post-only order can't be FAK"),
        (replace(TAKE, tif=TimeInForce.GTC, post_only=True), "invalid", "needs price_e4"),
        (replace(TAKE, slippage_ticks=-1), "invalid", "slippage_ticks=-1"),
        (replace(TAKE, budget_e6=900_000), "min_size", "below the minimum"),
    ],
)
def test_what_can_not_be_an_order_is_refused_with_the_reason(place, policy, text):
    refused = wish(place)
    assert isinstance(refused, Refusal)
    assert refused.policy == policy
    assert text in refused.reason


def test_crossing_an_empty_side_is_refused():
    assert wish(TAKE, book(ask=None)).reason == "nobody sells Up"
    sell = Place(Outcome.UP, Side.SELL, size_e6=SHARE)
    assert wish(sell, book(bid=None)).reason == "nobody buys Up"


values = st.one_of(st.none(), st.integers(-(10**9), 10**9), st.floats(), st.booleans())


@given(
    st.builds(
        Place,
        outcome=st.sampled_from(Outcome),
        side=st.sampled_from(Side),
        price_e4=values,
        size_e6=values,
        budget_e6=values,
        tif=st.sampled_from(TimeInForce),
        post_only=st.booleans(),
        slippage_ticks=st.integers(-2, 200),
        confidence=st.floats(),
    ),
    st.integers(0, 10**9),
    st.sampled_from([1, 10, 25, 50, 100, 1000]),
)
def test_whatever_is_wished_an_order_is_on_the_grid_or_there_is_none(place, room, tick):
    found = wish(place, market=replace(MARKET, tick_e4=tick), room=room)
    if isinstance(found, Refusal):
        assert found.reason
        return
    assert found.price_e4 % tick == 0
    assert tick <= found.price_e4 <= 10_000 - tick
    assert found.size_e6 > 0
    assert found.size_e6 % 10_000 == 0
