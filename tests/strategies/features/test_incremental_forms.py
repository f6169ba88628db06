"""Incremental forms against array forms over long series, and over a restart."""

import json
from copy import deepcopy
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import BadValue
from strategies.features import (
    Atr,
    Bollinger,
    Ema,
    Macd,
    MicroPrice,
    OrderFlowImbalance,
    RealisedVolatility,
    Rsi,
    Sma,
    VolumeSpike,
    ZScore,
    arrays,
)
from strategies.features.sums import RollingMoments, RollingSum

CLOSE = {"rtol": 1e-9, "atol": 1e-9, "equal_nan": True}
seeds = st.integers(0, 2**32 - 1)
periods = st.integers(2, 120)
offsets = st.sampled_from([0.5, 100.0, 1e5, 1e7])
scales = st.sampled_from([1e-3, 0.1, 10.0, 1e4])


@st.composite
def series(draw, longest=3000):
    """Long positive series: noise, trends, jumps and standstills around large offsets."""
    rng = np.random.default_rng(draw(seeds))
    length = draw(st.integers(1, longest))
    offset, scale = draw(offsets), draw(scales)
    noise = rng.normal(size=length) * scale
    if draw(st.booleans()):
        noise = noise.cumsum()
    noise[rng.random(length) < draw(st.sampled_from([0, 0.01]))] += draw(st.sampled_from([0, 1e6]))
    still = rng.random(length) < draw(st.sampled_from([0, 0.9]))
    at = np.maximum.accumulate(np.where(still, 0, np.arange(length)))
    # A grid of prices, and all of them above zero as returns need them.
    return np.round(np.abs(offset + noise[at]) + 0.01, 6)


def fed(indicator, *columns):
    """Every part of an indicator after each sample, as arrays by name."""
    found = {part: [] for part in indicator.PARTS}
    for sample in zip(*(column.tolist() for column in columns), strict=True):
        returned = indicator.update(*sample)
        for part, kept in found.items():
            kept.append(getattr(indicator, part))
        assert returned == indicator.value or returned != returned
    return {part: np.array(kept) for part, kept in found.items()}


def same(found, expected):
    np.testing.assert_allclose(found, expected, **CLOSE)


@given(series(), periods)
def test_averages(values, period):
    same(fed(Sma(period), values)["value"], arrays.sma(values, period))
    same(fed(Ema(period), values)["value"], arrays.ema(values, period))


@given(series(), periods)
def test_rsi(values, period):
    same(fed(Rsi(period), values)["value"], arrays.rsi(values, period))


@given(series(), st.integers(2, 40), st.integers(1, 40), st.integers(1, 20))
def test_macd(values, fast, more, signal):
    found = fed(Macd(fast, fast + more, signal), values)
    parts = arrays.macd(values, fast, fast + more, signal)
    for part, expected in zip(("value", "signal", "histogram"), parts, strict=True):
        same(found[part], expected)


@given(series(), periods, st.floats(0.5, 4))
def test_bollinger(values, period, width):
    found = fed(Bollinger(period, width), values)
    bands = arrays.bollinger(values, period, width)
    for part, expected in zip(("upper", "value", "lower"), bands, strict=True):
        same(found[part], expected)


@given(series(), periods)
def test_z_score(values, period):
    same(fed(ZScore(period), values)["value"], arrays.z_score(values, period))


@given(series(), periods)
def test_realised_volatility(values, period):
    found = fed(RealisedVolatility(period), values)["value"]
    same(found, arrays.realised_volatility(values, period))


@given(series(1500), seeds, periods)
def test_atr(close, seed, period):
    wide = np.random.default_rng(seed).uniform(0, 1, size=(2, len(close))) * close / 100
    bars = close + wide[0], close - wide[1], close
    same(fed(Atr(period), *bars)["value"], arrays.atr(*bars, period))


@given(seeds, st.integers(1, 1500), periods)
def test_order_flow_imbalance_and_micro_price(seed, length, period):
    rng = np.random.default_rng(seed)
    bid = rng.integers(40, 44, size=length) / 100
    ask = bid + rng.integers(1, 4, size=length) / 100
    tops = bid, rng.integers(1, 10**9, length) / 1e6, ask, rng.integers(1, 10**9, length) / 1e6
    found = fed(OrderFlowImbalance(period), *tops)["value"]
    same(found, arrays.order_flow_imbalance(*tops, period))
    same(fed(MicroPrice(), *tops)["value"], arrays.micro_price(*tops))


@given(seeds, st.integers(1, 1500), periods, st.sampled_from([0.0, 0.95]))
def test_volume_spike(seed, length, period, quiet):
    rng = np.random.default_rng(seed)
    volumes = np.where(rng.random(length) < quiet, 0, rng.integers(0, 10**9, length)) / 1e4
    found = fed(VolumeSpike(period, 2.0), volumes)["value"]
    same(found, arrays.volume_spike(volumes, period, 2.0))


