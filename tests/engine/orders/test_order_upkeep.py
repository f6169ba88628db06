"""The journal that may be away, the lease that may be lost, the sign of life."""

import pytest
from fakes.floor import Floor
from fakes.wire import Fault
from fakes.words import now, place, swap

from engine.orders import OrderSettings
from models.errors import LeaseLost, StoreUnavailable
from models.orders import OrderState

S = OrderState


# --- the journal ----------------------------------------------------------------------------------


async def test_nothing_is_sent_without_its_row(floor: Floor) -> None:
    floor.wire.fail("order_signed", Fault.STORE_LOST)
    with pytest.raises(StoreUnavailable):
        await place(floor)
    assert "submit" not in floor.wire.calls
    assert floor.orders.reserved_cash_e6() == 0
    assert (await place(floor)).state is S.LIVE


async def test_stale_session_sends_nothing_more(floor: Floor) -> None:
    order = await place(floor)
    floor.store.token += 1
    with pytest.raises(LeaseLost):
        await place(floor, "i2")
    before = len(floor.wire.calls)
    for attempt in (
        place(floor, "i3"),
        floor.orders.cancel([order.order_id]),
        floor.orders.cancel_all(),
        floor.orders.reconcile(),
        floor.orders.work_off(),
        swap(floor, order),
    ):
        with pytest.raises(LeaseLost):
            await attempt
    assert len(floor.wire.calls) == before


async def test_rows_wait_for_the_store_and_are_written_in_order(floor: Floor) -> None:
    floor.wire.fail("order_changed", Fault.STORE_LOST, Fault.STORE_LATE)
    order = await place(floor)
    assert order.state is S.LIVE
    assert floor.store.states[order.order_id] == [S.SIGNED]
    await floor.orders.work_off()
    await floor.orders.work_off()
    states = floor.store.states[order.order_id]
    assert list(dict.fromkeys(states)) == [S.SIGNED, S.SENT, S.LIVE]
    floor.assert_agreed()


# --- the sign of life -----------------------------------------------------------------------------


async def test_heartbeats_keep_orders_alive_and_stop_with_the_last_order() -> None:
    floor = Floor(settings=OrderSettings(reconcile_s=100_000))
    order = await place(floor)
    await floor.settle(60, step=4)
    assert floor.venue.open_ids() == [order.order_id]
    await floor.orders.cancel_all()
    beats = floor.wire.calls.count("heartbeat")
    await floor.settle(60, step=4)
    assert floor.wire.calls.count("heartbeat") == beats


async def test_order_after_a_long_silence_is_not_cancelled_by_it() -> None:
    floor = Floor(settings=OrderSettings(reconcile_s=100_000))
    first = await place(floor)
    await floor.orders.work_off()
    await floor.orders.cancel([first.order_id])
    floor.clock.advance(300)
    second = await place(floor, "i2")
    await floor.orders.work_off()
    assert floor.venue.open_ids() == [second.order_id]


async def test_lapsed_heartbeat_is_followed_by_a_reconciliation(floor: Floor) -> None:
    order = await place(floor)
    await floor.orders.work_off()
    floor.wire.fail("heartbeat", Fault.LOST, Fault.LOST, Fault.LOST)
    await floor.settle(16, step=5)
    floor.venue.sweep()
    assert floor.venue.open_ids() == []
    floor.venue.news.clear()
    await floor.settle(45, step=3)
    assert now(floor, order).state is S.CANCELLED
    floor.assert_agreed()
