"""Delays: constant, sampled, in order; and what an order's delay does to its fills."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fills.latency import ConstantDelay, InOrder, SampledDelay, no_latency
from models.errors import BadValue
from models.units import MILLISECOND_NS

MS = MILLISECOND_NS


def test_a_constant_delay_is_constant():
    delay = ConstantDelay(7)
    assert [delay.next_ns() for _ in range(3)] == [7, 7, 7]


def test_without_latency_everything_arrives_at_once():
    latency = no_latency()
    assert latency.feed.next_ns() == latency.order.next_ns() == 0


def test_the_same_seed_gives_the_same_delays_and_another_seed_others():
    def draw(seed):
        delay = SampledDelay(seed, 20 * MS)
        return [delay.next_ns() for _ in range(20)]

    assert draw(3) == draw(3) != draw(4)


def test_half_of_the_delays_lie_below_floor_plus_median():
    delay = SampledDelay(1, 20 * MS, sigma=0.8, floor_ns=5 * MS)
    drawn = sorted(delay.next_ns() for _ in range(2001))
    assert drawn[1000] == pytest.approx(25 * MS, rel=0.1)
    assert drawn[0] >= 5 * MS


@given(
    st.integers(0, 10**6),
    st.integers(1, 10**9),
    st.floats(0, 50),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)
def test_a_delay_lies_between_floor_and_ceiling(seed, median, sigma, floor, more):
    delay = SampledDelay(seed, median, sigma, floor, floor + more)
    assert all(floor <= delay.next_ns() <= floor + more for _ in range(5))


@given(st.lists(st.integers(0, 10**9), min_size=1), st.integers(0, 99))
def test_over_one_connection_nothing_overtakes(gaps, seed):
    line = InOrder(SampledDelay(seed, 30 * MS, sigma=2.0))
    sent = arrived = 0
    for gap in gaps:
        sent += gap
        arrival = line.arrival_ns(sent)
        assert arrival >= max(sent, arrived)
        arrived = arrival


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConstantDelay(-1),
        lambda: SampledDelay(1, 0),
        lambda: SampledDelay(1, 5, sigma=-0.1),
        lambda: SampledDelay(1, 5, floor_ns=-1),
        lambda: SampledDelay(1, 5, floor_ns=9, ceiling_ns=8),
    ],
)
def test_an_impossible_delay_is_refused(make):
    with pytest.raises(BadValue, match="delay"):
        make()
