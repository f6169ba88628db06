"""Returns on a declared grid from equity noted at irregular times.

A Sharpe ratio annualised from ticks measures how often somebody looked. Here equity is read on a
grid of equal periods, and a year has 365 days: these markets never close.
"""

import numpy as np
import numpy.typing as npt

from models.errors import BadValue
from models.units import SECOND_NS
from risk.performance import Floats

YEAR_NS = 365 * 86_400 * SECOND_NS


def periods_per_year(period_ns: int) -> float:
    """How many periods a 365-day year has."""
    if period_ns <= 0:
        raise BadValue(f"period_ns={period_ns} must be above zero")
    return YEAR_NS / period_ns


def on_grid(
    time_ns: npt.NDArray[np.int64],
    values: npt.NDArray[np.int64],
    start_ns: int,
    end_ns: int,
    period_ns: int,
    first: int,
) -> npt.NDArray[np.int64]:
    """Read a step curve at ``start_ns, start_ns + period_ns, …`` up to `end_ns`.

    Parameters
    ----------
    time_ns, values
        When the curve was noted, never falling, and what it was from then on. Of several at one
        time the last counts.
    first
        Its value before the first note.

    Returns
    -------
    Value at every grid point; a last period that is not whole is left out.

    Raises
    ------
    BadValue
        Columns of unequal length, time going backwards, a period or a run of no length.
    """
    if len(time_ns) != len(values):
        raise BadValue(f"equity: {len(time_ns)} times for {len(values)} values")
    if np.any(time_ns[1:] < time_ns[:-1]):
        at = int(np.flatnonzero(time_ns[1:] < time_ns[:-1])[0]) + 1
        raise BadValue(f"equity: time goes backwards at row {at} ({time_ns[at]}); sort it first")
    if period_ns <= 0 or end_ns < start_ns:
        raise BadValue(f"equity: period_ns={period_ns} from {start_ns} to {end_ns} is no grid")
    points = np.arange(start_ns, end_ns + 1, period_ns, dtype=np.int64)
    known = np.concatenate((np.array([first], dtype=np.int64), values))
    return known[np.searchsorted(time_ns, points, side="right")]


def simple_returns(equity: npt.ArrayLike) -> Floats | None:
    """Relative change from each value to the next; None unless every value is above zero.

    What is left after losing everything has no return: ratios are undefined then.
    """
    curve = np.asarray(equity, dtype=np.float64)
    if curve.size < 2 or curve.min() <= 0:
        return None
    return curve[1:] / curve[:-1] - 1.0
