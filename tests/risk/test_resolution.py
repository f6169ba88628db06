import itertools
from dataclasses import replace
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from models.errors import BadValue
from risk.digital import TWAP_S, up_probability, up_probability_twap
from risk.resolution import Market, Stake, simulate, worst_case

USD = 1_000_000
NOW = {"BTC": Market(60_000, 1e-4), "ETH": Market(3_000, 1.5e-4)}


def stake(name: str = "w", **changes: object) -> Stake:
    plain = Stake(name, "BTC", 60_000, 300, up_e6=10 * USD, down_e6=0, cost_e6=5 * USD)
    return replace(plain, **changes)


# --- worst case ---------------------------------------------------------------------------------

stakes = st.builds(
    Stake,
    name=st.uuids().map(str),
    asset=st.sampled_from(["BTC", "ETH"]),
    strike=st.sampled_from([90.0, 100.0, 110.0]),
    seconds_left=st.sampled_from([300.0, 900.0]),
    up_e6=st.integers(0, 100 * USD),
    down_e6=st.integers(0, 100 * USD),
    cost_e6=st.integers(0, 100 * USD),
    averaged=st.booleans(),
)


@given(book=st.lists(stakes, max_size=7))
def test_the_worst_case_is_the_least_over_every_price(book: list[Stake]) -> None:
    moments = sorted({s.moment for s in book})
    least = None
    for prices in itertools.product([80.0, 95.0, 105.0, 120.0], repeat=len(moments)):
        at = dict(zip(moments, prices, strict=True))
        result = sum(s.if_up_e6 if at[s.moment] >= s.strike else s.if_down_e6 for s in book)
        least = result if least is None else min(least, result)
    found = worst_case(book)
    assert found.total_e6 == least
    assert found.total_e6 >= sum(found.by_stake.values())
    assert sum(worst for _, _, worst in found.by_moment) == found.total_e6


def test_two_bets_that_cannot_both_lose_are_seen() -> None:
    """Down above 60,100 and Up from 60,000: between the strikes both win, nowhere both lose."""
    low = stake("low", strike=60_000)
    high = stake("high", strike=60_100, up_e6=0, down_e6=10 * USD)
    found = worst_case([low, high])
    assert found.by_stake == {"low": -5 * USD, "high": -5 * USD}
    assert found.total_e6 == 0


def test_an_empty_book_loses_nothing() -> None:
    assert worst_case([]).total_e6 == 0


# --- simulation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "averaged", "so_far"),
    [(600, False, None), (600, True, None), (60, True, None), (20, True, 59_990.0),
     (0, True, 59_990.0), (0, True, 60_010.0), (-5, False, None)],
)  # fmt: skip
def test_each_market_has_its_own_fair_value(
    left: float, averaged: bool, so_far: float | None
) -> None:
    strike = 60_020.0 if left > 100 else 60_000.0
    one = stake(strike=strike, seconds_left=left, averaged=averaged, average_so_far=so_far)
    found = simulate([one], NOW, paths=200_000).up_probability["w"]
    vol = NOW["BTC"].volatility
    exact = (
        up_probability_twap(60_000, strike, vol, left, so_far)
        if averaged
        else up_probability(60_000, strike, vol, left)
    )
    # Four standard errors, and what the mean of logarithms is off by.
    assert found == pytest.approx(exact, abs=4 * 0.5 / 200_000**0.5 + 2e-4)


@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.8, 1.0])
@pytest.mark.parametrize("averaged", [False, True])
def test_two_assets_win_together_as_their_correlation_says(rho: float, averaged: bool) -> None:
    book = [
        stake("btc", up_e6=USD, cost_e6=0, averaged=averaged),
        stake("eth", asset="ETH", strike=3_001, up_e6=USD, cost_e6=0, averaged=averaged),
    ]
    found = simulate(book, NOW, {("ETH", "BTC"): rho}, paths=200_000)
    both = float(np.mean(found.results_e6 == 2 * USD))
    time = 300 - TWAP_S * 2 / 3 if averaged else 300.0
    widths = [NOW[a].volatility * time**0.5 for a in ("BTC", "ETH")]
    upper = [-widths[0] / 2, log(3_000 / 3_001) / widths[1] - widths[1] / 2]
    exact = multivariate_normal.cdf(upper, cov=[[1, rho], [rho, 1]], allow_singular=True)
    assert both == pytest.approx(float(exact), abs=4 * 0.5 / 200_000**0.5 + 2e-3)


