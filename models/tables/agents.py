"""Tables about agents: what they are, who holds them, where they were, how often they fell."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from models.agents import AgentStatus, Lifecycle
from models.tables.columns import CashE6, Table, TimeNs, Word, check, column, one_of


class AgentRow(Table, table=True):
    __tablename__ = "agents"
    __table_args__ = (
        check("name", "name ~ '^[a-z][a-z0-9-]{1,62}$'"),
        one_of("status", AgentStatus),
        one_of("lifecycle", Lifecycle),
        check("capital", "capital > 0"),
        check("pause_has_reason", "status <> 'paused' OR status_reason <> ''"),
    )

    name: str = column("name", Text, primary_key=True)
    strategy: str = column("strategy", Text)
    spec: dict[str, Any] = column("spec", JSONB)
    """The agent file as it was last read."""
    capital_e6: int = column("capital", CashE6)
    enabled: bool = column("enabled", Boolean)
    status: AgentStatus = column("status", Word(AgentStatus), server_default="stopped")
    status_reason: str = column("status_reason", Text, server_default="")
    """Why it is paused or failed."""
    lifecycle: Lifecycle = column("lifecycle", Word(Lifecycle), server_default="paper")
    parent: str | None = column("parent", Text, ForeignKey("agents.name"), nullable=True)
    """The agent it was cloned from."""
    created_ns: int = column("created_at", TimeNs, server_default=text("now()"))
    updated_ns: int = column("updated_at", TimeNs, server_default=text("now()"))


class AgentLeaseRow(Table, table=True):
    __tablename__ = "agent_leases"
    __table_args__ = (
        check("token", "token > 0"),
        check("holder", "holder <> ''"),
    )

    agent: str = column("agent", Text, ForeignKey("agents.name"), primary_key=True)
    holder: str | None = column("holder", Text, nullable=True)
    """NULL once released."""
    token: int = column("token", BigInteger)
    """Grows with every grant; a write that carries an older one is refused."""
    flow_run_id: str = column("flow_run_id", Text, server_default="")
    window_slug: str = column("window_slug", Text, server_default="")
    acquired_ns: int = column("acquired_at", TimeNs)
    expires_ns: int = column("expires_at", TimeNs)
    heartbeat_ns: int = column("heartbeat_at", TimeNs)
    successor: str = column("successor", Text, server_default="")
    """Flow run of a session that is prepared to take over."""
    successor_ns: int | None = column("successor_at", TimeNs, nullable=True)
    """When it last said so."""


class AgentCheckpointRow(Table, table=True):
    __tablename__ = "agent_checkpoints"
    __table_args__ = (
        Index(None, "agent", text("id DESC")),
        UniqueConstraint("agent", "lease_token", "seq", name="uq_agent_checkpoints_version"),
    )

    id: int | None = column("id", BigInteger, Identity(always=True), primary_key=True, default=None)
    agent: str = column("agent", Text, ForeignKey("agents.name"))
    saved_ns: int = column("saved_at", TimeNs, server_default=text("now()"))
    lease_token: int = column("lease_token", BigInteger)
    seq: int = column("seq", BigInteger)
    """Grows with every write of a session; (lease_token, seq) says which of two is the later."""
    state: dict[str, Any] = column("state", JSONB)


class AgentRestartRow(Table, table=True):
    """The ledger behind the restart budget."""

    __tablename__ = "agent_restarts"
    __table_args__ = (Index(None, "agent", "restarted_at"),)

    id: int | None = column("id", BigInteger, Identity(always=True), primary_key=True, default=None)
    agent: str = column("agent", Text, ForeignKey("agents.name"))
    restarted_ns: int = column("restarted_at", TimeNs, server_default=text("clock_timestamp()"))
    reason: str = column("reason", Text)
