"""The taker fee against exact Decimal arithmetic, and what a market says about its tokens."""

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.markets import FeeSchedule, Market, Outcome, Side, taker_fee_e6

TODAY = FeeSchedule(70_000, 1, 200_000)
JANUARY_2026 = FeeSchedule(250_000, 2, of_notional=True)

schedules = st.builds(
    FeeSchedule,
    rate_ppm=st.integers(0, 1_000_000),
    exponent=st.integers(1, 4),
    of_notional=st.booleans(),
)
prices = st.integers(0, 10_000)
sizes = st.integers(0, 10**14)


def exact_fee(price_e4: int, size_e6: int, fee: FeeSchedule) -> Decimal:
    """``C * rate * (p * (1 - p)) ** exponent`` in pUSD, half up to five decimals."""
    price, size = Decimal(price_e4).scaleb(-4), Decimal(size_e6).scaleb(-6)
    raw = size * Decimal(fee.rate_ppm).scaleb(-6) * (price * (1 - price)) ** fee.exponent
    if fee.of_notional:
        raw *= price
    return raw.quantize(Decimal("0.00001"), rounding=ROUND_HALF_UP)


@given(price=prices, size=sizes, fee=schedules)
def test_fee_equals_exact_decimal_arithmetic(price: int, size: int, fee: FeeSchedule) -> None:
    with localcontext(prec=120):
        expected = exact_fee(price, size, fee)
    assert Decimal(taker_fee_e6(price, size, fee)).scaleb(-6) == expected


@given(price=prices, size=sizes, fee=schedules)
def test_fee_is_whole_hundred_thousandths_and_never_negative(
    price: int, size: int, fee: FeeSchedule
) -> None:
    charged = taker_fee_e6(price, size, fee)
    assert charged >= 0
    assert charged % 10 == 0


@given(price=prices, size=sizes, fee=schedules)
def test_fee_is_the_same_for_both_sides_of_the_market(
    price: int, size: int, fee: FeeSchedule
) -> None:
    symmetric = replace(fee, of_notional=False)
    assert taker_fee_e6(price, size, symmetric) == taker_fee_e6(10_000 - price, size, symmetric)


@given(price=prices, size=sizes, more=sizes, fee=schedules)
def test_fee_grows_with_size(price: int, size: int, more: int, fee: FeeSchedule) -> None:
    assert taker_fee_e6(price, size, fee) <= taker_fee_e6(price, size + more, fee)


@given(price=prices, parts=st.lists(st.integers(0, 10**12), min_size=1, max_size=10))
def test_splitting_a_trade_changes_the_fee_by_rounding_only(price: int, parts: list[int]) -> None:
    split = sum(taker_fee_e6(price, part, TODAY) for part in parts)
    assert abs(split - taker_fee_e6(price, sum(parts), TODAY)) <= 5 * (len(parts) + 1)


@pytest.mark.parametrize(
    ("price_e4", "size_e6", "fee", "expected_e6"),
    [
        (5_000, 100_000_000, TODAY, 1_750_000),
        (9_900, 100_000_000, TODAY, 69_300),
        (100, 100_000_000, TODAY, 69_300),
        (5_000, 100_000_000, JANUARY_2026, 781_250),
        (5_000, 100_000_000, FeeSchedule(), 0),
        (0, 100_000_000, TODAY, 0),
        (10_000, 100_000_000, TODAY, 0),
        # 0.00028571… shares at a half: the fee of 0.000005 is just rounded up, below it is free.
        (5_000, 286, TODAY, 10),
        (5_000, 285, TODAY, 0),
        (5_000, 100_000_000, FeeSchedule(70_000, 0), 7_000_000),
    ],
)
def test_fee_cases(price_e4: int, size_e6: int, fee: FeeSchedule, expected_e6: int) -> None:
    assert taker_fee_e6(price_e4, size_e6, fee) == expected_e6


def test_a_market_knows_its_tokens_and_window() -> None:
    market = Market(
        "0xc", "slug", "?", "BTC", "15m", "1", "2", 10**18, 10**18 + 900 * 10**9, 100, 5, TODAY
    )
    assert [market.token(outcome) for outcome in Outcome] == ["1", "2"]
    assert [market.outcome(token) for token in ("1", "2")] == list(Outcome)
    assert market.window_s == 900
    assert not market.fee.free
    with pytest.raises(KeyError):
        market.outcome("3")


def test_opposites() -> None:
    assert [side.opposite for side in Side] == [Side.SELL, Side.BUY]
    assert [outcome.other for outcome in Outcome] == [Outcome.DOWN, Outcome.UP]
    assert FeeSchedule().free
