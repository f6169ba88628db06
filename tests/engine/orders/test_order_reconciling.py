"""Reconciliation and recovery: the venue wins."""

import asyncio

from fakes.floor import CAPITAL_E6, Floor
from fakes.venue import make_market, make_request
from fakes.wire import Fault
from fakes.words import SHARE, now, place

from models.orders import OrderState

S = OrderState


async def test_reconciliation_reports_and_mends_what_was_missed(floor: Floor) -> None:
    filled, part, quiet = [await place(floor, f"i{n}") for n in range(3)]
    floor.venue.hit(filled.order_id, 10 * SHARE)
    floor.venue.hit(part.order_id, 4 * SHARE)
    floor.venue.news.clear()
    report = await floor.orders.reconcile()
    assert report.orders_checked == 3
    assert set(report.orders_mended) == {filled.order_id, part.order_id}
    assert set(report.fills_mended) == {("t1", filled.order_id), ("t2", part.order_id)}
    assert not report.clean
    assert now(floor, filled).state is S.FILLED
    assert now(floor, part).state is S.PARTIAL
    assert now(floor, quiet).state is S.LIVE
    assert (await floor.orders.reconcile()).clean
    floor.assert_agreed()


async def test_order_placed_while_reconciling_is_not_missed(floor: Floor) -> None:
    checking = asyncio.create_task(floor.orders.reconcile())
    order = await place(floor)
    await checking
    assert now(floor, order).state is S.LIVE


async def test_orders_of_nobody_are_reported_and_left_alone(floor: Floor) -> None:
    signed = floor.venue._signed(make_request(floor.market, "elsewhere"))
    floor.venue._accept(signed)
    report = await floor.orders.reconcile()
    assert report.strangers == (signed.order_id,)
    assert floor.venue.open_ids() == [signed.order_id]


async def test_recovery_without_the_venue_leaves_orders_unknown_and_goes_on(floor: Floor) -> None:
    order = await place(floor)
    floor.wire.fail("open_orders", Fault.UNAVAILABLE)
    await floor.restart()
    assert now(floor, order).state is S.UNKNOWN
    assert floor.orders.reserved_cash_e6() == 5 * SHARE
    floor.clock.advance(1)
    await floor.orders.work_off()
    assert now(floor, order).state is S.LIVE
    floor.assert_agreed()


async def test_fills_of_the_last_session_are_not_told_again(floor: Floor) -> None:
    order = await place(floor)
    floor.venue.hit(order.order_id, 4 * SHARE)
    floor.deliver()
    await floor.orders.work_off()
    floor.venue.hit(order.order_id, 2 * SHARE)
    await floor.restart()
    assert [fill.size_e6 for fill in floor.filled] == [2 * SHARE]
    floor.assert_agreed()


async def test_fill_of_an_order_that_ended_before_the_restart_still_counts(floor: Floor) -> None:
    order = await place(floor)
    floor.venue.hit(order.order_id, 4 * SHARE)
    floor.venue.news.clear()
    await floor.orders.cancel([order.order_id])
    assert floor.store.orders[order.order_id].state is S.CANCELLED
    await floor.restart()
    assert now(floor, order).filled_e6 == 4 * SHARE
    assert floor.done == []
    floor.assert_agreed()


async def test_fill_of_an_old_order_is_still_looked_for(floor: Floor) -> None:
    order = await place(floor)
    await floor.settle(900, step=5)
    floor.venue.hit(order.order_id, 4 * SHARE)
    floor.venue.news.clear()
    assert (await floor.orders.reconcile()).fills_mended == (("t1", order.order_id),)


async def test_trades_of_many_markets_are_read_in_one_question() -> None:
    markets = [make_market(f"m{n}") for n in range(8)]
    floor = Floor(*markets)
    for market in markets:
        request = make_request(market, f"i-{market.slug}")
        order = await floor.orders.place(request, market)
        floor.venue.hit(order.order_id, 10 * SHARE)
    floor.venue.news.clear()
    report = await floor.orders.reconcile()
    assert len(report.fills_mended) == 8
    assert floor.wire.calls.count("trades") == 1
    floor.assert_agreed()


async def test_order_lost_before_the_restart_does_not_wait_the_settle_time_again(
    floor: Floor,
) -> None:
    floor.wire.fail("submit", Fault.LOST)
    order = await place(floor)
    floor.clock.advance(40)
    await floor.restart()
    assert now(floor, order).state is S.REJECTED
    floor.assert_agreed()


async def test_open_order_of_a_settled_market_is_closed_and_counts_nothing(floor: Floor) -> None:
    order = await place(floor)
    floor.venue.hit(order.order_id, 4 * SHARE)
    floor.deliver()
    await floor.orders.work_off()
    result = floor.portfolio.window_result(floor.market, None, 1)
    await floor.journal.settled(result)
    await floor.restart()
    assert floor.portfolio.cash_e6 == CAPITAL_E6 + result.pnl_e6
    assert floor.store.orders[order.order_id].state is S.CANCELLED
    assert floor.orders.order(order.order_id) is None
