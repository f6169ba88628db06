import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from models.errors import BadValue, ConfigError
from models.units import SECOND_NS, USD
from risk.breakers import (
    MOST_DOUBLINGS,
    Breaker,
    BreakerPolicy,
    BreakerState,
    ErrorRate,
    Look,
    MarketNorms,
    Rearm,
    Status,
    clock_skew,
    drawdown,
    losses_in_a_row,
    market_anomaly,
    resolution_disagreement,
    silent_for,
)

AUTO = BreakerPolicy("test", cooldown_s=60, trial_s=30)
MANUAL = BreakerPolicy("test", rearm=Rearm.MANUAL)


def at(seconds: float) -> int:
    return round(seconds * SECOND_NS)


def test_it_goes_round_by_itself() -> None:
    breaker = Breaker(AUTO)
    assert breaker.share == 1
    assert breaker.see("fire", at(0))
    assert (breaker.state.status, breaker.state.reason) == (Status.TRIPPED, "fire")
    assert breaker.share == 0
    assert not breaker.see("fire", at(10))
    assert breaker.see("", at(20))
    assert breaker.state.status is Status.COOLING
    assert breaker.stops
    assert not breaker.see("", at(79))
    assert breaker.see("", at(80))
    assert (breaker.state.status, breaker.share) == (Status.HALF_OPEN, 0.25)
    assert not breaker.see("", at(109))
    assert breaker.see("", at(110))
    assert breaker.state == BreakerState(Status.CLOSED, "", at(110), 0)


def test_a_trial_that_fails_doubles_the_next_cooldown() -> None:
    breaker = Breaker(AUTO)
    now, waits = 0.0, []
    for _ in range(9):
        breaker.see("fire", at(now))
        breaker.see("", at(now))
        start = now
        while breaker.state.status is Status.COOLING:
            now += 30
            breaker.see("", at(now))
        waits.append(now - start)
        assert breaker.state.status is Status.HALF_OPEN
    assert waits == [60 * 2 ** min(trip, MOST_DOUBLINGS) for trip in range(9)]


def test_a_cause_while_cooling_starts_the_same_stop_again() -> None:
    breaker = Breaker(AUTO)
    breaker.see("fire", at(0))
    breaker.see("", at(1))
    breaker.see("smoke", at(50))
    assert breaker.state == BreakerState(Status.TRIPPED, "smoke", at(50), 1)


def test_a_manual_breaker_waits_for_a_person() -> None:
    breaker = Breaker(MANUAL)
    breaker.see("fire", at(0))
    assert not breaker.see("", at(10**6))
    assert breaker.reset("ann", at(10**6))
    assert breaker.state.status is Status.CLOSED
    assert breaker.state.reason == "reset by ann"
    assert not breaker.reset("ann", at(10**6 + 1))


