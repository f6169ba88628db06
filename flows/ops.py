"""Serve the floor's short, frequent flows from one process: ``python -m flows.ops``.

Two watches run beside them: what they look at, every few seconds, no flow run should. They go on
while the Prefect server is away, and a guardian ends the whole process should it ever hang.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

import structlog

from models.settings import Settings, load_settings
from tasks import floor_watch, risk_watch
from tasks.alerts import Alerts
from tasks.floor_watch import FloorWatch
from tasks.guardian import Guardian, read_note
from tasks.inprocess import serve_pool
from tasks.left_runs import settle_left
from tasks.logs import configure_logs
from tasks.risk_watch import RiskWatch
from tasks.watching import Watch, keep_watching

log = structlog.get_logger(__name__)

POOL = "ops"
FLOWS = ("flows.supervise.supervise", "flows.reconcile.reconcile")
AGAIN_S = 5.0


def main() -> None:
    settings = load_settings()
    configure_logs(settings.log_level)
    asyncio.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Serve the pool until cancelled, with the watches beside it."""
    note = settings.floor_home / "ops-hung.json"
    async with Guardian(note):
        await _tell_last_end(settings, read_note(note))
        beside = [
            _begin("risk", lambda: RiskWatch(settings), risk_watch.LOOK_S),
            _begin("floor", lambda: FloorWatch(settings), floor_watch.LOOK_S),
        ]
        try:
            await _keep_serving()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)


def _begin(
    name: str, watch: Callable[[], AbstractAsyncContextManager[Watch]], every_s: float
) -> asyncio.Task[NoReturn]:
    return asyncio.create_task(keep_watching(name, watch, every_s), name=f"{name} watch")


async def _keep_serving() -> None:
    """Serve the pool; a worker that fails is followed by another, and the watches never stop."""
    told = ""
    while True:
        try:
            await settle_left(entrypoint.rpartition(".")[2] for entrypoint in FLOWS)
            await serve_pool(POOL, name="ops", preload=FLOWS)
            return
        except Exception as error:
            # A server that is away when this process starts is news once.
            if told != type(error).__name__:
                log.error("ops_worker_failed", reason=repr(error))
            told = type(error).__name__
        await asyncio.sleep(AGAIN_S)


async def _tell_last_end(settings: Settings, reason: str) -> None:
    """Tell people that this process had hung, and was ended and started again."""
    if not reason:
        return
    log.error("ops_was_ended", reason=reason)
    async with Alerts(settings) as alerts:
        alerts.post("error", f"the ops process was ended and started again: {reason}")


if __name__ == "__main__":
    main()
