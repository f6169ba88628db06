"""How the market moved after our fills: were we picked off, or did we know something?"""

from collections.abc import Mapping
from math import sqrt
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from models.summary import Adverse
from models.units import PRICE_ONE

HORIZONS_S: Final = (1, 5, 30)
ROLES: Final[tuple[Literal["maker", "taker", "all"], ...]] = ("maker", "taker", "all")
NO_MID: Final = -1
CENTS: Final = PRICE_ONE // 100
"""Base units of price in a cent."""

Rows = Mapping[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float64]


def adverse_selection(fills: Rows) -> tuple[Adverse, ...]:
    """Measure the mid's move after each fill, by role and horizon; see `Adverse`."""
    return tuple(_of(fills, role, horizon) for role in ROLES for horizon in HORIZONS_S)


def direction(fills: Rows) -> npt.NDArray[np.int64]:
    """1 for fills that gain when Up's price rises (Up bought, Down sold), else -1."""
    return np.where((fills["outcome"] == 0) == (fills["side"] == 0), 1, -1)


def _of(fills: Rows, role: Literal["maker", "taker", "all"], horizon_s: int) -> Adverse:
    of_role = np.ones(len(fills["maker"]), dtype=bool)
    if role != "all":
        of_role = fills["maker"] == (role == "maker")
    before, after = fills["mid_e4"], fills[f"mid_{horizon_s}s_e4"]
    known = of_role & (before != NO_MID) & (after != NO_MID) & (fills["size_e6"] > 0)
    left_out = int(of_role.sum() - known.sum())
    if not known.any():
        return Adverse(
            role=role, horizon_s=horizon_s, fills=0, left_out=left_out, adverse_cents=None,
            error_cents=None, edge_cents=None, kept_cents=None,
        )  # fmt: skip
    way = direction(fills)[known]
    size = fills["size_e6"][known].astype(np.float64)
    own_price = fills["cash_e6"][known] / size * PRICE_ONE
    up_price = np.where(fills["outcome"][known] == 0, own_price, PRICE_ONE - own_price)
    # Both in cents a share; the mid is Up's, and so is the price compared with it.
    moved = -way * (after[known].astype(np.float64) - before[known]) / CENTS
    edge = way * (before[known] - up_price) / CENTS
    adverse, error = _weighted(moved, size)
    ahead = float(edge @ size) / float(size.sum())
    return Adverse(
        role=role, horizon_s=horizon_s, fills=len(size), left_out=left_out, adverse_cents=adverse,
        error_cents=error, edge_cents=ahead, kept_cents=ahead - adverse,
    )  # fmt: skip


def _weighted(values: Floats, weights: Floats) -> tuple[float, float | None]:
    """Weighted mean and its standard error (None for a single value)."""
    share = weights / weights.sum()
    mean = float(values @ share)
    if len(values) < 2:
        return mean, None
    spread = float((share * share) @ (values - mean) ** 2) * len(values) / (len(values) - 1)
    return mean, sqrt(spread)