class Rounds(RuleBasedStateMachine):
    """Whatever is seen in whatever order, stopping means stopping, and rows lose nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(AUTO)
        self.now = 0
        self.stopped_at: int | None = None

    @rule(cause=st.sampled_from(["", "", "fire"]), seconds=st.floats(0, 100))
    def look(self, cause: str, seconds: float) -> None:
        self.now += at(seconds)
        was = self.breaker.state.status
        self.breaker.see(cause, self.now)
        if cause:
            assert self.breaker.state.status is Status.TRIPPED
            if was is not Status.TRIPPED:
                self.stopped_at = self.now
        if self.breaker.state.status is Status.HALF_OPEN and was is Status.COOLING:
            assert self.stopped_at is not None
            assert self.now - self.stopped_at >= at(AUTO.cooldown_s)

    @rule()
    def restart(self) -> None:
        row = json.loads(json.dumps(self.breaker.state.to_row()))
        assert BreakerState.from_row(row) == self.breaker.state
        self.breaker = Breaker(AUTO, BreakerState.from_row(row))

    @invariant()
    def it_lets_through_what_its_state_says(self) -> None:
        share = {Status.CLOSED: 1, Status.HALF_OPEN: 0.25}.get(self.breaker.state.status, 0)
        assert self.breaker.share == share
        assert self.breaker.stops == (share == 0)


TestRounds = Rounds.TestCase


@pytest.mark.parametrize("row", [{}, {"status": "opne", "reason": "", "since_ns": 0, "trips": 0}])
def test_a_row_nobody_can_read_keeps_it_tripped(row: dict[str, object]) -> None:
    state = BreakerState.from_row(row)
    assert state.status is Status.TRIPPED
    assert "unreadable" in state.reason


@pytest.mark.parametrize("changes", [{"cooldown_s": -1}, {"trial_s": float("nan")},
                                     {"trial_share": 0}, {"trial_share": 2}])  # fmt: skip
def test_a_policy_that_makes_no_sense_is_named(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        BreakerPolicy("test", **changes)  # type: ignore[arg-type]


# --- detectors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "cause"),
    [
        ([], ""),
        ([-1, -1, -1, -1], ""),
        ([5, -1, -1, -1, -1, -USD], "5 losses in a row, $1.00 together"),
        ([-1, -1, -1, -1, -1, 0], ""),
        ([-1, -1, 3, -1, -1, -1], ""),
    ],
)
def test_losses_in_a_row(results: list[int], cause: str) -> None:
    assert losses_in_a_row(results) == cause


@given(peak=st.integers(1, 10**12), equity=st.integers(-(10**12), 10**12), most=st.floats(0.01, 1))
def test_a_drawdown_is_of_its_peak(peak: int, equity: int, most: float) -> None:
    assert bool(drawdown(equity, peak, most)) == ((peak - equity) / peak >= most)


def test_a_drawdown_says_its_figures_and_needs_a_base() -> None:
    cause = drawdown(80 * USD, 100 * USD, 0.2, "daily drawdown")
    assert cause == "daily drawdown of 20.0% ($80.00 of $100.00), limit 20%"
    assert drawdown(-5, 0, 0.2) == ""


@given(calls=st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=120))
def test_the_error_rate_is_that_of_its_window(calls: list[tuple[float, bool]]) -> None:
    rate = ErrorRate(most=0.1, window_s=60, least=20)
    now, seen = 0, []
    for gap, failed in calls:
        now += at(gap)
        rate.add(failed, now)
        seen.append((now, failed))
        inside = [f for t, f in seen if t > now - at(60)]
        expected = len(inside) >= 20 and sum(inside) > 0.1 * len(inside)
        assert bool(rate.cause(now)) == expected
    assert rate.cause(now + at(61)) == ""


def test_calls_told_together_count_one_by_one() -> None:
    rate = ErrorRate(most=0.1, window_s=60, least=20)
    rate.count(18, 0, at(0))
    rate.count(0, 0, at(1))
    rate.count(2, 2, at(30))
    assert rate.cause(at(30)) == ""
    rate.count(1, 1, at(31))
    assert rate.cause(at(31)) == "3 of 21 calls to the venue failed within 60 s"
    assert rate.cause(at(60)) == ""
    with pytest.raises(BadValue, match="3 of 2 calls"):
        rate.count(2, 3, at(61))


def test_silence_and_skew() -> None:
    assert silent_for("database lost", at(0), at(60), 60) == ""
    assert silent_for("database lost", at(0), at(75), 60) == "database lost for 75 s, limit 60 s"
    assert clock_skew(at(2)) == ""
    assert clock_skew(-at(2.5)) == "our clock is -2.50 s off the venue's"


GOOD = Look(at(10), 4900, 5100, 5, 5, 0)


@pytest.mark.parametrize(
    ("before", "now", "cause"),
    [
        (None, GOOD, ""),
        (GOOD, Look(at(10.5), 5000, 5000, 5, 5, 0), "book crossed"),
        (GOOD, Look(at(10.5), 4000, 6100, 5, 5, 0), "spread of 0.21, limit 0.2"),
        (GOOD, Look(at(10.5), None, 5100, 0, 5, 0), "book of 0 bid and 5 ask levels"),
        (GOOD, Look(at(10.5), 4900, 5100, 5, 5, 2 * 10**12), "2000000 shares traded"),
        (GOOD, Look(at(10.5), 7500, 7600, 5, 5, 0), "mid jumped from 0.5 to 0.755 within 1 s"),
        (GOOD, Look(at(12), 7500, 7600, 5, 5, 0), ""),
        (GOOD, Look(at(10.5), 7400, 7500, 5, 5, 0), ""),
    ],
)
def test_a_market_that_is_not_normal(before: Look | None, now: Look, cause: str) -> None:
    found = market_anomaly(before, now)
    assert found.startswith(cause) if cause else found == ""


def test_an_empty_book_is_normal_where_the_norms_say_so() -> None:
    assert market_anomaly(None, Look(0, None, None, 0, 0, 0), MarketNorms(min_levels=0)) == ""


def test_a_winner_that_is_not_ours() -> None:
    assert resolution_disagreement("w", "Up", "Up") == ""
    assert resolution_disagreement("w", None, "Up") == ""
    assert resolution_disagreement("w", "Up", "Down") == "w resolved Down, our prices say Up"


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses_in_a_row([], 0),
        lambda: drawdown(1, 1, 0),
        lambda: ErrorRate(most=0),
        lambda: ErrorRate(least=0),
    ],
)
def test_bad_input_is_refused(call) -> None:
    with pytest.raises(BadValue):
        call()
