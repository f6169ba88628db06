"""What open orders reserve is never less than what they can take."""

from dataclasses import replace

from fakes.venue import make_market, make_request
from hypothesis import example, given
from hypothesis import strategies as st

from engine.reservations import reserved_cash_e6, reserved_shares_e6
from models.markets import FeeSchedule, Market, Side, taker_fee_e6
from models.orders import Order, OrderState, TimeInForce
from models.units import PRICE_ONE, notional_e6

SHARE = 1_000_000
SCHEDULES = st.builds(
    FeeSchedule,
    rate_ppm=st.integers(0, 250_000),
    exponent=st.sampled_from([1, 2]),
    of_notional=st.booleans(),
)


def order(market: Market, price_e4: int = 5000, size_e6: int = 10 * SHARE, **wish: object) -> Order:
    request = make_request(market, "i1", **wish)  # type: ignore[arg-type]
    return Order("0x1", replace(request, price_e4=price_e4, size_e6=size_e6), OrderState.SENT)


def test_resting_purchase_reserves_its_price() -> None:
    market = make_market()
    resting = replace(order(market), state=OrderState.LIVE)
    assert reserved_cash_e6(resting, market, rests=True) == 5 * SHARE
    part = resting.to(OrderState.PARTIAL, filled_e6=4 * SHARE)
    assert reserved_cash_e6(part, market, rests=True) == 3 * SHARE
    assert reserved_cash_e6(order(market, post_only=True), market) == 5 * SHARE


def test_order_that_may_take_reserves_the_fee_too() -> None:
    market = make_market()
    assert reserved_cash_e6(order(market), market) == 5 * SHARE + 175_000


def test_sale_reserves_shares_and_no_cash() -> None:
    market = make_market()
    sale = order(market, side=Side.SELL)
    assert reserved_cash_e6(sale, market) == 0
    assert reserved_shares_e6(sale) == 10 * SHARE
    assert reserved_shares_e6(order(market)) == 0


def test_ended_order_reserves_nothing() -> None:
    market = make_market()
    for state in OrderState:
        if state.terminal:
            assert reserved_cash_e6(order(market).to(state), market) == 0
            assert reserved_shares_e6(order(market, side=Side.SELL).to(state)) == 0


@given(
    SCHEDULES,
    st.sampled_from([1, 10, 100]),
    st.integers(1, 9_999),
    st.integers(1, 9_999),
    st.integers(1, 100_000).map(lambda lots: lots * 10_000),
)
@example(FeeSchedule(250_000, 2), 1, 9_999, 3_333, 50_000_000)
def test_one_match_at_any_better_price_never_takes_more(
    schedule: FeeSchedule, tick_e4: int, limit_e4: int, price_e4: int, size_e6: int
) -> None:
    limit = max(tick_e4, limit_e4 // tick_e4 * tick_e4)
    price = min(limit, max(tick_e4, price_e4 // tick_e4 * tick_e4))
    market = replace(make_market(), fee=schedule, tick_e4=tick_e4)
    by_shares = order(market, limit, size_e6)
    spent = notional_e6(price, size_e6) + taker_fee_e6(price, size_e6, schedule)
    assert spent <= reserved_cash_e6(by_shares, market)
    by_cash = order(market, limit, size_e6, tif=TimeInForce.FAK)
    cash = notional_e6(limit, size_e6)
    got = cash * PRICE_ONE // price
    spent = notional_e6(price, got) + taker_fee_e6(price, got, schedule)
    assert spent <= reserved_cash_e6(by_cash, market) + 10


@given(st.integers(0, 5 * SHARE))
def test_what_was_spent_is_no_longer_reserved(spent_e6: int) -> None:
    market = make_market(rate_ppm=0)
    fok = order(market, tif=TimeInForce.FOK)
    assert reserved_cash_e6(fok, market, spent_e6=spent_e6) == 5 * SHARE - spent_e6
