"""Results of drills: statistics, verdicts, pages; and the plan of a seed."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadValue
from tasks.drilling.catalogue import DRILLS, NOT_HERE, find_drill
from tasks.drilling.plan import QUIET_S, plan
from tasks.drilling.planned import longest_gap_s
from tasks.drilling.report import (
    COLUMNS,
    DrillReport,
    DrillResult,
    as_json,
    from_json,
    markdown,
    percentile,
    row,
    spreads,
)
from tasks.drilling.run import longest_silence_s
from tasks.drilling.stage import Accepted
from tasks.drilling.venue_faults import stale_spans
from tests.cited_tests import cited, missing

GOOD = DrillResult(
    "kill-trader", "SIGKILL", "maker", detected_s=0.4, sign="lease ended", again_s=9.0,
    target_s=20.0, orders_before=10, orders_after=14, cash_gap_e6=0, notes=("quick",),
    at="2026-11-21T20:00:00Z",
)  # fmt: skip
SECOND = 1_000_000_000


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_a_percentile_is_one_of_the_values_and_enough_are_no_larger(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_the_95th_percentile_of_ten_is_the_worst() -> None:
    assert percentile([float(n) for n in range(1, 11)], 0.95) == 10.0
    assert percentile([], 0.95) is None
    with pytest.raises(ValueError, match="share"):
        percentile([1.0], 0.0)


def test_repetitions_are_summed_up_by_drill() -> None:
    slow = replace(GOOD, again_s=25.0)
    other = replace(GOOD, drill="drain", again_s=None, problems=("it did not end",))
    (kill, drain) = spreads([GOOD, other, slow])
    assert (kill.count, kill.passed, kill.p50_s, kill.p95_s) == (2, 2, 9.0, 25.0)
    assert not kill.within
    assert (drain.p95_s, drain.within) == (None, False)
    assert spreads([GOOD])[0].within


def test_a_result_that_never_came_back_has_no_percentile_of_the_others() -> None:
    gone = replace(GOOD, again_s=None, problems=("no order was accepted again",))
    assert spreads([GOOD, gone])[0].p95_s is None


@pytest.mark.parametrize(
    ("result", "passed"),
    [(GOOD, True), (replace(GOOD, problems=("sent twice: 0x1",)), False)],
)
def test_one_problem_fails_a_drill_and_one_drill_an_exercise(
    result: DrillResult, passed: bool
) -> None:
    report = DrillReport("2026-11-21T20:00:00Z", (GOOD, result))
    assert result.passed is passed
    assert report.passed is passed
    assert not DrillReport("", ()).passed


def test_pages_say_everything_and_json_comes_back_equal() -> None:
    bad = replace(GOOD, problems=("cash differs by 5 e6",), cash_gap_e6=5, detected_s=None)
    report = DrillReport("2026-11-21T20:00:00Z", (GOOD, bad), {"load": "1.0"})
    page = markdown(report)
    for words in ("load: 1.0", "PROBLEM: cash differs by 5 e6", "$0.000005", "never", "quick"):
        assert words in page
    assert page.count("| kill-trader |") == 3  # two rows, one line of repetitions
    assert from_json(json.loads(json.dumps(as_json(report)))) == report
    assert len(row(GOOD)) == len(COLUMNS)


@given(st.integers(0, 2**32), st.floats(0.05, 12.0))
def test_a_seed_makes_one_plan(seed: int, hours: float) -> None:
    drills = list(DRILLS.values())
    planned = plan(drills, hours, seed)
    assert planned == plan(drills, hours, seed)
    assert all(earlier.at_s <= later.at_s for earlier, later in pairwise(planned))
    assert all(QUIET_S <= one.at_s < hours * 3600 for one in planned)
    for one in planned:
        usual = DRILLS[one.drill].lasts_s
        assert usual / 2 - 0.1 <= one.seconds <= usual * 2 + 0.1


def test_other_seeds_make_other_plans_at_the_asked_for_rate() -> None:
    drills = list(DRILLS.values())
    plans = [plan(drills, 10.0, seed, mean_s=100.0) for seed in range(20)]
    assert len(set(plans)) == 20
    assert 300 < sum(map(len, plans)) / 20 < 420
    assert {one.drill for planned in plans for one in planned} == set(DRILLS)


@pytest.mark.parametrize("hours", [0.0, -1.0, float("nan"), 1e9])
def test_a_soak_of_no_sensible_length_is_refused(hours: float) -> None:
    with pytest.raises(BadValue, match="hours"):
        plan(list(DRILLS.values()), hours, 1)


def test_a_soak_without_faults_is_refused() -> None:
    with pytest.raises(BadValue, match="--faults"):
        plan([], 1.0, 1)


def test_an_unknown_drill_names_those_there_are() -> None:
    with pytest.raises(BadValue, match="kill-trader"):
        find_drill("kill-tradr")


def test_what_is_no_drill_names_a_test_there_is() -> None:
    for name, why in NOT_HERE.items():
        assert cited(why)
        assert missing(why) == []
        with pytest.raises(BadValue, match="is no drill"):
            find_drill(name)


def test_every_drill_says_what_it_does_and_asks_for_something() -> None:
    for name, drill in DRILLS.items():
        assert drill.name == name
        assert drill.about
        assert 0 < drill.target_s <= 180
        assert drill.full_s == 0 or drill.full_s >= drill.lasts_s > 0


# --- gaps in quoting ----------------------------------------------------------------------------


def quote(begin_s: float, end_s: float | None) -> Accepted:
    end = begin_s if end_s is None else end_s
    return Accepted("0x1", "key", int(begin_s * SECOND), int(end * SECOND), end_s is None)


@pytest.mark.parametrize(
    ("quotes", "gap_s"),
    [
        ([], 10.0),
        ([quote(0, None)], 0.0),
        ([quote(0, 4), quote(5, None)], 1.0),
        ([quote(0, 6), quote(5, 9)], 1.0),
        ([quote(2, None)], 2.0),
        ([quote(0, 8), quote(1, 2), quote(11, None)], 2.0),
        ([quote(-9, -3), quote(0, 10)], 0.0),
    ],
)
def test_a_gap_is_the_longest_time_in_which_nothing_rests(
    quotes: list[Accepted], gap_s: float
) -> None:
    assert longest_gap_s(quotes, 0, 10 * SECOND) == pytest.approx(gap_s)


def test_silence_is_the_longest_time_between_neighbours() -> None:
    assert longest_silence_s([0, SECOND, 5 * SECOND, 6 * SECOND]) == 4.0


# --- stale data ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "spans"),
    [
        ([], []),
        ([(2, "spot", True)], []),
        ([(2, "spot", False)], [(2, 10)]),
        ([(2, "spot", False), (3, "spot", False), (5, "spot", True)], [(2, 5)]),
        ([(2, "spot", False), (3, "market", False), (5, "spot", True)], [(2, 10)]),
        ([(2, "spot", False), (4, "spot", True), (6, "market", False)], [(2, 4), (6, 10)]),
        ([(12, "spot", False)], []),
    ],
)
def test_data_are_stale_while_any_channel_is(
    events: list[tuple[int, str, bool]], spans: list[tuple[int, int]]
) -> None:
    assert stale_spans(events, 10) == spans
