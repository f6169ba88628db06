from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from polymarket._internal.actions.orders.limit import _compute_limit_order_amounts
from polymarket._internal.actions.orders.market import _compute_market_order_amounts

from models.errors import BadValue
from models.markets import FeeSchedule, Market, Outcome, Side
from models.orders import OrderRequest, TimeInForce
from models.units import SECOND_NS, price_decimal
from venue.polymarket.amounts import TICKS_E4, order_amounts

NOW = 1_800_000_000.0
BOOK = Market(
    "0xc", "btc-updown-15m-1800000000", "", "BTC", "15m", "1", "2", 0, 900 * SECOND_NS, 100,
    5_000_000, FeeSchedule(),
)  # fmt: skip


def order(tick: int, **fields: Any) -> tuple[OrderRequest, Market]:
    base = OrderRequest("i", "a", "0xc", "1", Outcome.UP, Side.BUY, 4800, 10_000_000)
    return replace(base, **fields), replace(BOOK, tick_e4=tick)


RESTING = (TimeInForce.GTC, TimeInForce.GTD)
IMMEDIATE = (TimeInForce.FOK, TimeInForce.FAK)


@st.composite
def grid_orders(
    draw: st.DrawFn, tifs: tuple[TimeInForce, ...], ticks: tuple[int, ...] = TICKS_E4
) -> tuple[OrderRequest, Market]:
    """Orders on the grid; those that buy at once spend at least the venue's minimum of 1."""
    tick = draw(st.sampled_from(ticks))
    price = draw(st.integers(1, 10_000 // tick - 1)) * tick
    tif = draw(st.sampled_from(tifs))
    least = 10_000 * 100 // price + 1 if tif.immediate else 500
    return order(
        tick,
        side=draw(st.sampled_from(Side)),
        price_e4=price,
        size_e6=draw(st.integers(max(500, least), 5_000_000)) * 10_000,
        tif=tif,
        expires_s=int(NOW) + 200 if tif is TimeInForce.GTD else 0,
    )


@given(grid_orders(RESTING))
def test_limit_amounts_are_exact_and_the_sdks(case: tuple[OrderRequest, Market]) -> None:
    request, market = case
    maker, taker = order_amounts(request, market, NOW)
    cash, shares = (maker, taker) if request.side is Side.BUY else (taker, maker)
    assert shares == request.size_e6
    assert cash * 10_000 == shares * request.price_e4
    assert (maker, taker) == _compute_limit_order_amounts(
        price=price_decimal(request.price_e4),
        size=Decimal(request.size_e6) / 1_000_000,
        side=request.side.value,
        tick_size=price_decimal(market.tick_e4).normalize(),
    )


@given(grid_orders(IMMEDIATE))
def test_immediate_amounts_stay_within_decimals_price_and_budget(
    case: tuple[OrderRequest, Market],
) -> None:
    request, market = case
    try:
        maker, taker = order_amounts(request, market, NOW)
    except BadValue:
        reject()  # it can't be spent without reaching the next price
    unit = 1000 if market.tick_e4 == 1000 else 100
    assert maker % 10_000 == 0, "what is given has at most two decimals"
    assert taker % unit == 0, "what is got has at most four, three on the coarsest grid"
    budget = request.price_e4 * request.size_e6
    if request.side is Side.BUY:
        assert budget - 10_000 * 10_000 < maker * 10_000 <= budget
        assert maker * 10_000 >= taker * request.price_e4, "an ask at the limit can be lifted"
        assert maker * 10_000 < taker * (request.price_e4 + 1), "no dearer ask can"
    else:
        assert maker == request.size_e6
        assert budget - unit * 10_000 < taker * 10_000 <= budget


@given(grid_orders(IMMEDIATE, (1000, 100)))
def test_immediate_amounts_are_the_sdks_where_the_sdks_are_valid(
    case: tuple[OrderRequest, Market],
) -> None:
    request, market = case
    amount = Decimal(request.size_e6) / 1_000_000
    if request.side is Side.BUY:
        amount *= price_decimal(request.price_e4)
    try:
        ours = order_amounts(request, market, NOW)
    except BadValue:
        reject()  # too small to be spent without reaching the next price: the SDK sends it anyway
    assert ours == _compute_market_order_amounts(
        amount=amount,
        price=price_decimal(request.price_e4),
        side=request.side.value,
        tick_size=price_decimal(market.tick_e4).normalize(),
    )


def test_five_dollars_at_51_cents_as_the_venue_was_seen_to_take_them() -> None:
    request, market = order(100, price_e4=5100, size_e6=9_810_000, tif=TimeInForce.FOK)
    assert order_amounts(request, market, NOW) == (5_000_000, 9_803_900)


@given(st.sampled_from(TICKS_E4), st.integers(-5, 10_005))
def test_a_price_off_the_grid_is_refused(tick: int, price: int) -> None:
    request, market = order(tick, price_e4=price)
    if price % tick == 0 and tick <= price <= 10_000 - tick:
        order_amounts(request, market, NOW)
    else:
        with pytest.raises(BadValue, match="off the grid"):
            order_amounts(request, market, NOW)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"size_e6": 4_990_000}, "below the market's minimum 5"),
        ({"size_e6": 0}, "above zero"),
        ({"size_e6": -10_000}, "above zero"),
        ({"size_e6": 10_001_000}, "hundredths"),
        ({"size_e6": 2_000_000, "tif": TimeInForce.FAK}, "minimum is 1"),
        ({"side": Side.SELL, "tif": TimeInForce.FOK, "size_e6": 15_000}, "hundredths"),
        ({"tif": TimeInForce.FAK, "post_only": True}, "post-only"),
        ({"expires_s": 1_800_001_000}, "cannot expire"),
        ({"tif": TimeInForce.GTD, "expires_s": 1_800_000_179}, "less than 180 s"),
        ({"token_id": "3"}, "not of market"),
        ({"condition_id": "0xd"}, "not of market"),
    ],
)
def test_what_the_venue_would_refuse_is_refused_here(fields: dict[str, Any], says: str) -> None:
    request, market = order(100, **fields)
    with pytest.raises(BadValue, match=says):
        order_amounts(request, market, NOW)


def test_dust_may_be_sold_at_once_but_not_rested() -> None:
    request, market = order(100, side=Side.SELL, size_e6=10_000, tif=TimeInForce.FAK)
    assert order_amounts(request, market, NOW) == (10_000, 4_800)
    with pytest.raises(BadValue):
        order_amounts(replace(request, tif=TimeInForce.GTC), market, NOW)


def test_a_sale_worth_nothing_is_refused() -> None:
    request, market = order(10, side=Side.SELL, price_e4=10, size_e6=10_000, tif=TimeInForce.FAK)
    with pytest.raises(BadValue, match="sell more"):
        order_amounts(request, market, NOW)


def test_an_unknown_tick_is_refused() -> None:
    request, market = order(20)
    with pytest.raises(BadValue, match=r"tick 0\.002"):
        order_amounts(request, market, NOW)
