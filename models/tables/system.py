"""What happened to the floor, and its switches."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from models.tables.columns import Table, TimeNs, column


class SystemEventRow(Table, table=True):
    __tablename__ = "system_events"
    __table_args__ = (Index(None, "ts"), Index(None, "agent", "ts"))

    id: UUID = column("id", Uuid, primary_key=True)
    ts_ns: int = column("ts", TimeNs)
    agent: str | None = column("agent", Text, ForeignKey("agents.name"), nullable=True)
    kind: str = column("kind", Text)
    detail: dict[str, Any] = column("detail", JSONB)
    lease_token: int | None = column("lease_token", BigInteger, nullable=True)


class SystemStateRow(Table, table=True):
    __tablename__ = "system_state"

    key: str = column("key", Text, primary_key=True)
    value: Any = column("value", JSONB)
    updated_ns: int = column("updated_at", TimeNs, server_default=text("now()"))
