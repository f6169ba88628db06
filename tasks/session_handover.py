"""Handing over between sessions: a successor is called, prepared, and only then waited upon."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from models.errors import FloorError
from store import state
from store.database import Database

log = structlog.get_logger(__name__)

PATIENCE_S = 60.0
"""A successor that has not announced itself this long after it was called is called again."""
LONGEST_PATIENCE_S = 600.0
LOOK_S = 1.0

Call = Callable[[int], Awaitable[object]]
"""Starts a run of the next session; given how often one was called before, plus one."""


def handover_key(agent: str) -> str:
    """Name the row in which a person or a drill asks a session to hand over: its flow run's id."""
    return f"handover/{agent}"


async def asked_to_hand_over(database: Database, agent: str, flow_run_id: str) -> bool:
    """Say whether somebody has asked this very session to hand over before its time."""
    try:
        wished: object = await state.get(database, handover_key(agent))
    except FloorError:
        return False
    return bool(flow_run_id) and wished == flow_run_id


class HandOver:
    """Past the deadline: calls successors until one is prepared.

    The session trades on meanwhile, so that neither a Prefect server that is away nor a successor
    that dies on its way ever ends trading.

    Parameters
    ----------
    deadline
        In monotonic seconds.
    call
        Starts a successor. What it raises is logged, and it is called again.
    prepared
        Flow run of a successor that waits for the lease now; empty while there is none.
    asked
        Whether somebody wants the session to hand over before its deadline.
    """

    def __init__(
        self,
        agent: str,
        deadline: float,
        call: Call,
        prepared: Callable[[], str],
        asked: Callable[[], Awaitable[bool]],
    ) -> None:
        self.attempts = 0
        self._agent = agent
        self._deadline = deadline
        self._call = call
        self._prepared = prepared
        self._asked = asked

    async def run(self) -> str:
        """Return the successor's flow run once it is prepared."""
        while (left_s := self._deadline - time.monotonic()) > 0 and not await self._asked():  # noqa: ASYNC110
            await asyncio.sleep(min(LOOK_S, left_s))
        patience_s = PATIENCE_S
        while not (successor := self._prepared()):
            await self._call_one()
            await self._wait(patience_s)
            # One that can't start must not be called for ever at the same pace.
            patience_s = min(2 * patience_s, LONGEST_PATIENCE_S)
        log.info("handing_over", agent=self._agent, to=successor, attempts=self.attempts)
        return successor

    async def _call_one(self) -> None:
        self.attempts += 1
        try:
            await self._call(self.attempts)
        except Exception as error:
            log.warning(
                "successor_not_called",
                agent=self._agent,
                attempt=self.attempts,
                reason=repr(error),
            )

    async def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._prepared() and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
