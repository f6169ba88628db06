"""Who may trade for an agent: a lease with a fencing token, judged by the database's clock."""

from dataclasses import dataclass

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


async def acquire(
    db: Database, agent: str, holder: str, ttl_s: float, flow_run_id: str = ""
) -> Lease | None:
    """Take the agent's lease if it is free or expired; None while somebody else holds it."""
    raise NotImplementedError


async def renew(db: Database, lease: Lease, window_slug: str | None = None) -> None:
    """Extend the lease by its TTL and record the heartbeat. Raises `LeaseLost` once superseded."""
    raise NotImplementedError


async def release(db: Database, lease: Lease) -> bool:
    """Give the lease back; False when it was not ours any more."""
    raise NotImplementedError


async def holder(db: Database, agent: str) -> LeaseStatus | None:
    """Return the agent's lease, None if it never had one."""
    raise NotImplementedError


async def all(db: Database) -> list[LeaseStatus]:
    """Return every agent's lease, by agent."""
    raise NotImplementedError
