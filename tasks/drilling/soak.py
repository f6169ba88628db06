"""Random faults for hours, and what must hold all along."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from models.errors import FloorError, NotReady, StoreUnavailable
from tasks.drilling.books import LIMIT
from tasks.drilling.catalogue import DRILLS
from tasks.drilling.invariants import Memory, leaks, note_memory, prefect_bytes, violations
from tasks.drilling.plan import Planned
from tasks.drilling.report import DrillResult, utc_now
from tasks.drilling.run import Tell, run_drill
from tasks.drilling.stage import Stage

LOOK_S = 30.0
PATIENCE_S = 45.0
"""The last comparison of all orders may take so long until nothing is under way."""


@dataclass(slots=True)
class SoakReport:
    """What a soak saw; it passed where nothing is listed in `broken` and every drill passed."""

    seed: int
    hours: float
    began: str = field(default_factory=utc_now)
    lasted_s: float = 0.0
    looks: int = 0
    """How often the invariants were looked at."""
    results: list[DrillResult] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Invariants that did not hold, with the second at which that was seen."""
    orders: int = 0
    slopes: dict[str, float] = field(default_factory=dict)
    """Growth of processes watched long enough, megabytes an hour."""
    prefect_mb: tuple[float, float] | None = None
    """Size of Prefect's database at the beginning and at the end."""
    interrupted: bool = False

    @property
    def passed(self) -> bool:
        return not self.broken and all(result.passed for result in self.results)


async def soak(
    stage: Stage, agent: str, planned: Sequence[Planned], hours: float, seed: int, tell: Tell
) -> SoakReport:
    """Strike as planned and watch until the hours are over; an interruption ends it early.

    A fault whose time comes while another is still being watched strikes right after it.
    """
    report = SoakReport(seed, hours)
    began = time.monotonic()
    before = await prefect_bytes(stage)
    watching = asyncio.create_task(_watch(stage, report, began, tell), name="invariants")
    try:
        for number, one in enumerate(planned, start=1):
            await asyncio.sleep(max(0.0, began + one.at_s - time.monotonic()))
            tell(f"fault {number} of {len(planned)} at {time.monotonic() - began:.0f} s")
            await _strike(stage, agent, one, report, tell)
        await asyncio.sleep(max(0.0, began + hours * 3600 - time.monotonic()))
    except asyncio.CancelledError:
        report.interrupted = True
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    report.lasted_s = time.monotonic() - began
    await _last_look(stage, report, before)
    return report


async def _strike(stage: Stage, agent: str, one: Planned, report: SoakReport, tell: Tell) -> None:
    try:
        result = await run_drill(DRILLS[one.drill], stage, agent, tell, seconds=one.seconds or None)
    except FloorError as error:
        result = DrillResult(one.drill, "", agent=agent, problems=(str(error),), at=utc_now())
    report.results.append(result)


async def _watch(stage: Stage, report: SoakReport, began: float, tell: Tell) -> None:
    """Look at everything that must hold, again and again."""
    memory = Memory()
    while True:
        await asyncio.sleep(LOOK_S)
        now_s = time.monotonic() - began
        for one in await violations(stage):
            report.broken.append(f"{now_s:.0f} s: {one}")
            tell(f"BROKEN at {now_s:.0f} s: {one}")
        with suppress(NotReady, StoreUnavailable):
            await note_memory(stage, memory, now_s / 3600)
        report.slopes = memory.slopes()
        report.looks += 1
        if report.looks % 10 == 0:
            failed = sum(not result.passed for result in report.results)
            tell(
                f"{now_s / 60:.0f} min: {len(report.results)} faults, {failed} failed, "
                f"{len(report.broken)} violations"
            )


async def _last_look(stage: Stage, report: SoakReport, before: int | None) -> None:
    """Compare everything once more, with nothing left out, and sum up."""
    try:
        report.broken += [
            f"at the end: {one}" for one in await violations(stage, PATIENCE_S, LIMIT)
        ]
        report.orders = await stage.order_count()
        after = await prefect_bytes(stage)
    except (NotReady, StoreUnavailable) as error:
        report.broken.append(f"at the end the floor could not be looked at: {error}")
        return
    if before is not None and after is not None:
        report.prefect_mb = (before / 1e6, after / 1e6)
    report.broken += leaks(report.slopes)
