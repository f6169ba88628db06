"""A sweep as a page of Prefect's UI."""

from pathlib import Path

from models.sweeps import SweepResult
from tasks.markdown import plain, row
from tasks.report.words import moment, percent, ratio, usd
from tasks.sweeping.keep import REPORT
from tasks.sweeping.page import parameters_text, warnings

HEAD = ("fold", "test from, UTC", "chosen", "P&L training", "P&L test", "deflated Sharpe",
        "overfitting")  # fmt: skip


def sweep_page(folder: Path, result: SweepResult) -> str:
    """Write a sweep's summary in Markdown, with a link to the saved HTML page."""
    rows = [row(HEAD), row(["---"] * len(HEAD))]
    for fold in result.folds:
        chosen = result.chosen(fold)
        train, test = (chosen.figures, chosen.judged) if chosen else (None, None)
        rows.append(
            row(
                [
                    str(fold.fold + 1),
                    moment(fold.test_start_ns),
                    parameters_text(chosen) if chosen else "none",
                    usd(train.pnl_e6 if train else None, sign=True),
                    usd(test.pnl_e6 if test else None, sign=True),
                    ratio(fold.deflated_sharpe, 3),
                    percent(fold.overfitting, places=0),
                ]
            )
        )
    careful = "\n".join(f"- {plain(line)}" for line in warnings(result))
    parts = (
        "\n".join(rows),
        f"**Read with care**\n\n{careful}" if careful else "",
        f"The whole page: [{plain(str(folder / REPORT))}](<{(folder / REPORT).as_uri()}>)",
    )
    return "\n\n".join(part for part in parts if part)
