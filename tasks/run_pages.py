"""A run's figures as pages of Prefect's UI."""

from pathlib import Path

from models.results import RunResult
from models.summary import AgentSummary, Summary
from tasks.markdown import plain, row
from tasks.report.render import cautions
from tasks.report.words import NONE, moment, percent, ratio, usd


def run_page(folder: Path, summary: Summary, result: RunResult) -> str:
    """Write a run's summary in Markdown, with a link to the saved HTML report."""
    report = folder / "report.html"
    rows = run_rows(summary)
    names = list(rows[0])
    table = "\n".join(
        [
            row(names),
            row(["---"] * len(names)),
            *(row([one[name] for name in names]) for one in rows),
        ]
    )
    careful = "\n".join(f"- {plain(line)}" for line in cautions(result, summary))
    failed = "\n\n".join(
        f"### {plain(name)} failed\n\n```\n{trace.replace('```', '` ` `')}\n```"
        for name, trace in result.failures.items()
    )
    return "\n\n".join(
        part
        for part in (
            f"{moment(summary.start_ns)} to {moment(summary.end_ns)} UTC, "
            f"{summary.events:,} rows in {summary.wall_s:.1f} s",
            table,
            f"**Read with care**\n\n{careful}" if careful else "",
            failed,
            f"The whole report: [{plain(str(report))}](<{report.as_uri()}>)",
        )
        if part
    )


def run_rows(summary: Summary) -> list[dict[str, str]]:
    """One row of text an agent, and one of all of them where there are several."""
    shown = summary.agents if len(summary.agents) == 1 else (*summary.agents, summary.total)
    return [_figures(agent) for agent in shown]


def _figures(agent: AgentSummary) -> dict[str, str]:
    brier = agent.calibration
    return {
        "agent": agent.name,
        "P&L, USD": usd(agent.money.pnl_e6, sign=True),
        "return": percent(agent.returns.total, sign=True),
        "Sharpe": ratio(agent.returns.sharpe),
        "max drawdown": percent(agent.drawdown.depth),
        "windows": f"{agent.windows.count:,}",
        "win rate": percent(agent.windows.win_rate, places=1),
        "fills": f"{agent.orders.fills:,}",
        "fees, USD": usd(agent.money.fees_e6),
        "Brier": NONE if brier is None else f"{brier.brier:.4f}",
    }
