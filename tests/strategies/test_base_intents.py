"""Intents: what they say when nothing is said, and the short ways to make them."""

from dataclasses import FrozenInstanceError, fields

import pytest

from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.units import SHARE, USD
from strategies.base import (
    INTENTS,
    Algo,
    Buy,
    Cancel,
    Execute,
    Place,
    Protect,
    Quote,
    Sell,
    Strategy,
    Target,
)

EXAMPLES = (
    Place(Outcome.UP, Side.BUY, size_e6=SHARE),
    Quote(4800, SHARE, 5200, SHARE),
    Target(Outcome.UP, SHARE),
    Protect(Outcome.UP, stop_loss_e4=4000),
    Execute(Algo.TWAP, Outcome.UP, Side.BUY, SHARE),
    Cancel(),
)


def test_buy_and_sell_are_places():
    assert Buy(Outcome.UP, budget_e6=20 * USD, reason="rise") == Place(
        Outcome.UP, Side.BUY, budget_e6=20 * USD, reason="rise"
    )
    assert Sell(Outcome.DOWN, size_e6=SHARE, tif=TimeInForce.GTC, price_e4=6000) == Place(
        Outcome.DOWN, Side.SELL, price_e4=6000, size_e6=SHARE, tif=TimeInForce.GTC
    )
    with pytest.raises(TypeError):
        Buy(Outcome.UP, sice_e6=SHARE)


@pytest.mark.parametrize("intent", EXAMPLES, ids=lambda intent: type(intent).__name__)
def test_every_intent_is_known_frozen_and_says_why(intent):
    assert isinstance(intent, INTENTS)
    with pytest.raises(FrozenInstanceError):
        intent.reason = "changed"
    names = {field.name for field in fields(intent)}
    assert "reason" in names
    assert "probability" in names or isinstance(intent, Cancel | Protect)


def test_every_class_of_intent_has_an_example_here():
    assert {type(one) for one in EXAMPLES} == set(INTENTS)


def test_a_strategy_that_overrides_nothing_wants_nothing():
    class Idle(Strategy):
        name = "idle"

    idle = Idle(Idle.Params())
    for hook in ("on_start", "on_tick", "on_timer", "on_stop"):
        assert getattr(idle, hook)(None) is None
    for hook in ("on_trade", "on_fill", "on_cancel", "on_resolution"):
        assert getattr(idle, hook)(None, None) is None
    assert idle.snapshot() == {}
    idle.restore({"left": "over"})
