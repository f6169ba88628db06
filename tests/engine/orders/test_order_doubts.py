"""Not knowing: ask the venue, decide only after the settle time."""

import asyncio
from dataclasses import replace as changed

import pytest
from fakes.floor import Floor
from fakes.venue import make_request
from fakes.wire import Fault
from fakes.words import SHARE, asks, now, place

from models.errors import VenueRejected
from models.events import OrderUpdate
from models.orders import OrderState, SignedOrder, SubmitAck, TimeInForce
from models.units import SECOND_NS

S = OrderState


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.LATE])
async def test_unanswered_order_is_asked_about_and_found(floor: Floor, fault: Fault) -> None:
    floor.wire.fail("submit", fault)
    order = await place(floor)
    assert order.state is S.UNKNOWN
    assert floor.orders.reserved_cash_e6() >= 5 * SHARE
    floor.wire.deliver_late()
    floor.clock.advance(1)
    await floor.orders.work_off()
    assert now(floor, order).state is S.LIVE
    floor.assert_agreed()


async def test_order_that_never_arrived_is_dead_only_after_the_settle_time(floor: Floor) -> None:
    floor.wire.fail("submit", Fault.LOST)
    order = await place(floor)
    await floor.settle(28, step=1)
    assert now(floor, order).state is S.UNKNOWN
    assert floor.done == []
    await floor.settle(10, step=1)
    assert now(floor, order).state is S.REJECTED
    assert [o.order_id for o in floor.done] == [order.order_id]
    assert floor.orders.reserved_cash_e6() == 0
    floor.assert_agreed()


async def test_order_is_not_declared_dead_while_the_venue_does_not_answer(floor: Floor) -> None:
    floor.wire.fail("submit", Fault.TIMEOUT)
    order = await place(floor)
    floor.wire.fail("order", *[Fault.LOST] * 200)
    await floor.settle(100)
    assert now(floor, order).state is S.UNKNOWN
    floor.wire.faults.clear()
    await floor.settle(10)
    assert now(floor, order).state is S.LIVE


async def test_unanswered_taker_order_finds_its_fills_by_rest(floor: Floor) -> None:
    asks(floor, 4000, 4500, shares=5)
    floor.wire.fail("submit", Fault.TIMEOUT)
    order = await place(floor, tif=TimeInForce.FOK)
    floor.venue.news.clear()
    floor.clock.advance(1)
    await floor.orders.work_off()
    assert now(floor, order).filled_e6 == 10 * SHARE
    await floor.settle(40)
    assert now(floor, order).state is S.FILLED
    assert len(floor.filled) == 2
    floor.assert_agreed()


async def test_fill_of_an_order_declared_dead_still_counts(floor: Floor) -> None:
    floor.wire.fail("submit", Fault.LATE)
    order = await place(floor)
    await floor.settle(40)
    assert now(floor, order).state is S.REJECTED
    floor.wire.deliver_late()
    floor.venue.hit(order.order_id, 10 * SHARE)
    floor.venue.news = [e for e in floor.venue.news if not isinstance(e, OrderUpdate)]
    floor.deliver()
    await floor.orders.work_off()
    assert (now(floor, order).state, now(floor, order).filled_e6) == (S.FILLED, 10 * SHARE)
    assert len(floor.done) == 1
    floor.assert_agreed()


async def test_part_fill_of_an_order_declared_dead_brings_its_rest_down(floor: Floor) -> None:
    floor.wire.fail("submit", Fault.LATE)
    order = await place(floor)
    await floor.settle(40)
    floor.wire.deliver_late()
    floor.venue.hit(order.order_id, 4 * SHARE)
    floor.deliver()
    await floor.settle(10, step=1)
    assert floor.venue.open_ids() == []
    assert (now(floor, order).state, now(floor, order).filled_e6) == (S.CANCELLED, 4 * SHARE)
    floor.assert_agreed()


