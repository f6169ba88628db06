"""Throwing the kill switch: nothing more is sent, and everything at the venue is cancelled.

Three things stop the agents, each without the others:

* a file in FLOOR_HOME and a row in Postgres: sessions look at both every second and wind down,
  and none starts until the switch is reset by hand;
* the facts in Redis: every reservation is answered with them, so the next order is refused;
* the orders themselves: cancelled here, with each agent's own key, whether or not sessions live.

While Postgres is away no order can be sent at all (each is committed first). What could not be
told is told from the file, by the floor's risk watch, once the stores are back.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from models.errors import FloorError
from models.settings import ROOT, Settings
from store import audit, risk
from store.bus import Bus
from store.database import Database
from store.events import record_event
from store.reserve import Reserve
from store.risk import Kill
from store.urls import urls
from tasks.alerts import Alerts
from tasks.sweep import Sweeper, Swept

log = structlog.get_logger(__name__)

FACTS_S = 86_400.0
"""How long Redis keeps the fact by itself; the risk watch tells it anew every few seconds."""
SETTLE_S = 2.5
"""Sessions notice within a second; what they sent until then is looked for and cancelled too."""
LIVE_ORDERS = """
    SELECT order_id, agent, condition_id FROM orders
    WHERE state NOT IN ('filled', 'cancelled', 'rejected', 'expired')
"""


@dataclass(frozen=True, slots=True)
class Thrown:
    """What throwing the switch came to. `postgres` and `redis` say what went wrong, if it did."""

    kill: Kill
    again: bool
    """It was thrown already; everything was cancelled once more."""
    postgres: str
    redis: str
    swept: Swept


def throw_file(settings: Settings, reason: str, by: str) -> tuple[Kill, bool]:
    """Throw this machine's switch, needing nothing but the disk; says whether it was thrown."""
    before = risk.read_kill_file(settings.floor_home)
    if before is not None:
        return before, True
    kill = Kill(reason, by, time.time_ns())
    risk.write_kill_file(settings.floor_home, kill)
    return kill, False


async def throw(
    settings: Settings,
    reason: str,
    by: str,
    settle_s: float = SETTLE_S,
    *,
    fresh: bool = False,
) -> Thrown:
    """Throw the kill switch and cancel everything; tells what could not be done, never raises it.

    Parameters
    ----------
    settle_s
        How long to look for orders that sessions send before they notice.
    fresh
        The caller wrote this machine's file a moment ago: that is no earlier throw.

    Raises
    ------
    OSError
        FLOOR_HOME can't be written and Postgres does not answer: nothing would remember it.
    """
    disk: OSError | None = None
    try:
        kill, again = throw_file(settings, reason, by)
        again = again and not fresh
    except OSError as error:
        kill, again, disk = Kill(reason, by, time.time_ns()), False, error
    known = _Known()
    async with Sweeper(settings) as sweeper:
        sweeper.open(agent_names())
        telling = [
            asyncio.create_task(
                _tell_postgres(settings, kill, known, sweeper), name="kill postgres"
            ),
            asyncio.create_task(_tell_redis(settings, kill), name="kill redis"),
        ]
        swept = await sweeper.run(lambda: known.owners, settle_s=settle_s)
        postgres, redis = await asyncio.gather(*telling)
    if disk is not None and postgres:
        raise disk
    thrown = Thrown(known.kill or kill, again or known.before, postgres, redis, swept)
    await _tell_people(settings, thrown)
    return thrown


async def reset(settings: Settings, by: str) -> Kill | None:
    """Lift the kill switch everywhere; None where it was not thrown.

    Raises
    ------
    StoreUnavailable
        Postgres does not answer: it may hold the switch too, so it stays thrown.
    """
    filed = risk.read_kill_file(settings.floor_home)
    async with Database(urls(settings).database, max_size=1, timeout_s=3.0) as database:
        before = await risk.reset_kill(database, by) or filed
        if before is not None:
            detail = {"by": by, "was": before.reason}
            await record_event(database, "kill_reset", detail)
            await audit.append(database, by, "kill_reset", "floor", detail)
    risk.remove_kill_file(settings.floor_home)
    await _tell_redis(settings, None)
    return before


def agent_names() -> list[str]:
    """Names of all agent files, right or wrong: their keys may have orders."""
    return sorted(path.stem for path in (ROOT / "deployments" / "agents").glob("*.yaml"))


class _Known:
    """What Postgres told in time."""

    def __init__(self) -> None:
        self.kill: Kill | None = None
        self.before = False
        self.owners: Mapping[str, str] = {}


async def _tell_postgres(settings: Settings, kill: Kill, known: _Known, sweeper: Sweeper) -> str:
    """Throw the switch there and learn whose orders there are; returns why not."""
    try:
        async with Database(urls(settings).database, max_size=1, timeout_s=3.0) as database:
            known.kill = await risk.throw_kill(database, kill)
            # The risk watch may have taken this very one from the file.
            known.before = known.kill.since_ns != kill.since_ns
            names = await database.fetch("SELECT name FROM agents")
            sweeper.open(row["name"] for row in names)
            rows = await database.fetch(LIVE_ORDERS)
            known.owners = {row["order_id"]: row["agent"] for row in rows}
    except FloorError as error:
        return str(error)
    return ""


async def _tell_redis(settings: Settings, kill: Kill | None) -> str:
    """Put the switch into the floor's facts, or take it out; returns why not."""
    try:
        async with Reserve(urls(settings).redis) as reserve:
            facts = await reserve.facts()
            if kill is None and "killed" not in facts:
                return ""
            told = {**facts, "killed": str(kill) if kill is not None else ""}
            await reserve.tell_facts(told, FACTS_S if kill is not None else 30.0)
    except FloorError as error:
        return str(error)
    return ""


async def _tell_people(settings: Settings, thrown: Thrown) -> None:
    """Record what was done and alert; nothing here may undo it."""
    swept = thrown.swept
    detail = {
        "reason": thrown.kill.reason, "by": thrown.kill.by, "again": thrown.again,
        "cancelled": swept.cancelled, "left": swept.left, "seconds": round(swept.seconds, 3),
        "faults": dict(swept.faults), "redis": thrown.redis,
    }  # fmt: skip
    log.warning("kill_switch_thrown", **detail)
    addresses = urls(settings)
    if not thrown.postgres:
        try:
            async with Database(addresses.database, max_size=1, timeout_s=3.0) as database:
                await record_event(database, "kill", detail)
                await audit.append(database, thrown.kill.by, "kill", "floor", detail)
        except FloorError as error:
            log.error("kill_not_recorded", reason=str(error))
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(Bus(addresses.redis))
        alerts = await stack.enter_async_context(
            Alerts(settings, publish=lambda kind, fields: bus.message(kind, **fields))
        )
        left = "it is not known what is left" if swept.left is None else f"{swept.left} are left"
        text = f"KILL SWITCH thrown: {thrown.kill.reason}; {swept.cancelled} orders cancelled"
        alerts.post("breaker", f"{text} in {swept.seconds:.2f} s, {left}", breaker="kill")
