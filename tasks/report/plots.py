"""The report's charts. Every function returns an SVG; agents keep their colour in all of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from engine.results.buckets import EDGES_S, range_label
from engine.results.curves import Curve
from models.results import UNRESOLVED, RunResult
from models.summary import AgentSummary, Bucket
from models.units import USD
from tasks.report.drawing import days, draw, series_style, thin, time_axis, zero_line
from tasks.report.markup import Markup
from tasks.report.style import DASHES, INK, MUTED, PANEL, SERIES

WIDE, HALF = (11.4, 3.1), (5.6, 3.3)
Lines = Sequence[Curve]


def _colour(number: int) -> str:
    return SERIES[number % len(SERIES)]


def _steps(axes: Axes, line: Curve, values: Any, number: int, first: float) -> None:
    """Draw a curve that keeps each value until the next, from the run's start to its end."""
    rows = thin(line.time_ns, values)
    end_ns = max(line.end_ns, int(line.time_ns[-1])) if len(rows) else line.end_ns
    times = np.concatenate(([line.start_ns], line.time_ns[rows], [end_ns]))
    last = values[rows[-1]] if len(rows) else first
    axes.plot(
        days(times), np.concatenate(([first], values[rows], [last])), drawstyle="steps-post",
        linewidth=1.6, **series_style(number),
    )  # fmt: skip


def equity(lines: Lines) -> Markup:
    def paint(axes: Axes) -> None:
        zero_line(axes)
        for number, line in enumerate(lines):
            _steps(axes, line, (line.equity_e6 - line.capital_e6) / USD, number, 0.0)
        time_axis(axes, lines[0].start_ns, lines[0].end_ns)
        axes.set_ylabel("equity less capital, USD")

    return draw(paint, "equity", "Equity less capital over time, one line an agent", WIDE)


def drawdowns(lines: Lines) -> Markup:
    def paint(axes: Axes) -> None:
        zero_line(axes)
        for number, line in enumerate(lines):
            peak = np.maximum(np.maximum.accumulate(line.equity_e6), line.capital_e6)
            _steps(axes, line, line.equity_e6 / peak - 1.0, number, 0.0)
        time_axis(axes, lines[0].start_ns, lines[0].end_ns)
        axes.set_ylim(min(axes.get_ylim()[0], -0.01), 0.0)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylabel("below the highest, %")

    return draw(paint, "drawdown", "Drawdown over time, one line an agent", HALF)


def exposures(lines: Lines) -> Markup:
    def paint(axes: Axes) -> None:
        for number, line in enumerate(lines):
            _steps(axes, line, line.exposure_e6 / USD, number, 0.0)
        time_axis(axes, lines[0].start_ns, lines[0].end_ns)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("cost of positions and orders, USD")

    return draw(paint, "exposure", "Exposure over time, one line an agent", HALF)


def window_pnl(result: RunResult) -> Markup:
    """Draw every resolved window's P&L as a stem at its close."""
    table = result.tables["windows"]

    def paint(axes: Axes) -> None:
        zero_line(axes)
        for number, _ in enumerate(result.agents):
            mine = np.flatnonzero((table["agent"] == number) & (table["winner"] != UNRESOLVED))
            # A thousand stems are as many as can be told apart: the largest.
            mine = mine[np.argsort(-np.abs(table["pnl_e6"][mine]), kind="stable")[:1_000]]
            at, pnl = days(table["closed_ns"][mine]), table["pnl_e6"][mine] / USD
            axes.vlines(at, 0, pnl, color=_colour(number), linewidth=1.1, alpha=0.55)
            axes.plot(at, pnl, "o", color=_colour(number), markersize=3.6)
        time_axis(axes, result.start_ns, result.end_ns)
        axes.set_ylabel("P&L of a window, USD")

    return draw(paint, "windows", "Profit and loss of each window at its close", HALF)


