"""System events: what happened to the floor, for people and the audit."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from models.tables.columns import from_ns, to_ns
from store.database import Database
from store.rows import json_text


@dataclass(frozen=True, slots=True)
class SystemEvent:
    id: str
    ts_ns: int
    agent: str | None
    kind: str
    detail: Mapping[str, Any]


async def record_event(
    db: Database, kind: str, detail: Mapping[str, Any] | None = None, agent: str | None = None
) -> None:
    """Write one event now. Raises `BadValue` for an unknown agent."""
    await db.execute(
        "INSERT INTO system_events (id, ts, agent, kind, detail)"
        " VALUES (%s, %s, %s, %s, %s::jsonb)",
        (uuid4(), from_ns(time.time_ns()), agent, kind, json_text(detail or {})),
    )


async def recent_events(
    db: Database, limit: int = 50, agent: str | None = None, kind: str | None = None
) -> list[SystemEvent]:
    """Return events, newest first; only an agent's, only of a kind, where these are given."""
    rows = await db.fetch(
        """
        SELECT id, ts, agent, kind, detail FROM system_events
        WHERE (%(agent)s::text IS NULL OR agent = %(agent)s)
          AND (%(kind)s::text IS NULL OR kind = %(kind)s)
        ORDER BY ts DESC, id LIMIT %(limit)s
        """,
        {"agent": agent, "kind": kind, "limit": limit},
    )
    return [
        SystemEvent(str(row["id"]), to_ns(row["ts"]), row["agent"], row["kind"], row["detail"])
        for row in rows
    ]
