"""Nonsense from a strategy: refused with the reason, journaled, and nothing else disturbed."""

from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from traders.world import Scripted, World

from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.units import SHARE, USD
from strategies.base import (
    INTENTS,
    Algo,
    AtEnd,
    Buy,
    Cancel,
    Execute,
    Place,
    Protect,
    Quote,
    Sell,
    Target,
)

UP, NAN = Outcome.UP, float("nan")
REST = Place(UP, Side.BUY, 4500, 10 * SHARE, tif=TimeInForce.GTC, post_only=True)


def once(*intents):
    left = [list(intents)]
    return lambda *_: left.pop() if left else None


@pytest.mark.parametrize(
    ("intent", "text"),
    [
        (Buy(UP, size_e6=NAN), "size_e6=nan"),
        (Buy(UP, size_e6="10"), "size_e6='10'"),
        (Buy(UP, budget_e6=-USD), "budget_e6=-1000000"),
        (Buy(UP, price_e4=4550, size_e6=10 * SHARE), "not a multiple of the tick"),
        (Buy(UP, price_e4="45", size_e6=10 * SHARE), "price_e4='45'"),
        (Buy(None, size_e6=10 * SHARE), "outcome=None"),
        (Buy(UP, size_e6=10 * SHARE, confidence="high"), "confidence='high'"),
        (Buy(UP, size_e6=10 * SHARE, probability=NAN), "probability=nan"),
        (Buy(UP, size_e6=10 * SHARE, probability=True), "probability=True"),
        (Buy(UP, size_e6=10 * SHARE, post_only="no"), "post_only='no'"),
        (Buy(UP, size_e6=10 * SHARE, reason=b"bytes"), "reason=b'bytes'"),
        (Buy(UP, size_e6=10 * SHARE, reason="a\x00b"), "reason='a\\x00b'"),
        (Buy(UP, size_e6=10 * SHARE, reason="\ud800"), "reason='\\ud800'"),
        (Target(UP, 20 * SHARE, reason="\x00"), "reason='\\x00'"),
        (Sell(UP, size_e6=0), "size_e6=0"),
        (Quote(4850, SHARE, None, 0), "not a multiple of the tick"),
        (Quote(NAN, SHARE, None, 0), "bid_e4=nan"),
        (Quote(4800, NAN, None, 0), "bid_size_e6=nan"),
        (Quote(4800, 10 * SHARE, None, 0, probability=-0.1), "probability=-0.1"),
        (Quote(4800, 10 * SHARE, None, 0, reason=None), "reason=None"),
        (Target(UP, NAN), "shares_e6=nan"),
        (Target(UP, 20 * SHARE, price_e4=4550), "price_e4=4550"),
        (Target(UP, 20 * SHARE, probability=1.5), "probability=1.5"),
        (Target(UP, 20 * SHARE, tif="GTC?"), "tif='GTC?'"),
        (Target(UP, 20 * SHARE, stop_loss_e4=NAN), "stop_loss_e4=nan"),
        (Protect(UP, stop_loss_e4=0), "stop_loss_e4=0"),
        (Execute(Algo.TWAP, UP, Side.BUY, NAN), "size_e6=nan"),
        (Cancel("0xnone"), "'0xnone' is not open"),
        (Cancel(float("nan")), "nan is not open"),
        ("buy!", "str is not an intent"),
        (None, "NoneType is not an intent"),
    ],
)
async def test_it_is_refused_with_the_reason_and_the_rest_goes_on(intent, text):
    world = World(Scripted(on_start=once(REST, intent, Buy(UP, budget_e6=10 * USD))))
    await world.open()
    await world.run(2)
    reasons = [detail["reason"] for detail in world.signals("refused")]
    assert any(text in reason for reason in reasons), reasons
    assert world.resting() == [("Up", "BUY", 4500, 10)], "what stood stands"
    assert world.trader.portfolio.shares_e6(world.market.up_token) > 0, "what came next went"
    assert len(world.venue.submitted) == 2
    assert world.trader.failures == {}
    assert not world.window.done()
    world.assert_books_agree()
    await world.close()


async def test_two_different_faults_are_both_noted_and_the_same_one_once():
    faults = [Buy(UP, size_e6=NAN), Buy(UP, size_e6=10 * SHARE, price_e4=4550)]
    world = World(Scripted(on_timer=lambda view: list(faults)))
    await world.open()
    await world.run(20)
    assert len(world.signals("refused")) == 2
    await world.close()


async def test_the_probability_is_kept_with_the_decision():
    intents = (
        Buy(UP, budget_e6=10 * USD, probability=0.61),
        Quote(4500, 10 * SHARE, None, 0, probability=0.62),
        Target(UP, 40 * SHARE, probability=0.63),
        Execute(Algo.TWAP, UP, Side.SELL, 10 * SHARE, duration_s=30.0, probability=0.64),
    )
    world = World(Scripted(on_timer=once(*intents)))
    await world.open()
    await world.run(3)
    said = [
        (kind, detail["probability"]) for _, kind, detail in world.store.signals
        if detail.get("probability")
    ]  # fmt: skip
    assert ("intent", 0.61) in said
    assert ("quote", 0.62) in said
    assert ("target", 0.63) in said
    assert ("execute", 0.64) in said
    await world.close()


junk = st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(max_size=3), st.integers(-(10**8), 10**8),
    st.sampled_from([*Outcome, *Side, *TimeInForce, *Algo, *AtEnd, 4500, 5 * SHARE]),
)  # fmt: skip


def anything(intent, **fixed):
    """An intent whose fields hold anything, but for those that are given."""
    return st.builds(intent, **{one.name: junk for one in fields(intent)} | fixed)


UP_BUY = {"outcome": st.just(UP), "side": st.just(Side.BUY)}
wishes = st.one_of(
    *(anything(intent) for intent in INTENTS),
    anything(Place, **UP_BUY, size_e6=st.just(10 * SHARE), budget_e6=st.none()),
    anything(Target, outcome=st.just(UP), shares_e6=st.integers(0, 50 * SHARE)),
    anything(Protect, outcome=st.just(UP), reason=st.just("")),
    anything(Execute, **UP_BUY, algo=st.sampled_from(Algo), size_e6=st.just(50 * SHARE)),
    junk,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(wishes, min_size=1, max_size=5))
async def test_no_intent_whatever_it_holds_breaks_the_window(intents):
    world = World(Scripted(on_start=once(*intents)), drain_turns=15)
    await world.open()
    await world.run(2)
    assert world.trader.failures == {}
    assert not world.window.done()
    for request in world.venue.submitted:
        assert request.price_e4 % 100 == 0
        assert request.size_e6 % 10_000 == 0
    await world.close()
