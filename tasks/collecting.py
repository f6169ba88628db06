"""Keeping a collector running."""

import time

from prefect.client.schemas.objects import FlowRun

from store import state
from store.database import Database
from tasks.attending import Around, put_right
from tasks.collector import STATE_KEY
from tasks.deployments import start_run
from tasks.standing import Holder, Standing

DEPLOYMENT = "collect/collect"
SILENT_S = 20.0
"""The collector notes its state every two seconds; after this long it counts as gone."""
STARTUP_S = 25.0
"""One of another host that was started this recently may not have noted anything yet."""


async def keep_collecting(database: Database, around: Around) -> list[str]:
    """Start a collector when none has been heard of lately; returns what was done, for people.

    Two collectors do no harm (their rows are the same), so silence alone is enough to start one.
    """
    runs = around.runs.get(DEPLOYMENT)
    if runs is None:
        return ["collect is not deployed"]
    heard = await state.get(database, STATE_KEY)
    silent = heard is None or time.time_ns() - heard["at_ns"] >= SILENT_S * 1e9
    if not silent or around.unsure:
        # Whoever works may hold on to a run that nobody cancels as it was asked to.
        await put_right(database, [run for run in runs if _cancelling(run)], Holder(), around)
        return []
    stands = await put_right(database, runs, Holder(), around, startup_s=STARTUP_S)
    if Standing.COMING in stands:
        return []
    await start_run(DEPLOYMENT, _key(runs), name="collect restart: it fell silent")
    return ["collect started"]


def _cancelling(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_cancelling()


def _key(runs: list[FlowRun]) -> str:
    """Name the cause, so that it starts one run: this minute, and what was put right in it."""
    return f"collect-{int(time.time() // 60)}-{len(runs)}"
