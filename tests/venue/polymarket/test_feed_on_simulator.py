"""The feed and discovery on a whole venue: in step with the simulator, whatever it does."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.book import Ladder
from models.events import (
    BookChange,
    BookSnapshot,
    Channel,
    FeedState,
    FeedStatus,
    MarketResolved,
    OrderUpdate,
    SpotSource,
    SpotTick,
    TickSizeChange,
    TradeUpdate,
)
from models.markets import Market
from models.orders import OrderState, TradeStatus
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.feed import PublicFeed

pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- feed -------------------------------------------------------------------------------------


async def up(recorder: Any, *channels: Channel) -> None:
    await recorder.until(
        lambda: (
            set(channels) <= {e.channel for e in recorder.of(FeedStatus) if e.state is FeedState.UP}
        )
    )


def ladders(recorder: Any) -> dict[str, Ladder]:
    found: dict[str, Ladder] = {}
    for event in recorder.events:
        if isinstance(event, BookSnapshot | BookChange):
            found.setdefault(event.token_id, Ladder()).apply(event)
    return found


async def in_step(stage: Any, feed: PublicFeed, recorder: Any, market: Market) -> None:
    """Wait until the books built from events are the venue's own, level for level."""
    deadline = asyncio.get_running_loop().time() + 5
    while True:
        rest = await feed._books.books([market.up_token, market.down_token])
        built = ladders(recorder)
        same = all(
            [len(built[token].bids(1000)), len(built[token].asks(1000))]
            == [len(book.bids), len(book.asks)]
            and {f"{p / 10_000:g}" for p, _ in built[token].bids(1000)}
            == {f"{float(level.price):g}" for level in book.bids}
            for token, book in rest.items()
        )
        if same and len(rest) == 2:
            return
        assert asyncio.get_running_loop().time() < deadline, "books never came into step"
        await asyncio.sleep(0.05)


async def run_clock(stage: Any, seconds: float, step: float = 0.5) -> None:
    for _ in range(round(seconds / step)):
        await stage.advance(step)
        await asyncio.sleep(0.01)


async def test_the_feed_follows_books_prices_and_our_own_orders(stage: Any, recorder: Any) -> None:
    venue, market = await stage.shared(), await stage.market()
    feed = stage.feed(venue)
    await feed.start(recorder)
    await feed.watch(market)
    await up(recorder, Channel.MARKET, Channel.USER)
    await run_clock(stage, 5)
    await up(recorder, Channel.SPOT)
    await in_step(stage, feed, recorder, market)
    resting = await stage.send(venue, stage.order(market), market)
    await stage.send(venue, stage.taking(market), market)
    await recorder.until(lambda: recorder.of(TradeUpdate))
    await venue.cancel([resting])
    await recorder.until(
        lambda: any(
            e.order_id == resting and e.state is OrderState.CANCELLED
            for e in recorder.of(OrderUpdate)
        )
    )
    await run_clock(stage, 10)
    await recorder.until(lambda: recorder.of(TradeUpdate)[-1].trade.status is TradeStatus.CONFIRMED)
    told = {(t.trade.trade_id, leg) for t in recorder.of(TradeUpdate) for leg in t.trade.legs}
    assert told <= {(t.trade_id, leg) for t in await venue.trades() for leg in t.legs}
    assert {t.source for t in recorder.of(SpotTick)} == set(SpotSource)
    assert {t.asset for t in recorder.of(SpotTick)} == {"BTC"}
    await in_step(stage, feed, recorder, market)
    assert feed.market_channel.outlet.unreadable == 0
    assert feed.price_channel.outlet.unreadable == 0


async def test_dropped_sockets_come_back_in_step(stage: Any, recorder: Any) -> None:
    venue, market = await stage.shared(), await stage.market()
    feed = stage.feed(venue)
    await feed.start(recorder)
    await feed.watch(market)
    await run_clock(stage, 3)
    await up(recorder, Channel.MARKET, Channel.USER, Channel.SPOT)
    recorder.events.clear()
    await stage.fault("ws-drop")
    missed = await stage.send(venue, stage.order(market), market)
    await run_clock(stage, 3)
    await up(recorder, Channel.MARKET, Channel.USER, Channel.SPOT)
    await in_step(stage, feed, recorder, market)
    found = await venue.order(missed)
    assert found is not None
    assert found.state is OrderState.LIVE


