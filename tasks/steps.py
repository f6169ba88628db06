"""Long work of a flow in a thread of its own, with its progress on a page of Prefect's UI."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from uuid import UUID

import structlog
from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact

log = structlog.get_logger(__name__)

Done = TypeVar("Done")

EVERY_S = 2.0
"""How often the page is brought up to date, at most."""
ANSWER_S = 10.0
"""How long Prefect's server may take to answer; its client goes on trying for minutes."""


class Gauge:
    """How far the work has come: written by its thread, read by the page's."""

    def __init__(self) -> None:
        self.percent = 0.0
        self.note = ""

    def show(self, done: int, total: int, note: str = "") -> None:
        self.percent = 100.0 * done / total if total else 0.0
        self.note = note


async def in_thread(
    work: Callable[[], Done], stop: Callable[[], None], gauge: Gauge, key: str
) -> Done:
    """Do blocking work beside the event loop; return what it returns, raise what it raises.

    Where the flow is cancelled or fails meanwhile, the work is told to `stop` and waited for.
    The progress page is a courtesy: without an answer of Prefect the work goes on.

    Parameters
    ----------
    key
        Of the progress artifact: lower case and dashes.
    """
    job = asyncio.create_task(asyncio.to_thread(work))
    page = asyncio.create_task(_keep_page(gauge, key))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        stop()
        with suppress(BaseException):
            await job
        raise
    finally:
        page.cancel()
        with suppress(asyncio.CancelledError):
            await page
        await _last_page(page, gauge, job)


async def _keep_page(gauge: Gauge, key: str) -> UUID | None:
    artifact: UUID | None = None
    shown: tuple[float, str] | None = None
    try:
        while True:
            now = (gauge.percent, gauge.note)
            if artifact is None:
                artifact = await _quietly(acreate_progress_artifact(now[0], key, now[1]))
            elif now != shown:
                await _quietly(aupdate_progress_artifact(artifact, now[0], now[1]))
            shown = now
            await asyncio.sleep(EVERY_S)
    except asyncio.CancelledError:
        return artifact


async def _last_page(page: Any, gauge: Gauge, job: Any) -> None:
    if page.cancelled() or (artifact := page.result()) is None:
        return
    done = job.done() and not job.cancelled() and job.exception() is None
    percent = 100.0 if done else gauge.percent
    await _quietly(aupdate_progress_artifact(artifact, percent, gauge.note))


async def _quietly(call: Any) -> Any:
    """Await a call to Prefect; say in the log what went wrong, and go on."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(ANSWER_S):
            return await call
    except Exception as error:
        log.warning(
            "progress_not_shown", reason=repr(error), seconds=round(time.monotonic() - began, 1)
        )
        return None
