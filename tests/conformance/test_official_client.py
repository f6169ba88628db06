"""The official client, both kinds, through whole scenarios; only its addresses differ."""

import asyncio
from decimal import Decimal

import pytest
from polymarket import AsyncPublicClient
from polymarket._internal.actions.orders.post import build_post_order_request
from polymarket.errors import (
    OrderHeartbeatMismatchError,
    RateLimitError,
    RequestRejectedError,
)
from polymarket.streams import MarketSpec, UserSpec

from models.markets import taker_fee_e6
from models.units import to_cash_e6, to_price_e4, to_size_e6

from .conftest import OTHER, OWNER, environment, eventually, open_client


@pytest.fixture(params=["async", "sync"])
async def client(request, stage):
    """The official client in both of its kinds; streams exist on the asynchronous one alone."""
    client = await open_client(stage, request.param)
    yield client
    await client.close()


@pytest.fixture
async def streaming(stage):
    client = await stage.client()
    yield client
    await client.close()


async def cash(client) -> int:
    return (await client.get_balance_allowance(asset_type="COLLATERAL")).balance


async def shares(client, token) -> int:
    return (await client.get_balance_allowance(asset_type="CONDITIONAL", token_id=token)).balance


async def test_a_new_wallet_finds_its_starting_capital(stage, client):
    assert await cash(client) == 1_000_000_000
    assert await client.get_closed_only_mode() is False
    assert len(await client.fetch_api_keys()) == 1


async def test_books_and_prices_agree_with_each_other(stage):
    async with AsyncPublicClient(environment=environment(stage.sim)) as public:
        up = await public.get_order_book(asset_id=stage.up)
        down = await public.get_order_book(asset_id=stage.down)
        best_bid, best_ask = up.bids[-1].price, up.asks[-1].price
        assert [level.price for level in up.bids] == sorted(level.price for level in up.bids)
        assert [(1 - level.price, level.size) for level in down.asks] == [
            (level.price, level.size) for level in up.bids
        ]
        assert await public.get_midpoint(asset_id=stage.up) == (best_bid + best_ask) / 2
        assert await public.get_spread(asset_id=stage.up) == best_ask - best_bid
        assert await public.get_price(asset_id=stage.up, side="BUY") == best_bid
        assert await public.get_price(asset_id=stage.up, side="SELL") == best_ask
        books = await public.get_order_books(asset_ids=[stage.up, stage.down])
        assert {book.asset_id for book in books} == {stage.up, stage.down}
        mids = await public.get_midpoints(asset_ids=[stage.up, stage.down])
        assert sum(mids.values()) == 1
        assert set(await public.get_spreads(asset_ids=[stage.up])) == {stage.up}


async def test_discovery_finds_the_window_by_slug(stage):
    slug = stage.window.market.slug
    async with AsyncPublicClient(environment=environment(stage.sim)) as public:
        market = await public.get_market(slug=slug)
        assert market.condition_id == stage.window.condition_id
        assert market.outcomes.yes.token_id == stage.up
        assert market.trading.fee_schedule.rate == Decimal("0.07")
        assert market.state.accepting_orders is True
        event = await public.get_event(slug=slug)
        assert event.slug == slug


async def test_a_resting_order_lives_and_is_cancelled(stage, client):
    accepted = await client.place_limit_order(
        asset_id=stage.up, price="0.05", size="10", side="BUY", post_only=True
    )
    assert (accepted.ok, accepted.status) == (True, "live")
    (order,) = await items(client.list_open_orders())
    assert (order.id, order.price, order.original_size, order.size_matched) == (
        accepted.order_id, Decimal("0.05"), 10, 0,
    )  # fmt: skip
    assert (await client.get_order(order_id=accepted.order_id)).status == "LIVE"
    ledger = await stage.ledger()
    assert ledger["wallets"][OWNER.address]["reserved_e6"] == 500_000
    report = await client.cancel_order(order_id=accepted.order_id)
    assert list(report.canceled) == [accepted.order_id]
    assert await items(client.list_open_orders()) == []
    again = await client.cancel_order(order_id=accepted.order_id)
    assert accepted.order_id in again.not_canceled


