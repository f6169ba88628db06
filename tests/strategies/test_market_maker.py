"""Where the market maker quotes, how it leans, and when it stops."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage.view import MARKET, StagedView, book

from models.events import MarketResolved
from models.markets import Outcome, Settlement
from models.units import SHARE
from strategies import library
from strategies.base import Quote

PLAIN = {"move_weight": 0, "join_best": True, "book_weight": 0.5}
"""A fixed distance, so that a test's prices can be worked out by hand."""


def maker(**parameters):
    return library.create("market-maker", {**PLAIN, **parameters})


def quote(strategy, view) -> Quote:
    (only,) = strategy.on_tick(view)
    assert isinstance(only, Quote)
    return only


@pytest.mark.parametrize(
    ("bid", "ask", "parameters", "expected"),
    [
        # A one-tick spread is joined on both sides.
        (4900, 5000, {}, (4900, 5000)),
        # In a wide spread it improves: a tick around the mid.
        (4600, 5200, {}, (4800, 5000)),
        # Two ticks: fair is a price, the best prices are a tick away.
        (4800, 5000, {}, (4800, 5000)),
        # Without joining it keeps its distance.
        (4900, 5000, {"join_best": False}, (4800, 5100)),
        (4900, 5000, {"join_best": False, "half_spread_ticks": 2}, (4700, 5200)),
        # With no distance of its own it still never crosses.
        (4900, 5000, {"join_best": False, "half_spread_ticks": 0}, (4900, 5000)),
        (4800, 5000, {"join_best": False, "half_spread_ticks": 0}, (4800, 4900)),
    ],
)
def test_quotes_around_the_mid_when_there_is_no_strike(bid, ask, parameters, expected):
    found = quote(maker(**parameters), StagedView(up=book(bid, ask)))
    assert (found.bid_e4, found.ask_e4) == expected
    assert (found.bid_size_e6, found.ask_size_e6) == (20 * SHARE, 20 * SHARE)


@pytest.mark.parametrize(
    ("spot", "expected"),
    [
        (68_000.0, (4900, 5100)),
        # Fair is far from the book: one side stops short of crossing, the other keeps away.
        (68_400.0, (5000, 5400)),
        (67_600.0, (4600, 5000)),
    ],
)
def test_fair_value_blends_the_digital_within_the_deviation(spot, expected):
    view = StagedView(up=book(4900, 5100), spot=spot, strike=68_000.0)
    found = quote(maker(max_deviation_ticks=3, book_weight=0.5, join_best=False), view)
    assert (found.bid_e4, found.ask_e4) == expected


@pytest.mark.parametrize(
    ("elapsed", "mid", "expected"),
    [
        # At 0.50 the value moves by 0.399 / sqrt(time left) a second.
        (0.0, (4900, 5100), (4700, 5300)),
        (675.0, (4900, 5100), (4400, 5600)),
        (875.0, (4900, 5100), (3400, 6600)),
        # Far from the strike it moves less.
        (0.0, (8900, 9100), (8800, 9200)),
        (675.0, (8900, 9100), (8700, 9300)),
    ],
)
def test_keeps_the_distance_the_value_may_move_before_it_can_follow(elapsed, mid, expected):
    strategy = maker(move_weight=2, join_best=False)
    found = quote(strategy, StagedView(up=book(*mid), elapsed_s=elapsed))
    assert (found.bid_e4, found.ask_e4) == expected


def test_a_slower_reaction_means_a_wider_quote():
    view = StagedView(up=book(4900, 5100))
    fast = quote(maker(move_weight=2, reaction_s=1), view)
    slow = quote(maker(move_weight=2, reaction_s=4, join_best=False), view)
    assert slow.bid_e4 < fast.bid_e4 < fast.ask_e4 < slow.ask_e4


def test_averaged_settlement_is_valued_as_such():
    """In the last minute most of the average is known; a spot back at the strike changes little."""
    view = StagedView(
        up=book(4900, 5100), elapsed_s=865.0, spot=68_000.0, strike=68_000.0, average=68_100.0
    )
    strategy = maker(book_weight=0, max_deviation_ticks=100)
    boundary = strategy.fair_value(view)
    averaged = view.but(market=replace(MARKET, settlement=Settlement.TWAP_60))
    assert boundary == pytest.approx(0.5, abs=0.01)
    assert strategy.fair_value(averaged) > 0.75


