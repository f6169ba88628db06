"""News from the user channel: late, early, twice, out of order."""

import asyncio
from collections.abc import Awaitable

from fakes.floor import CAPITAL_E6, Floor
from fakes.wire import Fault
from fakes.words import SHARE, asks, now, place

from models.markets import Side
from models.orders import Order, OrderState, TimeInForce, TradeStatus

S = OrderState


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


async def test_fills_are_told_before_the_end_and_with_the_books_up_to_date(floor: Floor) -> None:
    order = await place(floor)
    floor.venue.hit(order.order_id, 4 * SHARE)
    floor.venue.hit(order.order_id, 6 * SHARE)
    floor.deliver()
    await floor.orders.work_off()
    assert floor.told == ["fill, 4 so far", "fill, 10 so far", "filled"]


async def overtaken(floor: Floor, call: str, asking: Awaitable[object], order: Order) -> None:
    """Let the venue's news of an order's end arrive while its older answer still travels."""
    floor.wire.held[call] = asyncio.Event()
    question = asyncio.ensure_future(asking)
    while call not in floor.wire.calls:
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    floor.venue.drop(order.order_id)
    floor.deliver()
    check = asyncio.create_task(floor.orders.reconcile())
    while not now(floor, order).state.terminal:
        await asyncio.sleep(0)
    floor.wire.held.pop(call).set()
    await asyncio.gather(question, check)
    states = floor.store.states[order.order_id]
    assert states[states.index(S.CANCELLED) :] == [S.CANCELLED]
    floor.assert_agreed()


async def test_answer_older_than_the_news_does_not_wake_the_dead(floor: Floor) -> None:
    floor.wire.fail("submit", Fault.TIMEOUT)
    order = await place(floor)
    floor.clock.advance(1)
    await overtaken(floor, "order", floor.orders.work_off(), order)


async def test_list_older_than_the_news_does_not_wake_the_dead(floor: Floor) -> None:
    order = await place(floor)
    await overtaken(floor, "open_orders", floor.orders.reconcile(), order)
