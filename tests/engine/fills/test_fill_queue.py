"""Where an order stands: worked examples of each model, and their bounds on any tape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fills.queue import QueuePosition, cancelled_ahead
from models.fills import FillModel
from models.units import SECOND_NS, SHARE

MODELS = tuple(FillModel)
CENTRAL = (FillModel.LOG, FillModel.POWER)


def position(model, displayed=100, grace_ns=0):
    return QueuePosition(model, None if displayed is None else displayed * SHARE, grace_ns)


def ahead(place) -> float | None:
    return None if place.ahead_e6 is None else place.ahead_e6 / SHARE


@pytest.mark.parametrize("model", [FillModel.BACK, *CENTRAL])
def test_a_trade_must_pass_those_ahead(model):
    place = position(model)
    assert place.traded(60 * SHARE, 1) == 0
    assert ahead(place) == 40
    assert place.traded(60 * SHARE, 1) == 20 * SHARE
    assert ahead(place) == 0


def test_at_the_front_the_whole_trade_comes_to_us():
    assert position(FillModel.FRONT).traded(7, 1) == 7


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        # 20 of 100 ahead, 100 behind: a cancel of 40 leaves
        (FillModel.BACK, 100),
        (FillModel.LOG, 80),
        (FillModel.POWER, 80),
        (FillModel.FRONT, 0),
    ],
)
def test_a_cancel_is_shared_between_ahead_and_behind(model, expected):
    place = position(model)
    place.level(200 * SHARE, 1)
    place.level(160 * SHARE, 2)
    assert ahead(place) == expected


def test_the_longer_part_loses_more_under_the_third_power_than_under_the_logarithm():
    few, many = 10 * SHARE, 90 * SHARE
    log = cancelled_ahead(FillModel.LOG, many, few, 10 * SHARE)
    power = cancelled_ahead(FillModel.POWER, many, few, 10 * SHARE)
    assert 5 * SHARE < log < power < 10 * SHARE
    assert cancelled_ahead(FillModel.LOG, few, many, 10 * SHARE) == pytest.approx(
        10 * SHARE - log, abs=1
    )


@pytest.mark.parametrize("model", [FillModel.BACK, *CENTRAL])
def test_no_more_stands_ahead_than_is_displayed(model):
    place = position(model)
    place.level(30 * SHARE, 1)
    assert ahead(place) <= 30


@pytest.mark.parametrize("model", CENTRAL)
def test_a_fall_that_a_print_explains_is_no_cancel(model):
    both = position(model)
    both.level(200 * SHARE, 0)
    both.traded(40 * SHARE, 1)
    both.level(160 * SHARE, 1)
    assert ahead(both) == 60


@pytest.mark.parametrize("print_first", [True, False])
@pytest.mark.parametrize("model", CENTRAL)
def test_within_the_grace_print_and_fall_come_in_either_order(model, print_first):
    place = position(model, grace_ns=SECOND_NS)
    place.level(200 * SHARE, 0)
    if print_first:
        place.traded(40 * SHARE, 10)
        place.level(160 * SHARE, 20)
    else:
        place.level(160 * SHARE, 10)
        place.traded(40 * SHARE, 20)
    place.level(160 * SHARE, 5 * SECOND_NS)
    assert ahead(place) == 60


@pytest.mark.parametrize("model", CENTRAL)
def test_a_fall_that_nothing_explained_in_time_was_a_cancel(model):
    place = position(model, grace_ns=SECOND_NS)
    place.level(200 * SHARE, 0)
    place.level(160 * SHARE, 10)
    assert ahead(place) == 100
    place.level(160 * SHARE, 2 * SECOND_NS)
    assert ahead(place) == 80


@pytest.mark.parametrize("model", [FillModel.BACK, *CENTRAL])
def test_where_the_feed_does_not_reach_nobody_is_known_to_be_past(model):
    place = position(model, displayed=None)
    assert place.ahead_e6 is None
    assert place.traded(10**12, 1) == 0
    place.level(50 * SHARE, 2)
    assert ahead(place) == 50


def test_a_level_out_of_sight_keeps_its_place():
    place = position(FillModel.BACK)
    place.level(None, 1)
    assert ahead(place) == 100
    place.level(300 * SHARE, 2)
    assert ahead(place) == 100


SIZES = st.integers(0, 300).map(lambda shares: shares * SHARE // 7)
TAPE = st.lists(
    st.one_of(
        st.tuples(st.just("print"), SIZES.filter(bool)),
        st.tuples(st.just("level"), SIZES),
        st.tuples(st.just("level"), st.none()),
    ),
    max_size=40,
)


@given(st.one_of(st.none(), SIZES), TAPE, st.sampled_from([0, 2, 5]))
def test_on_any_tape_the_central_models_stay_between_the_bounds(displayed, tape, grace_ns):
    places = {model: QueuePosition(model, displayed, grace_ns) for model in MODELS}
    shown = displayed
    for now, (kind, size) in enumerate(tape):
        past = {}
        for model, place in places.items():
            if kind == "print":
                past[model] = place.traded(size, now)
                assert 0 <= past[model] <= size
            else:
                place.level(size, now)
        shown = size if kind == "level" else shown
        for model in CENTRAL:
            low, mid, high = (places[m].ahead_e6 for m in (FillModel.FRONT, model, FillModel.BACK))
            assert low == 0
            if high is None:
                assert mid is None
                continue
            assert 0 <= mid <= high
            assert shown is None or high <= shown
            if past:
                assert past[FillModel.BACK] <= past[model] <= past[FillModel.FRONT]


@given(st.sampled_from(MODELS), SIZES, SIZES, SIZES)
def test_a_cancel_takes_no_more_from_ahead_than_there_was(model, before, behind, size):
    assert 0 <= cancelled_ahead(model, before, behind, size) <= min(before, size)
