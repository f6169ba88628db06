"""Conditional orders in a live window: when they fire, what they sell, what they never do."""

from dataclasses import replace

import pytest
from fakes.wire import Fault
from traders.world import START_S, Scripted, World, make_market

from models.conditional import ConditionKind, ConditionState
from models.errors import VenueUnavailable
from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.units import SECOND_NS, SHARE, USD
from risk.sizing import STEP_E6
from strategies.base import Buy, Cancel, Place, Protect, Quote, Sell, Target

UP, DOWN = Outcome.UP, Outcome.DOWN
BUY = Buy(UP, budget_e6=10 * USD, reason="rise")
GUARDED = replace(BUY, stop_loss_e4=4000, take_profit_e4=6000)


def once(*intents):
    left = [list(intents)]
    return lambda *_: left.pop() if left else None


def states(world: World) -> dict[str, str]:
    """State of every conditional order ever kept, by kind."""
    return {c.kind.value: c.state.value for c in world.store.conditions.values()}


def held(world: World, outcome: Outcome = UP) -> int:
    return world.trader.portfolio.shares_e6(world.market.token(outcome))


def sides(world: World) -> list[str]:
    return [request.side.value for request in world.venue.submitted]


async def bought(*intents, **limits) -> World:
    """A world in which the strategy has bought and its shares are on the chain."""
    world = World(Scripted(on_start=once(*intents)), **limits)
    await world.open()
    await world.run(4)
    return world


# --- firing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bid", "fired", "other"),
    [(3900, "stop_loss", "take_profit"), (6200, "take_profit", "stop_loss")],
)
async def test_one_of_a_pair_fires_once_and_takes_the_other_off_in_the_same_commit(
    bid, fired, other
):
    world = await bought(GUARDED)
    assert states(world) == {"stop_loss": "armed", "take_profit": "armed"}
    size = held(world)
    calls = len(world.wire.calls)
    world.quote(bid, bid + 200)
    await world.clock.drain()
    commits = world.wire.calls[calls:]
    assert commits.index("conditions_changed") < commits.index("order_signed")
    await world.run(5)
    assert sides(world) == ["BUY", "SELL"]
    assert world.venue.submitted[1].size_e6 == size
    assert world.venue.submitted[1].price_e4 == bid - 300
    assert held(world) == 0
    assert states(world) == {fired: "done", other: "cancelled"}
    world.quote(3900 if bid > 5000 else 6200, 6400)
    await world.run(5)
    assert sides(world) == ["BUY", "SELL"]
    world.assert_books_agree()
    await world.close()


async def test_it_fires_on_every_message_not_at_the_cadence_of_the_strategy():
    strategy = Scripted(on_start=once(GUARDED))
    strategy.cadence_ms = 60_000
    world = World(strategy)
    await world.open()
    await world.run(4)
    world.quote(3900, 4100)
    await world.clock.drain()
    world.quote(4900, 5000)
    await world.clock.drain()
    assert sides(world) == ["BUY", "SELL"], "the dip lasted no time at all"
    await world.close()


async def test_a_trailing_stop_follows_the_highest_bid():
    world = await bought(BUY, Protect(UP, trail_bps=1000))
    for bid in (5200, 6000, 5500):
        world.quote(bid, bid + 200)
        await world.run(2)
    assert sides(world) == ["BUY"], "8 percent below 60 cents is not yet 10"
    (kept,) = world.store.conditions.values()
    assert kept.high_e4 == 6000
    world.quote(5400, 5600)
    await world.run(3)
    assert sides(world) == ["BUY", "SELL"]
    assert states(world) == {"trailing_stop": "done"}
    assert held(world) == 0
    await world.close()


async def test_a_trailing_stop_does_not_know_highs_from_before_there_was_anything_to_guard():
    world = World(Scripted(on_start=once(Protect(UP, trail_bps=1000))))
    await world.open(bid=8000, ask=8100)
    await world.run(2)
    world.quote(4900, 5000)
    world.trader._strategy.hooks["on_tick"] = once(BUY)
    await world.run(6)
    assert sides(world) == ["BUY"]
    await world.close()


