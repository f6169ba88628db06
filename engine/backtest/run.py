"""One backtest from a tape and a config to its result."""

from collections.abc import Callable

from engine.backtest.config import BacktestConfig
from models.errors import NotReady
from models.results import RunResult
from models.tape import Tape

Progress = Callable[[int, int], None]
"""Told rows done and rows in all, several times a second; may raise to end the run."""


def run(tape: Tape, config: BacktestConfig, on_progress: Progress | None = None) -> RunResult:
    """Run a backtest. Blocks; call it from a thread where an event loop must go on.

    Parameters
    ----------
    on_progress
        Told rows done and rows in all; what it raises ends the run and reaches the caller.

    Raises
    ------
    ConfigError
        The tape has no market any agent trades in the time asked for, an unknown strategy, wrong
        parameters.
    """
    raise NotReady("the backtester is being built")
