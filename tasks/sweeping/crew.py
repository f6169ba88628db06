"""Who does a sweep's jobs: this process, processes of this machine, or a Dask cluster."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from tasks.backtesting import Stopped
from tasks.logs import configure_logs
from tasks.sweeping.trial import Asked, Job, Outcome, do_job

LOOK_S = 0.2
"""How often somebody's wish to stop is looked at."""
ATTEMPTS = 2
"""How often a job may take its process with it before it counts as failed."""

QUIET = "WARNING"
"""Of what a thousand backtests log, only this and worse is of interest."""

Finished = Iterator[tuple[int, Outcome]]


class Crew(Protocol):
    """Does jobs; outcomes come in any order, each with its job's place in the list."""

    def do(self, jobs: Sequence[Job]) -> Finished:
        """Yield each job's outcome as it is there. Raises `tasks.backtesting.Stopped`."""
        ...


class Alone:
    """One job after the other, here."""

    def __init__(self, stopped: Asked) -> None:
        self._stopped = stopped

    def do(self, jobs: Sequence[Job]) -> Finished:
        for place, job in enumerate(jobs):
            yield place, do_job(job, self._stopped)


class Processes(AbstractContextManager["Processes"]):
    """Fresh processes on this machine; they map the tapes themselves.

    A process that dies (of memory, say) is replaced and its job tried once more.
    """

    def __init__(self, workers: int, stopped: Asked) -> None:
        self._workers = workers
        self._stopped = stopped
        # Not forked: a forked child of a process with threads may hang on a lock for ever.
        self._context = multiprocessing.get_context("spawn")
        self._end = self._context.Event()
        self._pool = self._new_pool()

    def do(self, jobs: Sequence[Job]) -> Finished:
        attempts = [0] * len(jobs)
        waiting: dict[Future[Outcome], int] = {}
        left = list(range(len(jobs)))
        while left or waiting:
            while left and len(waiting) < self._room(left, waiting, attempts):
                place = left.pop(0)
                waiting[self._pool.submit(_work, jobs[place])] = place
            done, _ = wait(waiting, timeout=LOOK_S, return_when=FIRST_COMPLETED)
            if self._stopped():
                self._end.set()
                raise Stopped
            broken = [waiting[one] for one in done if _broke(one)]
            for one in done:
                if not _broke(one):
                    yield waiting.pop(one), one.result()
            if broken:
                lost = sorted(waiting.values())
                waiting.clear()
                self._pool.shutdown(wait=False)
                self._pool = self._new_pool()
                left, failed = _again(lost, attempts, left)
                for place in failed:
                    yield place, Outcome(None, np.empty(0), "its process died (out of memory?)")

    def _room(self, left: list[int], waiting: Mapping[Any, int], attempts: Sequence[int]) -> int:
        """How many jobs to hand over: one alone while it is not known whose process died.

        Else few more than there are workers, as what is handed over can't be taken back.
        """
        suspect = any(attempts[place] for place in (left[0], *waiting.values()))
        return 1 if suspect else 2 * self._workers

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._workers, self._context, initializer=_begin, initargs=(os.getpid(), self._end)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._end.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _broke(one: "Future[Outcome]") -> bool:
    return isinstance(one.exception(), BrokenProcessPool)


def _again(lost: list[int], attempts: list[int], left: list[int]) -> tuple[list[int], list[int]]:
    """What to try again after a process died, and what took one with it too often."""
    for place in lost:
        attempts[place] += 1
    failed = [place for place in lost if attempts[place] >= ATTEMPTS]
    return [place for place in lost if attempts[place] < ATTEMPTS] + left, failed


_ending: Any = None
"""In a worker: set when the sweep ends."""


def _begin(parent: int, end: Any) -> None:
    global _ending
    _ending = end
    # Ctrl-C reaches every process of a terminal; the sweep's own decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logs(QUIET)
    threading.Thread(target=_live_with, args=(parent,), daemon=True).start()


def _live_with(parent: int) -> None:
    """End with the process that started us, however that ended."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _work(job: Job) -> Outcome:
    return do_job(job, _ending.is_set)


class Dask:
    """A Dask cluster; its workers need this project installed and the tapes' folder in reach.

    Parameters
    ----------
    client
        A connected `distributed.Client`, synchronous.
    """

    def __init__(self, client: Any, stopped: Asked) -> None:
        self._client = client
        self._stopped = stopped

    def do(self, jobs: Sequence[Job]) -> Finished:
        from distributed import TimeoutError as NotYet
        from distributed import wait as wait_for

        futures = self._client.map(_work_there, jobs, pure=False, retries=ATTEMPTS - 1)
        waiting = {future: place for place, future in enumerate(futures)}
        try:
            while waiting:
                if self._stopped():
                    raise Stopped
                try:
                    with self._client.as_current():
                        wait_for(list(waiting), LOOK_S, "FIRST_COMPLETED")  # type: ignore[no-untyped-call]
                except NotYet:
                    continue
                for future in [one for one in waiting if one.done()]:
                    yield waiting.pop(future), _outcome(future)
        finally:
            self._client.cancel(list(waiting))


def _work_there(job: Job) -> Outcome:
    configure_logs(QUIET)
    return do_job(job)


def _outcome(future: Any) -> Outcome:
    if future.status == "finished":
        found: Outcome = future.result()
        return found
    return Outcome(None, np.empty(0), f"Dask: {future.status}: {future.exception()!r}")