def _bars(
    agents: Sequence[AgentSummary],
    buckets: Callable[[AgentSummary], Sequence[Bucket]],
    places: Sequence[tuple[int, str]],
    axis: str,
    name: str,
) -> Markup:
    """Draw P&L by bucket, the agents' bars side by side; `places` are lows and their labels."""
    where = {low: at for at, (low, _) in enumerate(places)}
    width = 0.8 / max(len(agents), 1)

    def paint(axes: Axes) -> None:
        zero_line(axes)
        for number, agent in enumerate(agents):
            rows = buckets(agent)
            at = [where[row.low] - 0.4 + (number + 0.5) * width for row in rows]
            axes.bar(at, [row.pnl_e6 / USD for row in rows], width * 0.92, color=_colour(number))
        axes.set_xlim(-0.6, max(len(places), 1) - 0.4)
        step = max(1, len(places) // 12)
        shown = list(range(0, len(places), step))
        axes.set_xticks(shown, [places[at][1] for at in shown], fontsize=9)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel(axis)
        axes.set_ylabel("P&L at resolution, USD")

    return draw(paint, name, f"Profit and loss by {axis}", HALF)


def pnl_by_hour(agents: Sequence[AgentSummary]) -> Markup:
    places = [(hour, f"{hour:02d}") for hour in range(24)]
    return _bars(agents, lambda agent: agent.by_hour, places, "hour of the fill, UTC", "hours")


def pnl_by_time_left(agents: Sequence[AgentSummary]) -> Markup:
    used = {row.low for agent in agents for row in agent.by_time_left}
    lows = [low for low in EDGES_S if low <= max(used, default=0)]
    bounds = [*EDGES_S, None]
    places = [(low, range_label(low, bounds[at + 1])) for at, low in enumerate(lows)]
    short = [(low, label.replace(" or more", "+")) for low, label in places]
    return _bars(
        agents, lambda agent: agent.by_time_left, short, "time left at the fill", "timeleft"
    )


def calibration(agents: Sequence[AgentSummary]) -> Markup:
    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, dashes=(4, 3))
        for number, agent in enumerate(agents):
            if agent.calibration is None:
                continue
            bins = agent.calibration.bins
            mean = np.array([row.mean for row in bins]) + 0.004 * (number - (len(agents) - 1) / 2)
            came = np.array([row.happened for row in bins])
            low = came - np.array([row.happened_low for row in bins])
            high = np.array([row.happened_high for row in bins]) - came
            axes.errorbar(
                mean, came, yerr=np.maximum([low, high], 0.0), color=_colour(number),
                marker="o", markersize=4.5, linewidth=1.3, elinewidth=0.9, capsize=2.5,
                dashes=DASHES[number // len(SERIES) % len(DASHES)] or (None, None),
            )  # fmt: skip
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("stated probability of Up")
        axes.set_ylabel("how often Up came")

    label = "Reliability diagram: how often Up came by stated probability, with 95 % intervals"
    return draw(paint, "calibration", label, HALF)


def adverse(agents: Sequence[AgentSummary]) -> Markup:
    """Draw the mid's move against us by horizon: makers filled, takers hollow."""
    horizons = sorted({row.horizon_s for agent in agents for row in agent.adverse})
    groups = [
        (number, role) for number, _ in enumerate(agents) for role in ("maker", "taker")
    ]  # fmt: skip

    def paint(axes: Axes) -> None:
        zero_line(axes)
        width = 0.7 / max(len(groups), 1)
        for place, (number, role) in enumerate(groups):
            for row in agents[number].adverse:
                if row.role != role or row.adverse_cents is None:
                    continue
                at = horizons.index(row.horizon_s) - 0.35 + (place + 0.5) * width
                axes.errorbar(
                    at, row.adverse_cents, yerr=1.96 * (row.error_cents or 0.0),
                    color=_colour(number), marker="o" if role == "maker" else "s", markersize=6,
                    markerfacecolor=_colour(number) if role == "maker" else PANEL,
                    elinewidth=1.1, capsize=2.5, linewidth=0,
                )  # fmt: skip
        axes.set_xlim(-0.5, len(horizons) - 0.5)
        axes.set_xticks(range(len(horizons)), [f"{horizon} s" for horizon in horizons])
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("after the fill")
        axes.set_ylabel("against us, cents a share")
        top = max(axes.get_ylim()[1], 0.0)
        axes.set_ylim(top=top * 1.18 or 1.0)
        axes.text(
            0.01, 0.99, "● maker · □ taker · bars 95 %", transform=axes.transAxes,
            va="top", color=INK, fontsize=9.5,
        )  # fmt: skip

    return draw(paint, "adverse", "Adverse selection after fills by horizon, in cents", HALF)


def calibration_counts(agents: Sequence[AgentSummary]) -> Markup:
    """Draw how many forecasts stand behind each point of the calibration."""

    def paint(axes: Axes) -> None:
        width = 0.09 / max(len(agents), 1)
        for number, agent in enumerate(agents):
            bins = agent.calibration.bins if agent.calibration else ()
            at = [row.low + 0.005 + (number + 0.5) * width for row in bins]
            axes.bar(at, [row.forecasts for row in bins], width * 0.92, color=_colour(number))
        axes.set_xlim(-0.02, 1.02)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("stated probability of Up")
        axes.set_ylabel("forecasts")

    return draw(paint, "forecasts", "Number of forecasts by stated probability", HALF)
