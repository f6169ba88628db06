"""Conversions to base units and back are exact, and refuse what is not."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadValue
from models.units import (
    cash_decimal,
    notional_e6,
    price_decimal,
    size_decimal,
    spot_decimal,
    to_cash_e6,
    to_price_e4,
    to_size_e6,
    to_spot_e8,
    usd,
)

EXACT = [
    (to_price_e4, price_decimal, 4),
    (to_size_e6, size_decimal, 6),
    (to_cash_e6, cash_decimal, 6),
    (to_spot_e8, spot_decimal, 8),
]
units = pytest.mark.parametrize(("to_units", "to_decimal", "places"), EXACT)


@units
@given(value=st.integers(-(10**24), 10**24))
def test_units_survive_the_way_to_decimal_text_and_back(
    to_units, to_decimal, places: int, value: int
) -> None:
    exact = to_decimal(value)
    assert exact * 10**places == value
    assert to_units(exact) == to_units(str(exact)) == value


@units
@given(value=st.integers(-(10**9), 10**9))
def test_a_float_means_what_it_prints(to_units, to_decimal, places: int, value: int) -> None:
    assert to_units(value / 10**places) == to_units(str(value / 10**places)) == value


@units
@given(value=st.integers(-(10**12), 10**12))
def test_whole_numbers_are_whole_units(to_units, to_decimal, places: int, value: int) -> None:
    assert to_units(value) == value * 10**places


@pytest.mark.parametrize(
    ("convert", "value"),
    [
        (to_price_e4, "0.55001"),
        (to_price_e4, 0.1 + 0.2),
        (to_size_e6, "1.0000001"),
        (to_cash_e6, Decimal("0.0000005")),
        (to_cash_e6, 1e-7),
    ],
)
def test_what_does_not_fit_exactly_is_refused(convert, value) -> None:
    with pytest.raises(BadValue, match="more decimals than"):
        convert(value)


@units
@pytest.mark.parametrize("value", ["", "abc", "1,5", "nan", "inf", "-Infinity", float("nan"), None])
def test_what_is_no_number_is_refused(to_units, to_decimal, places: int, value) -> None:
    with pytest.raises(BadValue, match="not a finite number"):
        to_units(value)


@given(value=st.decimals(-(10**9), 10**9, allow_nan=False, places=18))
def test_spot_alone_rounds_half_even(value: Decimal) -> None:
    expected = value.quantize(Decimal("1e-8"), rounding=ROUND_HALF_EVEN)
    assert spot_decimal(to_spot_e8(value)) == expected


@pytest.mark.parametrize(
    ("text", "units_e8"),
    [
        ("0.000000005", 0),
        ("0.000000015", 2),
        ("0.0000000050000001", 1),
        ("64123.45", 6412345000000),
    ],
)
def test_spot_rounding_cases(text: str, units_e8: int) -> None:
    assert to_spot_e8(text) == units_e8


@given(price=st.integers(0, 10_000), size=st.integers(0, 10**15))
def test_notional_is_price_times_size_rounded_down(price: int, size: int) -> None:
    exact = price_decimal(price) * size_decimal(size)
    expected = exact.quantize(Decimal("1e-6"), rounding=ROUND_DOWN)
    assert cash_decimal(notional_e6(price, size)) == expected


@given(price=st.integers(0, 10_000), size=st.integers(0, 10**15))
def test_both_sides_of_a_share_cost_one_within_a_base_unit(price: int, size: int) -> None:
    both = notional_e6(price, size) + notional_e6(10_000 - price, size)
    whole = price * size % 10_000 == 0
    assert both - size == (0 if whole else -1)


@given(price=st.integers(1, 9_999), parts=st.lists(st.integers(1, 10**9), min_size=1))
def test_many_parts_never_cost_more_than_the_whole(price: int, parts: list[int]) -> None:
    assert sum(notional_e6(price, part) for part in parts) <= notional_e6(price, sum(parts))


@pytest.mark.parametrize(
    ("cash", "shown"),
    [(0, "0.00"), (-12_340_000, "-12.34"), (1_234_567_890, "1234.57"), (5_000, "0.00")],
)
def test_cash_for_people_has_two_decimals(cash: int, shown: str) -> None:
    assert usd(cash) == shown
