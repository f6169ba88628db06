"""The recorder's parts: a clock that stands still, a strategy that is watched and not disturbed."""

import asyncio

import pytest

from engine.asking import MOST_INTENTS, StrategyFailed, ask
from engine.clock import ManualClock
from engine.recording.clock import RecordingClock
from engine.recording.observed import Observed
from models.markets import Outcome
from models.units import USD
from strategies.base import Buy, Cancel, Strategy


class Falling:
    """A clock that goes back, as a machine's clock may."""

    def __init__(self, *times: int) -> None:
        self.times = list(times)

    def now_ns(self) -> int:
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


async def turn() -> None:
    """Let the event loop come round."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_time_stands_still_within_a_step_and_goes_on_after_it():
    inner = ManualClock(100)
    clock = RecordingClock(inner, print)
    assert clock.now_ns() == 100
    await inner.advance_to(200)
    clock.stamp()
    inner._now_ns = 300
    assert clock.now_ns() == 200, "what comes of one input reads the input's time"
    await turn()
    assert clock.now_ns() == 300


async def test_stamps_always_rise_though_the_machines_clock_falls():
    clock = RecordingClock(Falling(50, 40, 40, 30, 20), print)  # type: ignore[arg-type]
    stamps = [clock.stamp() for _ in range(5)]
    assert stamps == [50, 51, 52, 53, 54]
    await turn()
    assert clock.now_ns() == 54


def test_outside_an_event_loop_time_is_not_held():
    clock = RecordingClock(Falling(1, 2, 3), print)  # type: ignore[arg-type]
    assert [clock.now_ns(), clock.now_ns(), clock.now_ns()] == [1, 2, 3]


async def test_only_a_windows_alarm_tells_of_a_turn():
    told = []
    clock = RecordingClock(ManualClock(0), told.append)
    alarm = clock.call_at(10, lambda: None)
    alarm.cancel()
    assert told == []


class Wishes(Strategy):
    name = "wishes"
    cadence_ms = 250

    def on_tick(self, view):
        yield Buy(Outcome.UP, budget_e6=USD)
        yield Cancel()

    def on_timer(self, view):
        return Cancel()

    def on_start(self, view):
        yield Cancel()
        raise ValueError("no more")

    def on_stop(self, view):
        while True:
            yield Cancel()

    def snapshot(self):
        return {"a": 1}


@pytest.mark.parametrize("hook", ["on_tick", "on_timer", "on_fill"])
def test_answers_pass_unchanged_and_are_told(hook):
    told = []
    inner = Wishes(Wishes.Params())
    observed = Observed(inner, lambda view, name, wants: told.append((name, wants)))
    news = ("a fill",) if hook == "on_fill" else ()
    assert ask(observed, hook, None, *news) == ask(inner, hook, None, *news)  # type: ignore[arg-type]
    assert told == [(hook, tuple(map(repr, ask(inner, hook, None, *news))))]  # type: ignore[arg-type]
    assert (observed.name, observed.cadence_ms, observed.snapshot()) == ("wishes", 250, {"a": 1})


def test_a_fault_passes_and_is_told():
    told = []
    observed = Observed(Wishes(Wishes.Params()), lambda *all: told.append(all[1:]))
    with pytest.raises(StrategyFailed, match="no more"):
        ask(observed, "on_start", None)  # type: ignore[arg-type]
    assert told == [("on_start", ("raised ValueError: no more",))]


def test_endless_wishes_are_cut_short_as_without_it():
    observed = Observed(Wishes(Wishes.Params()), lambda *all: None)
    with pytest.raises(StrategyFailed, match=f"more than {MOST_INTENTS}"):
        ask(observed, "on_stop", None)  # type: ignore[arg-type]
