import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.sweep.splits import splits
from models.errors import BadValue
from models.runs import WalkForward
from models.units import SECOND_NS

DAY = 86_400 * SECOND_NS
WINDOW = 900 * SECOND_NS


@given(
    start=st.integers(0, 10**9).map(lambda s: s * SECOND_NS),
    days=st.integers(1, 60),
    folds=st.integers(1, 12),
    share=st.floats(0.5, 10),
    anchored=st.booleans(),
    embargo=st.sampled_from([0.0, 900.0, 3600.0]),
)
def test_every_test_part_comes_after_its_training_and_all_follow_each_other(
    start: int, days: int, folds: int, share: float, anchored: bool, embargo: float
) -> None:
    how = WalkForward(folds=folds, train_share=share, anchored=anchored, embargo_s=embargo)
    end = start + days * DAY
    try:
        found = splits(start, end, how, WINDOW)
    except BadValue:
        assume(False)
    assert len(found) == folds
    assert found[-1].test_end_ns == end
    for before, after in itertools.pairwise(found):
        assert before.test_end_ns == after.test_start_ns
    for split in found:
        assert start <= split.train_start_ns < split.train_end_ns
        assert split.test_start_ns - split.train_end_ns == round(embargo * SECOND_NS)
        assert split.test_start_ns < split.test_end_ns
        assert split.test_start_ns % WINDOW == 0
        assert not anchored or split.train_start_ns == start


def test_rolling_training_parts_are_as_long_as_asked() -> None:
    found = splits(0, 8 * DAY, WalkForward(folds=4, train_share=4, embargo_s=0))
    assert [(s.train_start_ns / DAY, s.test_start_ns / DAY) for s in found] == [
        (0, 4), (1, 5), (2, 6), (3, 7),
    ]  # fmt: skip


def test_too_short_a_span_says_what_to_do() -> None:
    with pytest.raises(BadValue, match=r"too short for 3 folds.*fewer folds or more data"):
        splits(0, 600 * SECOND_NS, WalkForward(folds=3))
