"""Placing: committed first, sent once, answered truly."""

import asyncio

import pytest
from fakes.floor import CAPITAL_E6, Floor
from fakes.wire import Fault
from fakes.words import SHARE, asks, now, place

from models.errors import BadValue, VenueUnavailable
from models.orders import Order, OrderState, TimeInForce

S = OrderState


async def test_resting_order_is_committed_before_it_is_sent(floor: Floor) -> None:
    order = await place(floor)
    assert order.state is S.LIVE
    assert floor.wire.calls.index("order_signed") < floor.wire.calls.index("submit")
    assert floor.store.states[order.order_id] == [S.SIGNED, S.SENT, S.LIVE]
    assert floor.orders.open_orders() == (order,)
    floor.assert_agreed()


async def test_trades_that_come_before_the_answer_count_once(floor: Floor) -> None:
    asks(floor, 4000, 4500, shares=5)
    placing = asyncio.create_task(place(floor, tif=TimeInForce.FAK))
    while not floor.venue.news:
        await asyncio.sleep(0)
    assert not placing.done()
    floor.deliver()
    await floor.orders.work_off()
    order = await placing
    assert (order.state, order.filled_e6) == (S.FILLED, 10 * SHARE)
    assert len(floor.filled) == 2
    assert [o.order_id for o in floor.done] == [order.order_id]
    floor.assert_agreed()


async def test_matched_order_stays_open_until_all_its_trades_are_in_the_books(floor: Floor) -> None:
    asks(floor, 4000, 4500, shares=5)
    floor.venue.hidden.add("t2")
    order = await place(floor, tif=TimeInForce.FAK)
    assert (order.state, order.filled_e6) == (S.PARTIAL, 0)
    floor.clock.advance(1)
    await floor.orders.work_off()
    assert (now(floor, order).state, now(floor, order).filled_e6) == (S.PARTIAL, 5 * SHARE)
    assert floor.orders.reserved_cash_e6() > 0
    floor.venue.hidden.clear()
    floor.clock.advance(1)
    await floor.orders.work_off()
    assert (now(floor, order).state, now(floor, order).filled_e6) == (S.FILLED, 10 * SHARE)
    assert floor.orders.reserved_cash_e6() == 0
    assert len(floor.done) == 1
    floor.assert_agreed()


async def test_fak_purchase_may_get_more_shares_than_asked(floor: Floor) -> None:
    asks(floor, 2500, shares=100)
    order = await place(floor, tif=TimeInForce.FAK, price_e4=5000, shares=10)
    floor.deliver()
    await floor.orders.work_off()
    assert (now(floor, order).state, now(floor, order).filled_e6) == (S.FILLED, 20 * SHARE)
    floor.assert_agreed()


async def test_order_that_crosses_and_rests_is_partial_and_reserves_only_the_rest(
    floor: Floor,
) -> None:
    asks(floor, 4000, shares=4)
    order = await place(floor)
    floor.deliver()
    await floor.orders.work_off()
    assert (now(floor, order).state, now(floor, order).filled_e6) == (S.PARTIAL, 4 * SHARE)
    assert floor.orders.reserved_cash_e6() == 3 * SHARE
    spent = 1_600_000 + floor.filled[0].fee_e6
    assert floor.orders.free_cash_e6() == CAPITAL_E6 - spent - 3 * SHARE
    floor.assert_agreed()


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"tif": TimeInForce.FOK, "shares": 50}, "unmatched"),
        ({"tif": TimeInForce.FAK, "price_e4": 3000}, "unmatched"),
        ({"post_only": True}, "crosses"),
    ],
)
async def test_refused_order_is_rejected_with_the_reason(
    floor: Floor, wish: dict[str, object], code: str
) -> None:
    asks(floor, 4000)
    order = await place(floor, **wish)
    assert order.state is S.REJECTED
    assert code in order.note
    assert floor.done == [order]
    assert floor.orders.reserved_cash_e6() == 0
    floor.assert_agreed()


async def test_off_grid_request_is_refused_before_anything_happens(floor: Floor) -> None:
    with pytest.raises(BadValue, match="grid"):
        await place(floor, price_e4=4950)
    assert floor.wire.calls == []
    assert floor.orders.reserved_cash_e6() == 0


async def test_another_agents_request_is_refused(floor: Floor) -> None:
    with pytest.raises(BadValue, match="ben"):
        await place(floor, agent="ben")


async def test_unavailable_venue_raises_and_the_same_intent_may_come_again(floor: Floor) -> None:
    floor.wire.fail("submit", Fault.UNAVAILABLE)
    with pytest.raises(VenueUnavailable):
        await place(floor)
    assert floor.orders.open_orders() == ()
    assert floor.done == []
    assert floor.orders.reserved_cash_e6() == 0
    assert (await place(floor)).state is S.LIVE
    floor.assert_agreed()


async def test_same_intent_gives_the_same_order(floor: Floor) -> None:
    first, again = await place(floor), await place(floor)
    assert first == again
    assert len(floor.venue.orders) == 1


async def test_intent_being_placed_is_not_placed_a_second_time(floor: Floor) -> None:
    results = await asyncio.gather(place(floor), place(floor), return_exceptions=True)
    assert isinstance(results[0], Order)
    assert isinstance(results[1], BadValue)
    assert len(floor.venue.orders) == 1


async def test_cash_is_reserved_from_the_wish_on(floor: Floor) -> None:
    placing = asyncio.create_task(place(floor))
    seen = set()
    while not placing.done():
        await asyncio.sleep(0)
        seen.add(floor.orders.reserved_cash_e6())
    assert min(seen) >= 5 * SHARE


async def test_intent_whose_order_ended_is_not_placed_again(floor: Floor) -> None:
    order = await place(floor)
    await floor.orders.cancel([order.order_id])
    again = await place(floor)
    assert (again.order_id, again.state) == (order.order_id, S.CANCELLED)
    assert len(floor.venue.orders) == 1


async def test_intent_that_was_rejected_may_come_again(floor: Floor) -> None:
    floor.wire.fail("submit", Fault.REJECTED)
    refused = await place(floor)
    assert refused.state is S.REJECTED
    assert (await place(floor)).order_id != refused.order_id
