"""What a sweep comes to: its trials, what was chosen in each fold, and how that did afterwards."""

from enum import StrEnum
from typing import Any

from models.summary import Figures

SWEEP_VERSION = 1


class TrialEnd(StrEnum):
    """How a trial ended; only the first kind can be chosen."""

    OK = "ok"
    UNDEFINED = "undefined"
    """An objective has no value for it, such as a Sharpe ratio without a trade."""
    LOST = "lost"
    """It lost more than the sweep allows."""
    FAILED = "failed"
    """The parameters were refused or the strategy raised."""


class RunFigures(Figures):
    """What one backtest of a sweep brought its agent; ratios as in `models.summary`."""

    pnl_e6: int
    fees_e6: int
    turnover_e6: int
    windows: int
    unresolved: int
    win_rate: float | None
    orders: int
    fills: int
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    profit_factor: float | None
    expectancy_e6: float | None
    max_drawdown: float
    brier: float | None


class Trial(Figures):
    """One parameter set on the training part of one fold."""

    fold: int
    number: int
    """Counted from 0 in its fold, in the order they were chosen."""
    end: TrialEnd
    parameters: dict[str, Any]
    """What was searched; the rest is the agent's own."""
    figures: RunFigures | None
    """None for one that failed."""
    judged: RunFigures | None = None
    """The same set on the test part: of the best few only, and after the choice."""
    note: str = ""
    """Why it failed."""


class FoldResult(Figures):
    """What was searched, chosen and seen in one fold; spans of time in ns."""

    fold: int
    train_start_ns: int
    train_end_ns: int
    test_start_ns: int | None
    test_end_ns: int | None
    tried: int
    """Different parameter sets backtested."""
    screened: int
    """Parameter sets the screen looked at before."""
    chosen: int | None
    """The trial's number; None when none could be chosen."""
    deflated_sharpe: float | None
    """Probability that the chosen one's true Sharpe ratio in training is above zero, the number
    of sets tried considered (Bailey and Lopez de Prado 2014). Above 0.95 is commonly asked."""
    overfitting: float | None
    """Probability of backtest overfitting of the search (Bailey and others 2017): how often the
    best of one half of the training is below the median in the other. One half is pure luck."""


class OutOfSample(Figures):
    """The chosen parameters on what came after, fold after fold as one run.

    Each fold begins with the agent's capital anew, so returns are P&L by capital and add up.
    """

    pnl_e6: int
    fees_e6: int
    windows: int
    fills: int
    observations: int
    sharpe: float | None
    """Of a 365-day year."""
    above_zero: float | None
    """Probabilistic Sharpe ratio: how sure it is that the true one is above zero."""
    max_drawdown_e6: int


class SweepResult(Figures):
    """A finished sweep."""

    version: int = SWEEP_VERSION
    name: str
    agent: str
    spec: dict[str, Any]
    searched: tuple[str, ...]
    """Names of the parameters."""
    objectives: tuple[str, ...]
    capital_e6: int
    period_s: int
    trials: tuple[Trial, ...]
    folds: tuple[FoldResult, ...]
    out_of_sample: OutOfSample | None
    """None without walk-forward splits, or when nothing could be chosen in some fold."""

    def of_fold(self, fold: int) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.trials if trial.fold == fold)

    def chosen(self, fold: FoldResult) -> Trial | None:
        return next((t for t in self.of_fold(fold.fold) if t.number == fold.chosen), None)
