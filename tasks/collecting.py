"""Keeping a collector running."""

import time

from prefect.client.schemas.objects import FlowRun

from store import state
from store.database import Database
from tasks.attending import Around, put_right
from tasks.collector import STATE_KEY
from tasks.deployments import start_run
from tasks.standing import Holder, Standing, started_by

DEPLOYMENT = "collect/collect"
SILENT_S = 20.0
"""The collector notes its state every two seconds; after this long it counts as gone."""
STARTUP_S = 25.0
"""One of another host that was started this recently may not have noted anything yet."""


async def keep_collecting(database: Database, around: Around) -> list[str]:
    """Start a collector where none is at work; returns what was done, for people.

    Two collectors do no harm (their rows are the same), so silence alone is enough to start one;
    so is the death of a process, whose silence need not be waited for.
    """
    runs = around.runs.get(DEPLOYMENT)
    if runs is None:
        return ["collect is not deployed"]
    if around.unsure:
        return []
    silent = await _silent(database)
    # While one is heard, only what can't be it is judged: it holds no lease to be known by.
    judged = runs if silent else [run for run in runs if _amiss(run, around)]
    stands = await put_right(database, judged, Holder(), around, startup_s=STARTUP_S)
    lost = Standing.GONE in stands and len(judged) == len(runs)
    if Standing.COMING in stands or not (silent or lost):
        return []
    why = "it fell silent" if silent else "its process died"
    await start_run(DEPLOYMENT, _key(runs), name=f"collect restart: {why}")
    return [f"collect started: {why}"]


async def _silent(database: Database) -> bool:
    """Whether no collector has been heard of lately."""
    heard = await state.get(database, STATE_KEY)
    return heard is None or time.time_ns() - heard["at_ns"] >= SILENT_S * 1e9


def _amiss(run: FlowRun, around: Around) -> bool:
    """Whether a run is cancelled, or was started on this host and has no process here."""
    if run.state is None or run.state.is_cancelling():
        return run.state is not None
    lost = started_by(run) == around.worker and str(run.id) not in around.here.sessions
    return lost and not run.state.is_scheduled()


def _key(runs: list[FlowRun]) -> str:
    """Name the cause, so that it starts one run: this minute, and what was put right in it."""
    return f"collect-{int(time.time() // 60)}-{'-'.join(sorted(str(run.id)[:8] for run in runs))}"
