from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadValue
from venue.polymarket.numbers import epoch_ns, price_e4, scaled, size_e6


def decimal_text(value: int, decimals: int) -> str:
    return f"{Decimal(value).scaleb(-decimals):f}"


@given(st.integers(-(10**18), 10**18), st.integers(0, 8))
def test_text_and_integers_are_one(value: int, decimals: int) -> None:
    assert scaled(decimal_text(value, decimals), decimals) == value


@given(st.decimals(min_value=0, max_value=10**9, places=6))
def test_reads_what_decimal_reads(value: Decimal) -> None:
    assert size_e6(f"{value:f}") == int(value * 1_000_000)


@pytest.mark.parametrize(
    ("text", "decimals", "value"),
    [
        ("0.48", 4, 4800), (".48", 4, 4800), ("1", 4, 10_000), ("0.5000000", 4, 5000),
        ("10500100", 6, 10_500_100_000_000), ("85.36", 6, 85_360_000), ("", 6, 0), (" 5 ", 0, 5),
        ("-0.1", 4, -1000), ("+2", 2, 200), ("7.", 2, 700),
    ],
)  # fmt: skip
def test_spellings(text: str, decimals: int, value: int) -> None:
    assert scaled(text, decimals) == value


@pytest.mark.parametrize("text", ["0.00001", "1e3", "abc", "1.2.3", "--1", "-", "0x10", "٣", "1_0"])
def test_what_is_not_exact_or_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadValue):
        price_e4(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1725958681", 1_725_958_681_000_000_000),
        ("1725958682125", 1_725_958_682_125_000_000),
        ("1725958682125123", 1_725_958_682_125_123_000),
        ("1725958682125123456", 1_725_958_682_125_123_456),
        (1_725_958_681, 1_725_958_681_000_000_000),
        ("", 0),
    ],
)
def test_epoch_times_of_every_unit(text: str | int, value: int) -> None:
    assert epoch_ns(text) == value
