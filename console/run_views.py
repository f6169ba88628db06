"""How finished runs are shown: a compact table for people, JSON for programs."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from models.results import RunResult
from models.summary import AgentSummary, Summary
from models.tape import Report
from tasks.report.render import cautions
from tasks.report.words import NONE, moment, percent, ratio, usd

Write = Callable[[AgentSummary], str]


def _sharpe(agent: AgentSummary) -> str:
    found = agent.returns
    error = "" if found.sharpe_error is None else f" ± {ratio(found.sharpe_error)}"
    return f"{ratio(found.sharpe)}{error}"


def _brier(agent: AgentSummary) -> str:
    found = agent.calibration
    return NONE if found is None else f"{found.brier:.4f} (baseline {found.brier_baseline:.4f})"


ROWS: Sequence[tuple[str, Write]] = (
    ("P&L, USD", lambda a: usd(a.money.pnl_e6, sign=True)),
    ("return", lambda a: percent(a.returns.total, sign=True)),
    ("Sharpe, of a year", _sharpe),
    ("Sortino, of a year", lambda a: ratio(a.returns.sortino)),
    ("max drawdown", lambda a: f"{percent(a.drawdown.depth)} ({usd(a.drawdown.depth_e6)} USD)"),
    ("windows", lambda a: f"{a.windows.count:,} ({a.windows.unresolved} unresolved)"),
    ("win rate", lambda a: percent(a.windows.win_rate, places=1)),
    ("profit factor", lambda a: ratio(a.windows.profit_factor)),
    ("orders, fills", lambda a: f"{a.orders.count:,}, {a.orders.fills:,}"),
    ("fill ratio", lambda a: percent(a.orders.fill_ratio, places=1)),
    ("turnover, USD", lambda a: usd(a.money.turnover_e6)),
    ("fees, USD", lambda a: usd(a.money.fees_e6)),
    ("Brier score", _brier),
)


def show_run(console: Console, folder: Path, summary: Summary, result: RunResult) -> None:
    """Print the figures, what keeps them from meaning more, and where all of it is."""
    say(
        console,
        f"{moment(summary.start_ns)} to {moment(summary.end_ns)} UTC, {summary.events:,} rows in "
        f"{summary.wall_s:.1f} s",
    )
    console.print(figures(summary))
    for report in result.data:
        _show_data(console, report)
    for line in cautions(result, summary):
        say(console, f"caution: {line}", "yellow")
    for name, trace in result.failures.items():
        complain(console, f"{name} failed: {trace.strip().splitlines()[-1]}")
    say(console, f"report: {folder / 'report.html'}")


def figures(summary: Summary) -> Table:
    """Make the table: one column an agent, and one for all of them where there are several."""
    shown = summary.agents if len(summary.agents) == 1 else (*summary.agents, summary.total)
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for agent in shown:
        table.add_column(agent.name, justify="right")
    for name, write in ROWS:
        table.add_row(name, *(write(agent) for agent in shown))
    return table


def print_json(folder: Path, summary: Summary, result: RunResult) -> None:
    print(
        json.dumps(
            {
                "folder": str(folder),
                "report": str(folder / "report.html"),
                "failures": dict(result.failures),
                "summary": summary.model_dump(mode="json"),
            },
            indent=2,
        )
    )


def say_link(link: str, as_json: bool) -> None:
    print(json.dumps({"flow_run": link}) if as_json else f"started: {link}")


def complain(console: Console, text: str) -> None:
    """Say what is wrong, a line a fault."""
    for line in text.splitlines():
        say(console, f"error: {line}", "red")


def say(console: Console, text: str, style: str = "") -> None:
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def _show_data(console: Console, report: Report) -> None:
    found = ", ".join(f"{rule} {count:,}" for rule, count in report.counts.items())
    say(console, f"data: {report.source}: {report.rows:,} rows" + (f"; {found}" if found else ""))
    for note in report.notes:
        if "MODEL" in note:
            say(console, f"caution: {note}", "yellow")
