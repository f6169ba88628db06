"""Figures of trades that are over, from the P&L of each. Money stays whole until it is divided.

What is undefined is NaN, as in `risk.performance`.
"""

from math import nan

import numpy as np
import numpy.typing as npt

from models.errors import BadValue

Amounts = npt.NDArray[np.int64]


def _checked(pnl_e6: npt.ArrayLike) -> Amounts:
    amounts = np.asarray(pnl_e6)
    if amounts.ndim != 1 or (amounts.size and amounts.dtype.kind not in "iu"):
        raise BadValue(
            f"pnl: shape {amounts.shape} of {amounts.dtype}; give whole base units in one series"
        )
    return amounts.astype(np.int64)


def win_rate(pnl_e6: npt.ArrayLike) -> float:
    """Part of the trades that brought more than zero. NaN without any."""
    pnl = _checked(pnl_e6)
    return int((pnl > 0).sum()) / pnl.size if pnl.size else nan


def profit_factor(pnl_e6: npt.ArrayLike) -> float:
    """What the winners brought by what the losers cost. NaN without a loser."""
    pnl = _checked(pnl_e6)
    losses = -int(pnl[pnl < 0].sum())
    return int(pnl[pnl > 0].sum()) / losses if losses else nan


def expectancy(pnl_e6: npt.ArrayLike) -> float:
    """Mean P&L of a trade, in base units. NaN without any."""
    pnl = _checked(pnl_e6)
    return int(pnl.sum()) / pnl.size if pnl.size else nan


def longest_losing_streak(pnl_e6: npt.ArrayLike) -> int:
    """Most losers in a row; a trade that came out even ends a streak."""
    streak = longest = 0
    for lost in _checked(pnl_e6) < 0:
        streak = streak + 1 if lost else 0
        longest = max(longest, streak)
    return longest


def turnover(traded_e6: int, capital_e6: int) -> float:
    """What was bought and sold, as a multiple of the capital."""
    if capital_e6 <= 0:
        raise BadValue(f"capital_e6={capital_e6} must be above zero")
    return traded_e6 / capital_e6
