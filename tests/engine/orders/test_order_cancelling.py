"""Cancelling and replacing: tried until confirmed, never both live."""

import asyncio

import pytest
from fakes.floor import Floor
from fakes.venue import make_request
from fakes.wire import Fault
from fakes.words import SHARE, asks, now, place, swap

from models.errors import BadValue, StoreUnavailable
from models.markets import Side
from models.orders import OrderState

S = OrderState


# --- cancelling -----------------------------------------------------------------------------------


async def test_confirmed_cancel_ends_the_order_at_once(floor: Floor) -> None:
    order = await place(floor)
    await floor.orders.cancel([order.order_id])
    assert now(floor, order).state is S.CANCELLED
    assert floor.orders.reserved_cash_e6() == 0
    floor.assert_agreed()


async def test_fill_just_before_the_cancel_is_fetched_when_the_venue_speaks_of_it(
    floor: Floor,
) -> None:
    order = await place(floor)
    floor.venue.hit(order.order_id, 3 * SHARE)
    floor.venue.news.clear()
    await floor.orders.cancel([order.order_id])
    assert (now(floor, order).state, now(floor, order).filled_e6) == (S.CANCELLED, 0)
    floor.deliver()
    await floor.orders.work_off()
    floor.clock.advance(1)
    await floor.orders.work_off()
    assert (now(floor, order).state, now(floor, order).filled_e6) == (S.CANCELLED, 3 * SHARE)
    assert len(floor.filled) == 1
    floor.assert_agreed()


async def test_refused_cancel_of_a_filled_order_finds_the_fill(floor: Floor) -> None:
    order = await place(floor)
    floor.venue.hit(order.order_id, 10 * SHARE)
    floor.venue.news.clear()
    await floor.orders.cancel([order.order_id])
    assert not now(floor, order).state.terminal
    floor.clock.advance(1)
    await floor.orders.work_off()
    assert now(floor, order).state is S.FILLED
    floor.assert_agreed()


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.UNAVAILABLE, Fault.TIMEOUT, Fault.LATE])
@pytest.mark.parametrize("every", [False, True])
async def test_unconfirmed_cancel_is_tried_again(floor: Floor, fault: Fault, every: bool) -> None:
    order = await place(floor)
    if every:
        floor.wire.fail("cancel_all", fault)
        await floor.orders.cancel_all()
    else:
        floor.wire.fail("cancel", fault)
        await floor.orders.cancel([order.order_id])
    await floor.settle(5, step=1)
    assert not floor.venue.open_ids()
    await floor.settle(40, step=1)
    assert now(floor, order).state is S.CANCELLED
    floor.assert_agreed()


async def test_order_on_its_way_is_cancelled_once_the_venue_has_answered(floor: Floor) -> None:
    placing = asyncio.create_task(place(floor))
    while "submit" not in floor.wire.calls:
        await asyncio.sleep(0)
    await floor.orders.cancel_all(floor.market.condition_id)
    assert "cancel" not in floor.wire.calls
    order = await placing
    assert order.state is S.LIVE
    await floor.settle(3, step=1)
    assert now(floor, order).state is S.CANCELLED
    floor.assert_agreed()


async def test_delayed_order_is_cancelled_once_it_can_be(floor: Floor) -> None:
    asks(floor, 5000, shares=4)
    floor.venue.delaying = True
    order = await place(floor)
    assert order.state is S.DELAYED
    await floor.orders.cancel([order.order_id])
    await floor.settle(3, step=1)
    assert not now(floor, order).state.terminal
    floor.venue.release()
    await floor.settle(15, step=1)
    assert (now(floor, order).state, now(floor, order).filled_e6) == (S.CANCELLED, 4 * SHARE)
    floor.assert_agreed()


async def test_cancel_all_of_one_market_leaves_the_others(floor: Floor) -> None:
    order = await place(floor)
    await floor.orders.cancel_all("0xother")
    assert now(floor, order).state is S.LIVE


# --- replacing ------------------------------------------------------------------------------------


async def test_replacement_is_sent_after_the_old_order_is_gone(floor: Floor) -> None:
    old = await place(floor)
    new = await swap(floor, old)
    assert (now(floor, old).state, new.state) == (S.CANCELLED, S.LIVE)
    assert floor.wire.calls.index("cancel") < floor.wire.calls.index("submit", 4)
    floor.assert_agreed()


async def test_replacement_is_smaller_by_what_filled_meanwhile(floor: Floor) -> None:
    old = await place(floor)
    floor.venue.hit(old.order_id, 3 * SHARE)
    floor.deliver()
    new = await swap(floor, old)
    assert new.request.size_e6 == 7 * SHARE
    floor.assert_agreed()