@pytest.mark.parametrize(
    ("protect", "at_s"),
    [(Protect(UP, exit_after_s=20), 20), (Protect(UP, exit_left_s=870), 30)],
)
async def test_a_timed_exit_sells_when_its_time_has_come(protect, at_s):
    world = await bought(BUY, protect)
    await world.run(at_s - 5)
    assert sides(world) == ["BUY"]
    await world.run(3)
    assert sides(world) == ["BUY", "SELL"]
    assert held(world) == 0
    assert states(world) == {"time_exit": "done"}
    await world.close()


async def test_down_is_guarded_by_its_own_bid():
    world = await bought(Buy(DOWN, budget_e6=10 * USD, stop_loss_e4=4000))
    world.quote(5400, 5500)
    await world.run(2)
    assert sides(world) == ["BUY"]
    world.quote(6000, 6100)
    await world.run(3)
    assert sides(world) == ["BUY", "SELL"]
    assert held(world, DOWN) < STEP_E6, "less than the venue takes"
    await world.close()


# --- not firing -----------------------------------------------------------------------------


async def test_nothing_fires_while_the_data_are_stale():
    world = await bought(GUARDED)
    await world.run(10, spot=None)
    world.quote(3000, 3100)
    await world.run(5, spot=None)
    assert sides(world) == ["BUY"]
    world.quote(4900, 5000)
    await world.run(3)
    assert sides(world) == ["BUY"], "what was stale says nothing afterwards either"
    world.quote(3900, 4000)
    await world.run(3)
    assert sides(world) == ["BUY", "SELL"]
    await world.close()


async def test_a_guard_of_nothing_waits_and_an_unfilled_order_takes_it_along():
    rest = Place(
        UP, Side.BUY, 4500, 10 * SHARE, tif=TimeInForce.GTC, post_only=True, stop_loss_e4=4000
    )
    world = World(Scripted(on_start=once(rest)))
    await world.open()
    world.quote(None, 5000)
    await world.run(3)
    assert sides(world) == ["BUY"]
    assert states(world) == {"stop_loss": "armed"}
    world.trader._strategy.hooks["on_tick"] = once(Cancel())
    await world.run(3)
    assert states(world) == {"stop_loss": "cancelled"}
    assert not world.trader._desk.promised(world.market.condition_id)
    await world.close()


async def test_our_own_bid_is_nobody_to_sell_to():
    """The street leaves; what still bids is our own order, and no sale comes of it."""
    own = Place(UP, Side.BUY, 4800, 20 * SHARE, tif=TimeInForce.GTC, post_only=True)
    world = await bought(BUY, own, Protect(UP, stop_loss_e4=4500))
    world.quote(4400, 5000)
    await world.run(3)
    assert sides(world)[-1] == "SELL"
    assert held(world) == 0
    assert world.resting() == [], "the bid went before the sale"
    world.assert_books_agree()
    await world.close()


# --- how much -------------------------------------------------------------------------------


async def test_never_more_than_is_held_whatever_the_strategy_sold_before():
    world = await bought(GUARDED)
    world.trader._strategy.hooks["on_tick"] = once(Sell(UP, size_e6=12 * SHARE))
    await world.run(4)
    left = held(world)
    world.quote(3900, 4000)
    await world.run(4)
    assert sides(world) == ["BUY", "SELL", "SELL"]
    assert world.venue.submitted[2].size_e6 == left
    assert held(world) == 0
    await world.close()


async def test_a_thin_book_is_sold_into_until_all_is_gone():
    world = await bought(GUARDED)
    world.venue.impose(world.market, ((3900, 6 * SHARE),), ((4200, 50 * SHARE),))
    await world.run(2)
    assert held(world) > 0
    for bid in (3600, 3500):
        world.venue.impose(world.market, ((bid, 7 * SHARE),), ((4200, 50 * SHARE),))
        await world.run(2)
    assert held(world) == 0
    ids = [request.intent_id for request in world.venue.submitted[1:]]
    assert len(set(ids)) == len(ids) >= 3
    assert states(world)["stop_loss"] == "done"
    world.assert_books_agree()
    await world.close()


async def test_what_is_not_on_the_chain_yet_is_sold_as_soon_as_it_is():
    world = World(Scripted(on_start=once(GUARDED)))
    await world.open()
    world.quote(3900, 4000)
    await world.run(1)
    assert sides(world) == ["BUY"]
    assert states(world)["stop_loss"] == "triggered"
    await world.run(4)
    assert sides(world) == ["BUY", "SELL"]
    assert held(world) == 0
    await world.close()


