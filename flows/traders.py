"""Serve the traders' pool: ``python -m flows.traders --name NAME [--work-queue NAME ...]``.

Prefect's process worker, but for two things: it waits for a server that is away however long, and
told to end it first lets its sessions end in good order, which Prefect's kills on the spot.
"""

import argparse
import asyncio
import os
import signal
import time
import warnings
from collections.abc import Sequence

import psutil
import structlog
from prefect.workers.process import ProcessWorker

from models.settings import load_settings
from tasks.logs import configure_logs
from tasks.patience import Patient

log = structlog.get_logger(__name__)

POOL = "traders"
LEAVE_S = 15.0
"""How long sessions may take to end: ten seconds of their own, and some for Prefect to hear."""
POLL_S = 0.1

with warnings.catch_warnings():
    # It takes the place of Prefect's own in the list of workers by type, which is meant.
    warnings.simplefilter("ignore")

    class TradersWorker(Patient, ProcessWorker):
        """Runs each session as a process of its own."""

        type = "process"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.traders")
    parser.add_argument("--name", default=POOL, help="Name of the worker.")
    parser.add_argument("--work-queue", action="append", default=[], help="Queue to take from.")
    words = parser.parse_args(arguments)
    configure_logs(load_settings().log_level)
    asyncio.run(serve(words.name, words.work_queue))


async def serve(name: str, queues: Sequence[str] = ()) -> None:
    """Serve the pool until told to end by SIGTERM or SIGINT."""
    worker = TradersWorker(work_pool_name=POOL, name=name, work_queues=list(queues) or None)
    serving = asyncio.create_task(worker.start(), name="worker")
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    telling = asyncio.create_task(told.wait(), name="told to end")
    await asyncio.wait({serving, telling}, return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    if told.is_set():
        worker.leaving = True
        await end_sessions()
        serving.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    try:
        await serving
    except asyncio.CancelledError:
        log.info("worker_ended", worker=name)


async def end_sessions(seconds: float = LEAVE_S) -> int:
    """Ask this process's children to end and wait for them; returns how many are left."""
    children = psutil.Process(os.getpid()).children()
    log.info("sessions_asked_to_end", count=len(children))
    for child in children:
        _ask(child)
    deadline = time.monotonic() + seconds
    while True:
        left = sum(_lives(child) for child in children)
        if not left or time.monotonic() >= deadline:
            break
        await asyncio.sleep(POLL_S)
    if left:
        log.warning("sessions_did_not_end", count=left, seconds=seconds)
    return left


def _ask(process: psutil.Process) -> None:
    try:
        process.terminate()
    except psutil.NoSuchProcess:
        return


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    main()
