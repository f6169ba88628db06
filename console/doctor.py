"""`floor doctor`: every part checked, with how to mend what is wrong."""

from collections.abc import Iterable

from rich.table import Table

from console.checks import findings
from console.findings import Finding, Verdict

STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


def diagnose() -> list[Finding]:
    """Check everything. Never raises: what can't be checked is a finding."""
    return list(findings())


def diagnosis_table(found: Iterable[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("", "part", "found", "mend"):
        table.add_column(name, overflow="fold")
    for finding in found:
        verdict = finding.verdict
        table.add_row(
            f"[{STYLES[verdict]}]{verdict.value}[/]", finding.part, finding.found, finding.mend
        )
    return table
