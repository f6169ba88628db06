"""One backtest of a sweep, as a job that any process of any machine can do."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.backtest.config import BacktestConfig
from engine.backtest.run import run
from engine.results.curves import curve
from engine.results.summary import PERIOD_S, summarise
from models.results import RunResult
from models.summary import AgentSummary
from models.sweeps import RunFigures
from models.tape import Tape
from models.units import SECOND_NS
from risk.sampling import on_grid
from store.tape import open_tape
from tasks.backtesting import Stopped

Floats = npt.NDArray[np.float64]
Asked = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Job:
    """A backtest to do: small, so that it travels; the tape is mapped where it is done."""

    tape: str
    config: BacktestConfig
    agent: int
    """Whose results count: its place in the config."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job brought: figures and returns, or why there are none."""

    figures: RunFigures | None
    returns: Floats
    """P&L by capital of every whole period of `engine.results.summary.PERIOD_S`; what comes after
    the last of them counts to it."""
    failure: str = ""


def do_job(job: Job, stopped: Asked = lambda: False) -> Outcome:
    """Run one backtest. Whatever goes wrong with it is its outcome; `Stopped` is raised."""

    def tell(done: int, total: int) -> None:
        if stopped():
            raise Stopped

    try:
        result = run(_tape(job.tape), job.config, tell)
    except Stopped:
        raise
    except Exception as error:
        # One set that can't be run must not end a sweep of a thousand.
        return Outcome(None, np.empty(0), "".join(traceback.format_exception_only(error)).strip())
    name = result.agents[job.agent]
    if name in result.failures:
        return Outcome(None, np.empty(0), result.failures[name].strip().splitlines()[-1])
    return Outcome(figures_of(summarise(result).agents[job.agent]), _returns(result, job.agent))


def figures_of(agent: AgentSummary) -> RunFigures:
    """Take what a sweep keeps of a run's figures."""
    return RunFigures(
        pnl_e6=agent.money.pnl_e6,
        fees_e6=agent.money.fees_e6,
        turnover_e6=agent.money.turnover_e6,
        windows=agent.windows.count,
        unresolved=agent.windows.unresolved,
        win_rate=agent.windows.win_rate,
        orders=agent.orders.count,
        fills=agent.orders.fills,
        sharpe=agent.returns.sharpe,
        sortino=agent.returns.sortino,
        calmar=agent.returns.calmar,
        profit_factor=agent.windows.profit_factor,
        expectancy_e6=agent.windows.expectancy_e6,
        max_drawdown=agent.drawdown.depth,
        brier=None if agent.calibration is None else agent.calibration.brier,
    )


def _returns(result: RunResult, agent: int) -> Floats:
    line = curve(result, [agent])
    sampled = on_grid(
        line.time_ns, line.equity_e6, line.start_ns, line.end_ns, PERIOD_S * SECOND_NS,
        line.capital_e6,
    )  # fmt: skip
    # What is settled just after the end belongs to it: returns add up to the P&L.
    sampled[-1] = line.final_e6
    return np.diff(sampled) / line.capital_e6


@lru_cache(maxsize=4)
def _tape(path: str) -> Tape:
    """Map a tape once a process."""
    return open_tape(Path(path))
