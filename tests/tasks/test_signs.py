"""What counts as amiss, and when, on a clock that is told the time."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.signs import (
    FIRST_BEAT_S,
    HEAD_START_S,
    LINGER_S,
    MISSED,
    SETTLE_S,
    Kind,
    Seen,
    Sign,
    Signs,
)

BEAT_S = 5.0
LOOK_S = 2.0
HEALTHY = Seen("a", "here:7:1", 3, live=True, here=True, dead=False, flow_run_id="r")


class Floor:
    """Looks every two seconds; heartbeats come every five while `beating`."""

    def __init__(self, seen: Seen = HEALTHY) -> None:
        self.now = 1_000.0
        self.signs = Signs(BEAT_S, self.now)
        self.seen = seen
        self.beating = True
        self.redis = True
        self.stamp = 1
        self._beat_at = self.now

    def look(self) -> list[Sign]:
        self.now += LOOK_S
        if self.beating and self.now - self._beat_at >= BEAT_S:
            self.stamp, self._beat_at = self.stamp + 1, self.now
        beats = {"a": (self.seen.token, self.stamp)} if self.redis else None
        return self.signs.judge([self.seen], beats, self.now)

    def until_sign(self, most_s: float) -> tuple[float, Sign]:
        """Look until something is amiss; returns after how long, and what."""
        began = self.now
        while self.now - began <= most_s:
            if signs := self.look():
                return self.now - began, signs[0]
        raise AssertionError(f"nothing was found amiss for {most_s} s")

    def quiet_for(self, seconds: float) -> None:
        began = self.now
        while self.now - began < seconds:
            assert self.look() == []

    def becomes(self, **changes: Any) -> None:
        self.seen = replace(self.seen, **changes)


def test_a_healthy_session_is_never_amiss() -> None:
    Floor().quiet_for(900)


def test_a_dead_process_is_seen_though_its_lease_lives_and_its_trigger_comes_first() -> None:
    floor = Floor()
    floor.quiet_for(20)
    floor.becomes(dead=True, here=False)
    after_s, sign = floor.until_sign(20)
    assert HEAD_START_S <= after_s <= HEAD_START_S + 2 * LOOK_S
    assert (sign.kind, sign.end, sign.start) == (Kind.DEAD, False, True)


@pytest.mark.parametrize("here", [True, False])
def test_three_missed_heartbeats_are_death(here: bool) -> None:
    floor = Floor(replace(HEALTHY, here=here))
    floor.quiet_for(40)
    floor.beating = False
    after_s, sign = floor.until_sign(30)
    assert MISSED * BEAT_S - BEAT_S <= after_s <= 15 + 5
    assert (sign.kind, sign.end) == (Kind.HUNG, here)
    assert "no heartbeat for" in sign.text


def test_a_lease_that_lapses_is_a_frozen_process_to_be_ended() -> None:
    floor = Floor()
    floor.quiet_for(40)
    floor.beating = False
    floor.quiet_for(4)
    floor.becomes(live=False)
    after_s, sign = floor.until_sign(10)
    assert after_s <= LOOK_S
    assert (sign.kind, sign.end, sign.start) == (Kind.LAPSED, True, True)


def test_an_orphan_is_ended_at_once() -> None:
    floor = Floor()
    floor.quiet_for(40)
    floor.becomes(orphan=True)
    after_s, sign = floor.until_sign(10)
    assert after_s <= LOOK_S
    assert (sign.kind, sign.end) == (Kind.ORPHAN, True)


def test_without_redis_nobody_is_taken_for_hung() -> None:
    floor = Floor()
    floor.quiet_for(40)
    floor.redis = False
    floor.quiet_for(300)
    floor.redis = True
    floor.quiet_for(300)


def test_a_redis_that_comes_back_empty_accuses_nobody() -> None:
    floor = Floor()
    floor.quiet_for(40)
    floor.redis = False
    floor.quiet_for(10)
    floor.redis, floor.beating = True, False
    floor.quiet_for(MISSED * BEAT_S - 2 * LOOK_S)
    floor.beating = True
    floor.quiet_for(100)


def test_a_session_that_only_begins_has_time_for_its_first_heartbeat() -> None:
    floor = Floor()
    floor.becomes(token=4, holder="here:8:1")
    floor.stamp, floor.beating = 0, False
    floor.quiet_for(FIRST_BEAT_S)
    _, sign = floor.until_sign(MISSED * BEAT_S + 2 * LOOK_S)
    assert sign.kind is Kind.HUNG


def test_after_postgres_was_away_a_living_session_may_renew_first() -> None:
    floor = Floor()
    floor.quiet_for(40)
    for _ in range(30):
        floor.now += LOOK_S
        floor.signs.away()
    floor.becomes(live=False)
    floor.quiet_for(SETTLE_S - LOOK_S)
    floor.becomes(live=True)
    floor.quiet_for(100)


def test_a_watch_that_slept_itself_accuses_nobody() -> None:
    floor = Floor()
    floor.quiet_for(40)
    floor.now += 600
    floor.quiet_for(60)


def test_a_free_lease_is_amiss_only_where_somebody_should_trade() -> None:
    floor = Floor(replace(HEALTHY, holder="", live=False, here=False))
    _, sign = floor.until_sign(60)
    assert (sign.kind, sign.end, sign.start) == (Kind.MISSING, False, True)
    floor.becomes(wanted=False)
    floor.quiet_for(100)


def test_nothing_is_started_for_an_agent_that_should_not_trade() -> None:
    floor = Floor(replace(HEALTHY, wanted=False, dead=True, here=False))
    _, sign = floor.until_sign(20)
    assert not sign.start


def test_a_process_that_outlives_its_lease_by_far_is_ended() -> None:
    floor = Floor()
    floor.quiet_for(10)
    floor.becomes(token=4, holder="here:8:1")
    floor.quiet_for(LINGER_S - LOOK_S)
    _, sign = floor.until_sign(3 * LOOK_S)
    assert (sign.kind, sign.holder, sign.end) == (Kind.STALE, "here:7:1", True)
    floor.quiet_for(300)


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0.1, 30)), min_size=1, max_size=60)
)
def test_a_session_that_renews_and_beats_is_never_accused_whatever_is_away(
    looks: list[tuple[bool, bool, float]],
) -> None:
    """Postgres and Redis come and go, and the watch itself is slow: still nobody healthy dies."""
    now, signs, stamp = 0.0, Signs(BEAT_S, 0.0), 0
    for postgres, redis, gap_s in looks:
        now += gap_s
        stamp += gap_s >= 0.1
        if not postgres:
            signs.away()
            continue
        assert signs.judge([HEALTHY], {"a": (3, stamp)} if redis else None, now) == []
