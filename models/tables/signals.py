"""Decisions of agents: intents, refusals by risk, resolutions."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from models.tables.columns import Table, TimeNs, column


class SignalRow(Table, table=True):
    __tablename__ = "signals"
    __table_args__ = (Index(None, "agent", "ts"), Index(None, "condition_id"))

    id: UUID = column("id", Uuid, primary_key=True)
    ts_ns: int = column("ts", TimeNs)
    agent: str = column("agent", Text, ForeignKey("agents.name"))
    condition_id: str = column("condition_id", Text)
    """No foreign key: a market may be judged without ever being traded."""
    kind: str = column("kind", Text)
    detail: dict[str, Any] = column("detail", JSONB)
    lease_token: int = column("lease_token", BigInteger)
