"""Every fault by name: the floor comes through with the exchange's own orders and money.

Each test switches one fault on, trades through it as an agent does and compares afterwards; what
it asserts before that shows that the fault really bit.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from models.errors import VenueUnavailable
from models.events import (
    Channel,
    FeedState,
    FeedStatus,
    MarketResolved,
    SpotTick,
    TickSizeChange,
    TradeUpdate,
)
from models.markets import Side
from models.orders import OrderState, TradeStatus
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.limits import Limits
from venue.simulator.faults import NAMES

PLAYED: set[str] = set()
Test = Callable[..., Any]


def plays(*names: str) -> Callable[[Test], Test]:
    """Note which faults a test is about."""

    def note(test: Test) -> Test:
        PLAYED.update(names)
        return test

    return note


def test_no_fault_is_without_a_test() -> None:
    assert set(NAMES) == PLAYED


# --- the venue takes no orders ------------------------------------------------------------------


@plays("engine-restart")
async def test_an_engine_restart_is_waited_out(desk: Any) -> None:
    resting = await desk.place()
    await desk.stage.fault("engine-restart", seconds=30)
    with pytest.raises(VenueUnavailable) as away:
        await desk.take()
    assert away.value.mode == "restarting"
    await desk.orders.cancel([resting.order_id])
    assert desk.now(resting).state.resting
    await desk.pass_time(31)
    assert (await desk.place(desk.wish(post_only=True))).state is OrderState.LIVE
    bought = await desk.insist(desk.taking())
    await desk.agree()
    assert desk.now(bought).state is OrderState.FILLED
    assert desk.now(resting).state is OrderState.CANCELLED


@plays("post-only")
async def test_post_only_mode_takes_quotes_and_no_takers(desk: Any) -> None:
    await desk.stage.fault("post-only", seconds=20)
    with pytest.raises(VenueUnavailable) as away:
        await desk.take()
    assert (away.value.mode, away.value.retry_after_s) == ("post_only", 20)
    quote = await desk.place(desk.wish(post_only=True))
    await desk.orders.cancel([quote.order_id])
    bought = await desk.insist(desk.taking())
    await desk.agree()
    assert desk.now(bought).state is OrderState.FILLED


@plays("cancel-only")
async def test_cancel_only_mode_cancels(desk: Any) -> None:
    resting = await desk.place()
    await desk.stage.fault("cancel-only", seconds=5)
    with pytest.raises(VenueUnavailable) as away:
        await desk.place()
    assert away.value.mode == "cancel_only"
    await desk.orders.cancel([resting.order_id])
    assert desk.now(resting).state is OrderState.CANCELLED
    await desk.insist(desk.wish())
    await desk.agree()


@plays("trading-disabled")
async def test_disabled_trading_keeps_the_wish_to_cancel(desk: Any) -> None:
    resting = await desk.place()
    await desk.stage.fault("trading-disabled", seconds=20)
    with pytest.raises(VenueUnavailable) as away:
        await desk.place()
    assert away.value.mode == "disabled"
    await desk.orders.cancel([resting.order_id])
    assert desk.now(resting).state.resting
    await desk.pass_time(30)
    assert desk.now(resting).state is OrderState.CANCELLED
    await desk.agree()


@plays("closed-only")
async def test_a_closed_only_account_may_still_get_out(desk: Any) -> None:
    await desk.take()
    await desk.pass_time(6)
    await desk.stage.fault("closed-only")
    refused = await desk.place()
    assert (refused.state, refused.note.split(":")[0]) == (OrderState.REJECTED, "closed")
    sold = await desk.take(side=Side.SELL, size_e6=desk.held())
    await desk.pass_time(6)
    assert desk.now(sold).state is OrderState.FILLED
    assert desk.held() == 0
    await desk.agree()


@plays("rate-limit")
async def test_a_rate_limit_is_respected(desk: Any) -> None:
    await desk.stage.fault("rate-limit", count=1, retry_after=1)
    request = desk.wish()
    with pytest.raises(VenueUnavailable) as away:
        await desk.place(request)
    assert (away.value.mode, away.value.retry_after_s) == ("rate_limited", 1)
    placed = await desk.insist(request)
    assert placed.state is OrderState.LIVE
    await desk.agree()


@plays("address-limit")
async def test_an_address_that_asks_too_much_gets_its_answers_later(desk: Any) -> None:
    orders = [await desk.place(), await desk.take()]
    await desk.stage.fault("address-limit", scale=0.002)
    with pytest.raises(VenueUnavailable) as away:
        for _ in range(5):
            await desk.orders.reconcile()
    assert away.value.mode == "rate_limited"
    orders.append(await desk.place())
    await desk.orders.cancel([orders[0].order_id])
    await desk.stage.clear()
    # The adapter keeps the pause the venue asked for in real time; a test need not.
    desk.venue._session.limits = Limits()
    await desk.agree()
    assert desk.now(orders[0]).state is OrderState.CANCELLED
    assert desk.now(orders[2]).state is OrderState.LIVE


# --- nobody knows ------------------------------------------------------------------------------


@plays("execution-500")
async def test_a_500_without_effect_ends_rejected(desk: Any) -> None:
    await desk.stage.fault("execution-500", count=2)
    orders = [await desk.place(), await desk.take()]
    assert [order.state for order in orders] == [OrderState.UNKNOWN] * 2
    await desk.agree()
    ended = {desk.now(order).state for order in orders}
    assert ended == {OrderState.REJECTED}
    assert (await desk.truth())["orders"] == []


@plays("accept-then-500", "accept-then-timeout", "accept-then-drop")
@pytest.mark.parametrize("fault", ["accept-then-500", "accept-then-timeout", "accept-then-drop"])
@pytest.mark.parametrize("deaf", [False, True])
async def test_an_order_taken_without_an_answer_is_found_and_sent_once(
    open_desk: Any, fault: str, deaf: bool
) -> None:
    """`deaf`: the user channel tells nothing either; asking by id is all there is."""
    desk = await open_desk(listen=not deaf, timeout_s=0.5)
    await desk.stage.fault(fault, count=2)
    resting, taken = await desk.place(), await desk.take()
    # An event may have overtaken the answer that never came; without one nobody knows.
    if deaf:
        assert {resting.state, taken.state} == {OrderState.UNKNOWN}
    await desk.agree()
    assert desk.now(resting).state is OrderState.LIVE
    done = desk.now(taken)
    assert done.state is OrderState.FILLED
    assert done.filled_e6 > 0
    assert len((await desk.truth())["orders"]) == 2


@plays("late-answer")
async def test_fills_that_come_before_the_answer_count_once(desk: Any) -> None:
    await desk.stage.fault("late-answer", hold=0.5, count=1)
    taking = asyncio.create_task(desk.take())
    await desk.until(lambda: desk.of(TradeUpdate))
    assert not taking.done()
    await desk.work()
    early = desk.portfolio.shares_e6(desk.market.up_token)
    assert early > 0
    order = await taking
    assert desk.portfolio.shares_e6(desk.market.up_token) == early
    await desk.agree()
    assert desk.now(order).state is OrderState.FILLED


@plays("unmatched-answer")
async def test_an_order_called_unmatched_is_asked_about_not_given_up(desk: Any) -> None:
    await desk.stage.fault("unmatched-answer", count=1)
    order = await desk.place()
    await desk.agree()
    assert desk.now(order).state is OrderState.LIVE


@plays("refused-in-answer")
async def test_a_refusal_inside_a_good_answer_is_one(desk: Any) -> None:
    await desk.stage.fault("refused-in-answer")
    order = await desk.place(desk.wish(size_e6=10**12))
    assert (order.state, order.note.split(":")[0]) == (OrderState.REJECTED, "balance")
    assert (await desk.place()).state is OrderState.LIVE
    await desk.agree()


@plays("deposit-wallets-only")
async def test_a_plain_wallet_that_is_refused_has_placed_nothing(desk: Any) -> None:
    await desk.stage.fault("deposit-wallets-only")
    order = await desk.place()
    assert order.state is OrderState.REJECTED
    assert "deposit wallet flow" in order.note
    await desk.agree()


@plays("cloudflare-403")
async def test_a_page_instead_of_an_answer_means_the_venue_is_away(desk: Any) -> None:
    resting = await desk.place()
    await desk.stage.fault("cloudflare-403", count=2)
    with pytest.raises(VenueUnavailable) as away:
        await desk.take()
    assert away.value.mode == "disabled"
    await desk.orders.cancel([resting.order_id])
    assert desk.now(resting).state.resting
    await desk.pass_time(40)
    await desk.agree()
    assert desk.now(resting).state is OrderState.CANCELLED


# --- sockets -----------------------------------------------------------------------------------


@plays("ws-drop")
async def test_what_a_dropped_socket_missed_is_reconciled(desk: Any) -> None:
    resting = await desk.place()
    await desk.until(lambda: desk.events)
    await desk.stage.fault("ws-drop")
    await desk.until(lambda: desk.feed.user_channel.outlet.state is not FeedState.UP)
    # Behind our back: the venue's own cancel, which nothing but reconciling can tell us of.
    desk.stage.sim.world.desk.cancel(
        [resting.order_id], desk.stage.sim.world.desk.find(resting.order_id).owner,
        desk.stage.sim.world.now(),
    )  # fmt: skip
    await desk.stage.sim.step()
    await desk.take()
    await desk.until(lambda: desk.feed.user_channel.outlet.state is FeedState.UP)
    await desk.pass_time(6)
    await desk.agree()
    assert desk.now(resting).state is OrderState.CANCELLED


@plays("ws-freeze")
async def test_a_frozen_socket_is_left_and_its_silence_made_good(desk: Any) -> None:
    await desk.stage.fault("ws-freeze")
    resting = await desk.place()
    bought = await desk.take()
    await desk.until(
        lambda: any(
            e.channel is Channel.USER and e.state is FeedState.STALE for e in desk.of(FeedStatus)
        )
    )
    assert desk.of(TradeUpdate) == []
    await desk.pass_time(8)
    assert desk.now(bought).filled_e6 > 0
    await desk.stage.clear()
    await desk.orders.cancel([resting.order_id])
    await desk.agree()


@plays("rtds-stall")
async def test_stalled_prices_are_told_and_orders_go_on(desk: Any) -> None:
    async def spot_is(state: FeedState) -> None:
        async with asyncio.timeout(10):
            while desk.feed.price_channel.outlet.state is not state:
                await desk.stage.advance(1)
                await asyncio.sleep(0.05)

    await spot_is(FeedState.UP)
    await desk.stage.fault("rtds-stall")
    heard = len(desk.of(SpotTick))
    bought = await desk.take()
    async with asyncio.timeout(10):
        while desk.feed.price_channel.outlet.state is FeedState.UP:
            await asyncio.sleep(0.05)
    await desk.pass_time(6)
    assert len(desk.of(SpotTick)) <= heard + 8
    assert desk.now(bought).state is OrderState.FILLED
    await desk.stage.clear()
    await spot_is(FeedState.UP)
    await desk.agree()


# --- trades ------------------------------------------------------------------------------------


@plays("duplicate-events", "reordered-events")
@pytest.mark.parametrize(
    "names", [["duplicate-events"], ["reordered-events"], ["duplicate-events", "reordered-events"]]
)
async def test_repeated_and_reordered_events_count_once(desk: Any, names: list[str]) -> None:
    for name in names:
        await desk.stage.fault(name)
    resting = await desk.place()
    bought = await desk.take()
    await desk.pass_time(6)
    await desk.orders.cancel([resting.order_id])
    expected = 6 if "duplicate-events" in names else 3
    await desk.until(lambda: len(desk.of(TradeUpdate)) >= expected)
    await desk.work()
    statuses = [update.trade.status for update in desk.of(TradeUpdate)]
    if "reordered-events" in names:
        assert statuses.index(TradeStatus.CONFIRMED) < statuses.index(TradeStatus.MINED)
    told = [fill.trade_id for fill in desk.told if fill.order_id == bought.order_id]
    assert len(told) == len(set(told)) > 0
    await desk.agree()
    assert {fill.status for fill in desk.portfolio.fills()} == {TradeStatus.CONFIRMED}


@plays("ghost-fill")
async def test_a_ghost_fill_is_taken_back(desk: Any) -> None:
    await desk.stage.fault("ghost-fill", count=1)
    await desk.take()
    await desk.until(lambda: desk.of(TradeUpdate))
    await desk.work()
    assert desk.portfolio.shares_e6(desk.market.up_token) > 0
    assert desk.held() == 0, "shares of a match that is not mined can't be sold"
    await desk.pass_time(7)
    await desk.agree()
    truth = await desk.truth()
    assert "FAILED" in {trade["status"] for trade in truth["trades"]}
    assert any(fill.status is TradeStatus.FAILED for fill in desk.told)
    second = await desk.take()
    await desk.pass_time(7)
    await desk.agree()
    assert desk.now(second).filled_e6 > 0


@plays("stale-balance")
async def test_a_stale_balance_misleads_nobody(desk: Any) -> None:
    await desk.venue.cash_e6()
    await desk.stage.fault("stale-balance")
    await desk.take()
    await desk.pass_time(6)
    await desk.take(side=Side.SELL, size_e6=desk.held())
    await desk.agree()


@plays("partial-fak")
async def test_a_fak_that_got_a_part_is_done(desk: Any) -> None:
    await desk.stage.fault("partial-fak", count=1)
    part = await desk.take(price_e4=9900, size_e6=50_000_000)
    await desk.pass_time(6)
    await desk.agree()
    done = desk.now(part)
    assert done.state is OrderState.FILLED
    paid = -sum(fill.cash_change_e6 for fill in desk.portfolio.fills())
    assert 0 < paid < 49_500_000
    assert desk.orders.reserved_cash_e6() == 0


# --- markets -----------------------------------------------------------------------------------


@plays("tick-change")
async def test_a_tick_that_changes_keeps_orders_and_the_next_is_on_the_new_grid(desk: Any) -> None:
    resting = await desk.place()
    await desk.stage.fault("tick-change", slug=desk.market.slug, tick="0.001")
    await desk.until(lambda: desk.of(TickSizeChange))
    (tick_e4, *_) = {event.tick_e4 for event in desk.of(TickSizeChange)}
    assert tick_e4 == 10
    desk.market = replace(desk.market, tick_e4=tick_e4)
    fine = await desk.place(desk.wish(price_e4=210))
    assert (resting.state, fine.state) == (OrderState.LIVE, OrderState.LIVE)
    await desk.take()
    await desk.agree()
    assert {order.order_id for order in desk.orders.open_orders()} == {
        resting.order_id, fine.order_id,
    }  # fmt: skip


@plays("absent-resolution", "late-resolution")
@pytest.mark.parametrize("fault", ["absent-resolution", "late-resolution"])
async def test_a_window_is_settled_although_its_end_is_late_or_untold(
    open_desk: Any, fault: str
) -> None:
    desk = await open_desk(window_seconds=40, into_s=5)
    await desk.stage.fault(fault, delay=20)
    resting = await desk.place()
    await desk.take()
    await desk.pass_time(35)
    winner = None
    async with GammaDiscovery(desk.stage.settings, desk.stage.where) as discovery:
        while winner is None:
            assert desk.stage.clock.now_ns() < desk.market.end_ns + 300 * 10**9
            await desk.pass_time(5, 5)
            winner = await discovery.resolution(desk.market)
    late_s = (desk.stage.clock.now_ns() - desk.market.end_ns) / 10**9
    assert (late_s >= 20) == (fault == "late-resolution")
    await desk.orders.reconcile()
    await desk.pass_time(20, 5)
    assert desk.now(resting).state.terminal
    if fault == "absent-resolution":
        assert desk.of(MarketResolved) == []
    truth = await desk.truth()
    desk.orders_agree(truth)
    won = desk.market.outcome(winner)
    result = desk.portfolio.window_result(desk.market, won, desk.stage.clock.now_ns())
    desk.portfolio.settle(result)
    assert truth["shares_e6"] == {}
    assert desk.portfolio.cash_e6 == truth["cash_e6"]


# --- clocks and keys ---------------------------------------------------------------------------


@plays("clock-skew")
async def test_a_clock_that_is_off_changes_nothing(desk: Any) -> None:
    await desk.stage.fault("clock-skew", offset=45)
    resting = await desk.place()
    await desk.take()
    await desk.pass_time(6)
    await desk.orders.cancel([resting.order_id])
    await desk.agree()


@plays("key-revoked")
async def test_a_revoked_key_is_renewed_and_its_orders_stay_known(desk: Any) -> None:
    resting = await desk.place()
    key = desk.venue.credentials.key
    await desk.stage.fault("key-revoked")
    bought = await desk.take()
    assert desk.venue.credentials.key != key
    await desk.pass_time(6)
    assert desk.now(bought).state is OrderState.FILLED
    await desk.orders.cancel([resting.order_id])
    await desk.agree()
    assert desk.now(resting).state is OrderState.CANCELLED
