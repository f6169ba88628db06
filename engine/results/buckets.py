"""When money is made: P&L by the hour of the day and by the time left in the window.

A fill's P&L is what it brought at resolution: its cash, its fee, and its shares at 1 pUSD or
nothing. It is known for resolved markets only, and adds up exactly to those windows' P&L, as long
as shares came and went by fills alone.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.markets import Market
from models.results import UNRESOLVED
from models.summary import Bucket
from models.units import SECOND_NS

EDGES_S: Final = (0, 10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 14_400)
"""Bounds of the time left; whatever is later than the end is in the first."""
HOUR_NS: Final = 3_600 * SECOND_NS

Rows = Mapping[str, npt.NDArray[Any]]
Whole = npt.NDArray[np.int64]


def fill_pnl_e6(fills: Rows, winners: npt.NDArray[np.uint8]) -> Whole:
    """What each fill brought at resolution, e6; 0 where the market is unresolved."""
    winner = winners[fills["market"]]
    bought = fills["side"] == 0
    worth = np.where(fills["outcome"] == winner, fills["size_e6"], 0)
    gain = np.where(bought, worth - fills["cash_e6"], fills["cash_e6"] - worth) - fills["fee_e6"]
    return np.where(winner == UNRESOLVED, 0, gain).astype(np.int64)


def by_hour(fills: Rows, winners: npt.NDArray[np.uint8]) -> tuple[Bucket, ...]:
    """Sort fills of resolved markets by the UTC hour they happened in."""
    hour = fills["time_ns"] // HOUR_NS % 24
    settled = winners[fills["market"]] != UNRESOLVED
    pnl = fill_pnl_e6(fills, winners)
    return tuple(
        _bucket(f"{at:02d}:00", int(at), int(at) + 1, fills, pnl, settled & (hour == at))
        for at in np.unique(hour[settled])
    )


def by_time_left(
    fills: Rows, winners: npt.NDArray[np.uint8], markets: tuple[Market, ...]
) -> tuple[Bucket, ...]:
    """Sort fills of resolved markets by the seconds left until their window's end."""
    ends = np.array([market.end_ns for market in markets], dtype=np.int64)
    left = np.maximum((ends[fills["market"]] - fills["time_ns"]) // SECOND_NS, 0)
    settled = winners[fills["market"]] != UNRESOLVED
    pnl = fill_pnl_e6(fills, winners)
    buckets = []
    for low, high in pairwise((*EDGES_S, None)):
        assert low is not None
        rows = settled & (left >= low) & ((left < high) if high is not None else True)
        if rows.any():
            buckets.append(_bucket(range_label(low, high), low, high, fills, pnl, rows))
    return tuple(buckets)


def range_label(low: int, high: int | None) -> str:
    """Name the times from `low` up to `high` seconds."""
    seconds = low < 60 and high is not None and high <= 60
    unit, name = (1, "s") if seconds else (60, "min")
    if high is None:
        return f"{low // unit} {name} or more"
    return f"{low // unit}-{high // unit} {name}"


def _bucket(
    label: str, low: int, high: int | None, fills: Rows, pnl: Whole, rows: npt.NDArray[np.bool_]
) -> Bucket:
    return Bucket(
        label=label,
        low=low,
        high=high,
        fills=int(rows.sum()),
        volume_e6=int(fills["cash_e6"][rows].sum()),
        fees_e6=int(fills["fee_e6"][rows].sum()),
        pnl_e6=int(pnl[rows].sum()),
    )
