"""Failures that others met at the venue, as far as no fault by name plays them.

docs/exchange.md lists all of them, from the venue's issue trackers and from the release notes of
another trading system, and names the test that holds each.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.book import Ladder
from models.events import BookChange, BookSnapshot, OrderUpdate, TickSizeChange, TradeUpdate
from models.markets import Outcome, Side
from models.orders import OrderState, TimeInForce
from models.units import notional_e6
from venue.polymarket.client import PolymarketVenue


async def stranger(desk: Any, tmp_path: Path) -> PolymarketVenue:
    """Another wallet at the same venue."""
    settings = desk.stage.settings.model_copy(update={"floor_home": tmp_path / "stranger"})
    return await desk.stage.venue(nonce=9, settings=settings)


async def empty_market(desk: Any) -> None:
    """Leave the desk's market to clients alone, as a window is that nobody quotes yet."""
    world = desk.stage.sim.world
    window = world.registry.by_slug[desk.market.slug]
    world.withdrawn(window, world.now())
    world._trading.add(window.condition_id)
    world.stepped = lambda *step: None
    await desk.stage.sim.step()


# --- refusals ----------------------------------------------------------------------------------


async def test_cash_locked_in_open_orders_is_not_spent_twice(desk: Any) -> None:
    locked = await desk.place(desk.wish(price_e4=200, size_e6=49_000_000_000))
    assert locked.state is OrderState.LIVE
    refused = await desk.place(desk.wish(price_e4=200, size_e6=2_000_000_000))
    assert (refused.state, refused.note.split(":")[0]) == (OrderState.REJECTED, "balance")
    assert desk.orders.free_cash_e6() < 40_000_000
    await desk.orders.cancel([locked.order_id])
    assert (await desk.place(desk.wish(price_e4=200, size_e6=2_000_000_000))).state.resting
    await desk.agree()


