"""From a quote to orders: what stays, what goes, what is missing."""

from dataclasses import replace
from itertools import count

import pytest
from fakes.venue import make_market
from hypothesis import given
from hypothesis import strategies as st

from engine.quoting import Holdings, plan, up_price_e4, up_side
from models.markets import Outcome, Side
from models.orders import Order, OrderRequest, OrderState, TimeInForce
from models.units import SHARE, USD
from strategies.base import Quote

MARKET = make_market()
RICH = Holdings(up_e6=0, down_e6=0, cash_e6=1_000 * USD, order_e6=1_000 * USD)
BOTH = Quote(4800, 20 * SHARE, 5200, 20 * SHARE, "fair")


def ids():
    numbers = count(1)
    return lambda: f"i{next(numbers)}"


def order(number, outcome, side, price, shares, filled=0, state=OrderState.LIVE) -> Order:
    token = MARKET.token(outcome)
    request = OrderRequest(
        f"w{number}", "anna", MARKET.condition_id, token, outcome, side, price, shares * SHARE,
        TimeInForce.GTC, True,
    )  # fmt: skip
    return Order(f"o{number}", request, state, filled_e6=filled * SHARE)


def planned(quote, orders=(), holdings=RICH, market=MARKET):
    return plan(quote, orders, holdings, market, "anna", ids())


def brief(requests):
    return [(r.outcome, r.side, r.price_e4, r.size_e6 // SHARE) for r in requests]


UP, DOWN, BUY, SELL = Outcome.UP, Outcome.DOWN, Side.BUY, Side.SELL


@pytest.mark.parametrize(
    ("held_up", "held_down", "expected"),
    [
        (0, 0, [(UP, BUY, 4800, 20), (DOWN, BUY, 4800, 20)]),
        (20, 0, [(UP, BUY, 4800, 20), (UP, SELL, 5200, 20)]),
        (12, 0, [(UP, BUY, 4800, 20), (UP, SELL, 5200, 12), (DOWN, BUY, 4800, 8)]),
        # What is left of a side below the minimum is not placed.
        (17, 0, [(UP, BUY, 4800, 20), (UP, SELL, 5200, 17)]),
        # Less than the minimum held can't be sold; the whole side is bought.
        (3, 0, [(UP, BUY, 4800, 20), (DOWN, BUY, 4800, 20)]),
        (0, 20, [(DOWN, SELL, 5200, 20), (DOWN, BUY, 4800, 20)]),
        (20, 20, [(DOWN, SELL, 5200, 20), (UP, SELL, 5200, 20)]),
    ],
)
def test_sells_what_is_held_and_buys_the_other_token_beyond(held_up, held_down, expected):
    holdings = Holdings(held_up * SHARE, held_down * SHARE, 1_000 * USD, 1_000 * USD)
    done = planned(BOTH, (), holdings)
    assert brief(done.places) == expected
    assert all(r.post_only and r.tif is TimeInForce.GTC for r in done.places)
    assert len({r.intent_id for r in done.places}) == len(done.places)


def test_orders_that_fit_stay_whatever_token_they_are_in():
    standing = (order(1, UP, BUY, 4800, 20), order(2, DOWN, BUY, 4800, 20))
    assert planned(BOTH, standing) == planned(BOTH, standing, Holdings(20 * SHARE, 0, 0, 0))
    assert planned(BOTH, standing).cancels == ()
    assert planned(BOTH, standing).places == ()


def test_a_partly_filled_order_keeps_its_place_and_is_topped_up():
    standing = (order(1, UP, BUY, 4800, 20, filled=8), order(2, DOWN, BUY, 4800, 20, filled=3))
    done = planned(BOTH, standing)
    assert done.cancels == ()
    assert brief(done.places) == [(UP, BUY, 4800, 8)]


@pytest.mark.parametrize("bad", [(4700, 20), (4900, 20), (4800, 21)])
def test_an_order_off_the_quote_goes_and_nothing_replaces_it_before_it_is_gone(bad):
    price, shares = bad
    standing = (order(1, UP, BUY, price, shares), order(2, DOWN, BUY, 4800, 20))
    done = planned(BOTH, standing)
    assert done.cancels == ("o1",)
    assert done.places == ()
    assert brief(planned(BOTH, standing[1:]).places) == [(UP, BUY, 4800, 20)]


def test_the_size_of_an_empty_side_does_not_matter():
    assert planned(Quote(None, None, None, float("nan"))).notes == ()


def test_an_empty_side_is_cleared():
    standing = (order(1, UP, BUY, 4800, 20), order(2, UP, SELL, 5200, 20))
    assert planned(Quote(None, 0, 5200, 20 * SHARE), standing).cancels == ("o1",)
    assert planned(Quote(None, 0, None, 0), standing).cancels == ("o1", "o2")


def test_a_side_waits_while_our_own_order_on_the_other_side_is_in_its_way():
    standing = (order(1, DOWN, BUY, 5200, 20),)
    done = planned(BOTH, standing)
    assert done.cancels == ("o1",)
    assert done.places == ()
    assert "our own order" in done.notes[0]


def test_a_side_shrinks_to_what_limits_leave_and_says_so():
    done = planned(BOTH, (), Holdings(0, 0, 7 * USD, 1_000 * USD))
    assert brief(done.places) == [(UP, BUY, 4800, 14)]
    assert len(done.notes) == 2


def test_the_limit_per_order_holds_for_each_order_alone():
    done = planned(BOTH, (), Holdings(0, 0, 1_000 * USD, 10 * USD))
    assert brief(done.places) == [(UP, BUY, 4800, 20), (DOWN, BUY, 4800, 20)]
    done = planned(BOTH, (), Holdings(0, 0, 1_000 * USD, 5 * USD))
    assert brief(done.places) == [(UP, BUY, 4800, 10), (DOWN, BUY, 4800, 10)]


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        (replace(BOTH, bid_e4=4850), "not a multiple of the tick 100"),
        (replace(BOTH, bid_e4=0), "bid_e4=0"),
        (replace(BOTH, ask_e4=10_000), "ask_e4=10000"),
        (replace(BOTH, bid_e4=float("nan")), "bid_e4=nan"),
        (replace(BOTH, ask_size_e6=-1), "ask_size_e6=-1"),
        (replace(BOTH, ask_size_e6=1e6), "ask_size_e6=1000000.0"),
        (replace(BOTH, bid_e4=5200), "not below ask_e4=5200"),
    ],
)
def test_a_quote_that_makes_no_sense_changes_nothing_and_says_why(quote, text):
    done = planned(quote, (order(1, UP, BUY, 4700, 20),))
    assert (done.cancels, done.places) == ((), ())
    assert text in done.notes[0]