async def items(paginator) -> list:
    return [item async for item in paginator.iter_items()]


async def test_a_market_buy_pays_price_and_fee_to_the_last_unit(stage, client):
    before = await cash(client)
    reply = await client.place_market_order(asset_id=stage.up, side="BUY", amount="20")
    assert reply.ok
    assert reply.status == "matched"
    (*trades,) = await items(client.list_account_trades())
    assert {trade.id for trade in trades} == set(reply.trade_ids)
    fee = sum(
        taker_fee_e6(to_price_e4(t.price), to_size_e6(t.size), stage.window.market.fee)
        for t in trades
    )
    assert reply.making_amount == sum(t.price * t.size for t in trades)
    assert await shares(client, stage.up) == to_size_e6(reply.taking_amount)
    assert before - await cash(client) == to_cash_e6(reply.making_amount) + fee


async def test_our_resting_order_is_filled_by_the_recorded_public(stage, client):
    bid = stage.sim.world.best(stage.window)[0]
    accepted = await client.place_limit_order(
        asset_id=stage.up, price=Decimal(bid + 0) / 10_000, size="5", side="BUY"
    )
    assert accepted.status == "live"
    for _ in range(120):
        await stage.advance(1)
        if not await items(client.list_open_orders()):
            break
    trades = await items(client.list_account_trades())
    assert sum(t.maker_orders[0].matched_amount for t in trades) > 0
    assert {t.trader_side for t in trades} == {"MAKER"}
    assert await shares(client, stage.up) == 5_000_000
    assert await cash(client) == 1_000_000_000 - 5 * bid * 100


async def test_trades_become_confirmed_on_schedule(stage, client):
    reply = await client.place_market_order(asset_id=stage.up, side="BUY", amount="5")
    waiting = asyncio.create_task(client.wait_for_order_fill_settlement(reply))
    await stage.advance(2.5)
    assert {t.status for t in await items(client.list_account_trades())} == {"MINED"}
    await stage.advance(3)
    hashes = await asyncio.wait_for(waiting, 5)
    assert len(hashes) == len(set(reply.trade_ids))


async def test_two_clients_meet_by_price_and_time_and_mint(stage, client):
    """BUY Up at 0.03 meets BUY Down at 0.97 in an empty part of the book: a pair is minted."""
    other = await stage.client(OTHER)
    window = stage.window_at(3)
    token_up, token_down = window.market.up_token, window.market.down_token
    world = stage.sim.world
    world.withdrawn(window, world.now())
    world._trading.add(window.condition_id)
    first = await client.place_limit_order(asset_id=token_up, price="0.40", size="10", side="BUY")
    second = await other.place_limit_order(asset_id=token_down, price="0.60", size="10", side="BUY")
    assert (first.status, second.status) == ("live", "matched")
    assert await shares(client, token_up) == 10_000_000
    assert await shares(other, token_down) == 10_000_000
    fee = taker_fee_e6(6000, 10_000_000, window.market.fee)
    assert await cash(client) == 1_000_000_000 - 4_000_000
    assert await cash(other) == 1_000_000_000 - 6_000_000 - fee
    (trade,) = await items(client.list_account_trades())
    assert trade.trader_side == "MAKER"
    assert trade.asset_id == token_down
    assert trade.maker_orders[0].asset_id == token_up
    assert trade.maker_orders[0].price == Decimal("0.4")
    await other.close()


