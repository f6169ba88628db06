"""Wishes are what their formulas say; what is cut of them never passes a limit."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadValue
from models.markets import FeeSchedule, Market, Side
from models.orders import TimeInForce
from models.units import SHARE, USD
from risk.sizing import STEP_E6, minimum_e6, worst_cost_e6
from risk.stakes import (
    cut,
    fixed_cash,
    kelly,
    risk_budget,
    share_cost,
    volatility_target,
)

FEE = FeeSchedule(rate_ppm=70_000)
MARKET = Market(
    "0xc", "btc-updown-15m-0", "?", "BTC", "15m", "up", "down", 0, 900 * 10**9, 100, 5 * SHARE, FEE
)
prices = st.integers(1, 99).map(lambda cents: cents * 100)


# --- wishes -------------------------------------------------------------------------------------


def test_a_share_costs_its_price_and_the_takers_fee() -> None:
    assert share_cost(5000, FEE) == pytest.approx(0.5175)
    assert share_cost(5000, FEE, maker=True) == 0.5


@given(probability=st.floats(0.02, 0.98), cost=st.floats(0.02, 0.98))
def test_kelly_makes_capital_grow_fastest(probability: float, cost: float) -> None:
    """Expected log growth, tried stake by stake, is nowhere higher."""
    capital = 10_000 * USD
    staked = kelly(capital, probability, cost) / SHARE * cost / 10_000

    def growth(stake: float) -> float:
        won, lost = 1 + stake * (1 / cost - 1), 1 - stake
        return probability * log(won) + (1 - probability) * log(lost)

    best = max(growth(stake) for stake in np.linspace(0, 0.995, 400))
    assert 0 <= staked < 1
    assert growth(staked) >= best - 1e-9
    assert (staked > 0) == (probability > cost + 1e-6) or abs(probability - cost) < 1e-5


def test_fractions_and_doubt_make_the_stake_smaller() -> None:
    whole = kelly(1000 * USD, 0.6, 0.5)
    assert whole == pytest.approx(400 * SHARE, abs=1)  # a fifth of the capital, at 50 cents a share
    assert kelly(1000 * USD, 0.6, 0.5, fraction=0.5) == pytest.approx(200 * SHARE, abs=1)
    doubted = kelly(1000 * USD, 0.6, 0.5, probability_error=0.1)
    assert doubted == pytest.approx(200 * SHARE, abs=1)  # error as large as the edge: half
    assert kelly(1000 * USD, 0.5, 0.5) == 0
    assert kelly(1000 * USD, 0.51, share_cost(5000, FEE)) == 0  # the fee eats the edge


def test_a_risk_budget_is_what_is_lost_at_the_stop() -> None:
    assert risk_budget(10 * USD, 0.5) == 20 * SHARE
    assert risk_budget(10 * USD, 0.5, stop=0.4) == pytest.approx(100 * SHARE, abs=1)
    with pytest.raises(BadValue, match=r"stop=0.5 must be from 0 to below the cost"):
        risk_budget(10 * USD, 0.5, stop=0.5)


@given(probability=st.floats(0.01, 0.99), dollars=st.integers(1, 1000))
def test_a_volatility_target_is_met(probability: float, dollars: int) -> None:
    shares = volatility_target(dollars * USD, probability) / SHARE
    results = np.array([shares * (1 - probability), -shares * probability])
    weights = np.array([probability, 1 - probability])
    assert float((weights @ results**2) ** 0.5) == pytest.approx(dollars, rel=1e-4)


def test_nothing_at_risk_leaves_the_size_to_the_limits() -> None:
    assert volatility_target(5 * USD, 1.0) == 10**15
    assert cut(volatility_target(5 * USD, 1.0), 5000, MARKET, 20 * USD).size_e6 <= 40 * SHARE
    assert fixed_cash(20 * USD, 0.5) == 40 * SHARE


# --- the cut ------------------------------------------------------------------------------------


@given(
    wished=st.integers(0, 10**12),
    price=prices,
    headroom=st.integers(-USD, 2000 * USD),
    capital=st.none() | st.integers(0, 2000 * USD),
    tif=st.sampled_from([TimeInForce.GTC, TimeInForce.FAK, TimeInForce.FOK]),
)
def test_what_is_cut_never_passes_a_limit(
    wished: int, price: int, headroom: int, capital: int | None, tif: TimeInForce
) -> None:
    found = cut(wished, price, MARKET, headroom, capital, tif)
    assert 0 <= found.size_e6 <= wished
    assert found.size_e6 % STEP_E6 == 0
    assert found.wished_e6 == wished
    if found.size_e6:
        cost = worst_cost_e6(price, found.size_e6, FEE, tif, False)
        assert cost <= headroom
        assert capital is None or cost <= capital
        assert found.size_e6 >= minimum_e6(price, MARKET, Side.BUY, tif)
    assert (found.size_e6 < wished) == bool(found.cuts)


@pytest.mark.parametrize(
    ("wished", "headroom", "capital", "cuts", "size"),
    [
        (20 * SHARE, 100 * USD, None, (), 20 * SHARE),
        (20 * SHARE + 1, 100 * USD, None, ("lot",), 20 * SHARE),
        (400 * SHARE, 20 * USD, None, ("headroom",), None),
        (400 * SHARE, 20 * USD, 10 * USD, ("capital",), None),
        (400 * SHARE, 10 * USD, 20 * USD, ("capital", "headroom"), None),
        (4 * SHARE, 100 * USD, None, ("minimum",), 0),
        (400 * SHARE, 1 * USD, None, ("headroom",), 0),
    ],
)
def test_every_cut_is_named_in_order(
    wished: int, headroom: int, capital: int | None, cuts: tuple[str, ...], size: int | None
) -> None:
    found = cut(wished, 5000, MARKET, headroom, capital)
    assert found.cuts == cuts
    assert size is None or found.size_e6 == size


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (lambda: kelly(100, 1.2, 0.5), r"probability=1.2"),
        (lambda: kelly(100, float("nan"), 0.5), r"probability=nan"),
        (lambda: kelly(100, 0.6, 0.5, fraction=2), r"fraction=2"),
        (lambda: kelly(100, 0.6, 0.5, probability_error=-1), r"probability_error=-1"),
        (lambda: kelly(-5, 0.6, 0.5), r"capital_e6=-5"),
        (lambda: kelly(1.5, 0.6, 0.5), r"capital_e6=1.5"),  # type: ignore[arg-type]
        (lambda: fixed_cash(100, float("nan")), r"cost=nan"),
        (lambda: volatility_target(1, 1.5), r"probability=1.5"),
        (lambda: share_cost(10_000, FEE), r"price_e4=10000"),
        (lambda: cut(-1, 5000, MARKET, USD), r"wished_e6=-1"),
    ],
)
def test_bad_input_is_named(call, fault: str) -> None:
    with pytest.raises(BadValue, match=fault):
        call()
