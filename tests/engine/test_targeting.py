"""A target position: what is cancelled, sold and bought for it, and in which order."""

from dataclasses import replace

import pytest
from fakes.venue import make_market
from hypothesis import given
from hypothesis import strategies as st
from traders.world import Scripted, World

from engine.targeting import Held, fault_of, plan
from models.markets import Outcome, Side
from models.orders import Order, OrderRequest, OrderState, TimeInForce
from models.units import SHARE, USD
from strategies.base import Place, Target

UP, DOWN, BUY, SELL = Outcome.UP, Outcome.DOWN, Side.BUY, Side.SELL
MARKET = make_market()
NONE = Held(0, 0)


def have(shares: float, free: float | None = None) -> Held:
    return Held(int(shares * SHARE), int((shares if free is None else free) * SHARE))


def order(number, outcome, side, price, shares, tif=TimeInForce.GTC) -> Order:
    request = OrderRequest(
        f"w{number}", "anna", MARKET.condition_id, MARKET.token(outcome), outcome, side, price,
        shares * SHARE, tif,
    )  # fmt: skip
    return Order(f"o{number}", request, OrderState.LIVE)


def brief(place: Place | None):
    return None if place is None else (place.outcome, place.side, place.size_e6 / SHARE)


def planned(target, held=NONE, other=NONE, orders=()):
    done = plan(target, orders, held, other, MARKET)
    return done.cancels, [brief(one) for one in done.sales], brief(done.purchase)


@pytest.mark.parametrize(
    ("shares", "held", "other", "sales", "purchase"),
    [
        (50, 0, 0, [], (UP, BUY, 50)),
        (50, 30, 0, [], (UP, BUY, 20)),
        (50, 80, 0, [(UP, SELL, 30)], None),
        (50, 50, 0, [], None),
        (50, 50.5, 0, [], None),
        (50, 0, 20, [(DOWN, SELL, 20)], (UP, BUY, 50)),
        (50, 80, 20, [(UP, SELL, 30), (DOWN, SELL, 20)], None),
        (0, 80, 0, [(UP, SELL, 80)], None),
        (0, 0.5, 3, [(UP, SELL, 0.5), (DOWN, SELL, 3)], None),
        (0, 0, 0, [], None),
    ],
)
def test_sells_what_is_too_much_before_it_buys_what_is_missing(
    shares, held, other, sales, purchase
):
    target = Target(UP, shares * SHARE)
    assert planned(target, have(held), have(other)) == ((), sales, purchase)


def test_open_orders_that_lead_there_count_and_others_are_cancelled_first():
    target = Target(UP, 50 * SHARE, price_e4=4500, tif=TimeInForce.GTC)
    right = order(1, UP, BUY, 4500, 20)
    assert planned(target, orders=(right,)) == ((), [], (UP, BUY, 30))
    wrong = (
        order(2, UP, BUY, 4400, 20),
        order(3, UP, SELL, 5500, 20),
        order(4, DOWN, BUY, 5000, 20),
    )
    assert planned(target, orders=(right, *wrong)) == (("o2", "o3", "o4"), [], None)
    flying = order(5, UP, BUY, 5100, 45, TimeInForce.FAK)
    assert planned(Target(UP, 50 * SHARE), orders=(flying,)) == ((), [], (UP, BUY, 5))


def test_a_purchase_waits_for_shares_of_the_other_outcome_that_can_not_be_sold_yet():
    done = plan(Target(UP, 50 * SHARE), (), NONE, have(20, free=5), MARKET)
    assert [brief(one) for one in done.sales] == [(DOWN, SELL, 5)]
    assert done.purchase is None
    assert "15.00 shares of Down" in done.waits


def test_a_limit_price_is_mirrored_for_the_other_outcome():
    done = plan(Target(UP, 50 * SHARE, price_e4=4500), (), NONE, have(20), MARKET)
    assert [one.price_e4 for one in done.sales] == [5500]
    assert done.purchase.price_e4 == 4500


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Target("Up?", SHARE), "outcome='Up?'"),
        (Target(UP, -1), "shares_e6=-1"),
        (Target(UP, float("nan")), "shares_e6=nan"),
        (Target(UP, 1.5), "shares_e6=1.5"),
        (Target(UP, SHARE, tolerance_e6=None), "tolerance_e6=None"),
        (Target(UP, SHARE, price_e4=4550), "price_e4=4550"),
        (Target(UP, SHARE, price_e4=0), "price_e4=0"),
    ],
)
def test_a_target_that_makes_no_sense_says_why(target, text):
    assert text in fault_of(target, MARKET)