async def test_refusals_carry_the_venues_words(stage, client):
    cases = [
        ({"price": "0.05", "size": "4", "side": "BUY"}, "lower than the minimum: 5"),
        ({"price": "0.05", "size": "100000", "side": "BUY"}, "not enough balance / allowance"),
        ({"price": "0.90", "size": "10", "side": "SELL"}, "not enough balance / allowance"),
        ({"price": "0.99", "size": "10", "side": "BUY", "post_only": True}, "order crosses book"),
    ]
    for order, text in cases:
        with pytest.raises(RequestRejectedError, match=text) as rejected:
            await client.place_limit_order(asset_id=stage.up, **order)
        assert rejected.value.status == 400
    assert await items(client.list_open_orders()) == []
    assert await cash(client) == 1_000_000_000


async def test_fill_or_kill_is_killed_whole(stage, client):
    depth = sum(size for _, size in stage.sim.world.book(stage.window, stage.up)[1])
    order = await client.create_market_order(
        asset_id=stage.up, side="BUY", amount="900", max_price="0.99", order_type="FAK"
    )
    assert depth
    body = client_body(order, "FOK")
    with pytest.raises(RequestRejectedError, match="FOK orders are fully filled or killed"):
        await client._ctx.secure_clob.post_json("/order", json=body(client))
    assert await cash(client) == 1_000_000_000


def client_body(order, order_type):
    """The payload the client would post, with another order type."""

    def build(client):
        _, payload = build_post_order_request(order, owner_api_key=client.credentials.key)
        return payload | {"orderType": order_type}

    return build


async def test_the_same_order_twice_is_a_duplicate(stage, client):
    order = await client.create_limit_order(asset_id=stage.up, price="0.05", size="10", side="BUY")
    assert (await client.post_order(order)).ok
    with pytest.raises(RequestRejectedError, match=r"is invalid\. Duplicated\."):
        await client.post_order(order)
    await client.cancel_all()
    with pytest.raises(RequestRejectedError, match="Duplicated"):
        await client.post_order(order)


async def test_batches_answer_order_by_order(stage, client):
    orders = [
        await client.create_limit_order(asset_id=stage.up, price=price, size=size, side="BUY")
        for price, size in (("0.05", "10"), ("0.06", "100000"), ("0.07", "10"))
    ]
    replies = await client.post_orders(orders)
    assert [reply.ok for reply in replies] == [True, False, True]
    assert replies[1].code == "not_enough_balance"
    report = await client.cancel_all()
    assert len(report.canceled) == 2


async def test_cancel_all_leaves_the_orders_of_another_key(stage, client):
    second = await stage.client(nonce=1)
    one = await client.place_limit_order(asset_id=stage.up, price="0.05", size="5", side="BUY")
    two = await second.place_limit_order(asset_id=stage.up, price="0.06", size="5", side="BUY")
    assert {o.id for o in await items(client.list_open_orders())} == {one.order_id, two.order_id}
    report = await second.cancel_all()
    assert list(report.canceled) == [two.order_id]
    assert [o.id for o in await items(client.list_open_orders())] == [one.order_id]
    await second.close()


async def test_silence_after_a_heartbeat_cancels_that_keys_orders(stage, client):
    second = await stage.client(nonce=1)
    kept = await second.place_limit_order(asset_id=stage.up, price="0.05", size="5", side="BUY")
    await client.place_limit_order(asset_id=stage.up, price="0.06", size="5", side="BUY")
    beat = await client.send_order_heartbeat()
    await stage.advance(8)
    beat = await client.send_order_heartbeat(heartbeat_id=beat.heartbeat_id)
    with pytest.raises(OrderHeartbeatMismatchError):
        await client.send_order_heartbeat(heartbeat_id="something else")
    await stage.advance(9)
    assert len(await items(client.list_open_orders())) == 2
    await stage.advance(3)
    assert [o.id for o in await items(client.list_open_orders())] == [kept.order_id]
    await second.close()