async def test_order_the_venue_calls_a_duplicate_is_not_dead(floor: Floor) -> None:
    async def submit(order: SignedOrder) -> SubmitAck:
        floor.venue._accept(order)
        raise VenueRejected("order is invalid. Duplicated.", "duplicate")

    floor.venue.submit = submit  # type: ignore[method-assign]
    order = await place(floor)
    assert order.state is S.UNKNOWN
    floor.clock.advance(1)
    await floor.orders.work_off()
    assert now(floor, order).state is S.LIVE
    floor.assert_agreed()


async def test_defect_of_the_adapter_is_raised_and_the_order_asked_about(floor: Floor) -> None:
    floor.wire.fail("submit", Fault.BUG)
    with pytest.raises(KeyError):
        await place(floor)
    (order,) = floor.orders.open_orders()
    assert order.state is S.UNKNOWN
    floor.clock.advance(1)
    await floor.orders.work_off()
    assert now(floor, order).state is S.LIVE
    floor.assert_agreed()


async def test_interrupted_placing_is_asked_about(floor: Floor) -> None:
    placing = asyncio.create_task(place(floor))
    while "submit" not in floor.wire.calls:
        await asyncio.sleep(0)
    placing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await placing
    (order,) = floor.orders.open_orders()
    floor.wire.deliver_late()
    floor.clock.advance(1)
    await floor.orders.work_off()
    assert now(floor, order).state is S.LIVE
    floor.assert_agreed()


async def test_confirmed_order_that_vanished_unexplained_is_soon_taken_for_cancelled(
    floor: Floor,
) -> None:
    order = await place(floor)
    floor.venue.drop(order.order_id)
    floor.venue.news.clear()
    report = await floor.orders.reconcile()
    assert report.orders_mended == (order.order_id,)
    assert now(floor, order).state is S.UNKNOWN
    await floor.settle(2, step=1)
    assert now(floor, order).state is S.UNKNOWN
    await floor.settle(4, step=1)
    assert now(floor, order).state is S.CANCELLED
    floor.assert_agreed()


async def test_confirmed_order_not_shown_for_long_is_cancelled_rather_than_forgotten(
    floor: Floor,
) -> None:
    order = await place(floor)
    floor.venue.blind.add(order.order_id)
    await floor.orders.reconcile()
    await floor.settle(10, step=1)
    assert now(floor, order).state is S.CANCELLED
    floor.venue.blind.clear()
    assert await floor.venue.order(order.order_id) is None, "it is not left alive unseen"
    floor.assert_agreed()


async def test_gtd_order_gone_after_its_time_has_expired(floor: Floor) -> None:
    expires = floor.clock.now_ns() // SECOND_NS + 200
    request = make_request(floor.market, "i1", tif=TimeInForce.GTD)
    order = await floor.orders.place(changed(request, expires_s=expires), floor.market)
    await floor.settle(150)
    floor.venue.drop(order.order_id)
    await floor.orders.reconcile()
    await floor.settle(40)
    assert now(floor, order).state is S.EXPIRED


async def test_settle_time_begins_anew_when_the_order_was_seen_again(floor: Floor) -> None:
    order = await place(floor)
    floor.venue.hit(order.order_id, 4 * SHARE)
    floor.venue.hidden.add("t1")
    floor.venue.news.clear()
    floor.venue.blind.add(order.order_id)
    await floor.orders.reconcile()
    await floor.settle(2, step=1)
    floor.venue.blind.clear()
    await floor.settle(10, step=1)
    assert now(floor, order).state is S.LIVE
    floor.venue.blind.add(order.order_id)
    await floor.settle(2, step=1)
    assert now(floor, order).state is S.UNKNOWN
    floor.venue.blind.clear()
    floor.venue.hidden.clear()
    await floor.settle(15, step=1)
    assert (now(floor, order).state, now(floor, order).filled_e6) == (S.PARTIAL, 4 * SHARE)
    floor.assert_agreed()


async def test_order_alive_but_not_shown_is_cancelled_before_it_is_given_up(floor: Floor) -> None:
    floor.wire.fail("submit", Fault.TIMEOUT)
    order = await place(floor)
    floor.venue.blind.add(order.order_id)
    await floor.settle(28, step=1)
    assert floor.venue.open_ids() == [order.order_id]
    await floor.settle(10, step=1)
    assert now(floor, order).state is S.CANCELLED
    floor.assert_agreed()
