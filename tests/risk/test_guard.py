"""Breakers together: whom they stop, what is saved, and markets that are not normal."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.units import SECOND_NS
from risk.breaker_rules import AgentLosses, Rules, StaleData
from risk.breakers import Look, Positions, Rearm, Status
from risk.guard import Board, MarketWatch

S = SECOND_NS


def board(**losses: object) -> Board:
    return Board(Rules([AgentLosses(**losses), StaleData(enabled=False)]))  # type: ignore[arg-type]


def test_what_has_no_cause_is_not_even_noted() -> None:
    one = board()
    assert one.see("api-errors", "", S) is None
    assert one.breakers == {} and one.stop("a") == "" and one.share("a") == 1.0


def test_a_breaker_of_an_agent_stops_that_agent_alone() -> None:
    one = board(positions="flatten", rearm="manual")
    change = one.see("agent-losses:a", "five lost", 10 * S)
    assert change is not None and change.tripped
    assert str(change) == (
        "breaker agent-losses:a tripped: five lost; `floor risk reset agent-losses:a` lifts it"
    )
    assert (one.stop("a"), one.share("a"), one.flatten("a")) == (
        "breaker agent-losses:a: five lost", 0.0, True,
    )  # fmt: skip
    assert (one.stop("b"), one.share("b"), one.flatten("b")) == ("", 1.0, False)
    assert one.see("agent-losses:a", "still", 11 * S) is None
    reset = one.reset("agent-losses:a", "me", 20 * S)
    assert reset is not None and reset.state.status is Status.CLOSED
    assert one.marks["agent-losses:a"] == 20 * S
    assert one.reset("agent-losses:a", "me", 21 * S) is None
    assert one.reset("no-such", "me", 21 * S) is None


def test_breakers_of_the_floor_and_of_a_market() -> None:
    one = board()
    one.see("market-anomaly:m1", "wide", S)
    assert one.stop("a") == "" and one.stop("a", "m1") and not one.stop("a", "m2")
    one.see("floor-drawdown", "15 %", S)
    assert one.stop("a") and one.stop("b", "m2")
    assert one.open() == ["floor-drawdown", "market-anomaly:m1"]


def test_one_that_is_switched_off_never_trips_and_one_that_is_tripped_comes_back() -> None:
    one = board()
    assert one.see("stale-data", "silent", S) is None
    one.see("clock-skew", "off", S)
    one.adopt(Rules([]))
    assert one.stop("a")


def test_states_survive_saving_and_loading_whatever_the_rows_are() -> None:
    one = board(cooldown_s=10, trial_s=5)
    one.see("agent-losses:a", "five lost", 10 * S)
    other = board(cooldown_s=10, trial_s=5)
    other.load({name: one.row(name) for name in one.breakers})
    assert other.breakers["agent-losses:a"].state == one.breakers["agent-losses:a"].state
    assert other.marks == {"agent-losses:a": 10 * S}
    # Gone, cooled down, tried, closed.
    seen = [other.see("agent-losses:a", "", at * S) for at in (11, 15, 21, 22, 27)]
    assert [change.state.status for change in seen if change] == [
        Status.COOLING, Status.HALF_OPEN, Status.CLOSED,
    ]  # fmt: skip
    for spoilt in (None, 7, {}, {"status": "odd"}, {"status": "tripped", "mark_ns": "x"}):
        other.load({"api-errors": spoilt})
        assert other.stop("a").startswith("breaker api-errors: unreadable state")
    other.drop(["api-errors"])
    assert other.stop("a") == ""


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=40))
def test_stop_and_share_always_agree(steps: list[tuple[bool, int]]) -> None:
    one, now = board(), 0
    for caused, wait in steps:
        now += wait * S
        one.see("agent-losses:a", "lost" if caused else "", now)
        assert bool(one.stop("a")) == (one.share("a") == 0.0)
        assert one.share("a") in (0.0, 0.25, 1.0)
        if caused:
            assert one.stop("a")


NORMAL = Look(100 * S, 4_900, 5_100, 5, 5, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bid_e4": 3_000, "ask_e4": 6_000}, "spread of 0.3"),
        ({"bid_levels": 0, "bid_e4": None}, "book of 0 bid"),
        ({"bid_e4": 5_200}, "book crossed"),
    ],
)
def test_an_anomaly_must_last(changes: dict[str, int], words: str) -> None:
    one = board()
    watch = MarketWatch(one, "m1")
    assert watch.look(NORMAL) is None
    odd = replace(NORMAL, **changes)  # type: ignore[arg-type]
    assert watch.look(replace(odd, at_ns=101 * S)) is None
    assert watch.look(replace(odd, at_ns=102 * S)) is None
    change = watch.look(replace(odd, at_ns=103 * S))
    assert change is not None and words in change.state.reason
    assert one.stop("any", "m1")
    # One normal look in between begins the wait anew.
    assert watch.look(replace(NORMAL, at_ns=104 * S)) is not None
    assert one.breakers["market-anomaly:m1"].state.status is Status.COOLING


def test_a_side_without_levels_is_normal_where_the_outcome_is_certain() -> None:
    one = board()
    watch = MarketWatch(one, "m1")
    for at in range(100, 110):
        gone = replace(NORMAL, at_ns=at * S, bid_e4=9_700, ask_e4=None, ask_levels=0)
        assert watch.look(gone) is None
    assert one.stop("a", "m1") == ""


def test_a_volume_counts_at_once() -> None:
    one = board()
    change = MarketWatch(one, "m1").look(replace(NORMAL, traded_e6=2_000_000 * 1_000_000))
    assert change is not None and "2000000 shares traded" in change.state.reason


def test_a_jump_counts_at_once() -> None:
    one = board()
    watch = MarketWatch(one, "m1")
    watch.look(NORMAL)
    jumped = replace(NORMAL, at_ns=100 * S + S // 2, bid_e4=8_000, ask_e4=8_200)
    change = watch.look(jumped)
    assert change is not None and "jumped" in change.state.reason


def test_changed_rules_are_taken_up() -> None:
    one = board()
    one.see("agent-losses:a", "lost", S)
    one.adopt(Rules([AgentLosses(rearm=Rearm.MANUAL, positions=Positions.FLATTEN)]))
    assert one.flatten("a")
    assert one.see("agent-losses:a", "", 5 * S) is None
