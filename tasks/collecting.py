"""Keeping a collector running."""

import time

from store import state
from store.database import Database
from tasks.collector import STATE_KEY
from tasks.deployments import end_stale_runs, on_their_way, open_runs
from tasks.handover import start_run

DEPLOYMENT = "collect/collect"
SILENT_S = 20.0
"""The collector notes its state every two seconds; after this long it counts as gone."""


async def keep_collecting(database: Database) -> list[str]:
    """Start a collector when none has been heard of lately; returns what was done, for people.

    Two collectors do no harm (their rows are the same), so silence alone is enough to start one.
    """
    heard = await state.get(database, STATE_KEY)
    if heard is not None and time.time_ns() - heard["at_ns"] < SILENT_S * 1e9:
        return []
    runs = await open_runs(DEPLOYMENT)
    if runs is None:
        return ["collect is not deployed"]
    if on_their_way(runs, ""):
        return []
    await end_stale_runs(runs, "")
    await start_run(DEPLOYMENT, f"collect-{int(time.time() // 60)}")
    return ["collect started"]
