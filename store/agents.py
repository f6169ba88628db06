"""The agents table: what is desired, what is known, and who was restarted how often."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from psycopg.rows import DictRow

from models.agents import AgentSpec, AgentStatus, Lifecycle
from models.errors import BadValue
from store.database import Database
from store.rows import e6


@dataclass(frozen=True, slots=True)
class AgentOverview:
    """One agent at a glance; cash in e6."""

    name: str
    strategy: str
    status: AgentStatus
    lifecycle: Lifecycle
    desired: bool
    """Whether a session of it should be running: enabled, not paused, not retired."""
    reason: str
    """Why it is paused or failed; else empty."""
    capital_e6: int
    pnl_today_e6: int
    """Result of the windows settled this UTC day."""
    pnl_total_e6: int
    open_orders: int
    position_cost_e6: int
    """What the shares still held cost, fees left out."""
    heartbeat_age_s: float | None
    restarts_last_hour: int
    window_slug: str
    lease_holder: str
    lease_live: bool


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often an agent was restarted lately."""

    last_hour: int
    in_a_row: int
    """Up to now, each close to the one before (see `in_a_row`)."""


CLOSE_S = 300.0
"""A restart that holds for longer ends the row: the next one waits as little as a first."""
LONGEST_BACK_OFF_S = 300.0

_FORGIVE = "DELETE FROM agent_restarts WHERE agent = %s"

_SYNC = """
    INSERT INTO agents (name, strategy, spec, capital, enabled)
    VALUES (%(name)s, %(strategy)s, %(spec)s::jsonb, %(capital)s, %(enabled)s)
    ON CONFLICT (name) DO UPDATE SET
        strategy = excluded.strategy, spec = excluded.spec, capital = excluded.capital,
        enabled = excluded.enabled, updated_at = now()
    WHERE (agents.strategy, agents.spec, agents.capital, agents.enabled)
        IS DISTINCT FROM (excluded.strategy, excluded.spec, excluded.capital, excluded.enabled)
"""

_OVERVIEW = """
    SELECT a.name, a.strategy, a.status, a.lifecycle, a.status_reason, a.capital,
        (a.enabled AND a.status <> 'paused' AND a.lifecycle <> 'retired') AS desired,
        coalesce(t.today, 0) AS pnl_today, coalesce(t.total, 0) AS pnl_total,
        (SELECT count(*) FROM orders o WHERE o.agent = a.name
            AND o.state NOT IN ('filled', 'cancelled', 'rejected', 'expired')) AS open_orders,
        coalesce(p.cost, 0) AS position_cost,
        extract(epoch FROM clock_timestamp() - l.heartbeat_at)::float8 AS heartbeat_age_s,
        (SELECT count(*) FROM agent_restarts r WHERE r.agent = a.name
            AND r.restarted_at > clock_timestamp() - interval '1 hour') AS restarts,
        coalesce(l.window_slug, '') AS window_slug,
        coalesce(l.holder, '') AS holder,
        coalesce(l.holder IS NOT NULL AND l.expires_at > clock_timestamp(), false) AS live
    FROM agents a
    LEFT JOIN agent_leases l ON l.agent = a.name
    LEFT JOIN LATERAL (
        SELECT sum(pnl) AS total,
            sum(pnl) FILTER (WHERE closed_at >= date_trunc('day', now(), 'UTC')) AS today
        FROM trades WHERE agent = a.name
    ) t ON true
    LEFT JOIN LATERAL (
        SELECT round(sum(bought_cash * size / bought), 6) AS cost
        FROM positions WHERE agent = a.name AND NOT settled AND size > 0 AND bought > 0
    ) p ON true
    WHERE a.lifecycle <> 'retired'
    ORDER BY a.name
"""


async def sync_agents(
    db: Database, specs: Sequence[AgentSpec], disable_missing: bool = True
) -> None:
    """Make the table agree with the agent files.

    An agent without a file is disabled, never removed; with `disable_missing` False the others
    are left alone.
    """
    async with db.transaction() as connection:
        for spec in specs:
            params = {
                "name": spec.name,
                "strategy": spec.strategy,
                "spec": spec.model_dump_json(),
                "capital": spec.capital_usd,
                "enabled": spec.enabled,
            }
            await connection.execute(_SYNC, params)
        if disable_missing:
            await connection.execute(
                "UPDATE agents SET enabled = false, updated_at = now()"
                " WHERE enabled AND name <> ALL(%s)",
                ([spec.name for spec in specs],),
            )


async def agent_overview(db: Database) -> list[AgentOverview]:
    """Return every agent that is not retired, by name."""
    return [_overview(row) for row in await db.fetch(_OVERVIEW)]


async def wanted_agents(db: Database) -> set[str]:
    """Return the agents `agent_overview` calls desired; cheap enough to ask often."""
    rows = await db.fetch(
        "SELECT name FROM agents WHERE enabled AND status <> 'paused' AND lifecycle <> 'retired'"
    )
    return {row["name"] for row in rows}


async def load_spec(db: Database, agent: str) -> AgentSpec:
    """Return an agent's spec. Raises `BadValue` if there is no such agent."""
    row = await db.fetch_one("SELECT spec FROM agents WHERE name = %s", (agent,))
    if row is None:
        raise _unknown(agent)
    return AgentSpec.model_validate(row["spec"])


