"""A run's summary: the figures of each agent, and of all as one account."""

from collections.abc import Sequence

import numpy as np

from engine.results.adverse import adverse_selection
from engine.results.buckets import by_hour, by_time_left
from engine.results.calibration import calibration
from engine.results.curves import curve, drawdown, exposure, returns
from engine.results.trades import money, order_figures, window_figures
from models.errors import BadValue
from models.results import Columns, RunResult
from models.summary import AgentSummary, Summary

PERIOD_S = 300
"""The grid returns are taken on: the shortest window's length, within which equity mostly says
how a position is marked."""
TOTAL = "total"


def summarise(result: RunResult, period_s: int = PERIOD_S) -> Summary:
    """Work out every figure of a run.

    Parameters
    ----------
    period_s
        Length of the periods that returns are taken on, in seconds. However often the run noted
        equity, ratios are of these periods and of a year of 365 days.

    Raises
    ------
    BadValue
        A period or a run of no length.
    """
    if period_s <= 0:
        raise BadValue(f"period_s={period_s} must be above zero")
    everyone = range(len(result.agents))
    return Summary(
        start_ns=result.start_ns,
        end_ns=result.end_ns,
        period_s=period_s,
        events=result.events,
        wakes=result.wakes,
        wall_s=result.wall_s,
        agents=tuple(
            _figures(result, name, [agent], period_s) for agent, name in enumerate(result.agents)
        ),
        total=_figures(result, TOTAL, everyone, period_s),
    )


def _figures(result: RunResult, name: str, agents: Sequence[int], period_s: int) -> AgentSummary:
    line = curve(result, agents)
    windows, fills = _rows(result, "windows", agents), _rows(result, "fills", agents)
    winners = result.resolved()
    return AgentSummary(
        name=name,
        money=money(line, windows),
        returns=returns(line, period_s),
        drawdown=drawdown(line),
        exposure=exposure(line),
        windows=window_figures(windows),
        orders=order_figures(_rows(result, "orders", agents), fills),
        adverse=adverse_selection(fills),
        calibration=calibration(_rows(result, "forecasts", agents), winners),
        by_hour=by_hour(fills, winners),
        by_time_left=by_time_left(fills, winners, result.markets),
        failure=_failure(result, name) if len(agents) == 1 else None,
    )


def _failure(result: RunResult, name: str) -> str | None:
    """Traceback of an agent; half characters, which JSON has no bytes for, become escapes."""
    trace = result.failures.get(name)
    return trace.encode("utf-8", "backslashreplace").decode() if trace else None


def _rows(result: RunResult, table: str, agents: Sequence[int]) -> Columns:
    """Rows of a run's table that belong to `agents`."""
    columns = result.tables[table]
    wanted = np.isin(columns["agent"], list(agents))
    return {name: values[wanted] for name, values in columns.items()}
