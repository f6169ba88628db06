"""The order manager over an in-memory venue, one behaviour at a time.

Periodic reconciliation is far away here, so that each behaviour has to do its own work.
"""

import asyncio
from dataclasses import replace as changed

import pytest
from fakes.floor import CAPITAL_E6, Floor
from fakes.venue import make_request
from fakes.wire import Fault

from engine.orders import OrderSettings
from models.errors import BadValue, LeaseLost, StoreUnavailable, VenueRejected, VenueUnavailable
from models.events import OrderUpdate
from models.markets import Side
from models.orders import Order, OrderState, SignedOrder, SubmitAck, TimeInForce, TradeStatus
from models.units import SECOND_NS

S = OrderState
SHARE = 1_000_000


@pytest.fixture
def floor() -> Floor:
    return Floor(settings=OrderSettings(settle_s=30, reconcile_s=100_000, heartbeat_always=True))


async def place(floor: Floor, intent: str = "i1", **wish: object) -> Order:
    request = make_request(floor.market, intent, **wish)  # type: ignore[arg-type]
    return await floor.orders.place(request, floor.market)


def now(floor: Floor, order: Order) -> Order:
    known = floor.orders.order(order.order_id)
    assert known is not None
    return known


def asks(floor: Floor, *prices_e4: int, shares: int = 10) -> None:
    for price in prices_e4:
        floor.venue.stand(floor.market.up_token, Side.SELL, price, shares * SHARE)


# --- placing --------------------------------------------------------------------------------------


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


# --- not knowing ----------------------------------------------------------------------------------


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


async def test_order_that_vanished_unexplained_is_cancelled_after_the_settle_time(
    floor: Floor,
) -> None:
    order = await place(floor)
    floor.venue.drop(order.order_id)
    floor.venue.news.clear()
    report = await floor.orders.reconcile()
    assert report.orders_mended == (order.order_id,)
    assert now(floor, order).state is S.UNKNOWN
    await floor.settle(28, step=1)
    assert now(floor, order).state is S.UNKNOWN
    await floor.settle(10, step=1)
    assert now(floor, order).state is S.CANCELLED
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


async def swap(floor: Floor, old: Order, **wish: object) -> Order:
    request = make_request(floor.market, "i2", **{"price_e4": 4900, **wish})  # type: ignore[arg-type]
    return await floor.orders.replace(old.order_id, request, floor.market)


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


# --- news -----------------------------------------------------------------------------------------


async def test_cancellation_may_come_before_the_answer(floor: Floor) -> None:
    placing = asyncio.create_task(place(floor))
    while not floor.venue.open_ids():
        await asyncio.sleep(0)
    floor.venue.drop(floor.venue.open_ids()[0])
    floor.deliver()
    await floor.orders.work_off()
    order = await placing
    assert order.state is S.CANCELLED
    floor.assert_agreed()


async def test_overtaken_news_do_not_wake_the_dead(floor: Floor) -> None:
    order = await place(floor)
    news = list(floor.venue.news)
    await floor.orders.cancel([order.order_id])
    for event in news:
        floor.orders.on_event(event)
    await floor.orders.work_off()
    assert now(floor, order).state is S.CANCELLED
    floor.assert_agreed()


async def test_failed_trade_is_taken_back_and_told(floor: Floor) -> None:
    order = await place(floor)
    trade_id = floor.venue.hit(order.order_id, 10 * SHARE)
    assert trade_id is not None
    floor.deliver()
    await floor.orders.work_off()
    assert floor.portfolio.shares_e6(floor.market.up_token) == 10 * SHARE
    floor.venue.progress(trade_id, TradeStatus.FAILED)
    floor.deliver()
    await floor.orders.work_off()
    assert floor.portfolio.shares_e6(floor.market.up_token) == 0
    assert floor.orders.free_cash_e6() == CAPITAL_E6
    assert [fill.status for fill in floor.filled] == [TradeStatus.MATCHED, TradeStatus.FAILED]
    floor.assert_agreed()


async def test_trade_with_both_sides_ours_counts_for_both_orders(floor: Floor) -> None:
    asks(floor, 4000)
    bought = await place(floor, "buy", price_e4=4000, tif=TimeInForce.FAK)
    sell = await place(floor, "sell", side=Side.SELL, price_e4=6000, shares=10)
    buy = await place(floor, "cross", price_e4=6000, shares=10)
    floor.deliver()
    await floor.orders.work_off()
    states = [now(floor, order).state for order in (bought, sell, buy)]
    assert states == [S.FILLED, S.FILLED, S.FILLED]
    assert len(floor.filled) == 3
    floor.assert_agreed()


async def test_shares_can_be_sold_once_mined_and_not_twice(floor: Floor) -> None:
    up = floor.market.up_token
    order = await place(floor)
    trade_id = floor.venue.hit(order.order_id, 10 * SHARE)
    assert trade_id is not None
    floor.deliver()
    await floor.orders.work_off()
    assert floor.orders.free_shares_e6(up) == 0
    floor.venue.progress(trade_id, TradeStatus.MINED)
    floor.deliver()
    await floor.orders.work_off()
    assert floor.orders.free_shares_e6(up) == 10 * SHARE
    await place(floor, "i2", side=Side.SELL, price_e4=6000, shares=6)
    assert floor.orders.reserved_shares_e6(up) == 6 * SHARE
    assert floor.orders.free_shares_e6(up) == 4 * SHARE


async def test_listener_that_fails_does_not_harm_the_books(floor: Floor) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("strategy")

    floor.orders._books._on_fill = fail
    floor.orders._books._on_done = fail
    order = await place(floor)
    floor.venue.hit(order.order_id, 10 * SHARE)
    floor.deliver()
    await floor.orders.work_off()
    floor.assert_agreed()


async def test_forgotten_market_leaves_nothing_behind(floor: Floor) -> None:
    order = await place(floor)
    floor.venue.hit(order.order_id, 10 * SHARE)
    floor.deliver()
    await floor.orders.work_off()
    floor.portfolio.settle(floor.portfolio.window_result(floor.market, None, 1))
    cash = floor.portfolio.cash_e6
    await floor.orders.reconcile()
    assert floor.portfolio.cash_e6 == cash, "a settled fill is not counted again"
    floor.orders.forget(floor.market.condition_id)
    assert floor.orders.order(order.order_id) is None
    assert floor.portfolio.cash_e6 == cash


# --- reconciling ----------------------------------------------------------------------------------


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