async def test_frozen_sockets_are_noticed_and_left(stage: Any, recorder: Any) -> None:
    venue, market = await stage.shared(), await stage.market()
    feed = stage.feed(venue)
    await feed.start(recorder)
    await feed.watch(market)
    await run_clock(stage, 3)
    await up(recorder, Channel.MARKET, Channel.USER, Channel.SPOT)
    await stage.fault("ws-freeze")
    recorder.events.clear()
    await stage.send(venue, stage.taking(market), market)
    await run_clock(stage, 5)
    stale = lambda: {e.channel for e in recorder.of(FeedStatus) if e.state is FeedState.STALE}  # noqa: E731
    deadline = asyncio.get_running_loop().time() + 10
    while stale() != set(Channel):
        assert asyncio.get_running_loop().time() < deadline, f"only {stale()} noticed"
        await run_clock(stage, 1)
        await asyncio.sleep(0.1)
    await stage.clear()
    await run_clock(stage, 3)
    channels = (feed.market_channel, feed.user_channel, feed.price_channel)
    await recorder.until(lambda: all(c.outlet.state is FeedState.UP for c in channels))
    await in_step(stage, feed, recorder, market)
    await stage.books_agree(venue, market)


async def test_duplicate_and_reordered_events_tell_the_same_story(
    stage: Any, recorder: Any
) -> None:
    venue, market = await stage.shared(), await stage.market()
    feed = stage.feed(venue)
    await feed.start(recorder)
    await feed.watch(market)
    await up(recorder, Channel.MARKET, Channel.USER)
    await stage.fault("duplicate-events")
    await stage.fault("reordered-events")
    order_id = await stage.send(venue, stage.taking(market), market)
    await run_clock(stage, 10)
    await recorder.until(lambda: len(recorder.of(TradeUpdate)) >= 6)
    told = [event.trade for event in recorder.of(TradeUpdate)]
    asked = [t for t in await venue.trades() if any(g.order_id == order_id for g in t.legs)]
    assert {(t.trade_id, g) for t in told for g in t.legs} == {
        (t.trade_id, g) for t in asked for g in t.legs
    }
    statuses = [t.status for t in told if t.trade_id == asked[0].trade_id]
    assert len(statuses) > len(set(statuses)), "some came twice"
    assert max(statuses, key=lambda status: status.rank) is asked[0].status


async def test_a_tick_change_is_told_and_new_orders_keep_to_it(stage: Any, recorder: Any) -> None:
    venue, market = await stage.shared(), await stage.market()
    feed = stage.feed(venue)
    await feed.start(recorder)
    await feed.watch(market)
    await up(recorder, Channel.MARKET)
    resting = await stage.send(venue, stage.order(market), market)
    await stage.fault("tick-change", slug=market.slug, tick=0.001)
    await stage.advance(0.1)
    await recorder.until(lambda: recorder.of(TickSizeChange))
    finer = replace(market, tick_e4=recorder.of(TickSizeChange)[0].tick_e4)
    assert finer.tick_e4 == 10
    fine = await stage.send(venue, stage.order(finer, price_e4=210), finer)
    taken = await venue.sign(replace(stage.taking(finer), price_e4=9870, size_e6=5_070_000), finer)
    assert (await venue.submit(taken)).state is OrderState.FILLED
    assert {o.order_id for o in await venue.open_orders()} == {resting, fine}
    await stage.books_agree(venue, market)


async def until_resolved(stage: Any, ask: Callable[[], Any]) -> Any:
    for _ in range(60):
        await stage.advance(1)
        if (answer := await ask()) is not None:
            return answer
    raise AssertionError("never resolved")


@pytest.mark.parametrize("fault", ["", "absent-resolution"])
async def test_a_window_resolves_and_pays(short_stage: Any, recorder: Any, fault: str) -> None:
    stage = short_stage
    venue, market = await stage.shared(), await stage.market()
    assert market.window_s == 40
    feed = stage.feed()
    await feed.start(recorder)
    await feed.watch(market)
    await up(recorder, Channel.MARKET)
    if fault:
        await stage.fault(fault)
    await stage.send(venue, stage.taking(market), market)
    held = await venue.shares_e6(market.up_token)
    before = await venue.cash_e6()
    await run_clock(stage, 35, 5)
    async with GammaDiscovery(stage.settings, stage.where) as discovery:
        winner = await until_resolved(stage, lambda: discovery.resolution(market))
        found = await discovery.market_by_slug(market.slug)
        assert found is not None
        assert found.strike_e8 is not None
    await run_clock(stage, 10, 5)
    won = winner == market.up_token
    assert await venue.cash_e6() == before + (held if won else 0)
    if fault:
        await asyncio.sleep(0.2)
        assert recorder.of(MarketResolved) == []
    else:
        await recorder.until(lambda: recorder.of(MarketResolved))
        (told,) = recorder.of(MarketResolved)
        assert told.winner is market.outcome(winner)
