"""Spot history against plain lists, over random feeds."""

import json
from dataclasses import replace
from itertools import pairwise
from math import log, sqrt

import pytest
from fakes.venue import make_market
from hypothesis import given
from hypothesis import strategies as st

from engine.spot import MAX_GAP_NS, MIN_RETURNS, SpotHistory
from engine.strikes import observed_strike_e8, settlement_source
from models.errors import BadValue
from models.events import SpotSource
from models.markets import Settlement
from models.units import SECOND_NS, SPOT_USD

ticks = st.lists(
    st.tuples(st.integers(0, 120 * SECOND_NS), st.integers(1, 10**13)), min_size=0, max_size=60
)


def feed(rows, capacity):
    """Append rows to a history and to the plain list it should equal."""
    history, kept = SpotHistory(capacity), []
    for ts, price in rows:
        history.append(ts, price)
        if kept and ts < kept[-1][0]:
            continue
        if kept and ts == kept[-1][0]:
            kept[-1] = (ts, price)
        else:
            kept.append((ts, price))
    return history, kept[-capacity:]


@given(ticks, st.integers(2, 8), st.integers(0, 120 * SECOND_NS), st.integers(0, 60 * SECOND_NS))
def test_ring_holds_the_newest_ticks_in_order(rows, capacity, start, length):
    history, kept = feed(rows, capacity)
    assert len(history) == len(kept)
    assert history.last_ns == (kept[-1][0] if kept else 0)
    assert history.last_e8 == (kept[-1][1] if kept else None)
    times, prices = history.between(start, start + length)
    expected = [row for row in kept if start <= row[0] <= start + length]
    assert list(zip(times.tolist(), prices.tolist(), strict=True)) == expected


@given(ticks, st.integers(0, 150 * SECOND_NS))
def test_price_as_of_a_moment_is_the_last_one_before_it_if_young_enough(rows, moment):
    history, kept = feed(rows, 64)
    before = [row for row in kept if row[0] <= moment]
    expected = before[-1][1] if before and moment - before[-1][0] <= MAX_GAP_NS else None
    assert history.at(moment) == expected


@given(st.lists(st.integers(10**12, 10**13), min_size=MIN_RETURNS + 2, max_size=60))
def test_volatility_is_the_root_of_squared_returns_per_second(prices):
    history = SpotHistory(128)
    for second, price in enumerate(prices):
        history.append(second * SECOND_NS, price)
    span = len(prices) - 1
    squares = sum(log(b / a) ** 2 for a, b in pairwise(prices))
    found = history.volatility(span * SECOND_NS, span)
    assert found == pytest.approx(sqrt(squares / span), rel=1e-9)


def test_volatility_needs_enough_ticks_and_time():
    history = SpotHistory()
    for second in range(MIN_RETURNS):
        history.append(second * SECOND_NS, 10**12 + second)
    assert history.volatility(MIN_RETURNS * SECOND_NS, 10) is None
    history.append(MIN_RETURNS * SECOND_NS, 10**12)
    assert history.volatility(MIN_RETURNS * SECOND_NS, 10) is not None
    assert history.volatility(MIN_RETURNS * SECOND_NS, 300) is None


def test_change_needs_a_price_at_both_ends():
    history = SpotHistory()
    history.append(100 * SECOND_NS, 100 * SPOT_USD)
    history.append(400 * SECOND_NS, 101 * SPOT_USD)
    now = 401 * SECOND_NS
    assert history.change(now, 300) == pytest.approx(0.01)
    assert history.change(now, 302) is None
    assert history.change(now, 200) is None, "the last price before that is too old"
    assert history.change(now + MAX_GAP_NS, 300) is None, "the feed has gone quiet"


def test_average_of_the_last_seconds():
    history = SpotHistory()
    for second in range(10):
        history.append(second * SECOND_NS, second * SPOT_USD)
    assert history.average(9 * SECOND_NS, 3) == pytest.approx((6 + 7 + 8 + 9) / 4)
    assert history.average(100 * SECOND_NS, 3) is None


ROWS = st.lists(
    st.tuples(st.integers(1, 10**11), st.integers(-(10**15), 10**15)), min_size=1, max_size=60
)


@given(ROWS, st.integers(0, 70))
def test_a_packed_history_is_the_same_history_again(steps, known):
    history, again, now = SpotHistory(), SpotHistory(), 1_800_000_000 * SECOND_NS
    for number, (step, price) in enumerate(steps):
        now += step
        history.append(now, price)
        if number < known:
            again.append(now, price)
    again.unpack(json.loads(json.dumps(history.packed())))
    for mine, theirs in zip(again.rows(), history.rows(), strict=True):
        assert mine.tolist() == theirs.tolist()


def test_an_hour_of_prices_packs_into_a_few_kilobytes():
    history = SpotHistory()
    for second in range(4096):
        at_ns = 1_800_000_000 * SECOND_NS + second * SECOND_NS + second * 7919 % 300 * 1_000_000
        history.append(at_ns, (68_000 + second * 104_729 % 4001 / 100) * SPOT_USD)
    assert len(json.dumps(history.packed())) < 40_000
    last_minutes = history.packed(history.last_ns - 299 * SECOND_NS)
    assert 299 <= last_minutes["rows"] <= 301
    assert SpotHistory().packed() == {"rows": 0}


@pytest.mark.parametrize(
    "spoilt",
    [
        {"rows": 3},
        {"rows": 3, "first": [1], "steps": ""},
        {"rows": 3, "first": [1, 2], "unit_ns": 1, "steps": "not base 64!"},
        {"rows": 3, "first": [1, 2], "unit_ns": 1, "steps": "AAAA"},
        {"rows": 9, "first": [1, 2], "unit_ns": 1, "steps": "good"},
    ],
)
def test_a_spoilt_history_is_refused_whole(spoilt):
    history = SpotHistory()
    for second in range(3):
        history.append(second, second)
    if spoilt.get("steps") == "good":
        spoilt = {**spoilt, "steps": history.packed()["steps"]}
    again = SpotHistory()
    with pytest.raises(BadValue, match="start anew"):
        again.unpack(spoilt)
    assert len(again) == 0


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([], None),
        ([-1.0], None),
        ([-1.0, 0.5], 0),
        ([-2.0, 0.0], 1),
        ([-2.0, 0.0, 1.0], 1),
        ([-3.5, 1.0], None),
        ([1.0, 2.0], None),
    ],
)
def test_strike_is_the_last_settlement_price_at_or_before_the_start(offsets, expected):
    market = make_market()
    history = SpotHistory()
    for number, offset in enumerate(offsets):
        history.append(market.start_ns + round(offset * SECOND_NS), (number + 1) * SPOT_USD)
    found = observed_strike_e8(market, history)
    assert found == (None if expected is None else (expected + 1) * SPOT_USD)


def test_settlement_rule_picks_the_feed():
    market = make_market()
    assert settlement_source(market) is SpotSource.TWAP_60
    boundary = replace(market, settlement=Settlement.BOUNDARY)
    assert settlement_source(boundary) is SpotSource.CHAINLINK
