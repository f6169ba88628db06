"""What must hold at every moment of a soak, whatever was struck last."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import linear_regression

import psutil

from models.errors import NotReady, StoreUnavailable
from tasks.drilling.books import agree
from tasks.drilling.harm import family
from tasks.drilling.stage import Stage

RECENT = 5_000
"""Orders and trades a look compares; the end of a soak compares all."""
STRAY_S = 180.0
"""A flow's process without a lease may take so long to start or to end."""
SLOPE_MB_PER_HOUR = 30.0
"""Steeper growth of a process is a leak."""
YOUNG_S = 900.0
"""Memory counts from here: a process fills its caches first."""
FEW = 20
"""Fewer readings make no slope."""

_OVERLAPS = """
    WITH sessions AS (
        SELECT agent, lease_token, min(created_at) AS first, max(created_at) AS last
        FROM orders WHERE created_at > clock_timestamp() - interval '1 day'
        GROUP BY agent, lease_token
    )
    SELECT old.agent, old.lease_token AS old_token, new.lease_token AS new_token
    FROM sessions old JOIN sessions new
      ON old.agent = new.agent AND old.lease_token < new.lease_token
    WHERE old.last > new.first
"""
_PREFECT_SIZE = "SELECT pg_database_size(datname) AS bytes FROM pg_database WHERE datname = %s"


async def overlaps(stage: Stage) -> list[str]:
    """Return where a session signed an order after a newer one of its agent had begun to."""
    return [
        f"{row['agent']}: session {row['old_token']} signed after session {row['new_token']} began"
        for row in await stage.query(_OVERLAPS)
    ]


async def strays(stage: Stage) -> list[str]:
    """Return processes of flow runs that live on although no lease is theirs.

    A run that holds no lease in the first minutes of its life may be on its way to one.
    """
    worker = stage.programs.process("traders")
    held = {lease.flow_run_id for lease in (await stage.leases()).values() if lease.live}
    found = []
    for process in psutil.process_iter(["pid", "create_time"]):
        run = _flow_run(process, str(stage.settings.floor_home))
        young = time.time() - process.info["create_time"] < STRAY_S
        if run and run not in held and not young:
            orphan = worker is None or process not in family(worker)
            found.append(
                f"process {process.pid} of flow run {run[:8]} holds no lease"
                + (" and has no worker" if orphan else "")
            )
    return found


def _flow_run(process: psutil.Process, home: str) -> str:
    """Return the flow run a trading process of this floor belongs to; empty for any other."""
    try:
        words = " ".join(process.cmdline())
        if "prefect" not in words:
            return ""
        environment = process.environ()
    except psutil.Error:
        return ""
    ours = environment.get("FLOOR_SUPERVISED_HOME") == home
    trades = environment.get("PREFECT__FLOW_NAME") == "trade"
    return environment.get("PREFECT__FLOW_RUN_ID", "") if ours and trades else ""


@dataclass(slots=True)
class Memory:
    """Resident memory of processes over time."""

    _seen: dict[tuple[str, int], list[tuple[float, float]]] = field(default_factory=dict)

    def note(self, name: str, pid: int, hours: float, megabytes: float) -> None:
        self._seen.setdefault((name, pid), []).append((hours, megabytes))

    def slopes(self) -> dict[str, float]:
        """Return megabytes an hour by process, for those watched long enough."""
        found = {}
        for (name, pid), points in self._seen.items():
            late = [point for point in points if (point[0] - points[0][0]) * 3600 >= YOUNG_S]
            if len(late) >= FEW:
                slope, _ = linear_regression([p[0] for p in late], [p[1] for p in late])
                found[f"{name} ({pid})"] = slope
        return found


def leaks(slopes: Mapping[str, float]) -> list[str]:
    """Say which processes grow too fast; `slopes` in megabytes an hour."""
    return [
        f"{name} grows by {slope:.0f} MB an hour"
        for name, slope in slopes.items()
        if slope > SLOPE_MB_PER_HOUR
    ]


async def note_memory(stage: Stage, memory: Memory, hours: float) -> None:
    """Read the resident memory of every program, and of the sessions by their agents."""
    names = {"simulator": "simulator", "prefect": "prefect", "ops": "ops", "traders": "worker"}
    for program, name in names.items():
        if (process := stage.programs.process(program)) is not None:
            _note(memory, name, process, hours)
    for agent, lease in (await stage.leases()).items():
        if lease.live:
            try:
                _note(memory, agent, await stage.trader(agent), hours)
            except NotReady:
                continue


def _note(memory: Memory, name: str, process: psutil.Process, hours: float) -> None:
    try:
        memory.note(name, process.pid, hours, process.memory_info().rss / 2**20)
    except psutil.Error:
        return


async def prefect_bytes(stage: Stage) -> int | None:
    """Return the size of Prefect's database; None where it is on another server."""
    rows = await stage.query(_PREFECT_SIZE, ["prefect"])
    return int(rows[0]["bytes"]) if rows else None


async def violations(stage: Stage, patience_s: float = 20.0, recent: int = RECENT) -> list[str]:
    """Return everything that does not hold now; empty also while it can't be looked at.

    What a fault in progress hides (Postgres or the exchange away) is looked at next time.
    """
    try:
        report = await agree(stage.database, lambda: stage.ledger(recent), patience_s)
        return [*report.faults(), *await overlaps(stage), *await strays(stage)]
    except (NotReady, StoreUnavailable):
        return []
