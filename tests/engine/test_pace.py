"""The pace of a window: what is due when, in which order, and when to wake up."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from engine.pace import ON_TICK, ON_TIMER, Due, Pace
from models.units import MILLISECOND_NS, SECOND_NS

START = 1_800_000_000 * SECOND_NS
QUIT = START + 897 * SECOND_NS


def pace(cadence_ms: int = 1000, at_ns: int = START) -> Pace:
    made = Pace(START, QUIT, cadence_ms)
    made.begin(at_ns)
    return made


def all_due(one: Pace, now_ns: int) -> list[str]:
    found = []
    while (due := one.due(now_ns)) is not None:
        found.append(due.hook)
    return found


def test_news_come_first_and_in_their_order_then_the_second_then_the_tick():
    one = pace()
    one.tell("on_trade", 1)
    one.tell("on_fill", 2)
    now = START + SECOND_NS
    assert [one.due(now) for _ in range(5)] == [
        Due("on_trade", 1), Due("on_fill", 2), ON_TIMER, ON_TICK, None,
    ]  # fmt: skip
    assert one.ticks == 1


def test_ticks_keep_their_cadence_and_need_a_change():
    one = pace(500)
    assert all_due(one, START) == ["on_tick"]
    assert all_due(one, START + 600 * MILLISECOND_NS) == [], "nothing changed"
    assert one.touch()
    assert not one.touch(), "known already"
    assert all_due(one, START + 600 * MILLISECOND_NS) == ["on_tick"]
    one.touch()
    assert all_due(one, START + 800 * MILLISECOND_NS) == []
    assert one.wake_ns() == START + SECOND_NS, "the second comes before the next tick"
    assert all_due(one, START + 1100 * MILLISECOND_NS) == ["on_timer", "on_tick"]


def test_seconds_are_the_windows_own_and_missed_ones_are_not_made_up():
    one = pace(at_ns=START + 2_300 * MILLISECOND_NS)
    one.due(START + 2_300 * MILLISECOND_NS)
    assert one.wake_ns() == START + 3 * SECOND_NS
    assert all_due(one, START + 7_500 * MILLISECOND_NS) == ["on_timer"]
    assert one.wake_ns() == START + 8 * SECOND_NS


def test_waiting_news_leave_no_time_to_rest_and_the_end_is_the_latest_time_to_wake():
    one = pace(at_ns=QUIT - 1)
    one.tell("on_trade", 1)
    assert one.wake_ns() == 0
    all_due(one, QUIT - 1)
    assert one.wake_ns() == QUIT
    assert one.over(QUIT)
    assert not one.over(QUIT - 1)


def test_orders_are_pulled_once_per_stale_spell_as_soon_as_there_are_any():
    one = pace()
    asked = [
        (True, True),
        (False, False),
        (False, True),
        (False, True),
        (True, True),
        (False, True),
    ]
    assert [one.pull(fresh, resting) for fresh, resting in asked] == [
        False, False, True, False, False, True,
    ]  # fmt: skip


@given(
    st.sampled_from([0, 1, 250, 1000, 5000]),
    st.lists(st.tuples(st.integers(0, 3_000), st.booleans()), max_size=60),
)
def test_no_two_ticks_are_closer_than_the_cadence_and_no_second_comes_twice(cadence_ms, steps):
    one, now = pace(cadence_ms), START
    ticks, seconds = [], []
    for later_ms, touches in steps:
        now += later_ms * MILLISECOND_NS
        if touches:
            one.touch()
        for hook in all_due(one, now) if cadence_ms else [d.hook for d in [one.due(now)] if d]:
            (ticks if hook == "on_tick" else seconds).append(now)
        if cadence_ms:
            assert one.wake_ns() > now
    assert all(b - a >= cadence_ms * MILLISECOND_NS for a, b in itertools.pairwise(ticks))
    whole = [(at - START) // SECOND_NS for at in seconds]
    assert len(whole) == len(set(whole))


@given(
    changes=st.lists(st.integers(0, 20_000), max_size=40),
    cadence_ms=st.sampled_from([1, 250, 1000, 1700]),
)
def test_a_window_that_heeds_no_seconds_misses_no_tick_when_it_is_not_woken_for_them(
    changes, cadence_ms
):
    def ticks(idle: bool) -> list[int]:
        one, found, at = pace(cadence_ms), [], START
        moments = sorted(START + ms * MILLISECOND_NS for ms in changes)
        while at < START + 25 * SECOND_NS:
            found += [at for hook in all_due(one, at) if hook == "on_tick"]
            wake = one.idle_wake_ns() if idle else one.wake_ns()
            if moments and moments[0] <= wake:
                at = max(at, moments.pop(0))
                one.touch()
            else:
                at = wake
        return found

    assert ticks(idle=True) == ticks(idle=False)


def test_a_window_that_pulled_its_orders_is_woken_by_seconds_until_data_are_fresh_again():
    one = pace()
    all_due(one, START)
    assert one.idle_wake_ns() == QUIT
    assert one.pull(fresh=False, resting=True)
    assert one.idle_wake_ns() == one.wake_ns() == START + SECOND_NS
    assert not one.pull(fresh=True, resting=False)
    assert one.idle_wake_ns() == QUIT
    one.tell("on_trade", 1)
    assert one.idle_wake_ns() == 0