async def set_status(db: Database, agent: str, status: AgentStatus, reason: str = "") -> bool:
    """Record what an agent does now; False (and no change) where it is paused.

    PAUSED needs a reason. Only `resume` ends a pause, so that a session that stops can't undo it.
    """
    if status is AgentStatus.PAUSED:
        await pause(db, agent, reason)
        return True
    row = await db.fetch_one(
        """
        UPDATE agents SET
            status = CASE WHEN status = 'paused' THEN status ELSE %(status)s END,
            status_reason = CASE WHEN status = 'paused' THEN status_reason ELSE %(reason)s END,
            updated_at = now()
        WHERE name = %(agent)s RETURNING status
        """,
        {"agent": agent, "status": status.value, "reason": reason},
    )
    if row is None:
        raise _unknown(agent)
    return bool(row["status"] == status.value)


async def pause(db: Database, agent: str, reason: str) -> bool:
    """Hold an agent until `resume`; its session sees it and winds down.

    Returns
    -------
    bool
        False where it was paused already, though for another reason perhaps: whoever pauses it
        tells people, so that they hear of it once.
    """
    if not reason:
        raise BadValue(f"pause of {agent}: give a reason, people will want to know")
    row = await db.fetch_one(
        """
        UPDATE agents SET status = 'paused', status_reason = %(reason)s, updated_at = now()
        FROM (SELECT name, status FROM agents WHERE name = %(agent)s FOR UPDATE) AS before
        WHERE agents.name = before.name RETURNING before.status
        """,
        {"agent": agent, "reason": reason},
    )
    if row is None:
        raise _unknown(agent)
    return bool(row["status"] != AgentStatus.PAUSED.value)


async def resume(db: Database, agent: str) -> None:
    """End a pause: the agent becomes STOPPED and desired again, with a fresh restart budget."""
    async with db.transaction() as connection:
        cursor = await connection.execute(
            """
            UPDATE agents SET
                status = CASE WHEN status = 'paused' THEN 'stopped' ELSE status END,
                status_reason = CASE WHEN status = 'paused' THEN '' ELSE status_reason END,
                updated_at = now()
            WHERE name = %s
            """,
            (agent,),
        )
        if cursor.rowcount == 0:
            raise _unknown(agent)
        await connection.execute(_FORGIVE, (agent,))


async def record_restart(db: Database, agent: str, reason: str) -> int:
    """Note a restart; returns how many the last hour had, this one included."""
    await db.execute("INSERT INTO agent_restarts (agent, reason) VALUES (%s, %s)", (agent, reason))
    return await restarts_last_hour(db, agent)


async def restarts(db: Database, agent: str) -> Restarts:
    """Return how often the agent was restarted lately, by the database's clock."""
    rows = await db.fetch(
        "SELECT extract(epoch FROM clock_timestamp() - restarted_at)::float8 AS age_s"
        " FROM agent_restarts WHERE agent = %s"
        " AND restarted_at > clock_timestamp() - interval '1 day' ORDER BY restarted_at DESC",
        (agent,),
    )
    ages_s = [row["age_s"] for row in rows]
    return Restarts(sum(age < 3600.0 for age in ages_s), in_a_row(ages_s))


def in_a_row(ages_s: Sequence[float]) -> int:
    """Count the restarts that followed each other closely, up to now.

    Close means within `CLOSE_S` of the end of the back-off the one before had to wait out.

    Parameters
    ----------
    ages_s
        How long ago each restart was, the newest first.
    """
    count, before_s = 0, inf
    for age_s in [*reversed(ages_s), 0.0]:
        close = before_s - age_s <= CLOSE_S + back_off_s(count)
        count, before_s = (count if close else 0) + 1, age_s
    return count - 1  # the last one counted is now


def back_off_s(count: int) -> float:
    """Seconds to wait before restart number `count` in a row: 1, 2, 4, 8, 16 ... 300."""
    return 0.0 if count < 1 else min(LONGEST_BACK_OFF_S, 2.0 ** min(count - 1, 30))


async def forgive_restarts(db: Database, agent: str) -> int:
    """Take the agent's restarts off its budget and its back-off; returns how many there were."""
    return await db.execute(_FORGIVE, (agent,))


async def restarts_last_hour(db: Database, agent: str) -> int:
    return (await restarts(db, agent)).last_hour


def _unknown(agent: str) -> BadValue:
    return BadValue(f"no agent {agent!r}; `floor agents list` shows those there are")


def _overview(row: DictRow) -> AgentOverview:
    return AgentOverview(
        name=row["name"],
        strategy=row["strategy"],
        status=AgentStatus(row["status"]),
        lifecycle=Lifecycle(row["lifecycle"]),
        desired=row["desired"],
        reason=row["status_reason"],
        capital_e6=e6(row["capital"]),
        pnl_today_e6=e6(row["pnl_today"]),
        pnl_total_e6=e6(row["pnl_total"]),
        open_orders=row["open_orders"],
        position_cost_e6=e6(row["position_cost"]),
        heartbeat_age_s=row["heartbeat_age_s"],
        restarts_last_hour=row["restarts"],
        window_slug=row["window_slug"],
        lease_holder=row["holder"],
        lease_live=row["live"],
    )