@pytest.mark.parametrize(
    ("held", "bid_shares", "ask_shares", "leans"),
    [
        ({}, 20, 20, 0),
        ({Outcome.UP: 90}, 10, 20, -1),
        ({Outcome.UP: 100}, 0, 20, -1),
        ({Outcome.UP: 97}, 0, 20, -1),
        ({Outcome.DOWN: 100}, 20, 0, 1),
        ({Outcome.UP: 60, Outcome.DOWN: 60}, 20, 20, 0),
        ({Outcome.UP: 300}, 0, 20, -1),
    ],
)
def test_leans_against_its_inventory_and_stops_at_the_limit(held, bid_shares, ask_shares, leans):
    strategy = maker(skew_ticks=4, join_best=False)
    flat = quote(maker(skew_ticks=4, join_best=False), StagedView(up=book(4500, 5500)))
    found = quote(strategy, StagedView(up=book(4500, 5500), held=held))
    assert found.bid_size_e6 == bid_shares * SHARE
    assert found.ask_size_e6 == ask_shares * SHARE
    assert (found.bid_e4 is None) == (bid_shares == 0)
    assert (found.ask_e4 is None) == (ask_shares == 0)
    if found.ask_e4 is not None:
        assert (found.ask_e4 > flat.ask_e4) - (found.ask_e4 < flat.ask_e4) == leans
    if found.bid_e4 is not None:
        assert (found.bid_e4 > flat.bid_e4) - (found.bid_e4 < flat.bid_e4) == leans


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("data are stale", {"fresh": False}),
        ("the end is near", {"elapsed_s": 881.0}),
        ("the book has no ask", {"up": book(4900, None)}),
        ("the book has no bid", {"up": book(None, 5000)}),
        ("the market is as good as decided", {"up": book(9600, 9700)}),
        ("the market is as good as decided", {"up": book(300, 400)}),
    ],
)
def test_pulls_its_quotes_when(why, changes):
    found = quote(maker(), StagedView().but(**changes))
    assert found == Quote(None, 0, None, 0), why


def test_waits_for_the_part_of_the_window_it_is_meant_for():
    strategy = maker(max_time_left_s=600)
    assert quote(strategy, StagedView(elapsed_s=299.0)).bid_e4 is None
    assert quote(strategy, StagedView(elapsed_s=301.0)).bid_e4 is not None


def test_keeps_its_place_until_it_is_off_by_the_requote_threshold():
    strategy = maker(requote_ticks=2, join_best=False)
    first = quote(strategy, StagedView(up=book(4600, 5200)))
    assert (first.bid_e4, first.ask_e4) == (4800, 5000)
    near = quote(strategy, StagedView(up=book(4700, 5300)))
    assert (near.bid_e4, near.ask_e4) == (4800, 5000)
    far = quote(strategy, StagedView(up=book(4900, 5500)))
    assert (far.bid_e4, far.ask_e4) == (5100, 5300)


def test_leaves_its_place_when_the_book_comes_to_it():
    strategy = maker(requote_ticks=20, join_best=False)
    quote(strategy, StagedView(up=book(4600, 5200)))
    found = quote(strategy, StagedView(up=book(4500, 4800)))
    assert found.bid_e4 == 4700


def test_follows_a_finer_tick():
    fine = replace(MARKET, tick_e4=10)
    found = quote(maker(), StagedView(market=fine, up=book(9400, 9410)))
    assert (found.bid_e4, found.ask_e4) == (9400, 9410)


def test_remembers_its_place_over_a_restart_and_forgets_resolved_markets():
    before = maker(requote_ticks=5, join_best=False)
    first = quote(before, StagedView(up=book(4600, 5200)))
    after = maker(requote_ticks=5, join_best=False)
    after.restore(json.loads(json.dumps(before.snapshot())))
    again = quote(after, StagedView(up=book(4800, 5400)))
    assert (again.bid_e4, again.ask_e4) == (first.bid_e4, first.ask_e4)
    after.on_resolution(StagedView(), MarketResolved(0, 0, "0xm", Outcome.UP))
    assert after.snapshot() == {"quoted": {}}


@given(
    bid=st.integers(1, 98),
    width=st.integers(1, 60),
    spot=st.one_of(st.none(), st.floats(60_000, 76_000)),
    vol=st.one_of(st.none(), st.floats(0, 1e-3)),
    held=st.integers(-300, 300),
    half=st.floats(0, 5),
    skew=st.floats(0, 10),
    requote=st.integers(1, 5),
    before=st.integers(1, 97),
    move=st.floats(0, 10),
    elapsed=st.floats(0, 879),
)
def test_never_crosses_and_never_wants_more_than_its_limits(
    bid, width, spot, vol, held, half, skew, requote, before, move, elapsed
):
    strategy = maker(
        half_spread_ticks=half,
        skew_ticks=skew,
        requote_ticks=requote,
        move_weight=move,
        edge_price=0,
    )
    strategy.on_tick(StagedView(up=book(before * 100, before * 100 + 200)))
    ask = min(bid + width, 99)
    if ask <= bid:
        return
    side = Outcome.UP if held > 0 else Outcome.DOWN
    view = StagedView(
        up=book(bid * 100, ask * 100),
        spot=spot,
        strike=68_000.0,
        vol=vol,
        held={side: abs(held)},
        elapsed_s=elapsed,
    )
    found = quote(strategy, view)
    if found.bid_e4 is not None:
        assert found.bid_e4 % 100 == 0
        assert 100 <= found.bid_e4 < ask * 100
        assert 5 * SHARE <= found.bid_size_e6 <= 20 * SHARE
        assert held + found.bid_size_e6 / SHARE <= 100
    if found.ask_e4 is not None:
        assert found.ask_e4 % 100 == 0
        assert bid * 100 < found.ask_e4 <= 9900
        assert 5 * SHARE <= found.ask_size_e6 <= 20 * SHARE
        assert held - found.ask_size_e6 / SHARE >= -100
    if found.bid_e4 is not None and found.ask_e4 is not None:
        assert found.bid_e4 < found.ask_e4
