"""Array forms against TA-Lib, where it has them, and against plain numpy and Python."""

import statistics
from itertools import pairwise
from math import log, sqrt

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadValue
from strategies.features import arrays

CLOSE = {"rtol": 1e-9, "atol": 1e-9, "equal_nan": True}
lengths = st.integers(1, 400)
seeds = st.integers(0, 2**32 - 1)


def walk(seed, length, start=100.0):
    return start + np.random.default_rng(seed).normal(size=length).cumsum() / 10


def same(found, expected):
    np.testing.assert_allclose(found, expected, **CLOSE)


@given(seeds, lengths, st.integers(2, 60))
def test_averages_are_those_of_talib(seed, length, period):
    values = walk(seed, length)
    same(arrays.sma(values, period), talib.SMA(values, period))
    same(arrays.ema(values, period), talib.EMA(values, period))


@given(seeds, lengths, st.integers(2, 60))
def test_rsi_is_that_of_talib(seed, length, period):
    values = walk(seed, length)
    same(arrays.rsi(values, period), talib.RSI(values, period))


def test_rsi_of_a_flat_series_is_neutral_where_talib_says_zero():
    flat = np.full(10, 5.0)
    assert arrays.rsi(flat, 3)[-1] == 50.0
    assert talib.RSI(flat, 3)[-1] == 0.0


@given(seeds, lengths, st.integers(2, 30), st.integers(1, 30), st.integers(1, 20))
def test_macd_is_that_of_talib(seed, length, fast, more, signal):
    values = walk(seed, length)
    found = arrays.macd(values, fast, fast + more, signal)
    for mine, theirs in zip(found, talib.MACD(values, fast, fast + more, signal), strict=True):
        same(mine, theirs)


@given(seeds, lengths, st.integers(1, 60))
def test_atr_is_that_of_talib(seed, length, period):
    close = walk(seed, length)
    wide = np.random.default_rng(seed + 1).uniform(0, 0.3, size=(2, length))
    high, low = close + wide[0], close - wide[1]
    same(arrays.atr(high, low, close, period), talib.ATR(high, low, close, period))


@given(seeds, lengths, st.integers(2, 60), st.floats(0.5, 4))
def test_bollinger_bands_are_those_of_talib(seed, length, period, width):
    # TA-Lib's own running sums of squares lose digits far from zero; near it they are good.
    values = walk(seed, length, start=1.0)
    bands = talib.BBANDS(values, period, width, width)
    for mine, theirs in zip(arrays.bollinger(values, period, width), bands, strict=True):
        same(mine, theirs)


@given(seeds, st.integers(2, 20), st.sampled_from([0.0, 0.5, 1e5, -1e5]))
def test_deviation_and_score_are_exact_far_from_zero(seed, period, offset):
    steps = np.random.default_rng(seed).integers(-50, 50, size=60)
    values = offset + steps / 1024
    spread, score = arrays.deviation(values, period), arrays.z_score(values, period)
    for at in range(period - 1, len(values)):
        near = values[at - period + 1 : at + 1].tolist()
        exact = statistics.pstdev(near)
        same(spread[at], exact)
        mean = statistics.fmean(one - offset for one in near)
        same(score[at], (near[-1] - offset - mean) / exact if exact else 0.0)
    assert np.isnan(score[: period - 1]).all()


@given(seeds, st.integers(1, 20))
def test_realised_volatility_is_the_root_of_the_mean_squared_return(seed, period):
    values = walk(seed, 60)
    found = arrays.realised_volatility(values, period)
    squares = [log(b / a) ** 2 for a, b in pairwise(values.tolist())]
    for at in range(period, len(values)):
        same(found[at], sqrt(statistics.fmean(squares[at - period : at])))
    assert np.isnan(found[:period]).all()


def test_micro_price_leans_to_the_side_with_less():
    found = arrays.micro_price(*(np.array([x]) for x in (0.40, 100.0, 0.50, 300.0)))
    same(found, [0.425])


@pytest.mark.parametrize(
    ("after", "step"),
    [
        ((0.40, 130, 0.50, 100), 30),
        ((0.40, 70, 0.50, 100), -30),
        ((0.41, 20, 0.50, 100), 20),
        ((0.39, 500, 0.50, 100), -100),
        ((0.40, 100, 0.50, 150), -50),
        ((0.40, 100, 0.49, 10), -10),
        ((0.40, 100, 0.51, 900), 100),
        ((0.41, 20, 0.51, 900), 120),
    ],
)
def test_order_flow_of_each_kind_of_change(after, step):
    """Bid grows, shrinks, rises, falls; ask grows, falls, rises; both rise (paper, eq. 3)."""
    columns = np.array([(0.40, 100, 0.50, 100), after], dtype=float).T
    assert arrays.order_flow_imbalance(*columns, 1)[1] == pytest.approx(step)


def test_volume_spike_is_a_multiple_of_what_came_before():
    found = arrays.volume_spike(np.array([10.0, 20.0, 60.0, 0.0, 0.0, 3.0]), 2, floor=1.0)
    same(found, [np.nan, np.nan, 4.0, 0.0, 0.0, 3.0])


@given(seeds, st.integers(1, 50), st.integers(1, 300))
def test_pieces_fit_together(seed, period, piece):
    values = walk(seed, 200)
    whole = arrays.sma(values, period)
    before, arrays.PIECE = arrays.PIECE, piece
    try:
        np.testing.assert_array_equal(arrays.sma(values, period), whole)
    finally:
        arrays.PIECE = before


def test_a_period_that_is_none_is_refused():
    for form in (arrays.sma, arrays.ema):
        with pytest.raises(BadValue, match="period=0"):
            form(np.ones(3), 0)
    with pytest.raises(BadValue, match="fast=9"):
        arrays.macd(np.ones(30), 9, 9)