async def test_an_invalid_signature_places_nothing(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = desk.venue.sign

    async def spoilt(*args: Any) -> Any:
        signed = await sign(*args)
        good = signed.payload["signature"]
        flipped = good[:-4] + ("00" if good[-4:-2] != "00" else "11") + good[-2:]
        return replace(signed, payload=signed.payload | {"signature": flipped})

    monkeypatch.setattr(desk.venue, "sign", spoilt)
    order = await desk.place()
    assert (order.state, order.note.split(":")[0]) == (OrderState.REJECTED, "signature")
    await desk.agree()


@pytest.mark.parametrize("tif", [TimeInForce.FAK, TimeInForce.FOK])
async def test_no_match_is_a_normal_end(desk: Any, tif: TimeInForce) -> None:
    request = desk.wish(price_e4=200, size_e6=60_000_000, tif=tif)
    order = await desk.place(request)
    assert (order.state, order.note.split(":")[0]) == (OrderState.REJECTED, "unmatched")
    assert desk.orders.reserved_cash_e6() == 0
    await desk.agree()


async def test_a_post_only_order_that_crosses_is_refused_and_takes_nothing(desk: Any) -> None:
    order = await desk.place(desk.wish(price_e4=9900, post_only=True))
    assert (order.state, order.note.split(":")[0]) == (OrderState.REJECTED, "crosses")
    await desk.agree()
    assert (await desk.truth())["trades"] == []


async def test_an_answer_without_an_order_id_is_no_acceptance(desk: Any) -> None:
    await desk.stage.fault("refused-in-answer")
    order = await desk.place(desk.wish(price_e4=9900, post_only=True))
    assert order.state is OrderState.REJECTED
    assert order.order_id.startswith("0x"), "the id is the digest we computed, not the answer's"
    await desk.agree()


# --- fills -------------------------------------------------------------------------------------


async def test_a_marketable_buy_may_get_more_shares_and_all_are_counted(desk: Any) -> None:
    order = await desk.take(price_e4=9900, size_e6=5_000_000)
    await desk.pass_time(6)
    await desk.agree()
    done = desk.now(order)
    assert done.filled_e6 > order.request.size_e6, "better prices buy more for the same money"
    paid = sum(fill.cash_e6 for fill in desk.portfolio.fills())
    assert paid <= notional_e6(9900, 5_000_000)
    assert desk.orders.free_shares_e6(desk.market.up_token) == done.filled_e6


async def test_a_resting_marketable_buy_never_gets_more_than_it_asked(desk: Any) -> None:
    order = await desk.place(desk.wish(price_e4=9900, size_e6=5_000_000))
    await desk.pass_time(6)
    await desk.agree()
    assert desk.now(order).filled_e6 == 5_000_000


async def test_a_makers_fill_on_the_complementary_token_is_its_own_token_and_price(
    desk: Any, tmp_path: Path
) -> None:
    """BUY Up at 0.40 meets BUY Down at 0.60: a pair is minted, and ours is the maker's half."""
    await empty_market(desk)
    mine = await desk.place(desk.wish(price_e4=4000))
    other = await stranger(desk, tmp_path)
    theirs = desk.stage.order(desk.market, outcome=Outcome.DOWN, price_e4=6000)
    await desk.stage.send(other, theirs, desk.market)
    await desk.until(lambda: desk.of(TradeUpdate))
    await desk.work()
    await desk.agree()
    assert desk.now(mine).state is OrderState.FILLED
    assert desk.portfolio.shares_e6(desk.market.up_token) == 10_000_000
    assert desk.portfolio.shares_e6(desk.market.down_token) == 0
    assert desk.portfolio.cash_e6 == 1_000_000_000 - 4_000_000


@pytest.mark.parametrize("heard", [True, False])
async def test_one_trade_with_two_orders_of_ours_fills_both(
    open_desk: Any, tmp_path: Path, heard: bool
) -> None:
    desk = await open_desk(listen=heard)
    await empty_market(desk)
    first = await desk.place(desk.wish(price_e4=4000))
    second = await desk.place(desk.wish(price_e4=3900))
    other = await stranger(desk, tmp_path)
    sweep = desk.stage.order(desk.market, outcome=Outcome.DOWN, price_e4=6100, size_e6=20_000_000)
    await desk.stage.send(other, sweep, desk.market)
    await desk.pass_time(6)
    await desk.agree()
    assert {desk.now(order).state for order in (first, second)} == {OrderState.FILLED}
    fills = desk.portfolio.fills()
    assert {fill.order_id for fill in fills} == {first.order_id, second.order_id}
    assert len({fill.trade_id for fill in fills}) == len({f["trade_id"] for f in (
        await desk.truth())["trades"]})  # fmt: skip


@pytest.mark.parametrize(
    "rank",
    [
        lambda at, news: isinstance(news, TradeUpdate),
        lambda at, news: isinstance(news, OrderUpdate),
        lambda at, news: -at,
    ],
    ids=["updates first", "trades first", "newest first"],
)
async def test_a_trade_may_come_before_or_after_its_orders_update(
    desk: Any, tmp_path: Path, rank: Callable[[int, Any], Any]
) -> None:
    await empty_market(desk)
    mine = await desk.place(desk.wish(price_e4=4000))
    other = await stranger(desk, tmp_path)
    desk.withheld = []
    for size_e6 in (6_000_000, 5_000_000):
        theirs = desk.stage.order(desk.market, outcome=Outcome.DOWN, price_e4=6000, size_e6=size_e6)
        await desk.stage.send(other, theirs, desk.market)
    await desk.stage.advance(6)
    # Two trades, each MATCHED, MINED and CONFIRMED, and an UPDATE of the order with each.
    await desk.until(lambda: len(desk.withheld) >= 8)
    for _, news in sorted(enumerate(desk.withheld), key=lambda pair: rank(*pair)):
        desk.orders.on_event(news)
    desk.withheld = None
    await desk.work()
    assert desk.portfolio.shares_e6(desk.market.up_token) == 10_000_000
    assert desk.now(mine).state is OrderState.FILLED
    await desk.agree()


async def test_several_trades_in_one_transaction_are_all_counted(desk: Any, tmp_path: Path) -> None:
    """A sweep over two prices: two trades, two ids, one hash."""
    await empty_market(desk)
    other = await stranger(desk, tmp_path)
    for price_e4 in (6000, 6100):
        quote = desk.stage.order(desk.market, outcome=Outcome.DOWN, price_e4=price_e4)
        await desk.stage.send(other, quote, desk.market)
    order = await desk.place(desk.wish(price_e4=4000, size_e6=20_000_000))
    await desk.pass_time(6)
    await desk.agree()
    assert desk.now(order).filled_e6 == 20_000_000
    fills = desk.portfolio.fills()
    assert len({fill.trade_id for fill in fills}) == len(fills) == 2
    assert len({fill.transaction_hash for fill in fills}) == 1


@pytest.mark.parametrize("after", [0, 1])
async def test_many_trades_in_one_second_are_all_found_after_a_crash(
    open_desk: Any, after: int
) -> None:
    """The clock stands still: every trade has the same match time, and nothing was heard."""
    desk = await open_desk(listen=False)
    for outcome in (Outcome.UP, Outcome.DOWN, Outcome.UP):
        await desk.take(outcome=outcome)
    desk.store.fills.clear()
    await desk.stage.advance(after)
    await desk.restart()
    await desk.agree()
    assert len(desk.portfolio.fills()) >= 3
    seconds = {fill.matched_ns // 10**9 for fill in desk.portfolio.fills()}
    assert len(seconds) == 1


async def test_shares_are_sold_again_to_the_last_hundredth(desk: Any) -> None:
    for outcome in Outcome:
        await desk.take(outcome=outcome)
    await desk.pass_time(6)
    for outcome in Outcome:
        await desk.take(side=Side.SELL, outcome=outcome, size_e6=desk.held(outcome))
    await desk.pass_time(6)
    await desk.agree()
    assert all(desk.held(outcome) == 0 for outcome in Outcome)


# --- markets -----------------------------------------------------------------------------------


def ladder(desk: Any, token: str) -> Ladder:
    built = Ladder()
    for event in desk.events:
        if isinstance(event, BookSnapshot | BookChange) and event.token_id == token:
            built.apply(event)
    return built


async def test_a_tick_change_keeps_the_book(desk: Any) -> None:
    token = desk.market.up_token
    await desk.until(lambda: ladder(desk, token).bids(1))
    before = ladder(desk, token)
    await desk.stage.fault("tick-change", slug=desk.market.slug, tick="0.001")
    await desk.until(lambda: desk.of(TickSizeChange))
    after = ladder(desk, token)
    assert (after.bids(99), after.asks(99)) == (before.bids(99), before.asks(99))
    desk.market = replace(desk.market, tick_e4=10)
    mine = await desk.place(desk.wish(price_e4=210))
    await desk.until(lambda: (210, 10_000_000) in ladder(desk, token).bids(1000))
    await desk.orders.cancel([mine.order_id])
    await desk.until(lambda: 210 not in dict(ladder(desk, token).bids(1000)))
    await desk.agree()


Ending = Callable[[Any, Any], Any]


async def silence(desk: Any, order: Any) -> None:
    """No heartbeat for ten seconds: the venue cancels."""
    await desk.stage.advance(11)


async def resolution(desk: Any, order: Any) -> None:
    """The market resolves: the venue cancels what rests."""
    world = desk.stage.sim.world
    world.resolved(world.registry.by_slug[desk.market.slug], Outcome.UP, world.now())
    await desk.stage.sim.step()


@pytest.mark.parametrize("end", [silence, resolution])
async def test_a_cancel_by_the_venue_with_its_reason_is_a_cancel(desk: Any, end: Ending) -> None:
    order = await desk.place()
    await desk.orders.work_off()
    await end(desk, order)
    await desk.until(
        lambda: any(event.state is OrderState.CANCELLED for event in desk.of(OrderUpdate))
    )
    await desk.work()
    await desk.agree()
    assert desk.now(order).state is OrderState.CANCELLED
    assert desk.orders.reserved_cash_e6() == 0