lots = st.integers(0, 5_000).map(lambda n: n * 10_000)


@given(
    st.builds(Target, outcome=st.sampled_from(Outcome), shares_e6=lots, tolerance_e6=lots),
    lots, lots, lots, lots,
    st.lists(
        st.tuples(
            st.sampled_from(Outcome), st.sampled_from(Side), st.integers(40, 60),
            st.integers(1, 40), st.sampled_from([TimeInForce.GTC, TimeInForce.FAK]),
        ),
        max_size=4,
    ),
)  # fmt: skip
def test_carried_out_it_leads_to_the_target_and_never_beyond(
    target, held, free, other, other_free, wished
):
    held, other = Held(held, min(held, free)), Held(other, min(other, other_free))
    orders = tuple(order(n, o, s, p * 100, q, t) for n, (o, s, p, q, t) in enumerate(wished))
    first = plan(target, orders, held, other, MARKET)
    if first.cancels:
        assert not first.sales
        assert first.purchase is None
        orders = tuple(one for one in orders if one.order_id not in first.cancels)
        first = plan(target, orders, held, other, MARKET)
        assert not first.cancels
    for sale in first.sales:
        mine = held if sale.outcome is target.outcome else other
        assert sale.side is SELL
        assert sale.size_e6 <= mine.free_e6
    sold = sum(one.size_e6 for one in first.sales if one.outcome is target.outcome)
    assert held.shares_e6 - sold >= min(held.shares_e6, target.shares_e6)
    if first.purchase is not None:
        assert first.purchase.outcome is target.outcome
        coming = sum(
            one.open_e6 for one in orders
            if one.request.side is BUY and one.request.outcome is target.outcome
        )  # fmt: skip
        assert held.shares_e6 + coming + first.purchase.size_e6 <= target.shares_e6
        gone = sum(
            one.open_e6 for one in orders
            if one.request.side is SELL and one.request.outcome is target.outcome.other
        )  # fmt: skip
        gone += sum(one.size_e6 for one in first.sales if one.outcome is not target.outcome)
        assert gone >= other.shares_e6, "none of the other is kept"


# --- in a live window -----------------------------------------------------------------------


def shares(world: World, outcome: Outcome) -> float:
    return world.trader.portfolio.shares_e6(world.market.token(outcome)) / SHARE


async def test_a_target_said_with_every_tick_is_reached_kept_turned_round_and_left():
    wanted = [Target(UP, 30 * SHARE, reason="up")]
    world = World(Scripted(on_tick=lambda view: list(wanted)))
    await world.open()
    await world.run(6)
    assert shares(world, UP) == 30
    assert len(world.venue.submitted) == 1, "a target that is reached needs nothing more"
    wanted[0] = Target(DOWN, 20 * SHARE, reason="down")
    await world.run(1)
    turned = [(r.side, r.outcome, r.size_e6 // SHARE) for r in world.venue.submitted[1:]]
    assert turned == [(SELL, UP, 30), (BUY, DOWN, 20)], "both in one step, the sale first"
    await world.run(6)
    assert (shares(world, UP), shares(world, DOWN)) == (0, 20)
    wanted[0] = Target(UP, 0)
    await world.run(6)
    assert (shares(world, UP), shares(world, DOWN)) == (0, 0)
    assert len(world.venue.submitted) == 4
    assert [s["reason"] for s in world.signals("target")] == ["up", "down", ""]
    world.assert_books_agree()
    await world.close()


async def test_a_resting_target_is_moved_with_its_price():
    wanted = [Target(UP, 30 * SHARE, price_e4=4800, tif=TimeInForce.GTC, post_only=True)]
    world = World(Scripted(on_tick=lambda view: list(wanted)))
    await world.open()
    await world.run(3)
    assert world.resting() == [("Up", "BUY", 4800, 30)]
    wanted[0] = replace(wanted[0], price_e4=4700)
    await world.run(2)
    assert world.resting() == [("Up", "BUY", 4700, 30)]
    assert len(world.venue.submitted) == 2
    await world.close()


async def test_a_target_is_held_to_the_limits():
    world = World(Scripted(on_tick=lambda v: [Target(UP, 90 * SHARE)]), risk_per_trade_e6=10 * USD)
    await world.open()
    await world.run(3)
    assert world.venue.submitted == []
    assert world.refusals() == ["risk_per_trade"]
    await world.close()
