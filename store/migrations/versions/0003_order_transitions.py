"""Every step of an order's life, in order."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE order_transitions (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    order_id TEXT NOT NULL,
    state TEXT NOT NULL,
    filled NUMERIC(20, 6) NOT NULL,
    note TEXT NOT NULL,
    lease_token BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_order_transitions PRIMARY KEY (id),
    CONSTRAINT ck_order_transitions_state
        CHECK (state IN ('intended', 'signed', 'sent', 'live', 'delayed', 'partial', 'unknown',
                         'filled', 'cancelled', 'rejected', 'expired')),
    CONSTRAINT ck_order_transitions_filled CHECK (filled >= 0),
    CONSTRAINT fk_order_transitions_order_id FOREIGN KEY(order_id) REFERENCES orders (order_id)
);
CREATE INDEX ix_order_transitions_order_id_id ON order_transitions (order_id, id);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE order_transitions")
