"""The equity curve of an agent or of all: returns on the grid, drawdown, exposure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
import numpy.typing as npt

from models.results import RunResult
from models.summary import DrawdownFigures, Exposure, Returns
from models.units import SECOND_NS
from risk import performance as figures
from risk.overfitting import probabilistic_sharpe, sharpe_error
from risk.performance import defined
from risk.sampling import on_grid, periods_per_year, simple_returns

Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Equity and exposure as they were noted, in order of time, within a run's bounds."""

    time_ns: Whole
    equity_e6: Whole
    exposure_e6: Whole
    capital_e6: int
    """Equity before the first note."""
    start_ns: int
    end_ns: int

    @property
    def final_e6(self) -> int:
        return int(self.equity_e6[-1]) if len(self.equity_e6) else self.capital_e6


def curve(result: RunResult, agents: Sequence[int]) -> Curve:
    """Add up the curves of `agents` (indices into `result.agents`).

    Each counts with its capital until its first note, and keeps its last note to the end.
    """
    table = result.tables["equity"]
    times, equity, exposure = [], [], []
    for agent in agents:
        rows = np.flatnonzero(table["agent"] == agent)
        rows = rows[np.argsort(table["time_ns"][rows], kind="stable")]
        times.append(table["time_ns"][rows])
        equity.append(np.diff(table["equity_e6"][rows], prepend=result.capital_e6[agent]))
        exposure.append(np.diff(table["exposure_e6"][rows], prepend=0))
    capital = sum(result.capital_e6[agent] for agent in agents)
    time_ns = _joined(times)
    order = np.argsort(time_ns, kind="stable")
    equity_e6 = capital + np.cumsum(_joined(equity)[order])
    exposure_e6 = np.cumsum(_joined(exposure)[order])
    time_ns = time_ns[order]
    # Of several notes at one time only the last tells what then was: agents move one by one.
    last = np.append(time_ns[1:] != time_ns[:-1], True) if len(time_ns) else slice(0)
    if len(agents) > 1:
        time_ns, equity_e6, exposure_e6 = time_ns[last], equity_e6[last], exposure_e6[last]
    return Curve(time_ns, equity_e6, exposure_e6, capital, result.start_ns, result.end_ns)


def _joined(parts: Sequence[npt.NDArray[np.int64]]) -> Whole:
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, dtype=np.int64)


def returns(line: Curve, period_s: int) -> Returns:
    """Take ratios of the returns on a grid of `period_s`; see `models.summary.Returns`."""
    period_ns = period_s * SECOND_NS
    yearly = periods_per_year(period_ns)
    sampled = on_grid(
        line.time_ns, line.equity_e6, line.start_ns, line.end_ns, period_ns, line.capital_e6
    )
    series = simple_returns(sampled)
    total = line.final_e6 / line.capital_e6 - 1
    if series is None:
        return Returns(observations=0, total=total, **dict.fromkeys(_RATIOS))
    growth = _growth(total, line.end_ns - line.start_ns)
    depth = drawdown(line).depth
    ratio = figures.sharpe(series, 1.0)
    skew, kurt = figures.skewness(series), figures.kurtosis(series)
    known = isfinite(ratio)
    return Returns(
        observations=len(series),
        total=total,
        sharpe=defined(ratio * sqrt(yearly)),
        sharpe_error=defined(sharpe_error(ratio, len(series), skew, kurt) * sqrt(yearly))
        if known
        else None,
        above_zero=defined(probabilistic_sharpe(ratio, len(series), skew, kurt)) if known else None,
        sortino=defined(figures.sortino(series, yearly)),
        calmar=defined(growth / depth) if growth is not None and depth > 0 else None,
        volatility=defined(figures.volatility(series, yearly)),
        downside_deviation=defined(figures.downside_deviation(series, yearly)),
        omega=defined(figures.omega(series)),
        tail_ratio=defined(figures.tail_ratio(series)),
        skewness=defined(skew),
        kurtosis=defined(kurt),
        cagr=growth,
    )


_RATIOS = tuple(name for name in Returns.model_fields if name not in ("observations", "total"))


def _growth(total: float, length_ns: int) -> float | None:
    if length_ns <= 0 or total < -1:
        return None
    return defined(figures.annualised(total, 1.0 / periods_per_year(length_ns)))


def drawdown(line: Curve) -> DrawdownFigures:
    """Find the deepest fall over every noted value; the curve begins with the capital."""
    noted = np.concatenate((np.array([line.capital_e6], dtype=np.int64), line.equity_e6))
    at = np.concatenate((np.array([line.start_ns], dtype=np.int64), line.time_ns))
    deepest = figures.drawdown(noted)
    back = deepest.recovered
    end_ns = int(at[back]) if back is not None else max(line.end_ns, int(at[-1]))
    return DrawdownFigures(
        depth=deepest.depth,
        depth_e6=int(noted[deepest.peak] - noted[deepest.trough]),
        peak_ns=int(at[deepest.peak]),
        trough_ns=int(at[deepest.trough]),
        recovered_ns=None if back is None else int(at[back]),
        length_s=(end_ns - int(at[deepest.peak])) / SECOND_NS,
    )


def exposure(line: Curve) -> Exposure:
    """Weigh what was open by how long it was; nothing is open before the first note."""
    length = line.end_ns - line.start_ns
    if not len(line.time_ns) or length <= 0:
        most = int(line.exposure_e6.max()) if len(line.exposure_e6) else 0
        return Exposure(most_e6=most, mean_e6=0, time_exposed=0.0)
    inside = np.clip(line.time_ns, line.start_ns, line.end_ns)
    lasted = np.diff(inside, append=line.end_ns).astype(np.float64)
    return Exposure(
        most_e6=int(line.exposure_e6.max()),
        mean_e6=round(float(lasted @ line.exposure_e6) / length),
        time_exposed=float(lasted[line.exposure_e6 > 0].sum()) / length,
    )
