import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polymarket.rate_limit import RateLimitUpdate

from models.errors import VenueUnavailable
from venue.polymarket.limits import Limits, TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 20)), max_size=60))
def test_no_span_of_time_ever_sees_more_than_burst_and_rate(
    asks: list[tuple[float, int]],
) -> None:
    clock = Clock()
    bucket = TokenBucket("b", rate=10, burst=20, clock=clock)
    sent: list[tuple[float, int]] = []
    for pause, cost in asks:
        clock.now += pause
        try:
            wait = bucket.take_now(cost)
        except VenueUnavailable as refused:
            assert refused.mode == "rate_limited"
            assert refused.retry_after_s > 2
            continue
        sent.append((clock.now + wait, cost))
    for first in range(len(sent)):
        total = 0
        for at, cost in sent[first:]:
            total += cost
            assert total <= 20 + 10 * (at - sent[first][0]) + cost + 1e-6


def test_a_full_bucket_does_not_wait_and_an_empty_one_queues() -> None:
    clock = Clock()
    bucket = TokenBucket("b", rate=10, burst=5, clock=clock)
    assert [bucket.take_now() for _ in range(5)] == [0.0] * 5
    assert bucket.take_now() == pytest.approx(0.1)
    assert bucket.take_now() == pytest.approx(0.2)
    clock.now += 10
    assert bucket.take_now(5) == 0.0


def test_a_cost_above_the_burst_waits_until_it_is_earned() -> None:
    bucket = TokenBucket("b", rate=10, burst=5, clock=Clock())
    assert bucket.take_now(45) == pytest.approx(4.0)


def test_nothing_is_taken_by_a_refused_call() -> None:
    clock = Clock()
    bucket = TokenBucket("b", rate=1, burst=1, patience_s=0.5, clock=clock)
    bucket.take_now()
    for _ in range(3):
        with pytest.raises(VenueUnavailable, match=r"used up for 1\.0 s"):
            bucket.take_now()
    clock.now += 1
    assert bucket.take_now() == 0.0


def test_the_venues_count_and_retry_after_win() -> None:
    clock = Clock()
    bucket = TokenBucket("b", rate=10, burst=50, clock=clock)
    bucket.correct(1)
    assert bucket.take_now() == 0.0
    assert bucket.take_now() == pytest.approx(0.1)
    bucket.correct(40)
    assert bucket.take_now() == pytest.approx(0.2), "the venue never raises our count"
    bucket.block(7)
    with pytest.raises(VenueUnavailable) as caught:
        bucket.take_now()
    assert caught.value.retry_after_s == pytest.approx(7)


async def test_headers_and_refusals_correct_the_bucket_of_their_own_call() -> None:
    clock = Clock()
    limits = Limits(clock=clock)
    ready = asyncio.Event()

    async def order() -> None:
        async with limits.spend(limits.orders):
            await ready.wait()
            limits.heard(RateLimitUpdate(remaining=0))

    async def cancel() -> None:
        async with limits.spend(limits.cancels):
            ready.set()
            raise VenueUnavailable("slow down", "rate_limited", 30)

    await asyncio.gather(order(), cancel(), return_exceptions=True)
    assert limits.orders.take_now() == pytest.approx(1 / 40)
    with pytest.raises(VenueUnavailable):
        limits.cancels.take_now()
    limits.heard(RateLimitUpdate(remaining=0))
    assert limits.balances.take_now() == 0.0
