"""Prepared successors, and writes that know which of two is the later one."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_VERSIONED = ("orders", "conditional_orders", "executions")

SUCCESSORS = """
ALTER TABLE agent_leases
    ADD COLUMN successor TEXT DEFAULT '' NOT NULL,
    ADD COLUMN successor_at TIMESTAMP WITH TIME ZONE;
"""

VERSIONS = "".join(
    f"""
ALTER TABLE {table}
    ADD COLUMN written_token BIGINT DEFAULT 0 NOT NULL,
    ADD COLUMN written_seq BIGINT DEFAULT 0 NOT NULL;
"""
    for table in _VERSIONED
)

CHECKPOINTS = """
ALTER TABLE agent_checkpoints ADD COLUMN seq BIGINT;
UPDATE agent_checkpoints SET seq = id;
ALTER TABLE agent_checkpoints
    ALTER COLUMN seq SET NOT NULL,
    ADD CONSTRAINT uq_agent_checkpoints_version UNIQUE (agent, lease_token, seq);
"""


def upgrade() -> None:
    op.execute(SUCCESSORS)
    op.execute(VERSIONS)
    op.execute(CHECKPOINTS)


def downgrade() -> None:
    op.execute("ALTER TABLE agent_leases DROP COLUMN successor, DROP COLUMN successor_at")
    for table in _VERSIONED:
        op.execute(f"ALTER TABLE {table} DROP COLUMN written_token, DROP COLUMN written_seq")
    op.execute("ALTER TABLE agent_checkpoints DROP COLUMN seq")
