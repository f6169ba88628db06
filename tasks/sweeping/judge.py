"""What a search is worth: the choice, how much of it is luck, and how it did afterwards."""

from collections.abc import Mapping, Sequence
from math import isfinite, sqrt

import numpy as np
import numpy.typing as npt

from engine.results.summary import PERIOD_S
from models.runs import SweepSpec
from models.sweeps import OutOfSample, RunFigures, Trial, TrialEnd
from models.units import SECOND_NS, to_cash_e6
from risk import performance
from risk.overfitting import backtest_overfitting, deflated_sharpe, probabilistic_sharpe
from risk.performance import defined
from risk.sampling import periods_per_year
from tasks.sweeping.search import objectives_of
from tasks.sweeping.trial import Floats, Outcome

MOST_BLOCKS, ROWS_A_BLOCK = 16, 2
"""Of the cross-validation that measures overfitting (`risk.overfitting`)."""


def ended(spec: SweepSpec, outcome: Outcome) -> TrialEnd:
    """Say how a trial ended."""
    figures = outcome.figures
    if figures is None:
        return TrialEnd.FAILED
    if spec.max_loss_usd is not None and figures.pnl_e6 < -to_cash_e6(spec.max_loss_usd):
        return TrialEnd.LOST
    return TrialEnd.UNDEFINED if objectives_of(spec, figures) is None else TrialEnd.OK


def ranked(spec: SweepSpec, trials: Sequence[Trial]) -> list[Trial]:
    """Order the trials that count, best first; of equal ones the first tried.

    By the objective; with several, those that no other beats in all of them come first, and
    among these the one with the best mean rank over the objectives.
    """
    good = [trial for trial in trials if trial.end is TrialEnd.OK and trial.figures is not None]
    if not good:
        return []
    signs = np.array([1.0 if o.direction == "maximize" else -1.0 for o in spec.objectives])
    values = np.array([_values(spec, trial.figures) for trial in good]) * signs
    # Rank 0 is best; equal values share a rank.
    ranks = np.stack([(values[:, [k]] < values[:, [k]].T).sum(axis=1) for k in range(len(signs))])
    beaten = _beaten(values) if len(signs) > 1 else np.zeros(len(good), bool)
    order = np.lexsort((np.arange(len(good)), ranks.mean(axis=0), beaten))
    return [good[at] for at in order]


def _values(spec: SweepSpec, figures: RunFigures | None) -> tuple[float, ...]:
    assert figures is not None
    return objectives_of(spec, figures) or ()


def _beaten(values: Floats) -> npt.NDArray[np.bool_]:
    """Which rows another row is nowhere worse than and somewhere better."""
    return np.array(
        [bool(((values >= row).all(axis=1) & (values > row).any(axis=1)).any()) for row in values]
    )


def luck(returns: Mapping[int, Floats], chosen: int, tried: int) -> float | None:
    """Deflated Sharpe ratio of the chosen trial; None where it is not defined.

    Parameters
    ----------
    returns
        Of every trial that ran, by its number.
    tried
        How many sets were looked at, those a screen threw away included.
    """
    mine = returns[chosen]
    ratios = [ratio for one in returns.values() if isfinite(ratio := _ratio(one))]
    own = _ratio(mine)
    if not isfinite(own) or len(ratios) < 2:
        return None
    skew, kurt = performance.skewness(mine), performance.kurtosis(mine)
    if not (isfinite(skew) and isfinite(kurt)):
        return None
    variance = float(np.var(ratios, ddof=1))
    return defined(deflated_sharpe(own, len(mine), max(tried, 1), variance, skew, kurt))


def overfitting(returns: Mapping[int, Floats]) -> float | None:
    """Probability of backtest overfitting over all trials of a fold; None for too few of them."""
    columns = [one for one in returns.values() if len(one)]
    if len(columns) < 2 or len({len(one) for one in columns}) > 1:
        return None
    rows = len(columns[0])
    blocks = min(MOST_BLOCKS, rows // ROWS_A_BLOCK // 2 * 2)
    if blocks < 2:
        return None
    return backtest_overfitting(np.stack(columns, axis=1), blocks).probability


def _ratio(returns: Floats) -> float:
    """Sharpe ratio of one period; 0 for a set that never traded."""
    if len(returns) < 2:
        return float("nan")
    if not returns.any():
        return 0.0
    return performance.sharpe(returns, 1.0)


def chained(outcomes: Sequence[Outcome], capital_e6: int) -> OutOfSample | None:
    """Put the tests of all folds one after the other; None if one of them failed."""
    figures = [one.figures for one in outcomes if one.figures is not None]
    if not outcomes or len(figures) < len(outcomes):
        return None
    returns = np.concatenate([one.returns for one in outcomes])
    ratio = _ratio(returns)
    skilled = None
    if isfinite(ratio) and returns.any():
        skew, kurt = performance.skewness(returns), performance.kurtosis(returns)
        if isfinite(skew) and isfinite(kurt):
            skilled = defined(probabilistic_sharpe(ratio, len(returns), skew, kurt))
    line = np.concatenate(([0.0], np.cumsum(returns)))
    deepest = float((np.maximum.accumulate(line) - line).max()) * capital_e6
    yearly = sqrt(periods_per_year(PERIOD_S * SECOND_NS))
    return OutOfSample(
        pnl_e6=sum(one.pnl_e6 for one in figures),
        fees_e6=sum(one.fees_e6 for one in figures),
        windows=sum(one.windows for one in figures),
        fills=sum(one.fills for one in figures),
        observations=len(returns),
        sharpe=defined(ratio * yearly) if returns.any() else None,
        above_zero=skilled,
        max_drawdown_e6=round(deepest),
    )


def matters(trials: Sequence[Trial], spec: SweepSpec, name: str) -> float | None:
    """Rank correlation of a parameter with the first objective, -1 to 1 (Spearman).

    None for one that isn't a number or never differed.
    """
    good = [t for t in trials if t.end is TrialEnd.OK and t.figures is not None]
    values = [trial.parameters.get(name) for trial in good]
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return None
    goals = [_values(spec, trial.figures)[0] for trial in good]
    first, second = _ranks(np.array(values, float)), _ranks(np.array(goals, float))
    if len(good) < 3 or not first.std() or not second.std():
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Floats) -> Floats:
    """Ranks from 0, equal values sharing their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    shared: Floats = ((ends - counts + ends - 1) / 2)[place]
    return shared
