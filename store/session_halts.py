"""Asking one session to end, by the flow run it is: the next session of its agent trades on.

Cancelling a run in Prefect's UI is carried out by its worker, which forgets how once the server was
away for a while. What is noted here every session reads itself.
"""

import time

from models.errors import BadValue
from store import state
from store.database import Database

_PREFIX = "session-halt:"
KEPT_S = 86_400
"""Longer than a session lasts: nobody asks for older ones."""


async def halt_session(db: Database, flow_run_id: str, reason: str) -> bool:
    """Ask the session of this flow run to end; False where it was asked already.

    Raises
    ------
    BadValue
        The run or the reason is not given.
    """
    if not flow_run_id or not reason:
        raise BadValue(f"halt of session {flow_run_id!r}: give its flow run and a reason")
    key = _PREFIX + flow_run_id
    if await state.get(db, key) is not None:
        return False
    await state.put(db, key, {"reason": reason, "since_ns": time.time_ns()})
    return True


async def session_halt(db: Database, flow_run_id: str) -> str:
    """Why the session of this flow run must end; empty while nobody asked it to."""
    if not flow_run_id:
        return ""
    value = await state.get(db, _PREFIX + flow_run_id)
    return "" if value is None else str(value["reason"])


async def forget_session_halts(db: Database) -> int:
    """Drop the halts of sessions that ended long ago; returns how many there were."""
    return await db.execute(
        "DELETE FROM system_state WHERE starts_with(key, %s)"
        " AND updated_at < clock_timestamp() - %s * interval '1 second'",
        (_PREFIX, KEPT_S),
    )