async def test_replacement_for_the_other_side_keeps_its_size(floor: Floor) -> None:
    old = await place(floor)
    floor.venue.hit(old.order_id, 3 * SHARE)
    floor.deliver()
    new = await swap(floor, old, side=Side.SELL, price_e4=6000)
    assert new.request.size_e6 == 10 * SHARE


@pytest.mark.parametrize("filled", [6, 10])
async def test_nothing_is_placed_when_little_is_left(floor: Floor, filled: int) -> None:
    old = await place(floor)
    floor.venue.hit(old.order_id, filled * SHARE)
    floor.deliver()
    same = await swap(floor, old)
    assert same.order_id == old.order_id
    assert len(floor.venue.orders) == 1
    await floor.settle(40)
    floor.assert_agreed()


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.TIMEOUT, Fault.UNAVAILABLE])
async def test_nothing_is_placed_until_the_cancel_is_confirmed(floor: Floor, fault: Fault) -> None:
    old = await place(floor)
    floor.wire.fail("cancel", fault)
    same = await swap(floor, old)
    assert same.order_id == old.order_id
    await floor.settle(40, step=1)
    assert now(floor, old).state is S.CANCELLED
    assert len(floor.venue.orders) == 1
    floor.assert_agreed()


async def test_nothing_but_the_venue_lies_between_the_cancel_and_the_replacement(
    floor: Floor,
) -> None:
    old = await place(floor)
    floor.wire.calls.clear()
    await swap(floor, old)
    assert floor.wire.calls[:4] == ["sign", "order_signed", "cancel", "submit"]


async def test_replacement_committed_for_nothing_is_withdrawn_and_written_down(
    floor: Floor,
) -> None:
    old = await place(floor)
    floor.wire.fail("cancel", Fault.LOST)
    kept = await swap(floor, old)
    assert kept.order_id == old.order_id
    (withdrawn,) = [o for o in floor.store.orders.values() if o.order_id != old.order_id]
    assert withdrawn.state is S.REJECTED
    assert withdrawn.note.startswith("not sent")
    assert withdrawn.order_id not in floor.venue.orders
    assert withdrawn.order_id not in [order.order_id for order in floor.done]
    placed = await place(floor, "i2", price_e4=4900)
    assert placed.state is S.LIVE, "a wish that was withdrawn may be placed"
    await floor.settle(40)
    floor.assert_agreed()


async def test_smaller_replacement_is_a_second_order_of_an_intent_whose_first_is_dead(
    floor: Floor,
) -> None:
    old = await place(floor)
    floor.venue.hit(old.order_id, 4 * SHARE)
    floor.deliver()
    floor.wire.calls.clear()
    new = await swap(floor, old)
    assert new.request.size_e6 == 6 * SHARE
    calls = floor.wire.calls
    second = len(calls) - 1 - calls[::-1].index("order_signed")
    assert "order_changed" in calls[calls.index("cancel") : second]
    states = [floor.store.orders[order.order_id].state for order in (old, new)]
    assert states == [S.CANCELLED, S.LIVE]
    assert len(floor.venue.orders) == 2
    floor.assert_agreed()


async def test_replacement_cut_off_at_the_cancel_never_goes_out(floor: Floor) -> None:
    old = await place(floor)
    replacing = asyncio.create_task(swap(floor, old))
    while "cancel" not in floor.wire.calls:
        await asyncio.sleep(0)
    replacing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await replacing
    floor.wire.deliver_late()
    await floor.settle(20)
    assert list(floor.venue.orders) == [old.order_id]
    assert floor.orders.open_orders() == ()
    floor.assert_agreed()


async def test_order_whose_commit_fails_meanwhile_is_not_replaced(floor: Floor) -> None:
    floor.wire.fail("order_signed", Fault.STORE_LOST)
    placing = asyncio.create_task(place(floor))
    while not floor.orders.open_orders():
        await asyncio.sleep(0)
    (old,) = floor.orders.open_orders()
    with pytest.raises(BadValue, match="place a new one"):
        await swap(floor, old)
    with pytest.raises(StoreUnavailable):
        await placing
    assert floor.venue.orders == {}
    assert floor.orders.open_orders() == ()


async def test_ended_order_is_not_replaced(floor: Floor) -> None:
    old = await place(floor)
    await floor.orders.cancel_all()
    assert (await swap(floor, old)).order_id == old.order_id
    with pytest.raises(BadValue, match="0xnone"):
        await floor.orders.replace("0xnone", make_request(floor.market, "i3"), floor.market)


async def test_bad_replacement_leaves_the_old_order_alone(floor: Floor) -> None:
    old = await place(floor)
    with pytest.raises(BadValue):
        await swap(floor, old, price_e4=4955)
    assert now(floor, old).state is S.LIVE
    assert floor.orders.reserved_cash_e6() == 5 * SHARE
