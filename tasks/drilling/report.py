"""What drills found: results, their statistics, and pages for people and programs. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

COLUMNS = (
    "fault", "detected after", "trading again after", "target", "orders before/after",
    "duplicates", "lost", "cash difference", "verdict",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DrillResult:
    """One fault and what followed; times in seconds."""

    drill: str
    did: str
    """What was done, for people."""
    agent: str = ""
    lasted_s: float = 0.0
    """How long the fault was kept on; 0 for a blow such as a kill."""
    detected_s: float | None = None
    """From the fault to its first sign in our own records; None when there was none."""
    sign: str = ""
    again_s: float | None = None
    """From the fault (its end, for one that lasts) to the first order the exchange took again."""
    target_s: float | None = None
    """Most `again_s` may be; None where something else is asked for."""
    orders_before: int = 0
    orders_after: int = 0
    duplicates: int = 0
    lost: int = 0
    cash_gap_e6: int | None = None
    """Wallet's cash less our books'; None when it could not be compared."""
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """All that was not as it must be; a drill without any passed."""
    at: str = ""
    """When, ISO 8601 in UTC."""

    @property
    def passed(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class Spread:
    """How one drill's times spread over its repetitions, in seconds."""

    drill: str
    count: int
    passed: int
    p50_s: float | None
    p95_s: float | None
    worst_s: float | None
    target_s: float | None

    @property
    def within(self) -> bool:
        """Whether every repetition passed and the 95th percentile meets the target."""
        met = self.target_s is None or (self.p95_s is not None and self.p95_s <= self.target_s)
        return self.passed == self.count and met


@dataclass(frozen=True, slots=True)
class DrillReport:
    """A whole exercise: every result in order, and what it was run on."""

    began: str
    results: tuple[DrillResult, ...]
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return bool(self.results) and all(result.passed for result in self.results)


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least `share` of the values do not exceed (nearest rank).

    None without values. Of ten values the 95th percentile is the largest: few repetitions make
    no optimist.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share {share!r} must be above 0 and at most 1")
    ranked = sorted(values)
    return ranked[math.ceil(share * len(ranked)) - 1] if ranked else None


def spreads(results: Sequence[DrillResult]) -> list[Spread]:
    """Gather repetitions by drill, in order of first appearance."""
    found = []
    for name in dict.fromkeys(result.drill for result in results):
        mine = [result for result in results if result.drill == name]
        times = [result.again_s for result in mine if result.again_s is not None]
        targets = [result.target_s for result in mine if result.target_s is not None]
        found.append(
            Spread(
                drill=name,
                count=len(mine),
                passed=sum(result.passed for result in mine),
                p50_s=percentile(times, 0.5),
                p95_s=percentile(times, 0.95) if len(times) == len(mine) else None,
                worst_s=max(times, default=None),
                target_s=min(targets, default=None),
            )
        )
    return found


def row(result: DrillResult) -> tuple[str, ...]:
    """Return a result as words, in the order of `COLUMNS`."""
    gap = result.cash_gap_e6
    return (
        result.drill,
        seconds(result.detected_s),
        seconds(result.again_s),
        "" if result.target_s is None else f"≤ {result.target_s:g} s",
        f"{result.orders_before}/{result.orders_after}",
        str(result.duplicates),
        str(result.lost),
        "unknown" if gap is None else f"${gap / 1e6:.6f}" if gap else "0",
        "passed" if result.passed else "FAILED",
    )


def seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def markdown(report: DrillReport) -> str:
    """Return the page that is kept of an exercise."""
    head = [f"# Drills of {report.began}", ""]
    head += [f"- {name}: {value}" for name, value in report.facts.items()]
    lines = [*head, "", _cells(COLUMNS), _cells(["---"] * len(COLUMNS))]
    lines += [_cells(row(result)) for result in report.results]
    repeated = [spread for spread in spreads(report.results) if spread.count > 1]
    if repeated:
        names = ("drill", "times", "passed", "p50", "p95", "worst", "target")
        lines += ["", "## Trading again, over repetitions", ""]
        lines += [_cells(names), _cells(["---"] * len(names))]
        lines += [_cells(spread_row(spread)) for spread in repeated]
    lines += ["", "## Details", ""]
    for result in report.results:
        lines.append(f"### {result.drill}, {result.at}: {row(result)[-1]}")
        lines += ["", *(f"- PROBLEM: {one}" for one in result.problems)]
        lasted = f", for {result.lasted_s:.0f} s" if result.lasted_s else ""
        lines.append(f"- done: {result.did}{lasted}")
        if result.sign:
            lines.append(f"- first sign: {result.sign}")
        lines += [*(f"- {one}" for one in result.notes), ""]
    return "\n".join(lines).rstrip() + "\n"


def spread_row(spread: Spread) -> tuple[str, ...]:
    """Return a spread as words: drill, times, passed, p50, p95, worst, target."""
    return (
        spread.drill,
        str(spread.count),
        str(spread.passed),
        seconds(spread.p50_s),
        seconds(spread.p95_s),
        seconds(spread.worst_s),
        "" if spread.target_s is None else f"≤ {spread.target_s:g} s",
    )


def as_json(report: DrillReport) -> dict[str, Any]:
    """Return plain values; `from_json` reads them back."""
    return {
        "began": report.began,
        "facts": dict(report.facts),
        "passed": report.passed,
        "results": [asdict(result) | {"passed": result.passed} for result in report.results],
        "spreads": [asdict(s) | {"within": s.within} for s in spreads(report.results)],
    }


def from_json(raw: Mapping[str, Any]) -> DrillReport:
    """Read what `as_json` wrote. Raises KeyError or TypeError for anything else."""
    results = []
    for each in raw["results"]:
        fields = {key: value for key, value in each.items() if key != "passed"}
        fields |= {key: tuple(fields[key]) for key in ("notes", "problems")}
        results.append(DrillResult(**fields))
    return DrillReport(raw["began"], tuple(results), raw["facts"])


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cells(words: Sequence[str]) -> str:
    return "| " + " | ".join(word.replace("|", "/").replace("\n", " ") for word in words) + " |"
