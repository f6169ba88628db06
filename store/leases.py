"""Who may trade for an agent: a lease with a fencing token, judged by the database's clock."""

from dataclasses import dataclass
from typing import Any

from psycopg.rows import DictRow

from models.errors import BadValue, LeaseLost
from store.database import Database


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it was granted. `token` grows with every grant and fences every write."""

    agent: str
    holder: str
    token: int
    ttl_s: float
    flow_run_id: str = ""


@dataclass(frozen=True, slots=True)
class LeaseStatus:
    """A lease as the database sees it now; ages and times in seconds by its clock."""

    agent: str
    holder: str
    """Empty when nobody holds it (released or never taken)."""
    token: int
    flow_run_id: str
    live: bool
    """Held and not expired."""
    expires_in_s: float
    """Negative once expired; meaningless without a holder."""
    heartbeat_age_s: float | None
    window_slug: str
    successor: str = ""
    """Flow run that is prepared to take over and said so lately; else empty."""


RENEW_PATIENCE_S = 2.0
PATIENCE_S = 10.0
"""How long anything else about a lease waits for Postgres."""
ANNOUNCED_S = 10.0
"""A successor that has said nothing for longer counts as gone."""

# clock_timestamp() rather than now(): a statement that waited for the row's lock must judge
# expiry by the time it got it.
_ACQUIRE = """
    INSERT INTO agent_leases AS lease
        (agent, holder, token, flow_run_id, acquired_at, expires_at, heartbeat_at)
    VALUES (%(agent)s, %(holder)s, 1, %(flow_run_id)s, clock_timestamp(),
            clock_timestamp() + %(ttl_s)s * interval '1 second', clock_timestamp())
    ON CONFLICT (agent) DO UPDATE SET
        holder = excluded.holder,
        token = lease.token + 1,
        flow_run_id = excluded.flow_run_id,
        window_slug = '',
        successor = '',
        successor_at = NULL,
        acquired_at = clock_timestamp(),
        expires_at = clock_timestamp() + %(ttl_s)s * interval '1 second',
        heartbeat_at = clock_timestamp()
    WHERE lease.holder IS NULL OR lease.expires_at <= clock_timestamp()
    RETURNING token
"""

_SUCCESSOR = f"""
    CASE WHEN successor_at > clock_timestamp() - {ANNOUNCED_S} * interval '1 second'
         THEN successor ELSE '' END
"""

_RENEW = f"""
    UPDATE agent_leases SET
        expires_at = clock_timestamp() + %(ttl_s)s * interval '1 second',
        heartbeat_at = clock_timestamp(),
        window_slug = coalesce(%(window_slug)s, window_slug)
    WHERE agent = %(agent)s AND token = %(token)s AND holder = %(holder)s
    RETURNING {_SUCCESSOR} AS successor
"""  # noqa: S608

_STATUS = f"""
    SELECT agent, coalesce(holder, '') AS holder, token, flow_run_id, window_slug,
           (holder IS NOT NULL AND expires_at > clock_timestamp()) AS live,
           extract(epoch FROM expires_at - clock_timestamp())::float8 AS expires_in_s,
           extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 AS heartbeat_age_s,
           {_SUCCESSOR} AS successor
    FROM agent_leases
"""  # noqa: S608


async def acquire(
    db: Database, agent: str, holder: str, ttl_s: float, flow_run_id: str = ""
) -> Lease | None:
    """Take the agent's lease if it is free or expired; None while somebody else holds it.

    Of any number of callers at once exactly one gets it, with a token above every earlier one.

    Raises
    ------
    BadValue
        `holder` is empty, `ttl_s` is not positive, or there is no such agent.
    """
    if not holder or not ttl_s > 0:
        raise BadValue(f"lease of {agent}: holder {holder!r} and ttl_s {ttl_s!r} must be given")
    row = await db.fetch_one(
        _ACQUIRE,
        {"agent": agent, "holder": holder, "ttl_s": ttl_s, "flow_run_id": flow_run_id},
        answer_s=PATIENCE_S,
    )
    return None if row is None else Lease(agent, holder, row["token"], ttl_s, flow_run_id)


async def renew(db: Database, lease: Lease, window_slug: str | None = None) -> str:
    """Extend the lease by its TTL and record the heartbeat.

    An expired lease that nobody took meanwhile can still be renewed: its token is the newest.
    Waits for Postgres no longer than `RENEW_PATIENCE_S`, so that whoever depends on the lease
    learns in time that it can't be renewed.

    Returns
    -------
    str
        Flow run of a successor that announced itself within the last `ANNOUNCED_S`, else empty.

    Raises
    ------
    LeaseLost
        Somebody else took it, or it was released or ended.
    """
    params = _params(lease) | {"ttl_s": lease.ttl_s, "window_slug": window_slug}
    row = await db.fetch_one(_RENEW, params, answer_s=RENEW_PATIENCE_S)
    if row is None:
        raise lost(lease)
    return str(row["successor"])


async def announce(db: Database, agent: str, flow_run_id: str) -> bool:
    """Say that a prepared session waits to take over; say it again every few seconds.

    The holder hears of it when it renews (`renew`), and whoever acquires the lease clears it.
    False where the agent never had a lease: then it is free anyway.
    """
    changed = await db.execute(
        "UPDATE agent_leases SET successor = %s, successor_at = clock_timestamp() WHERE agent = %s",
        (flow_run_id, agent),
        answer_s=RENEW_PATIENCE_S,
    )
    return changed > 0


async def release(db: Database, lease: Lease) -> bool:
    """Give the lease back; False when it was not ours any more."""
    return await expire(db, lease.agent, lease.token)


async def expire(db: Database, agent: str, token: int) -> bool:
    """End the grant with this token at once, when its holder is known to be dead.

    Its writes are refused from now on. False when that grant had ended already.
    """
    changed = await db.execute(
        "UPDATE agent_leases SET holder = NULL, expires_at = clock_timestamp()"
        " WHERE agent = %s AND token = %s AND holder IS NOT NULL",
        (agent, token),
        answer_s=PATIENCE_S,
    )
    return changed > 0


async def holder(db: Database, agent: str) -> LeaseStatus | None:
    """Return the agent's lease, None if it never had one."""
    row = await db.fetch_one(f"{_STATUS} WHERE agent = %s", (agent,), answer_s=PATIENCE_S)
    return None if row is None else _status(row)


async def all(db: Database) -> list[LeaseStatus]:
    """Return every agent's lease, by agent."""
    return [
        _status(row) for row in await db.fetch(f"{_STATUS} ORDER BY agent", answer_s=PATIENCE_S)
    ]


def lost(lease: Lease) -> LeaseLost:
    return LeaseLost(
        f"the lease of {lease.agent} with token {lease.token} is no longer held by "
        f"{lease.holder}; another session has taken over or it was ended"
    )


def _params(lease: Lease) -> dict[str, Any]:
    return {"agent": lease.agent, "token": lease.token, "holder": lease.holder}


def _status(row: DictRow) -> LeaseStatus:
    return LeaseStatus(
        agent=row["agent"],
        holder=row["holder"],
        token=row["token"],
        flow_run_id=row["flow_run_id"],
        live=row["live"],
        expires_in_s=row["expires_in_s"],
        heartbeat_age_s=row["heartbeat_age_s"],
        window_slug=row["window_slug"],
        successor=row["successor"],
    )