async def test_a_sale_takes_resting_quotes_out_of_its_way():
    ask = Place(UP, Side.SELL, 5500, 15 * SHARE, tif=TimeInForce.GTC, post_only=True)
    world = await bought(BUY, Protect(UP, stop_loss_e4=4000))
    world.trader._strategy.hooks["on_tick"] = once(ask, Quote(4700, 20 * SHARE, None, 0))
    await world.run(2)
    assert len(world.resting()) >= 1
    world.quote(3900, 4000)
    await world.run(4)
    assert held(world) == 0
    world.assert_books_agree()
    await world.close()


# --- arming ---------------------------------------------------------------------------------


async def test_an_order_never_stands_without_its_guards():
    world = World(Scripted(on_start=once(GUARDED)))
    world.wire.fail("conditions_changed", Fault.STORE_LATE)
    await world.open()
    await world.run(3)
    assert world.venue.submitted == []
    assert set(states(world).values()) == {"cancelled"}
    await world.close()


@pytest.mark.parametrize("trouble", ["venue", "journal"])
async def test_an_order_that_could_not_go_takes_its_guards_along(trouble):
    world = World(Scripted(on_start=once(GUARDED)))
    if trouble == "venue":
        world.venue.unavailable = [VenueUnavailable("engine restarting", "restarting", 1.0)]
    else:
        world.wire.fail("order_signed", Fault.STORE_LATE)
    await world.open()
    await world.run(3)
    assert held(world) == 0
    assert set(states(world).values()) == {"cancelled"}
    await world.close()


async def test_a_store_that_is_away_delays_a_sale_and_does_not_forget_it():
    world = await bought(GUARDED)
    world.wire.fail("conditions_changed", *[Fault.STORE_LOST] * 3)
    world.quote(3900, 4000)
    await world.clock.drain()
    world.quote(4900, 5000)
    await world.clock.drain()
    assert sides(world) == ["BUY"]
    await world.run(5)
    assert sides(world) == ["BUY", "SELL"], "it had fired"
    assert states(world) == {"stop_loss": "done", "take_profit": "cancelled"}
    await world.close()


@pytest.mark.parametrize(
    ("intent", "text"),
    [
        (replace(GUARDED, stop_loss_e4=4050), "stop_loss_e4=4050 is not a multiple"),
        (replace(GUARDED, stop_loss_e4=float("nan")), "stop_loss_e4=nan"),
        (replace(GUARDED, stop_loss_e4=True), "stop_loss_e4=True"),
        (replace(GUARDED, take_profit_e4=0), "take_profit_e4=0"),
        (replace(GUARDED, stop_loss_e4=5200), "not below the price"),
        (replace(GUARDED, take_profit_e4=5000), "not above the price"),
        (Sell(UP, size_e6=SHARE, stop_loss_e4=4000), "belong to a BUY"),
        (Protect(UP, stop_loss_e4=5000, take_profit_e4=4000), "not below take_profit_e4"),
        (Protect(UP, trail_bps=0), "trail_bps=0"),
        (Protect(UP, trail_bps=10_000), "trail_bps=10000"),
        (Protect(UP, trail_bps=5.5), "trail_bps=5.5"),
        (Protect(UP, stop_loss_e4=4000, size_e6=-1), "size_e6=-1"),
        (Protect(UP, stop_loss_e4=4000, slippage_ticks=-1), "slippage_ticks=-1"),
        (Protect(UP, exit_after_s=float("inf")), "exit_after_s=inf"),
        (Protect(UP, exit_left_s="9"), "exit_left_s='9'"),
        (Protect(UP, exit_left_s=2), "at least 5 s before"),
        (Protect(UP, exit_after_s=10_000), "at least 5 s before"),
        (Protect("Up?", stop_loss_e4=4000), "outcome='Up?'"),
        (Protect(UP, stop_loss_e4=4000, reason=7), "reason=7"),
    ],
)
async def test_guards_that_make_no_sense_are_refused_and_nothing_else_is_disturbed(intent, text):
    world = World(Scripted(on_start=once(intent, BUY)))
    await world.open()
    await world.run(2)
    held_up = world.trader.portfolio.shares_e6(world.market.up_token)
    assert sides(world) == (["BUY"] if held_up else [])
    assert held_up, "the next intent went through"
    reasons = [detail["reason"] for detail in world.signals("refused")]
    if intent.__class__ is Place and intent.side is Side.SELL:
        assert reasons, "selling what is not held is refused all the same"
    else:
        assert any(text in reason for reason in reasons), reasons
    assert world.store.conditions == {}
    await world.close()


