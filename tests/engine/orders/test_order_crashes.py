"""Kill the session at every point where it waits, start it again: nothing lost, nothing doubled.

A scenario runs to its n-th suspension and dies there, for every n. What was travelling at that
moment is lost, arrives at once, arrives while the next session recovers, or arrives long after.
"""

from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum
from typing import Any

import pytest
from fakes.floor import Floor
from fakes.venue import make_market, make_request
from fakes.wire import Fault, crash_at

from models.markets import Side
from models.orders import OrderState, TimeInForce, TradeStatus
from models.units import notional_e6

Scenario = Callable[[Floor], Coroutine[Any, Any, None]]


class Travelling(StrEnum):
    """Fate of the request that was under way when the process died."""

    LOST = "lost"
    AT_ONCE = "at once"
    MEANWHILE = "meanwhile"
    LONG_AFTER = "long after"


async def place_resting(floor: Floor) -> None:
    await floor.orders.place(make_request(floor.market, "i1"), floor.market)
    floor.deliver()
    await floor.orders.work_off()


async def place_marketable(floor: Floor) -> None:
    up = floor.market.up_token
    floor.venue.stand(up, Side.SELL, 4500, 6_000_000)
    floor.venue.stand(up, Side.SELL, 4900, 3_000_000)
    await floor.orders.place(make_request(floor.market, "i1", tif=TimeInForce.FAK), floor.market)
    floor.deliver()
    await floor.orders.work_off()
    await place_partly(floor)


async def place_partly(floor: Floor) -> None:
    """A resting order that matches in part as it arrives, and its trade settles or fails."""
    floor.venue.stand(floor.market.up_token, Side.SELL, 4000, 4_000_000)
    await floor.orders.place(make_request(floor.market, "i2"), floor.market)
    floor.deliver()
    await floor.orders.work_off()
    for trade_id, status in zip(
        list(floor.venue.venue_trades), (TradeStatus.CONFIRMED, TradeStatus.FAILED), strict=False
    ):
        floor.venue.progress(trade_id, status)
    floor.deliver()
    await floor.orders.work_off()


async def place_unanswered(floor: Floor) -> None:
    """The venue takes an order and never says so; another one never arrives."""
    floor.wire.fail("submit", Fault.TIMEOUT, Fault.LOST, Fault.LATE)
    for intent in ("i1", "i2", "i3"):
        await floor.orders.place(make_request(floor.market, intent), floor.market)
    floor.clock.advance(1)
    await floor.orders.work_off()


async def cancel(floor: Floor) -> None:
    first = await floor.orders.place(make_request(floor.market, "i1"), floor.market)
    second = await floor.orders.place(make_request(floor.market, "i2"), floor.market)
    if first.order_id in floor.venue.orders:
        floor.venue.hit(first.order_id, 4_000_000)
    if second.order_id in floor.venue.orders:
        floor.venue.hit(second.order_id, 10_000_000)
    await floor.orders.cancel([first.order_id, second.order_id])
    floor.deliver()
    await floor.orders.work_off()
    await floor.orders.cancel_all()


async def replace(floor: Floor) -> None:
    old = await floor.orders.place(make_request(floor.market, "i1"), floor.market)
    floor.venue.hit(old.order_id, 3_000_000)
    floor.deliver()
    request = make_request(floor.market, "i2", price_e4=4900)
    new = await floor.orders.replace(old.order_id, request, floor.market)
    assert new.order_id != old.order_id
    floor.deliver()
    await floor.orders.work_off()


SCENARIOS: list[Scenario] = [
    place_resting,
    place_marketable,
    place_partly,
    place_unanswered,
    cancel,
    replace,
]


async def crashed(make: Callable[[], Floor], scenario: Scenario, at: int) -> Floor | None:
    """A floor whose session died at the n-th suspension of a scenario; None if it ended before."""
    floor = make()
    died = await crash_at(scenario(floor), floor.wire, at)
    return floor if died else None


async def recovered(
    floor: Floor, fate: Travelling, recover: Callable[[], Awaitable[object]]
) -> None:
    """Start the next session while the last request meets its fate."""
    match fate:
        case Travelling.LOST:
            floor.wire.lose_in_flight()
        case Travelling.AT_ONCE:
            floor.wire.deliver_late()
    if fate is Travelling.MEANWHILE:
        flying = dict(floor.wire.in_flight)
        await recover()
        floor.wire.in_flight = flying
        floor.wire.deliver_late()
    elif fate is Travelling.LONG_AFTER:
        flying = dict(floor.wire.in_flight)
        floor.wire.in_flight = {}
        await recover()
        await floor.settle()
        floor.wire.in_flight = flying
        floor.wire.deliver_late()
    else:
        await recover()
    await floor.settle(200, step=5)


def only_orders(floor: Floor) -> None:
    """A journal write under way when its session dies is fenced off or simply late."""
    floor.wire.in_flight = {
        ticket: effect
        for ticket, effect in floor.wire.in_flight.items()
        if "FakeVenue" in effect.__qualname__
    }


@pytest.mark.parametrize("fate", Travelling)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__)
async def test_crash_at_every_await(scenario: Scenario, fate: Travelling) -> None:
    points = 0
    while floor := await crashed(Floor, scenario, points + 1):
        points += 1
        only_orders(floor)
        floor.venue.news.clear()
        await recovered(floor, fate, floor.restart)
        floor.assert_agreed()
        assert floor.orders.reserved_cash_e6() == sum(
            notional_e6(order.request.price_e4, order.open_e6)
            for order in floor.orders.open_orders()
        )
    assert points >= 8, "the scenario has fewer waits than its port calls make"


@pytest.mark.parametrize("fate", [Travelling.LOST, Travelling.AT_ONCE, Travelling.MEANWHILE])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__)
async def test_crash_at_every_await_of_the_recovery(scenario: Scenario, fate: Travelling) -> None:
    at = 0
    while await crashed(Floor, scenario, at := at + 1):
        again = 0
        while True:
            again += 1
            floor = await crashed(Floor, scenario, at)
            assert floor is not None
            only_orders(floor)
            floor.venue.news.clear()
            floor.boot()
            died = await crash_at(floor.recover(), floor.wire, again)
            only_orders(floor)
            await recovered(floor, fate, floor.restart)
            floor.assert_agreed()
            if not died:
                break
        assert again > 1
    assert at > 8


async def test_order_that_arrives_after_it_was_declared_dead_is_adopted_and_cancelled() -> None:
    floor = Floor()
    floor.wire.fail("submit", Fault.LATE)
    order = await floor.orders.place(make_request(floor.market, "i1"), floor.market)
    assert order.state is OrderState.UNKNOWN
    await floor.settle(40)
    dead = floor.orders.order(order.order_id)
    assert dead is not None
    assert dead.state is OrderState.REJECTED
    assert [o.order_id for o in floor.done] == [order.order_id]
    floor.wire.deliver_late()
    assert floor.venue.open_ids() == [order.order_id]
    await floor.settle()
    assert floor.venue.open_ids() == []
    floor.assert_agreed()


async def test_two_markets_recover_together() -> None:
    markets = make_market("m1"), make_market("m2")
    floor = Floor(*markets)
    for market in markets:
        order = await floor.orders.place(make_request(market, f"i-{market.slug}"), market)
        floor.venue.hit(order.order_id, 5_000_000)
    await floor.restart()
    assert len(floor.filled) == 2
    await floor.settle()
    floor.assert_agreed()
