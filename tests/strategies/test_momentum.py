"""When momentum enters, on which side, and what it remembers."""

import json
from dataclasses import replace

import pytest
from stage.view import MARKET, StagedView, book

from models.events import MarketResolved
from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.units import USD
from strategies import library
from strategies.base import Place


def momentum(**parameters):
    return library.create("momentum", parameters)


@pytest.mark.parametrize(
    ("move", "outcome"),
    [
        (0.005, Outcome.UP),
        (0.02, Outcome.UP),
        (-0.005, Outcome.DOWN),
        (-0.02, Outcome.DOWN),
        (0.00499, None),
        (-0.00499, None),
        (0.0, None),
        (None, None),
    ],
)
def test_buys_the_side_of_a_move_that_reaches_the_threshold(move, outcome):
    intents = momentum().on_tick(StagedView(move=move))
    if outcome is None:
        assert intents is None
        return
    (place,) = intents
    assert isinstance(place, Place)
    assert (place.outcome, place.side, place.tif) == (outcome, Side.BUY, TimeInForce.FAK)
    assert place.budget_e6 == 20 * USD
    assert place.price_e4 is None
    assert "%" in place.reason


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("data are stale", {"fresh": False}),
        ("the window is almost over", {"elapsed_s": 880.0}),
        ("the price is too high", {"up": book(9100, 9200)}),
        ("nobody sells", {"up": book(4900, None)}),
        ("nobody buys, so the spread is unknown", {"up": book(None, 5000)}),
        ("the spread is too wide", {"up": book(4400, 5000)}),
    ],
)
def test_does_not_enter_when(why, changes):
    assert momentum().on_tick(StagedView(move=0.01)), "enters otherwise"
    assert not momentum().on_tick(StagedView(move=0.01).but(**changes)), why


def test_prices_of_down_count_when_it_buys_down():
    strategy = momentum()
    assert not strategy.on_tick(StagedView(move=-0.01, up=book(500, 600)))
    assert strategy.on_tick(StagedView(move=-0.01, up=book(9100, 9200)))


def test_enters_once_per_window():
    strategy = momentum()
    assert strategy.on_tick(StagedView(move=0.01))
    assert not strategy.on_tick(StagedView(move=0.02, elapsed_s=500.0))
    other = StagedView(move=0.01, market=replace(MARKET, condition_id="0xnext"))
    assert strategy.on_tick(other)


def test_enters_again_when_configured_after_the_cooldown():
    strategy = momentum(entries_per_window=2, cooldown_s=60)
    view = StagedView(move=0.01, elapsed_s=100.0)
    assert strategy.on_tick(view)
    assert not strategy.on_tick(view.but(elapsed_s=159.9))
    assert strategy.on_tick(view.but(elapsed_s=160.0))
    assert not strategy.on_tick(view.but(elapsed_s=400.0))


def test_remembers_its_entries_over_a_restart():
    before = momentum()
    before.on_tick(StagedView(move=0.01))
    after = momentum()
    after.restore(json.loads(json.dumps(before.snapshot())))
    assert not after.on_tick(StagedView(move=0.01, elapsed_s=300.0))


def test_forgets_a_window_once_it_is_resolved():
    strategy = momentum()
    strategy.on_tick(StagedView(move=0.01))
    strategy.on_resolution(StagedView(), MarketResolved(0, 0, "0xm", Outcome.UP))
    assert strategy.snapshot() == {"entries": {}}
