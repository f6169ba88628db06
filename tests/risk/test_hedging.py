from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadValue
from models.markets import Outcome
from models.units import SHARE
from risk.greeks import up_greeks
from risk.hedging import Hedge, book_greeks, suggest
from risk.resolution import Market, Stake

NOW = {"BTC": Market(60_000, 1e-4), "ETH": Market(3_000, 1.2e-4)}
LONG = Stake("fifteen", "BTC", 60_000, 600, up_e6=100 * SHARE, down_e6=0, cost_e6=0, averaged=False)
FIVE = replace(LONG, name="five", seconds_left=200, up_e6=0)
PLENTY = 10_000 * SHARE


def bought(stakes: list[Stake], hedges: list[Hedge]) -> list[Stake]:
    by_name = {stake.name: stake for stake in stakes}
    for hedge in hedges:
        field = "up_e6" if hedge.outcome is Outcome.UP else "down_e6"
        stake = by_name[hedge.name]
        by_name[hedge.name] = replace(stake, **{field: getattr(stake, field) + hedge.size_e6})
    return list(by_name.values())


def test_a_book_has_the_greeks_of_its_shares() -> None:
    found = book_greeks([LONG, replace(LONG, name="eth", asset="ETH", strike=3_000)], NOW)
    each = up_greeks(60_000, 60_000, 1e-4, 600)
    assert found["BTC"].delta == pytest.approx(100 * float(each.delta))
    assert found["BTC"].vega == pytest.approx(100 * float(each.vega) * 1e-4)
    assert found["ETH"].delta > 0


def test_a_pair_of_both_outcomes_has_no_greeks() -> None:
    found = book_greeks([replace(LONG, down_e6=100 * SHARE)], NOW)["BTC"]
    assert (found.delta, found.gamma, found.vega, found.theta) == (0, 0, 0, 0)


def test_the_opposite_share_of_the_same_market_is_the_perfect_hedge() -> None:
    (hedge,) = suggest([LONG], NOW, {("fifteen", Outcome.DOWN): PLENTY}, "BTC")
    assert hedge.outcome is Outcome.DOWN
    assert hedge.size_e6 == pytest.approx(100 * SHARE, abs=0.02 * SHARE)


def test_another_window_takes_the_delta_away() -> None:
    stakes = [LONG, FIVE]
    offer = {("five", outcome): PLENTY for outcome in Outcome}
    hedges = suggest(stakes, NOW, offer, "BTC", gamma_weight=0, vega_weight=0)
    before = book_greeks(stakes, NOW)["BTC"].delta
    after = book_greeks(bought(stakes, hedges), NOW)["BTC"].delta
    assert abs(after) < abs(before) / 1000


@given(
    shares=st.integers(-200, 200), left=st.floats(70, 800), distance=st.floats(-2, 2),
    offer=st.integers(0, 500),
)  # fmt: skip
def test_a_hedge_keeps_to_the_offer_and_never_adds_risk(
    shares: int, left: float, distance: float, offer: int
) -> None:
    strike = 60_000 * (1 + distance * 1e-4 * left**0.5)
    own = replace(
        LONG, strike=strike, seconds_left=left,
        up_e6=max(0, shares) * SHARE, down_e6=max(0, -shares) * SHARE,
    )  # fmt: skip
    offers = {("five", outcome): offer * SHARE for outcome in Outcome}
    hedges = suggest([own, FIVE], NOW, offers, "BTC", gamma_weight=0, vega_weight=0)
    assert all(0 < hedge.size_e6 <= offer * SHARE for hedge in hedges)
    before = abs(book_greeks([own, FIVE], NOW)["BTC"].delta)
    after = abs(book_greeks(bought([own, FIVE], hedges), NOW)["BTC"].delta)
    assert after <= before + 1e-4


def test_nothing_on_offer_is_no_hedge() -> None:
    assert suggest([LONG], NOW, {}, "BTC") == []
    assert (
        suggest([LONG, replace(FIVE, seconds_left=0)], NOW, {("five", Outcome.UP): 1}, "BTC") == []
    )


@pytest.mark.parametrize(
    ("offer", "asset", "fault"),
    [
        ({("other", Outcome.UP): 1}, "BTC", "'other' is on offer"),
        ({("fifteen", Outcome.UP): -1}, "BTC", "cannot be negative"),
        ({}, "DOGE", "no spot and volatility for DOGE"),
    ],
)
def test_bad_input_is_named(offer: dict[tuple[str, Outcome], int], asset: str, fault: str) -> None:
    with pytest.raises(BadValue, match=fault):
        suggest([LONG], NOW, offer, asset)