def test_a_long_and_a_short_window_share_their_path() -> None:
    """Up at 5 minutes makes Up at 15 minutes likelier, as one Brownian path has it."""
    book = [
        stake("five", seconds_left=300, up_e6=USD, cost_e6=0, averaged=False),
        stake("fifteen", seconds_left=900, up_e6=USD, cost_e6=0, averaged=False),
    ]
    both = float(np.mean(simulate(book, NOW, paths=200_000).results_e6 == 2 * USD))
    # Correlation of a path with itself at two times: sqrt(300 / 900).
    exact = 0.25 + np.arcsin((300 / 900) ** 0.5) / (2 * np.pi)
    assert both == pytest.approx(exact, abs=5e-3)


def test_markets_of_one_moment_never_contradict_each_other() -> None:
    book = [
        stake("low", strike=59_990, up_e6=USD, cost_e6=0),
        stake("high", strike=60_010, up_e6=0, down_e6=USD, cost_e6=0),
    ]
    assert simulate(book, NOW).results_e6.min() >= USD
    assert worst_case(book).total_e6 == USD


@given(book=st.lists(stakes, min_size=1, max_size=5), seed=st.integers(0, 50))
def test_no_path_is_worse_than_the_worst_case(book: list[Stake], seed: int) -> None:
    here = {"BTC": Market(100, 3e-3), "ETH": Market(100, 3e-3)}
    found = simulate(book, here, {("BTC", "ETH"): 0.5}, paths=500, seed=seed)
    assert found.results_e6.min() >= worst_case(book).total_e6
    assert found.tail(0.99).var <= -worst_case(book).total_e6


def test_the_same_seed_gives_the_same_paths() -> None:
    first, again, other = (simulate([stake()], NOW, seed=seed).results_e6 for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_pair_of_both_outcomes_is_cash() -> None:
    found = simulate([stake(up_e6=10 * USD, down_e6=10 * USD, cost_e6=9 * USD)], NOW)
    assert (found.mean_e6, found.deviation_e6, found.loss_probability) == (USD, 0, 0)
    assert found.standard_error_e6 == 0


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("book", "fault"),
    [
        ([stake("a"), stake("a")], "two stakes are called 'a'"),
        ([stake(strike=0)], "strike=0"),
        ([stake(seconds_left=float("nan"))], "seconds_left=nan"),
        ([stake(up_e6=-1)], "cannot be negative"),
        ([stake(average_so_far=-1.0)], "average_so_far"),
        ([stake(asset="DOGE")], "no spot and volatility for DOGE"),
        ([stake("a", seconds_left=300), stake("b", seconds_left=330)], "overlap"),
    ],
)
def test_an_impossible_book_is_named(book: list[Stake], fault: str) -> None:
    with pytest.raises(BadValue, match=fault):
        simulate(book, NOW)


@pytest.mark.parametrize(
    ("market", "correlation", "fault"),
    [
        (Market(0, 1e-4), {}, "BTC: spot=0"),
        (Market(60_000, -1), {}, "BTC: volatility=-1"),
        (Market(60_000, 1e-4), {("BTC", "ETH"): 1.5}, "correlation of BTC and ETH is 1.5"),
    ],
)
def test_impossible_markets_are_named(
    market: Market, correlation: dict[tuple[str, str], float], fault: str
) -> None:
    with pytest.raises(BadValue, match=fault):
        simulate([stake()], {"BTC": market}, correlation)