prices = st.integers(1, 99).map(lambda tick: tick * 100)
sizes = st.integers(0, 4_000).map(lambda lots: lots * 10_000)


@st.composite
def standing_orders(draw):
    found = []
    for number in range(draw(st.integers(0, 5))):
        shares = draw(st.integers(5, 40))
        found.append(
            order(
                number,
                draw(st.sampled_from([UP, DOWN])),
                draw(st.sampled_from([BUY, SELL])),
                draw(prices),
                shares,
                draw(st.integers(0, shares - 1)),
                draw(st.sampled_from([OrderState.LIVE, OrderState.UNKNOWN, OrderState.SENT])),
            )
        )
    return tuple(found)


@given(
    st.builds(
        Quote,
        bid_e4=st.one_of(st.none(), prices),
        bid_size_e6=sizes,
        ask_e4=st.one_of(st.none(), prices),
        ask_size_e6=sizes,
    ),
    standing_orders(),
    st.builds(
        Holdings,
        up_e6=sizes,
        down_e6=sizes,
        cash_e6=st.integers(-(10**7), 10**8),
        order_e6=st.integers(0, 10**7),
    ),
)
def test_a_plan_never_exceeds_the_quote_the_holdings_or_itself(quote, standing, holdings):
    done = planned(quote, standing, holdings)
    kept = [o for o in standing if o.order_id not in done.cancels]
    if done.notes and not done.places and not done.cancels:
        return
    for side, price, size in (
        (BUY, quote.bid_e4, quote.bid_size_e6),
        (SELL, quote.ask_e4, quote.ask_size_e6),
    ):
        resting = [o for o in kept if up_side(o) is side]
        placed = [r for r in done.places if up_side(r) is side]
        wanted = 0 if price is None else size
        assert sum(o.open_e6 for o in resting) + sum(r.size_e6 for r in placed) <= wanted
        assert all(up_price_e4(one) == price for one in [*resting, *placed])
        # Together with what is still being cancelled it is not more either.
        if placed:
            on_side = sum(o.open_e6 for o in standing if up_side(o) is side)
            assert on_side + sum(r.size_e6 for r in placed) <= wanted
    for request in done.places:
        assert request.size_e6 >= MARKET.min_size_e6
        assert request.size_e6 % 10_000 == 0
        # Nothing placed meets anything of ours that still stands.
        for other in standing:
            if up_side(other) is up_side(request):
                continue
            bid, ask = sorted([other, request], key=lambda one: up_side(one) is SELL)
            assert up_price_e4(bid) < up_price_e4(ask)
    spent = sum(-(-r.price_e4 * r.size_e6 // 10_000) for r in done.places if r.side is BUY)
    assert spent <= max(0, holdings.cash_e6)
    for request in done.places:
        if request.side is BUY:
            assert -(-request.price_e4 * request.size_e6 // 10_000) <= holdings.order_e6
    for outcome in (UP, DOWN):
        new = [r for r in done.places if r.side is SELL and r.outcome is outcome]
        if new:
            selling = sum(r.size_e6 for r in new) + sum(
                o.open_e6
                for o in standing
                if o.request.side is SELL and o.request.outcome is outcome
            )
            assert selling <= holdings.of(outcome)


@given(
    st.builds(Quote, bid_e4=prices, bid_size_e6=sizes, ask_e4=prices, ask_size_e6=sizes),
    standing_orders(),
    st.builds(
        Holdings,
        up_e6=sizes,
        down_e6=sizes,
        cash_e6=st.integers(0, 10**8),
        order_e6=st.integers(0, 10**7),
    ),
)
def test_planning_again_after_cancelling_and_placing_leaves_nothing_to_do(
    quote, standing, holdings
):
    """Carried out, a plan is stable: no order is cancelled and sent again for nothing."""
    first = planned(quote, standing, holdings)
    left = tuple(o for o in standing if o.order_id not in first.cancels)
    second = planned(quote, left, holdings)
    assert second.cancels == ()
    spent = sum(-(-r.price_e4 * r.size_e6 // 10_000) for r in second.places if r.side is BUY)
    resting = tuple(
        Order(f"n{number}", request, OrderState.LIVE)
        for number, request in enumerate(second.places)
    )
    third = planned(
        quote, left + resting, replace(holdings, cash_e6=max(0, holdings.cash_e6 - spent))
    )
    assert third.cancels == ()
    assert all(r.side is BUY for r in third.places)
