"""A step of the wall clock moves nothing of ours until the venue's time has judged it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import NAP_S, SystemClock
from engine.steady import JUMP_NS, NEAR_NS, ClockVerdict, SteadyTime, judge
from models.units import SECOND_NS

EPOCH = 1_800_000_000 * SECOND_NS


class Machine:
    """A machine whose wall clock can be set."""

    def __init__(self) -> None:
        self.boot = 5_000 * SECOND_NS
        self.wall = EPOCH
        self.time = SteadyTime(lambda: self.wall, lambda: self.boot)

    def run(self, seconds: float) -> None:
        self.boot += round(seconds * SECOND_NS)
        self.wall += round(seconds * SECOND_NS)


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(-(10**12), 10**12)), max_size=10))
def test_time_never_steps_whatever_the_wall_clock_does(steps):
    machine, ran = Machine(), 0
    for seconds, jump_ns in steps:
        machine.run(seconds)
        machine.wall += jump_ns
        ran += round(seconds * SECOND_NS)
        assert machine.time.now_ns() == EPOCH + ran
    jumped = sum(jump for _, jump in steps)
    assert machine.time.jump_ns() == (jumped if abs(jumped) > JUMP_NS else 0)
    assert machine.time.off_ns() == jumped


def test_a_step_that_corrects_the_clock_is_adopted():
    machine = Machine()
    machine.wall += 7 * SECOND_NS
    assert machine.time.jump_ns() == 7 * SECOND_NS
    assert machine.time.settle(machine.wall + SECOND_NS // 2) is ClockVerdict.ADOPT
    assert machine.time.now_ns() == machine.wall
    assert machine.time.jump_ns() == 0


def test_a_step_that_spoils_the_clock_is_not():
    machine = Machine()
    machine.wall -= 3600 * SECOND_NS
    assert machine.time.settle(EPOCH) is ClockVerdict.KEEP
    assert machine.time.now_ns() == EPOCH
    assert machine.time.jump_ns() == 0, "settled: it is told no second time"
    machine.wall += 3600 * SECOND_NS
    assert machine.time.jump_ns() == 3600 * SECOND_NS, "setting it right is a jump again"


@given(st.integers(0, 10 * SECOND_NS))
def test_time_that_ran_ahead_stands_still_until_it_is_right(ahead_ns):
    """It never goes back: nothing that was dated is dated in the future afterwards."""
    machine = Machine()
    machine.wall -= ahead_ns
    before = machine.time.now_ns()
    assert machine.time.settle(machine.wall) is ClockVerdict.ADOPT
    assert machine.time.now_ns() == before
    machine.run(ahead_ns / SECOND_NS + 1)
    assert machine.time.now_ns() == machine.wall
    assert machine.time.jump_ns() == machine.time.off_ns() == 0


def test_time_that_ran_far_ahead_is_wrong_until_a_new_process_reads_it():
    machine = Machine()
    machine.wall -= 11 * SECOND_NS
    assert machine.time.settle(machine.wall) is ClockVerdict.WRONG
    assert machine.time.jump_ns() == -11 * SECOND_NS
    again = SteadyTime(lambda: machine.wall, lambda: machine.boot)
    assert (again.now_ns(), again.jump_ns()) == (machine.wall, 0)


def test_nothing_is_settled_while_neither_clock_is_near_the_venues():
    machine = Machine()
    machine.wall += 60 * SECOND_NS
    assert machine.time.settle(EPOCH + 30 * SECOND_NS) is ClockVerdict.WRONG
    assert machine.time.jump_ns() == 60 * SECOND_NS


@pytest.mark.parametrize(
    ("ours", "wall", "verdict"),
    [
        (0, 0, ClockVerdict.ADOPT),
        (NEAR_NS, NEAR_NS - 1, ClockVerdict.ADOPT),
        (NEAR_NS - 1, NEAR_NS, ClockVerdict.KEEP),
        (NEAR_NS, -NEAR_NS, ClockVerdict.WRONG),
    ],
)
def test_the_wall_clock_is_preferred_where_both_are_near(ours, wall, verdict):
    assert judge(EPOCH + ours, EPOCH + wall, EPOCH) is verdict


def test_a_machine_that_slept_has_not_jumped():
    machine = Machine()
    machine.run(8 * 3600)
    assert machine.time.jump_ns() == 0
    assert machine.time.now_ns() == EPOCH + 8 * 3600 * SECOND_NS


def test_a_reading_that_was_held_up_once_is_no_jump():
    """Half a minute goes by between reading the one clock and the other; then all is well."""
    machine, held = Machine(), []

    def wall() -> int:
        if held:
            machine.run(held.pop())
        return machine.wall

    steady = SteadyTime(wall, lambda: machine.boot)
    held.append(30)
    assert steady.jump_ns() == 0


async def test_an_alarm_rings_by_the_clock_that_was_adopted_meanwhile():
    machine = Machine()
    clock, rung = SystemClock(machine.time), asyncio.Event()
    alarm = clock.call_at(EPOCH + 3600 * SECOND_NS, rung.set)
    assert alarm._handle.when() - asyncio.get_running_loop().time() <= NAP_S + 0.1
    alarm._handle.cancel()
    machine.wall += 3600 * SECOND_NS
    clock.settle(machine.wall)
    alarm._ring()
    assert rung.is_set()


async def test_an_alarm_that_wakes_before_its_time_is_set_again_and_can_be_taken_back():
    machine = Machine()
    clock, rung = SystemClock(machine.time), []
    alarm = clock.call_at(EPOCH + SECOND_NS, lambda: rung.append(1))
    alarm._handle.cancel()
    alarm._ring()
    assert rung == []
    alarm.cancel()
    assert alarm._handle.cancelled()
