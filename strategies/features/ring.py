"""Ring of timed values: one preallocated block that all rolling memory of prices is kept in."""

from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from models.errors import BadValue

Scalar = TypeVar("Scalar", np.float64, np.int64)
Times = npt.NDArray[np.int64]


class FeatureWindow(Generic[Scalar]):
    """The newest `capacity` points of a series, in order of their times.

    Two blocks of `capacity` rows in one array: rows are appended, and when the array is full the
    newest move to the front. So the rows kept are always one plain slice, a query by time is a
    binary search, and nothing is allocated for them after creation.

    What queries return are read-only views: they show other rows after the next append, so copy
    what is to be kept. Values are stored as given, a NaN too.

    Parameters
    ----------
    capacity
        Points kept; the oldest goes when one more comes.
    dtype
        ``np.float64`` for features, ``np.int64`` for prices in base units.
    """

    __slots__ = ("_capacity", "_end", "_falls", "_last_ns", "_times", "_values")

    def __init__(self, capacity: int, dtype: type[Scalar]) -> None:
        if capacity < 2:
            raise BadValue(f"capacity={capacity} must be at least 2")
        self._capacity = capacity
        self._times: Times = np.zeros(2 * capacity, dtype=np.int64)
        self._values: npt.NDArray[Scalar] = np.zeros(2 * capacity, dtype=dtype)
        self._falls = np.zeros(capacity, dtype=np.bool_)
        self._end = 0
        self._last_ns = 0

    def __len__(self) -> int:
        return min(self._end, self._capacity)

    @property
    def capacity(self) -> int:
        return self._capacity

    @property
    def last_ns(self) -> int:
        """Time of the newest point, 0 while there is none."""
        return self._last_ns

    @property
    def last(self) -> Scalar | None:
        """Newest value, None while there is none."""
        return self._values[self._end - 1] if self._end else None

    # --- adding ---------------------------------------------------------------------------------

    def append(self, ts_ns: int, value: float) -> bool:
        """Add a point; one older than the newest is ignored, of the same time both are kept.

        Returns
        -------
        bool
            Whether it was taken.
        """
        end = self._end
        if end and ts_ns < self._last_ns:
            return False
        if end == 2 * self._capacity:
            end = self._make_room(1)
        self._times[end] = self._last_ns = ts_ns
        self._values[end] = value
        self._end = end + 1
        return True

    def append_batch(self, times: Times, values: npt.NDArray[Scalar]) -> None:
        """Add many points at once; of more than `capacity` only the newest stay.

        Raises
        ------
        BadValue
            Lengths differ, or times fall; nothing was added.
        """
        count = len(times)
        if count != len(values):
            raise BadValue(f"batch: {count} times but {len(values)} values; they belong together")
        if not count:
            return
        self._check_order(times)
        kept = min(count, self._capacity)
        end = self._end
        if end + kept > 2 * self._capacity:
            end = self._make_room(kept)
        self._times[end : end + kept] = times[count - kept :]
        self._values[end : end + kept] = values[count - kept :]
        self._end = end + kept
        self._last_ns = int(times[-1])

    def replace_last(self, value: float) -> None:
        """Correct the newest value.

        Raises
        ------
        BadValue
            There is none.
        """
        if not self._end:
            raise BadValue("replace_last: the window is empty; append first")
        self._values[self._end - 1] = value

    def clear(self) -> None:
        """Forget every point; the memory stays."""
        self._end = 0
        self._last_ns = 0

    # --- asking ---------------------------------------------------------------------------------

    def rows(self) -> tuple[Times, npt.NDArray[Scalar]]:
        """Times and values of every point kept, oldest first."""
        return self._shown(max(0, self._end - self._capacity), self._end)

    def latest(self, count: int) -> tuple[Times, npt.NDArray[Scalar]]:
        """Times and values of the last `count` points or as many as there are, newest first."""
        first = self._end - max(0, min(count, len(self)))
        times, values = self._shown(first, self._end)
        return times[::-1], values[::-1]

    def latest_into(self, out: npt.NDArray[Scalar]) -> int:
        """Fill a caller's array with the last values, newest first; return how many."""
        count = min(len(out), len(self))
        out[:count] = self._values[self._end - count : self._end][::-1]
        return count

    def between(self, start_ns: int, end_ns: int) -> tuple[Times, npt.NDArray[Scalar]]:
        """Times and values with ``start_ns <= time <= end_ns``, oldest first."""
        oldest = max(0, self._end - self._capacity)
        times = self._times[oldest : self._end]
        first = oldest + int(times.searchsorted(start_ns, side="left"))
        last = oldest + int(times.searchsorted(end_ns, side="right"))
        return self._shown(first, last)

    def as_of(self, ts_ns: int) -> tuple[int, Scalar] | None:
        """Time and value of the last point at or before `ts_ns`, None before the first."""
        oldest = max(0, self._end - self._capacity)
        at = oldest + int(self._times[oldest : self._end].searchsorted(ts_ns, side="right")) - 1
        return None if at < oldest else (int(self._times[at]), self._values[at])

    def _shown(self, first: int, last: int) -> tuple[Times, npt.NDArray[Scalar]]:
        times, values = self._times[first:last], self._values[first:last]
        times.setflags(write=False)
        values.setflags(write=False)
        return times, values

    # --- within ---------------------------------------------------------------------------------

    def _make_room(self, count: int) -> int:
        """Move to the front what stays beside `count` new rows; return where those begin."""
        stays = min(self._capacity - count, self._end)
        first = self._end - stays
        self._times[:stays] = self._times[first : self._end]
        self._values[:stays] = self._values[first : self._end]
        return stays

    def _check_order(self, times: Times) -> None:
        """Compare neighbours in pieces, through an array made at creation."""
        if self._end and times[0] < self._last_ns:
            raise BadValue(
                f"batch: its first time {times[0]} is before the newest kept, {self._last_ns}; "
                "sort, or cut what is known already"
            )
        for first in range(0, len(times) - 1, self._capacity):
            piece = times[first : first + self._capacity + 1]
            falls = self._falls[: len(piece) - 1]
            np.less(piece[1:], piece[:-1], out=falls)
            if falls.any():
                row = first + int(falls.argmax()) + 1
                raise BadValue(f"batch: times fall at row {row}; sort by time first")
