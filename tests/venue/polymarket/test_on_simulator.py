"""The adapter on a whole venue: the simulator, whose ledger is the truth to compare with."""

from typing import Any

import pytest
from pydantic import SecretStr

from models.errors import VenueError, VenueRejected, VenueUnavailable, VenueUnknown
from models.markets import Outcome, Side
from models.orders import OrderState, Role, TimeInForce, TradeStatus, VenueTrade
from models.settings import LIVE_CONFIRMATION, TradingMode
from venue.polymarket.client import PolymarketVenue

pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- orders -----------------------------------------------------------------------------------


async def test_an_orders_life(stage: Any) -> None:
    venue, market = await stage.shared(), await stage.market()
    signed = await venue.sign(stage.order(market, post_only=True), market)
    assert await venue.order(signed.order_id) is None
    ack = await venue.submit(signed)
    assert ack.state is OrderState.LIVE
    found = await venue.order(signed.order_id)
    assert found is not None
    assert (found.order_id, found.price_e4, found.original_size_e6, found.state) == (
        signed.order_id, 200, 10_000_000, OrderState.LIVE,
    )  # fmt: skip
    assert await venue.open_orders(market.condition_id) == [found]
    with pytest.raises(VenueRejected) as caught:
        await venue.submit(signed)
    assert caught.value.code == "duplicate"
    report = await venue.cancel([signed.order_id, "0x" + "00" * 32])
    assert report.cancelled == (signed.order_id,)
    assert list(report.refused) == ["0x" + "00" * 32]
    after = await venue.order(signed.order_id)
    assert after is None or after.state is OrderState.CANCELLED
    assert await venue.open_orders() == []
    await stage.books_agree(venue, market)


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_every_cent_of_a_round_trip(stage: Any, outcome: Outcome) -> None:
    venue, market = await stage.shared(), await stage.market()
    token = market.token(outcome)
    bought = await stage.send(venue, stage.taking(market, outcome=outcome), market)
    await stage.books_agree(venue, market)
    size = await venue.shares_e6(token) // 10_000 * 10_000
    assert size > 0
    await stage.advance(10)
    selling = stage.taking(market, Side.SELL, outcome=outcome, size_e6=size)
    sold = await stage.send(venue, selling, market)
    await stage.advance(10)
    await stage.books_agree(venue, market)
    trades = await venue.trades(condition_id=market.condition_id)
    legs = [leg for t in trades for leg in t.legs if leg.order_id in (bought, sold)]
    assert {(leg.order_id, leg.role) for leg in legs} == {
        (bought, Role.TAKER), (sold, Role.TAKER),
    }  # fmt: skip
    assert all(leg.fee_e6 > 0 and leg.token_id == token for leg in legs)
    assert all(trade.status is TradeStatus.CONFIRMED for trade in trades)


@pytest.mark.parametrize(("tif", "price", "code"), [
    (TimeInForce.FOK, 200, "unmatched"), (TimeInForce.FAK, 200, "unmatched"),
])  # fmt: skip
async def test_an_order_that_must_match_at_once_and_cannot(
    stage: Any, tif: TimeInForce, price: int, code: str
) -> None:
    venue, market = await stage.shared(), await stage.market()
    with pytest.raises(VenueRejected) as caught:
        await stage.send(
            venue, stage.order(market, tif=tif, price_e4=price, size_e6=100_000_000), market
        )
    assert caught.value.code == code
    await stage.books_agree(venue, market)


@pytest.mark.parametrize(("changes", "code"), [
    ({"price_e4": 9900, "post_only": True}, "crosses"),
    ({"size_e6": 10**12, "price_e4": 200}, "balance"),
    ({"side": Side.SELL, "price_e4": 9800, "size_e6": 10**12}, "balance"),
])  # fmt: skip
async def test_refusals_have_their_reason(stage: Any, changes: dict[str, Any], code: str) -> None:
    venue, market = await stage.shared(), await stage.market()
    with pytest.raises(VenueRejected) as caught:
        await stage.send(venue, stage.order(market, **changes), market)
    assert caught.value.code == code
    await stage.books_agree(venue, market)


async def test_two_agents_of_one_wallet_have_one_ledger_and_keys_of_their_own(
    stage: Any,
) -> None:
    market = await stage.market()
    first, second = await stage.shared(1), await stage.shared(2)
    assert first.wallet == second.wallet
    assert first.credentials.key != second.credentials.key
    mine = await stage.send(first, stage.order(market), market)
    theirs = await stage.send(second, stage.order(market), market)
    assert {o.order_id for o in await first.open_orders()} == {mine, theirs}
    assert (await second.cancel_all()).cancelled == (theirs,)
    assert [o.order_id for o in await first.open_orders()] == [mine]
    assert (await second.cancel_all()).cancelled == ()


