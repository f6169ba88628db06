"""How figures are written."""

import pytest

from models.fills import FillModel
from tasks.report import words


@pytest.mark.parametrize(
    ("cash_e6", "sign", "written"),
    [
        (1_234_567_890, False, "1,234.57"),
        (1_234_567_890, True, "+1,234.57"),
        (-5_000_000, True, "-5.00"),
        (0, True, "0.00"),
        (-4_000, False, "0.00"),
        (None, False, words.NONE),
        (10**18 + 10_000, False, "1,000,000,000,000.01"),
    ],
)
def test_money(cash_e6, sign, written):
    assert words.usd(cash_e6, sign) == written


def test_parts_and_ratios():
    assert words.percent(0.12345) == "12.35 %"
    assert words.percent(0.12345, sign=True, places=1) == "+12.3 %"
    assert words.percent(-1.0, sign=True) == "-100.00 %"
    assert words.percent(3e30) == "over 1,000,000 %"
    assert words.ratio(1_234.567) == "1,234.57"
    assert words.ratio(2e7) == "over 1,000,000"
    assert words.ratio(None) == words.percent(None) == words.cents(None) == words.NONE
    assert words.cents(0.256, 0.1) == "+0.26 ± 0.10"


def test_prices_to_the_cent_or_as_finely_as_they_are():
    assert [words.price(each) for each in (4_000, 4_050, 1, 10_000, 9_999)] == [
        "0.40", "0.405", "0.0001", "1.00", "0.9999",
    ]  # fmt: skip


def test_times():
    assert words.moment(1_771_632_000 * 10**9 + 999_999_999) == "2026-02-21 00:00:00"
    assert words.moment(None) == words.NONE
    assert [words.duration(each) for each in (0.25, 90, 5_400, 129_600)] == [
        "0.2 s", "1.5 min", "1.5 h", "1.5 d",
    ]  # fmt: skip


def test_every_fill_model_is_explained():
    assert set(words.FILL_MODELS) == {model.value for model in FillModel}
