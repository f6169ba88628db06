"""The official client reads: discovery, history and holdings in both kinds, streams in one."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from polymarket.models.clob.requests import PriceRequest
from polymarket.streams import (
    CryptoPricesChainlinkTwapSpec,
    CryptoPriceSpec,
    CryptoPricesSpec,
    CryptoTwapPriceSpec,
    MarketSpec,
    UserSpec,
)

from .conftest import OWNER, eventually, open_client
from .test_official_client import items, next_event, shares


@pytest.fixture(params=["async", "sync"])
async def client(request: pytest.FixtureRequest, stage: Any) -> AsyncIterator[Any]:
    client = await open_client(stage, request.param)
    yield client
    await client.close()


@pytest.fixture
async def streaming(stage: Any) -> AsyncIterator[Any]:
    client = await stage.client()
    yield client
    await client.close()


# --- reading --------------------------------------------------------------------------------------


async def test_discovery_lists_the_series_by_every_filter(stage: Any, client: Any) -> None:
    window = stage.window
    slug, condition = window.market.slug, window.condition_id
    for markets in (
        client.list_markets(condition_ids=[condition]),
        client.list_markets(clob_token_ids=[stage.up]),
        client.list_markets(slug=[slug]),
    ):
        (market,) = await items(markets)
        assert (market.condition_id, market.slug) == (condition, slug)
    open_now = await items(client.list_markets(closed=False, page_size=2))
    assert condition in {market.condition_id for market in open_now}
    assert len(open_now) > 2, "one page more"
    (event,) = await items(client.list_events(slug=[slug]))
    assert [market.condition_id for market in event.markets] == [condition]


async def test_quotes_agree_in_one_call_and_in_many(stage: Any, client: Any) -> None:
    bid, ask = (Decimal(price) / 10_000 for price in stage.sim.world.best(stage.window))
    asked = [PriceRequest(asset_id=stage.up, side=side) for side in ("BUY", "SELL")]
    assert (await client.get_prices(requests=asked))[stage.up] == {"BUY": bid, "SELL": ask}
    assert await client.estimate_market_price(asset_id=stage.up, side="BUY", amount="1") == ask
    await client.place_market_order(asset_id=stage.up, side="BUY", amount="5")
    last = await client.get_last_trade_price(asset_id=stage.up)
    (row,) = await client.get_last_trade_prices(asset_ids=[stage.up])
    assert (last.price, last.side) == (row.price, row.side) == (ask, "BUY")


async def test_orders_leave_one_by_one_and_by_market(stage: Any, client: Any) -> None:
    placed = [
        await client.place_limit_order(asset_id=token, price=price, size="5", side="BUY")
        for token, price in (
            (stage.up, "0.03"), (stage.up, "0.04"), (stage.down, "0.03"), (stage.down, "0.04"),
        )
    ]  # fmt: skip
    ids = [reply.order_id for reply in placed]
    report = await client.cancel_orders(order_ids=[ids[0], "0x" + "00" * 32])
    assert list(report.canceled) == [ids[0]]
    assert list(report.not_canceled.values()) == ["Order not found or already canceled"]
    report = await client.cancel_market_orders(
        market=stage.window.condition_id, asset_id=stage.down
    )
    assert set(report.canceled) == set(ids[2:])
    assert [order.id for order in await items(client.list_open_orders())] == [ids[1]]


async def test_the_data_api_tells_trades_activity_positions_and_the_end(
    stage: Any, client: Any
) -> None:
    bought = await client.place_market_order(asset_id=stage.up, side="BUY", amount="20")
    condition = stage.window.condition_id
    mine = await items(client.list_trades(user=OWNER.address))
    assert {trade.condition_id for trade in mine} == {condition}
    assert sum(trade.size for trade in mine) == pytest.approx(bought.taking_amount)
    doings = await items(client.list_activity(user=OWNER.address))
    assert {str(doing.type) for doing in doings} == {"TRADE"}
    (position,) = await items(client.list_positions(user=OWNER.address))
    held = await shares(client, stage.up)
    assert (position.asset_id, round(position.current_size * 10**6)) == (stage.up, held)
    assert await client.get_resolutions(condition_ids=[condition]) == ()
    await stage.advance(610)
    (resolution,) = await client.get_resolutions(condition_ids=[condition])
    assert resolution.condition_id == condition


# --- streams --------------------------------------------------------------------------------------


async def test_every_event_of_the_market_channel_is_understood(stage: Any, streaming: Any) -> None:
    """From a window's book over its tick's change to its end, and the next one's listing."""
    window = stage.window
    spec = MarketSpec(asset_ids=[stage.up, stage.down], custom_feature_enabled=True)
    wanted = {
        "book", "price_change", "tick_size_change", "last_trade_price", "best_bid_ask",
        "new_market", "market_resolved",
    }  # fmt: skip
    seen: dict[str, Any] = {}

    async def read(events: Any) -> None:
        while set(seen) != wanted:
            event = await anext(aiter(events))
            seen[event.type] = event.payload

    async with await streaming.subscribe(spec) as events:
        reading = asyncio.create_task(read(events))
        await eventually("books", lambda: "book" in seen)
        await stage.fault("tick-change", slug=stage.window.market.slug, tick="0.001")
        for _ in range(62):
            await stage.advance(10)
            await asyncio.sleep(0.005)
        async with asyncio.timeout(10):
            await reading
        assert events.dropped == 0
    assert seen["market_resolved"].winning_outcome == window.winner.value
    assert seen["market_resolved"].winning_asset_id == window.market.token(window.winner)
    assert seen["tick_size_change"].new_tick_size == Decimal("0.001")
    assert seen["new_market"].condition_id != window.condition_id


