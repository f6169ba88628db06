"""When mean reversion buys and sells again, and what it remembers."""

import json
from dataclasses import replace
from math import sqrt

import pytest
from stage.view import MARKET, StagedView, book

from models.events import MarketResolved
from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.units import SHARE, USD
from strategies import library
from strategies.base import Place
from strategies.features import RealisedVolatility, Source, ZScore

VOLATILITY = 1e-4 * sqrt(5)
"""Of returns over five seconds."""


def reversion(**parameters):
    return library.create("mean-reversion", parameters)


def pushed_down(**changes):
    """Up was pushed to 0.40 while spot is at the strike, hence worth 0.50."""
    facts = {
        "up": book(3900, 4000),
        "spot": 68_000.0,
        "strike": 68_000.0,
        "values": {"pushed": -3.0, "volatility": VOLATILITY},
    }
    return StagedView(**{**facts, **changes})


def pushed_up(**changes):
    return pushed_down(
        up=book(6000, 6100), values={"pushed": 3.0, "volatility": VOLATILITY}, **changes
    )


def test_buys_up_when_it_was_pushed_down_and_is_worth_more():
    place = reversion().on_tick(pushed_down())
    assert isinstance(place, Place)
    assert (place.outcome, place.side, place.tif) == (Outcome.UP, Side.BUY, TimeInForce.FAK)
    assert (place.budget_e6, place.price_e4) == (20 * USD, None)
    assert place.probability == pytest.approx(0.5, abs=0.01)
    assert "-3.0 deviations" in place.reason


def test_buys_down_when_up_was_pushed_up():
    place = reversion().on_tick(pushed_up())
    assert (place.outcome, place.side) == (Outcome.DOWN, Side.BUY)


def test_volatility_is_taken_per_root_second():
    """Spot 0.1 % above the strike, 800 s left: 0.36 deviations, so Up is worth 0.64."""
    view = pushed_down(spot=68_068.0)
    assert reversion().on_tick(view).probability == pytest.approx(0.638, abs=0.002)


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("data are stale", {"fresh": False}),
        ("the indicator is not warm", {"values": {"pushed": None, "volatility": VOLATILITY}}),
        ("the push is small", {"values": {"pushed": -2.4, "volatility": VOLATILITY}}),
        ("volatility is unknown", {"values": {"pushed": -3.0, "volatility": None}}),
        ("the strike is unknown", {"strike": None}),
        ("spot is unknown", {"spot": None}),
        ("spot explains the price", {"spot": 67_950.0}),
        ("the window is almost over", {"elapsed_s": 800.0}),
        ("the spread is too wide", {"up": book(3500, 4000)}),
        ("nobody sells", {"up": book(3900, None)}),
        ("nobody buys", {"up": book(None, 4000)}),
        ("an order is open", {"open_orders": (object(),)}),
    ],
)
def test_does_not_enter_when(why, changes):
    assert reversion().on_tick(pushed_down()), "enters otherwise"
    assert reversion().on_tick(pushed_down().but(**changes)) is None, why


def test_sells_all_whole_hundredths_once_the_price_is_back():
    strategy = reversion()
    strategy.on_tick(pushed_down())
    held = {"held": {Outcome.UP: 50}}
    assert strategy.on_tick(pushed_down(elapsed_s=110.0, **held)) is None, "not back yet"
    back = pushed_down(elapsed_s=120.0, values={"pushed": -0.4, "volatility": None}, **held)
    place = strategy.on_tick(back)
    assert (place.outcome, place.side, place.size_e6) == (Outcome.UP, Side.SELL, 50 * SHARE)
    assert "is back" in place.reason


def test_a_side_is_back_by_its_own_sign():
    held = {"held": {Outcome.DOWN: 50}}
    strategy = reversion()
    strategy.on_tick(pushed_up())
    assert strategy.on_tick(pushed_up(**held)) is None
    assert strategy.on_tick(pushed_down(**held)).outcome is Outcome.DOWN, "beyond the mean"


def test_gives_up_after_its_time_even_without_a_memory():
    strategy = reversion(most_held_s=60)
    strategy.on_tick(pushed_down(elapsed_s=100.0))
    held = {"held": {Outcome.UP: 50}}
    assert strategy.on_tick(pushed_down(elapsed_s=159.0, **held)) is None
    assert "60 s" in strategy.on_tick(pushed_down(elapsed_s=160.0, **held)).reason
    assert reversion().on_tick(pushed_down(**held)).side is Side.SELL, "a position from elsewhere"


def test_enters_only_so_often_per_window_and_remembers_it():
    strategy = reversion(entries_per_window=1)
    assert strategy.on_tick(pushed_down())
    again = reversion(entries_per_window=1)
    again.restore(json.loads(json.dumps(strategy.snapshot())))
    for one in (strategy, again):
        assert one.on_tick(pushed_down()) is None
        other = pushed_down(market=replace(MARKET, condition_id="0xnext"))
        assert one.on_tick(other)
    strategy.on_resolution(pushed_down(), MarketResolved(1, 1, MARKET.condition_id, Outcome.UP))
    assert strategy.on_tick(pushed_down())


def test_declares_what_its_parameters_say():
    declared = reversion(window_s=30, volatility_s=100).indicators()
    assert repr(declared["pushed"].indicator) == repr(ZScore(30))
    assert (declared["pushed"].source, declared["pushed"].every_s) == (Source.MICRO, 1)
    assert repr(declared["volatility"].indicator) == repr(RealisedVolatility(20))
    assert declared["volatility"].every_s == 5