@pytest.mark.parametrize("period", [7, 300])
def test_a_hundred_thousand_updates_leave_no_error_behind(period):
    """Prices of 100 000 that move by cents, with an outlier of a billion early on."""
    rng = np.random.default_rng(7)
    values = 1e5 + np.round(rng.normal(size=100_000).cumsum() / 100, 2)
    values[1000] = 1e9
    sums, moments = RollingSum(period), RollingMoments(period)
    tail = range(len(values) - 500, len(values))
    for at, value in enumerate(values.tolist()):
        total, _ = sums.update(value), moments.update(value)
        if at in tail or at == 1000 + period + 1:
            near = values[at - period + 1 : at + 1]
            assert total == pytest.approx(float(near.sum()), rel=1e-14)
            shifted = near - near[0]
            assert moments.deviation == pytest.approx(float(shifted.std()), rel=1e-9, abs=1e-12)
            above = float(shifted[-1] - shifted.mean())
            assert moments.above_mean(value) == pytest.approx(above, abs=1e-10)


EVERY = [
    Sma(5), Ema(5), Macd(3, 6, 4), Rsi(5), Bollinger(5), ZScore(5), RealisedVolatility(5), Atr(5),
    OrderFlowImbalance(5), MicroPrice(), VolumeSpike(5),
]  # fmt: skip


def sample_of(indicator, rng):
    if isinstance(indicator, Atr):
        low, close, high = sorted(rng.uniform(1, 2, 3).tolist())
        return high, low, close
    if isinstance(indicator, OrderFlowImbalance | MicroPrice):
        return 0.4, rng.uniform(1, 9), rng.integers(41, 45) / 100, rng.uniform(1, 9)
    return (rng.uniform(1, 2),)


@pytest.mark.parametrize("kind", EVERY, ids=repr)
@given(seeds, st.integers(0, 30))
@settings(max_examples=30)
def test_a_restored_indicator_goes_on_bit_for_bit(kind, seed, before):
    rng = np.random.default_rng(seed)
    one = deepcopy(kind)
    for _ in range(before):
        one.update(*sample_of(one, rng))
    if not isinstance(one, OrderFlowImbalance | MicroPrice | Atr):
        one.add(*sample_of(one, rng))
    carried = json.loads(json.dumps(one.snapshot(), allow_nan=False))
    again = deepcopy(kind)
    again.restore(carried)
    for _ in range(20):
        sample = sample_of(one, rng)
        one.update(*sample)
        again.update(*sample)
        for part in one.PARTS:
            assert repr(getattr(one, part)) == repr(getattr(again, part))
    assert repr(one.snapshot()) == repr(again.snapshot())


@pytest.mark.parametrize("kind", EVERY, ids=repr)
def test_a_wrong_state_is_refused_and_changes_nothing(kind):
    rng = np.random.default_rng(3)
    one = deepcopy(kind)
    for _ in range(12):
        one.update(*sample_of(one, rng))
    before = one.snapshot()
    wrong = [{}, None, 7, {**before, "more": 1}]
    for name in before:
        for value in ("text", True, [1.0], {"values": 1}, [None] * 5, inf):
            wrong.append({**before, name: value})
    for state in wrong:
        with pytest.raises(BadValue):
            one.restore(state)
        assert one.snapshot() == before


@pytest.mark.parametrize("kind", [RollingSum(3), RollingMoments(3)], ids=repr)
@pytest.mark.parametrize("wrong", [{"at": 3}, {"at": -1}, {"count": 4}, {"count": -1}, {"at": 1.0}])
def test_a_place_outside_its_memory_is_refused(kind, wrong):
    one = deepcopy(kind)
    with pytest.raises(BadValue):
        one.restore({**one.snapshot(), **wrong})


@pytest.mark.parametrize("kind", EVERY, ids=repr)
@pytest.mark.parametrize("bad", [nan, inf, -inf, 1e200])
def test_a_sample_that_is_no_number_is_refused_and_changes_nothing(kind, bad):
    rng = np.random.default_rng(3)
    one = deepcopy(kind)
    for _ in range(12):
        one.update(*sample_of(one, rng))
    before = one.snapshot()
    for place, _ in enumerate(sample_of(one, rng)):
        sample = list(sample_of(one, rng))
        sample[place] = bad
        with pytest.raises(BadValue):
            one.update(*sample)
        assert one.snapshot() == before


@pytest.mark.parametrize("kind", EVERY, ids=repr)
def test_reset_forgets_everything(kind):
    rng = np.random.default_rng(3)
    one = deepcopy(kind)
    fresh = one.snapshot()
    for _ in range(12):
        one.update(*sample_of(one, rng))
    assert one.snapshot() != fresh
    one.reset()
    assert one.snapshot() == fresh


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: Sma(0), "period=0"),
        (lambda: Ema(2.0), "period=2.0"),
        (lambda: Rsi(1), "at least 2"),
        (lambda: Rsi(True), "period=True"),
        (lambda: Macd(26, 12), "fast=26 must be less than slow=12"),
        (lambda: Bollinger(20, -1.0), "width=-1.0"),
        (lambda: VolumeSpike(5, 0.0), "floor=0.0"),
    ],
)
def test_periods_that_make_no_sense_are_refused(make, part):
    with pytest.raises(BadValue, match=part):
        make()


def test_prices_at_or_below_zero_have_no_return():
    for bad in (0.0, -1.0):
        with pytest.raises(BadValue):
            RealisedVolatility(5).update(bad)


@pytest.mark.parametrize("bar", [(1.0, 2.0, 1.5), (2.0, 1.0, 3.0), (2.0, 1.0, 0.5)])
def test_a_bar_out_of_order_is_refused(bar):
    with pytest.raises(BadValue, match="low <= close <= high"):
        Atr(3).update(*bar)