async def test_winners_are_paid_when_the_window_resolves(stage, client):
    slug, up = stage.window.market.slug, stage.up
    up_reply = await client.place_market_order(asset_id=up, side="BUY", amount="10")
    down_reply = await client.place_market_order(asset_id=stage.down, side="BUY", amount="10")
    resting = await client.place_limit_order(
        asset_id=stage.down, price="0.05", size="5", side="BUY"
    )
    assert resting.status == "live"
    before = await cash(client)
    await stage.advance(600)
    assert await items(client.list_open_orders()) != []
    await stage.advance(4)
    assert await items(client.list_open_orders()) == []
    window = stage.sim.world.registry.by_slug[slug]
    won = up_reply if window.winner.value == "Up" else down_reply
    assert await cash(client) == before + to_cash_e6(won.taking_amount)
    assert await shares(client, up) == 0
    market = await client.get_market(slug=slug)
    assert market.state.closed is True
    prices = [market.outcomes.yes.price, market.outcomes.no.price]
    assert prices == ([1, 0] if window.winner.value == "Up" else [0, 1])
    with pytest.raises(RequestRejectedError, match="No orderbook exists"):
        await client.get_order_book(asset_id=up)


async def test_a_deposit_wallet_trades_with_nested_signatures(stage):
    client = await stage.client(wallet=None)
    assert client.wallet != OWNER.address
    reply = await client.place_market_order(asset_id=stage.up, side="BUY", amount="5")
    assert reply.status == "matched"
    ledger = await stage.ledger()
    assert ledger["wallets"][client.wallet]["shares_e6"][stage.up] > 0
    await client.close()


async def test_streams_tell_the_story_of_an_order(stage, streaming):
    client = streaming
    async with await client.subscribe(UserSpec()) as events:
        await eventually("login", lambda: stage.sim.world.users.listens(OWNER.address))
        reply = await client.place_limit_order(
            asset_id=stage.up, price="0.05", size="5", side="BUY"
        )
        placed = await next_event(events)
        assert (placed.payload.order_event_type, placed.payload.id) == (
            "PLACEMENT", reply.order_id,
        )  # fmt: skip
        await client.cancel_order(order_id=reply.order_id)
        cancelled = await next_event(events)
        assert cancelled.payload.order_event_type == "CANCELLATION"
        assert cancelled.payload.status == "CANCELED"
        taken = await client.place_market_order(asset_id=stage.up, side="BUY", amount="5")
        seen = [await next_event(events), await next_event(events)]
        assert {event.type for event in seen} == {"order", "trade"}
        await stage.advance(6)
        later = [await next_event(events), await next_event(events)]
        assert [event.payload.status for event in later] == ["MINED", "CONFIRMED"]
        assert {event.payload.id for event in later} == set(taken.trade_ids)


async def next_event(events):
    return await asyncio.wait_for(anext(aiter(events)), 5)


async def test_the_market_stream_starts_with_books_and_goes_on_with_changes(stage, streaming):
    client = streaming
    spec = MarketSpec(asset_ids=[stage.up, stage.down], custom_feature_enabled=True)
    async with await client.subscribe(spec) as events:
        first = [await next_event(events), await next_event(events)]
        assert {event.type for event in first} == {"book"}
        assert {event.payload.asset_id for event in first} == {stage.up, stage.down}
        await stage.advance(30)
        seen = {(await next_event(events)).type for _ in range(40)}
        assert {"price_change", "last_trade_price", "best_bid_ask"} <= seen


async def test_too_many_orders_are_refused_with_the_time_to_wait(stage, client):
    orders = [
        await client.create_limit_order(asset_id=stage.up, price="0.01", size="5", side="BUY")
        for _ in range(15)
    ]
    for _ in range(4):
        await client._ctx.secure_clob.post_json(
            "/orders", json=[client_body(order, "GTC")(client) for order in orders]
        )
    with pytest.raises(RateLimitError) as limited:
        await client.place_limit_order(asset_id=stage.up, price="0.01", size="5", side="BUY")
    assert limited.value.retry_after == 1
