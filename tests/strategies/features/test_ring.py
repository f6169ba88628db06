"""The ring against a plain deque, and that its memory is made once."""

import pickle
import tracemalloc
from collections import deque
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadValue
from strategies.features.ring import FeatureWindow

points = st.tuples(st.integers(0, 50), st.floats(-1e6, 1e6))
batches = st.lists(points, max_size=12)
steps = st.lists(st.one_of(points, batches), max_size=40)


def arrays(rows):
    times = np.array([ts for ts, _ in rows], dtype=np.int64)
    return times, np.array([value for _, value in rows], dtype=np.float64)


def pairs(found):
    times, values = found
    return list(zip(times.tolist(), values.tolist(), strict=True))


@given(steps, st.integers(2, 9), st.integers(0, 12), st.integers(-5, 55), st.integers(0, 30))
def test_it_holds_the_newest_points_whatever_way_they_came(steps, capacity, count, start, length):
    ring, plain = FeatureWindow(capacity, np.float64), deque(maxlen=capacity)
    for step in steps:
        newest = plain[-1][0] if plain else -1
        if isinstance(step, tuple):
            taken = ring.append(*step)
            assert taken == (step[0] >= newest)
            if taken:
                plain.append(step)
            continue
        fits = all(b[0] >= a[0] for a, b in zip([(newest, 0), *step], step, strict=False))
        if fits:
            ring.append_batch(*arrays(step))
            plain.extend(step)
        else:
            with pytest.raises(BadValue):
                ring.append_batch(*arrays(step))
        assert pairs(ring.rows()) == list(plain), "a refused batch changes nothing"
    kept = list(plain)
    assert len(ring) == len(kept)
    assert (ring.last_ns, ring.last) == (kept[-1] if kept else (0, None))
    newest_first = kept[::-1][:count]
    assert pairs(ring.latest(count)) == newest_first
    out = np.full(count, np.nan)
    filled = ring.latest_into(out)
    assert out[:filled].tolist() == [value for _, value in newest_first]
    assert np.isnan(out[filled:]).all()
    end = start + length
    assert pairs(ring.between(start, end)) == [row for row in kept if start <= row[0] <= end]
    before = [row for row in kept if row[0] <= end]
    assert ring.as_of(end) == (before[-1] if before else None)


@pytest.mark.parametrize(
    ("times", "values", "part"),
    [
        ([5, 6, 4, 7], [1, 1, 1, 1], "times fall at row 2"),
        ([2, 6], [1, 1], "before the newest kept, 3"),
        ([5, 6], [1], "2 times but 1 values"),
        ([*range(5, 25), 3], [1] * 21, "times fall at row 20"),
        ([4, 5, 6, 7, 8, 7], [1] * 6, "times fall at row 5"),
    ],
)
def test_a_batch_that_cannot_be_right_is_refused_whole(times, values, part):
    ring = FeatureWindow(4, np.float64)
    ring.append(3, 1.0)
    with pytest.raises(BadValue, match=part):
        ring.append_batch(np.array(times), np.array(values, dtype=float))
    assert pairs(ring.rows()) == [(3, 1.0)]


def test_nothing_can_be_written_through_what_a_query_returns():
    ring = FeatureWindow(4, np.float64)
    ring.append(1, 1.0)
    for times, values in (ring.rows(), ring.latest(1), ring.between(0, 2)):
        for shown in (times, values):
            with pytest.raises(ValueError, match="read-only"):
                shown[0] = 7


def test_the_last_point_can_be_corrected_and_all_forgotten():
    ring = FeatureWindow(4, np.int64)
    with pytest.raises(BadValue, match="empty"):
        ring.replace_last(1)
    ring.append(1, 10)
    ring.replace_last(11)
    assert pairs(ring.rows()) == [(1, 11)]
    ring.clear()
    assert (len(ring), ring.last_ns, ring.last) == (0, 0, None)
    assert ring.append(0, 5), "time begins anew"


def test_a_copy_lives_a_life_of_its_own():
    ring = FeatureWindow(4, np.float64)
    ring.append(1, 1.0)
    for again in (deepcopy(ring), pickle.loads(pickle.dumps(ring))):
        again.append(2, 2.0)
        assert pairs(again.rows()) == [(1, 1.0), (2, 2.0)]
        assert pairs(ring.rows()) == [(1, 1.0)]


def test_a_window_of_one_point_is_refused():
    with pytest.raises(BadValue, match="capacity=1"):
        FeatureWindow(1, np.float64)


def test_appending_allocates_nothing():
    ring = FeatureWindow(4096, np.float64)
    times, values = np.arange(1000), np.arange(1000.0)
    out = np.zeros(500)
    held = [array.ctypes.data for array in (ring._times, ring._values)]

    def use():
        for _ in range(20):
            ring.append_batch(times, values)
            times.__iadd__(1000)
            ring.latest_into(out)
        for ts in range(ring.last_ns, ring.last_ns + 9000):
            ring.append(ts, 1.0)
        times.__iadd__(10_000)

    use()
    tracemalloc.start()
    try:
        use()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        use()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 512, "nothing stays"
    assert peak - before < 2000, "not even for a moment: one column of these points is 8 kB"
    assert held == [array.ctypes.data for array in (ring._times, ring._values)]
