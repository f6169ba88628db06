"""How drills look: tables for a terminal, plain values for programs."""

import os
import time
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from models.settings import Settings
from tasks.drilling import report as reports
from tasks.drilling.catalogue import DRILLS, NOT_HERE
from tasks.drilling.report import COLUMNS, DrillReport, DrillResult
from tasks.drilling.soak import SoakReport


class Simulated(Protocol):
    """What a simulated soak tells."""

    failures: list[str]

    def rows(self) -> list[tuple[str, str]]: ...


def say(console: Console, text: str) -> None:
    line = f"{time.strftime('%H:%M:%S')} {text}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


# --- the catalogue ------------------------------------------------------------------------------


def catalogue() -> RenderableType:
    table = Table("drill", "what is done", "lasts", "trading again", box=None)
    for drill in DRILLS.values():
        full = f" ({drill.full_s:.0f} s)" if drill.full_s else ""
        lasts = f"{drill.lasts_s:.0f} s{full}" if drill.lasts_s else ""
        name = f"{drill.name} *" if drill.slow else drill.name
        table.add_row(name, drill.about, lasts, f"≤ {drill.target_s:.0f} s")
    lines = [Text("* takes minutes: part of `all` only with --full; (in --full)", style="dim")]
    lines += [Text(f"no drill: {name}: {why}", style="dim") for name, why in NOT_HERE.items()]
    return Group(table, *lines)


def catalogue_json() -> list[dict[str, Any]]:
    return [
        {
            "name": drill.name,
            "about": drill.about,
            "expects": drill.expect.value,
            "lasts_s": drill.lasts_s,
            "full_s": drill.full_s or drill.lasts_s,
            "target_s": drill.target_s,
            "slow": drill.slow,
        }
        for drill in DRILLS.values()
    ]


# --- exercises ----------------------------------------------------------------------------------


def report(found: DrillReport) -> RenderableType:
    """Return the table of an exercise, its repetitions summed up, and what went wrong."""
    table = Table(*COLUMNS, box=None)
    table.columns[0].no_wrap = True
    for result in found.results:
        table.add_row(*reports.row(result), style="" if result.passed else "red")
    parts: list[RenderableType] = [table]
    spreads = [spread for spread in reports.spreads(found.results) if spread.count > 1]
    if spreads:
        times = Table("drill", "times", "passed", "p50", "p95", "worst", "target", box=None)
        for spread in spreads:
            times.add_row(*reports.spread_row(spread), style="" if spread.within else "red")
        parts.append(times)
    for result in found.results:
        parts += [Text(f"{result.drill}: {note}", style="dim") for note in result.notes]
        parts += [Text(f"{result.drill}: {one}", style="red") for one in result.problems]
    return Group(*parts)


def report_json(found: DrillReport) -> dict[str, Any]:
    return reports.as_json(found)


def conditions(settings: Settings) -> dict[str, str]:
    """Say what an exercise was run on; a busy machine explains slow times."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    window = settings.sim_window_seconds
    return {
        "processors": str(os.cpu_count() or "unknown"),
        "load at the end (1, 5, 15 min)": load,
        "windows": f"{window} s" if window else "as long as at the venue",
        "lease": f"{settings.lease_seconds} s",
    }


# --- soaks --------------------------------------------------------------------------------------


def facts(found: SoakReport) -> dict[str, str]:
    """What a soak saw beside its faults, as words."""
    rows = {
        "soak": f"{found.lasted_s / 3600:.2f} of {found.hours:g} h, seed {found.seed}",
        "faults": f"{len(found.results)}, failed {sum(not r.passed for r in found.results)}",
        "invariants": f"{found.looks} looks, {len(found.broken)} violations",
        "orders": str(found.orders),
        "memory": ", ".join(f"{name} {mb:+.0f} MB/h" for name, mb in found.slopes.items()) or "n/a",
    }
    if found.prefect_mb is not None:
        rows["Prefect's database"] = "{:.1f} MB, then {:.1f} MB".format(*found.prefect_mb)
    if found.interrupted:
        rows["interrupted"] = "yes"
    return rows | {f"violation {n}": one for n, one in enumerate(found.broken, start=1)}


def soak_table(found: SoakReport) -> RenderableType:
    table = Table("soak", "", box=None)
    for name, value in facts(found).items():
        table.add_row(name, value, style="red" if name.startswith("violation") else "")
    verdict = Text("passed", style="green") if found.passed else Text("FAILED", style="bold red")
    drills = DrillReport(found.began, tuple(found.results))
    return Group(report(drills), Text(), table, verdict)


def soak_report(found: SoakReport) -> DrillReport:
    """Return a soak as an exercise; what did not hold all along is a result of its own."""
    all_along = DrillResult(
        "all along",
        f"{len(found.results)} faults in {found.lasted_s:.0f} s, seed {found.seed}",
        lasted_s=found.lasted_s,
        orders_after=found.orders,
        problems=tuple(found.broken),
        at=found.began,
    )
    return DrillReport(found.began, (*found.results, all_along), facts(found))


def soak_json(found: SoakReport) -> dict[str, Any]:
    return reports.as_json(soak_report(found)) | {
        "seed": found.seed,
        "violations": found.broken,
        "slopes_mb_per_hour": found.slopes,
    }


def week_table(found: Simulated) -> RenderableType:
    table = Table("simulated", "", box=None)
    for name, value in found.rows():
        table.add_row(name, value)
    return Group(table, *(Text(one, style="red") for one in found.failures))
