"""How good stated probabilities were, once it is known who won.

Sources: Brier (1950), "Verification of forecasts expressed in terms of probability", Monthly
Weather Review 78; Murphy (1973), "A new vector partition of the probability score", J. Applied
Meteorology 12; Stephenson, Coelho and Jolliffe (2008), "Two extra components in the Brier score
decomposition", Weather and Forecasting 23; Wilson (1927), J. American Statistical Association 22.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.results import UNRESOLVED, UP_WON
from models.summary import Calibration, CalibrationBin
from models.units import PRICE_ONE

BINS: Final = 10
Z_95: Final = 1.959963984540054
LEAST: Final = 1e-6
"""Probabilities are kept this far off 0 and 1 for the logarithm."""

Floats = npt.NDArray[np.float64]
Rows = Mapping[str, npt.NDArray[Any]]


def calibration(
    forecasts: Rows, winners: npt.NDArray[np.uint8], bins: int = BINS
) -> Calibration | None:
    """Judge the forecasts of Up by who won; None without one on a resolved market.

    Parameters
    ----------
    forecasts
        Columns of the run's table; with ``mid_e4``, ours are compared with the market's.
    winners
        By market, as `RunResult.resolved` says.
    bins
        Ranges of equal width that the probabilities are sorted into.
    """
    stated = forecasts["probability"]
    winner = winners[forecasts["market"]]
    # NaN compares false; a value outside 0 to 1 is no probability and judges nothing.
    good = (winner != UNRESOLVED) & (stated >= 0) & (stated <= 1)
    if not good.any():
        return None
    said, market = stated[good], forecasts["market"][good]
    came = (winner[good] == UP_WON).astype(np.float64)
    rate = float(came.mean())
    uncertainty = rate * (1 - rate)
    which = np.minimum((said * bins).astype(np.int64), bins - 1)
    table = tuple(
        _bin(number, bins, said[which == number], came[which == number], market[which == number])
        for number in np.unique(which)
    )
    share = np.array([row.forecasts for row in table]) / len(said)
    mean = np.array([row.mean for row in table])
    happened = np.array([row.happened for row in table])
    brier = float(((said - came) ** 2).mean())
    reliability = float(share @ (mean - happened) ** 2)
    resolution = float(share @ (happened - rate) ** 2)
    kept = np.clip(said, LEAST, 1 - LEAST)
    beside, of_market = _market(forecasts, good, said, came)
    return Calibration(
        forecasts=len(said),
        left_out=len(stated) - len(said),
        markets=len(np.unique(market)),
        brier=brier,
        brier_baseline=uncertainty,
        skill=1 - brier / uncertainty if uncertainty > 0 else None,
        brier_market=of_market,
        brier_beside_market=beside,
        reliability=reliability,
        resolution=resolution,
        uncertainty=uncertainty,
        within_bins=brier - (reliability - resolution + uncertainty),
        log_loss=float(-np.log(np.where(came > 0, kept, 1 - kept)).mean()),
        bins=table,
    )


def _bin(
    number: np.int64, bins: int, said: Floats, came: Floats, market: npt.NDArray[Any]
) -> CalibrationBin:
    markets, happened = len(np.unique(market)), float(came.mean())
    low, high = wilson(happened, markets)
    return CalibrationBin(
        low=int(number) / bins,
        high=(int(number) + 1) / bins,
        forecasts=len(said),
        markets=markets,
        mean=float(said.mean()),
        happened=happened,
        happened_low=low,
        happened_high=high,
    )


def _market(
    forecasts: Rows, good: npt.NDArray[np.bool_], said: Floats, came: Floats
) -> tuple[float | None, float | None]:
    """Brier scores, ours and the market's, of the forecasts that a mid stood beside."""
    if "mid_e4" not in forecasts:
        return None, None
    mid = forecasts["mid_e4"][good]
    known = mid >= 0
    if not known.any():
        return None, None
    theirs = mid[known] / PRICE_ONE
    return (
        float(((said[known] - came[known]) ** 2).mean()),
        float(((theirs - came[known]) ** 2).mean()),
    )


def wilson(rate: float, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's interval of a frequency, within 0 and 1; `trials` at least 1."""
    centre = rate + z * z / (2 * trials)
    half = z * sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
