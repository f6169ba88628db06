"""Workers that wait for a Prefect server that is away, however long, and say so once.

Prefect's own worker gives up after some twelve minutes without its server, and ends every flow it
runs as it leaves. It also forgets nothing: what was due meanwhile it runs all at once.
"""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import structlog
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled
from prefect.workers.base import BaseWorker

log = structlog.get_logger(__name__)

ANSWER_S = 10.0
"""Prefect's client goes on trying for a minute, and the server may be back long before."""
LONGEST_S = 60.0
"""A server that answers slowly is given more and more time, up to this."""

if TYPE_CHECKING:
    Worker = BaseWorker[Any, Any, Any]
else:
    Worker = object


class Patient(Worker):
    """To be put before a kind of worker: ``class Mine(Patient, ProcessWorker)``.

    Attributes
    ----------
    away
        Whether the server did not answer when it was last asked.
    leaving
        Once set, no run is taken any more.
    """

    away = False
    leaving = False
    _answer_s = ANSWER_S

    async def _get_scheduled_flow_runs(self) -> list[Any]:
        if self.leaving:
            return []
        try:
            async with asyncio.timeout(self._answer_s):
                runs = await super()._get_scheduled_flow_runs()
        except (TimeoutError, httpx.HTTPError) as error:
            self._missed(error)
            return []
        self._answer_s = ANSWER_S
        if self.away:
            self.away = False
            log.info("prefect_back", worker=self.name)
        return runs

    async def _sync_and_initialize(self) -> None:
        try:
            async with asyncio.timeout(LONGEST_S):
                await super()._sync_and_initialize()
        except (TimeoutError, httpx.HTTPError) as error:
            self._missed(error)

    async def _submit_run(self, flow_run: FlowRun) -> None:
        """Submit a run; one that can't be, because the server is away, comes again later."""
        try:
            await super()._submit_run(flow_run)
        except httpx.HTTPError as error:
            self._missed(error)
            self._release_limit_slot(flow_run.id)
            self._submitting_flow_run_ids.discard(flow_run.id)

    def _missed(self, error: Exception) -> None:
        if is_refusal(error):
            raise error
        if isinstance(error, TimeoutError):
            self._answer_s = min(LONGEST_S, 2 * self._answer_s)
        if not self.away:
            log.warning("prefect_away", worker=self.name, reason=repr(error))
        self.away = True


def is_refusal(error: Exception) -> bool:
    """Whether the server answered that we are wrong: waiting mends nothing."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500


class OnceOnly(Worker):
    """Of several runs of one deployment that are due, takes the newest and cancels the others.

    For flows that look at the whole floor whenever they run: after an outage one look makes up
    for all that were missed.
    """

    async def _get_scheduled_flow_runs(self) -> list[Any]:
        newest, older = split_late(await super()._get_scheduled_flow_runs(), datetime.now(UTC))
        for entry in older:
            await self._skip(entry.flow_run)
        return newest

    async def _skip(self, run: FlowRun) -> None:
        state: Any = Cancelled(name="Skipped", message="A later run of the deployment is due too.")
        try:
            async with asyncio.timeout(LONGEST_S):
                await self.client.set_flow_run_state(run.id, state, force=True)
        except (TimeoutError, httpx.HTTPError) as error:
            # It comes again with the next poll.
            log.info("late_run_not_skipped", run=str(run.id), reason=repr(error))


def split_late(entries: list[Any], now: datetime) -> tuple[list[Any], list[Any]]:
    """Part what a worker may take: of what is due now the newest of each deployment, the others.

    What is due later is nobody's substitute and counts among the first.
    """
    by_deployment = defaultdict(list)
    newest, older = [], []
    for entry in entries:
        if _due(entry)[0] > now:
            newest.append(entry)
        else:
            by_deployment[entry.flow_run.deployment_id].append(entry)
    for found in by_deployment.values():
        *before, last = sorted(found, key=_due)
        newest.append(last)
        older += before
    return newest, older


def _due(entry: Any) -> tuple[datetime, str]:
    run: FlowRun = entry.flow_run
    return run.next_scheduled_start_time or datetime.min.replace(tzinfo=UTC), str(run.id)