async def test_without_the_custom_flag_its_events_stay_away(stage: Any, streaming: Any) -> None:
    spec = MarketSpec(asset_ids=[stage.up], custom_feature_enabled=False)
    async with await streaming.subscribe(spec) as events:
        assert (await next_event(events)).type == "book"
        await stage.advance(30)
        seen = {(await next_event(events)).type for _ in range(20)}
    assert {"price_change"} <= seen <= {"price_change", "last_trade_price"}


async def test_a_trade_of_the_user_channel_goes_from_matched_to_confirmed_or_fails(
    stage: Any, streaming: Any
) -> None:
    async def statuses(until: str) -> list[str]:
        found: list[str] = []
        async with asyncio.timeout(5):
            while until not in found:
                event = await next_event(events)
                if event.type == "trade" and event.payload.status not in found:
                    found.append(event.payload.status)
        return found

    users = stage.sim.world.users
    async with await streaming.subscribe(UserSpec()) as events:
        await eventually("login", lambda: users.listens(OWNER.address))
        await streaming.place_market_order(asset_id=stage.up, side="BUY", amount="5")
        await stage.advance(6)
        assert await statuses("CONFIRMED") == ["MATCHED", "MINED", "CONFIRMED"]
        await stage.fault("ghost-fill", count=1)
        await streaming.place_market_order(asset_id=stage.up, side="BUY", amount="1")
        await stage.advance(6)
        assert await statuses("FAILED") == ["MATCHED", "RETRYING", "FAILED"]


@pytest.mark.parametrize(
    "spec",
    [
        CryptoPricesSpec(topic="prices.crypto.binance", symbols=["btcusdt"]),
        CryptoPricesSpec(topic="prices.crypto.chainlink", symbols=["btc/usd"]),
        CryptoPricesChainlinkTwapSpec(window_seconds=30, symbols=["btc/usd"]),
        CryptoPricesChainlinkTwapSpec(window_seconds=60, symbols=["btc/usd"]),
        CryptoPriceSpec(symbols=["btcusd"], provider="chainlink"),
        CryptoPriceSpec(symbols=["btcusd"], provider="pyth"),
        CryptoTwapPriceSpec(symbols=["btcusd"], provider="chainlink"),
    ],
    ids=["binance", "chainlink", "twap30", "twap60", "bolt", "bolt-pyth", "bolt-twap"],
)
async def test_every_price_stream_ticks(stage: Any, streaming: Any, spec: Any) -> None:
    heard: list[Any] = []

    async def read(events: Any) -> None:
        while not heard:
            event = await anext(aiter(events))
            if event.type == "update":
                heard.append(event)

    async with await streaming.subscribe(spec) as events:
        reading = asyncio.create_task(read(events))
        async with asyncio.timeout(20):
            while not heard:
                await stage.advance(1)
                await asyncio.sleep(0.02)
        await reading
    spot = stage.sim.world.sources.paths["BTC"].price_e8(stage.clock.now_ns()) / 10**8
    assert float(heard[0].payload.value) == pytest.approx(spot, rel=0.02)