async def test_a_deposit_wallets_orders_have_the_id_we_computed(stage: Any) -> None:
    key = SecretStr("0x" + "5a" * 32)
    live = stage.settings.model_copy(
        update={"trading_mode": TradingMode.LIVE, "live_confirmation": LIVE_CONFIRMATION,
                "polymarket_private_key": key, "polymarket_wallet": None}
    )  # fmt: skip
    venue, market = await stage.venue(settings=live), await stage.market()
    signed = await venue.sign(stage.order(market), market)
    assert signed.payload["signature_type"] == 3
    assert signed.payload["maker"] == venue.wallet != venue._session.client.signer
    assert (await venue.submit(signed)).state is OrderState.LIVE
    assert [o.order_id for o in await venue.open_orders()] == [signed.order_id]
    await stage.send(venue, stage.taking(market), market)
    await stage.books_agree(venue, market)


async def test_silence_after_a_heartbeat_cancels_this_keys_orders_alone(stage: Any) -> None:
    market = await stage.market()
    first, second = await stage.shared(1), await stage.shared(2)
    await stage.send(first, stage.order(market), market)
    kept = await stage.send(second, stage.order(market), market)
    await first.heartbeat()
    await stage.advance(6)
    await first.heartbeat()
    again = await stage.shared(1)
    await again.heartbeat()
    await stage.advance(6)
    assert len(await first.open_orders()) == 2
    await stage.advance(6)
    assert [o.order_id for o in await first.open_orders()] == [kept]


# --- faults -----------------------------------------------------------------------------------


async def find(venue: PolymarketVenue, order_id: str) -> OrderState | None:
    """What the order manager does about an order in doubt: ask by its id."""
    found = await venue.order(order_id)
    return None if found is None else found.state


@pytest.mark.parametrize(("fault", "error", "detail"), [
    ("engine-restart", VenueUnavailable, "restarting"), ("post-only", VenueUnavailable,
     "post_only"), ("cancel-only", VenueUnavailable, "cancel_only"),
    ("trading-disabled", VenueUnavailable, "disabled"),
    ("rate-limit", VenueUnavailable, "rate_limited"), ("closed-only", VenueRejected, "closed"),
    ("execution-500", VenueUnknown, ""),
])  # fmt: skip
async def test_faults_in_which_nothing_happens(
    stage: Any, fault: str, error: type[VenueError], detail: str
) -> None:
    venue, market = await stage.shared(), await stage.market()
    signed = await venue.sign(stage.order(market), market)
    await stage.fault(fault)
    with pytest.raises(error) as caught:
        await venue.submit(signed)
    assert detail in (getattr(caught.value, "mode", ""), getattr(caught.value, "code", ""))
    await stage.clear()
    assert await find(venue, signed.order_id) is None
    await stage.books_agree(venue, market)


@pytest.mark.parametrize("fault", ["accept-then-500", "accept-then-timeout", "accept-then-drop"])
async def test_faults_in_which_the_order_was_taken_all_the_same(
    stage: Any, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue, market = await stage.shared(), await stage.market()
    monkeypatch.setattr(venue._session, "_timeout_s", 1.0)
    signed = await venue.sign(stage.order(market), market)
    await stage.fault(fault, count=1)
    with pytest.raises(VenueUnknown):
        await venue.submit(signed)
    assert await find(venue, signed.order_id) is OrderState.LIVE
    await stage.books_agree(venue, market)


async def test_revoked_keys_are_renewed_in_the_middle_of_trading(stage: Any) -> None:
    venue, market = await stage.shared(), await stage.market()
    old = venue.credentials.key
    await stage.fault("key-revoked")
    order_id = await stage.send(venue, stage.order(market), market)
    assert venue.credentials.key != old
    assert await find(venue, order_id) is OrderState.LIVE


async def test_a_stale_balance_cache_is_told_to_look_again(stage: Any) -> None:
    venue, market = await stage.shared(), await stage.market()
    before = await venue.cash_e6()
    await stage.fault("stale-balance")
    await stage.send(venue, stage.taking(market), market)
    assert await venue.cash_e6() < before
    await stage.books_agree(venue, market)


async def test_a_ghost_fill_is_undone(stage: Any) -> None:
    venue, market = await stage.shared(), await stage.market()
    await stage.fault("ghost-fill")
    order_id = await stage.send(venue, stage.taking(market), market)

    async def trades() -> list[VenueTrade]:
        found = await venue.trades()
        return [t for t in found if any(leg.order_id == order_id for leg in t.legs)]

    assert {trade.status for trade in await trades()} == {TradeStatus.MATCHED}
    await stage.advance(60)
    assert {trade.status for trade in await trades()} == {TradeStatus.FAILED}
    await stage.books_agree(venue, market)
