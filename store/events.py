"""System events and signals: what happened and what was decided, for people and the audit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from store.database import Database


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
    """Write one event now."""
    raise NotImplementedError


async def recent_events(
    db: Database, limit: int = 50, agent: str | None = None, kind: str | None = None
) -> list[SystemEvent]:
    """Return events, newest first."""
    raise NotImplementedError
