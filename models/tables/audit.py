"""The audit log: append-only, each row sealed with the hash of the one before.

Triggers (see the first migration) number and seal the rows and refuse to change or remove any.
"""

from typing import Any

from sqlalchemy import BigInteger, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

from models.tables.columns import Table, TimeNs, check, column


class AuditLogRow(Table, table=True):
    __tablename__ = "audit_log"
    __table_args__ = (
        UniqueConstraint("prev_hash"),
        check("seq", "seq > 0"),
        check("hash", "hash ~ '^[0-9a-f]{64}$' AND prev_hash ~ '^[0-9a-f]{64}$'"),
    )

    seq: int = column("seq", BigInteger, primary_key=True, autoincrement=False)
    """Without gaps."""
    ts_ns: int = column("ts", TimeNs)
    actor: str = column("actor", Text)
    action: str = column("action", Text)
    subject: str = column("subject", Text)
    detail: dict[str, Any] = column("detail", JSONB)
    prev_hash: str = column("prev_hash", Text)
    hash: str = column("hash", Text)