async def test_saying_the_same_protection_again_changes_nothing_and_another_replaces_it():
    wish = [Protect(UP, stop_loss_e4=4000, exit_after_s=300)]
    world = World(Scripted(on_start=once(BUY), on_tick=lambda view: list(wish)))
    await world.open()
    await world.run(10)
    assert len(world.store.conditions) == 2
    assert world.wire.calls.count("conditions_changed") == 1
    assert len(world.signals("protect")) == 1
    wish[0] = Protect(UP, stop_loss_e4=4500)
    await world.run(2)
    live = [c for c in world.store.conditions.values() if not c.state.over]
    assert [(c.kind, c.trigger_e4) for c in live] == [(ConditionKind.STOP_LOSS, 4500)]
    wish[0] = Protect(UP)
    await world.run(2)
    assert all(c.state is ConditionState.CANCELLED for c in world.store.conditions.values())
    world.quote(3000, 3100)
    await world.run(3)
    assert sides(world) == ["BUY"]
    await world.close()


async def test_a_target_brings_its_guards_along():
    target = Target(UP, 20 * SHARE, stop_loss_e4=4000, take_profit_e4=7000, reason="hold")
    world = World(Scripted(on_start=once(target)))
    await world.open()
    await world.run(4)
    assert held(world) == 20 * SHARE
    assert states(world) == {"stop_loss": "armed", "take_profit": "armed"}
    world.quote(7100, 7300)
    await world.run(3)
    assert held(world) == 0
    await world.close()


# --- the strategy fails, the session ends ---------------------------------------------------


async def test_guards_stay_on_watch_after_the_strategy_failed():
    def boom(*_):
        raise RuntimeError("no idea")

    world = await bought(GUARDED)
    world.trader._strategy.hooks["on_timer"] = boom
    await world.run(2)
    assert world.market.condition_id in world.trader.failures
    assert not world.window.done(), "somebody has to watch"
    assert "strategy_failed" in [kind for kind, _ in world.store.events]
    world.quote(3900, 4000)
    await world.run(5)
    assert sides(world) == ["BUY", "SELL"]
    assert held(world) == 0
    assert world.window.done()
    await world.close()


async def test_a_successor_takes_the_guards_up_with_their_watermark():
    world = await bought(BUY, Protect(UP, trail_bps=1000, stop_loss_e4=3000))
    world.quote(6000, 6200)
    await world.run(3)
    world.venue._sink = None  # killed: nothing is cancelled
    before = world.trader
    world.boot(Scripted())
    await world.start()
    world.quote(5300, 5500)
    world.venue.snapshot(world.market)
    world.venue.spot(68_000.0)
    assert held(world) > 0
    world.spawn(world.trader.run_window(world.market))
    await world.run(4)
    assert held(world) == 0, "10 percent below a high only the first session saw"
    assert sides(world) == ["BUY", "SELL"]
    assert states(world) == {"trailing_stop": "done", "stop_loss": "cancelled"}
    world.assert_books_agree()
    await before._end_tasks()
    await world.close()


async def test_a_successor_that_comes_after_the_end_closes_what_was_promised():
    market = make_market(0, end_ns=(START_S + 60) * SECOND_NS)
    world = World(Scripted(on_start=once(GUARDED)), market)
    await world.open()
    await world.run(5)
    world.venue._sink = None  # killed
    before = world.trader
    await before._end_tasks()
    await world.run(60)
    world.boot(Scripted())
    await world.start()
    assert set(states(world).values()) == {"cancelled"}
    await world.close()


async def test_when_the_market_is_over_its_guards_are():
    market = make_market(0, end_ns=(START_S + 60) * SECOND_NS)
    world = World(Scripted(on_start=once(GUARDED)), market)
    await world.open()
    await world.run(60)
    assert world.window.done()
    settling = world.spawn(world.trader.settle(world.market))
    world.wire.fail("conditions_changed", Fault.STORE_LOST)
    world.venue.resolve(world.market, UP)
    await world.run(9)
    assert settling.done()
    assert set(states(world).values()) == {"cancelled"}
    assert sides(world) == ["BUY"]
    assert not world.trader._desk.promised(world.market.condition_id)
    await world.close()
