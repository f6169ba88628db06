"""Conditional orders that follow a position, and executions."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Nothing has written conditional orders before this migration, so the table is made anew.
CONDITIONS = """
DROP TABLE conditional_orders;
CREATE TABLE conditional_orders (
    id TEXT NOT NULL,
    group_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    condition_id TEXT NOT NULL,
    token_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    kind TEXT NOT NULL,
    trigger_price NUMERIC(6, 4),
    trail_bps INTEGER,
    high_price NUMERIC(6, 4),
    due_at TIMESTAMP WITH TIME ZONE,
    size NUMERIC(20, 6),
    slippage_ticks INTEGER NOT NULL,
    intent_id TEXT DEFAULT '' NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    state TEXT NOT NULL,
    note TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    triggered_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_conditional_orders PRIMARY KEY (id),
    CONSTRAINT ck_conditional_orders_kind
        CHECK (kind IN ('stop_loss', 'take_profit', 'trailing_stop', 'time_exit')),
    CONSTRAINT ck_conditional_orders_state
        CHECK (state IN ('armed', 'triggered', 'done', 'cancelled', 'failed')),
    CONSTRAINT ck_conditional_orders_outcome CHECK (outcome IN ('Up', 'Down')),
    CONSTRAINT ck_conditional_orders_trigger_price
        CHECK ((kind IN ('stop_loss', 'take_profit')) = (trigger_price IS NOT NULL)
               AND trigger_price > 0 AND trigger_price < 1),
    CONSTRAINT ck_conditional_orders_trail
        CHECK ((kind = 'trailing_stop') = (trail_bps IS NOT NULL)
               AND trail_bps > 0 AND trail_bps < 10000),
    CONSTRAINT ck_conditional_orders_due CHECK ((kind = 'time_exit') = (due_at IS NOT NULL)),
    CONSTRAINT ck_conditional_orders_size CHECK (size > 0),
    CONSTRAINT ck_conditional_orders_slippage CHECK (slippage_ticks >= 0),
    CONSTRAINT ck_conditional_orders_triggered
        CHECK (state <> 'armed' OR triggered_at IS NULL),
    CONSTRAINT fk_conditional_orders_agent FOREIGN KEY(agent) REFERENCES agents (name),
    CONSTRAINT fk_conditional_orders_condition_id FOREIGN KEY(condition_id)
        REFERENCES markets (condition_id)
);
CREATE INDEX ix_conditional_orders_armed
    ON conditional_orders (agent, condition_id)
    WHERE state IN ('armed', 'triggered');
CREATE INDEX ix_conditional_orders_group_id ON conditional_orders (group_id);
"""

EXECUTIONS = """
CREATE TABLE executions (
    id TEXT NOT NULL,
    agent TEXT NOT NULL,
    condition_id TEXT NOT NULL,
    token_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    side TEXT NOT NULL,
    algo TEXT NOT NULL,
    size NUMERIC(20, 6) NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    price NUMERIC(6, 4),
    at_end TEXT NOT NULL,
    plan JSONB NOT NULL,
    progress JSONB NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    state TEXT NOT NULL,
    note TEXT DEFAULT '' NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_executions PRIMARY KEY (id),
    CONSTRAINT ck_executions_outcome CHECK (outcome IN ('Up', 'Down')),
    CONSTRAINT ck_executions_side CHECK (side IN ('BUY', 'SELL')),
    CONSTRAINT ck_executions_algo CHECK (algo IN ('twap', 'vwap', 'iceberg', 'passive')),
    CONSTRAINT ck_executions_at_end CHECK (at_end IN ('finish', 'give_up')),
    CONSTRAINT ck_executions_state
        CHECK (state IN ('working', 'done', 'given_up', 'cancelled')),
    CONSTRAINT ck_executions_price CHECK (price > 0 AND price < 1),
    CONSTRAINT ck_executions_size CHECK (size > 0),
    CONSTRAINT ck_executions_time CHECK (starts_at < ends_at),
    CONSTRAINT fk_executions_agent FOREIGN KEY(agent) REFERENCES agents (name),
    CONSTRAINT fk_executions_condition_id FOREIGN KEY(condition_id)
        REFERENCES markets (condition_id)
);
CREATE INDEX ix_executions_working
    ON executions (agent, condition_id)
    WHERE state = 'working';
"""

BEFORE = """
DROP TABLE executions;
DROP TABLE conditional_orders;
CREATE TABLE conditional_orders (
    id TEXT NOT NULL,
    group_id TEXT,
    agent TEXT NOT NULL,
    condition_id TEXT NOT NULL,
    token_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    side TEXT NOT NULL,
    kind TEXT NOT NULL,
    trigger_price NUMERIC(6, 4) NOT NULL,
    limit_price NUMERIC(6, 4),
    trail NUMERIC(6, 4),
    size NUMERIC(20, 6) NOT NULL,
    state TEXT NOT NULL,
    order_id TEXT,
    note TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    triggered_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_conditional_orders PRIMARY KEY (id),
    CONSTRAINT ck_conditional_orders_kind
        CHECK (kind IN ('stop_loss', 'take_profit', 'trailing_stop')),
    CONSTRAINT ck_conditional_orders_state
        CHECK (state IN ('armed', 'triggered', 'done', 'cancelled', 'failed')),
    CONSTRAINT ck_conditional_orders_outcome CHECK (outcome IN ('Up', 'Down')),
    CONSTRAINT ck_conditional_orders_side CHECK (side IN ('BUY', 'SELL')),
    CONSTRAINT ck_conditional_orders_trigger_price
        CHECK (trigger_price > 0 AND trigger_price < 1),
    CONSTRAINT ck_conditional_orders_limit_price
        CHECK (limit_price > 0 AND limit_price < 1),
    CONSTRAINT ck_conditional_orders_trail
        CHECK ((kind = 'trailing_stop') = (trail IS NOT NULL) AND trail > 0),
    CONSTRAINT ck_conditional_orders_size CHECK (size > 0),
    CONSTRAINT ck_conditional_orders_triggered
        CHECK (state <> 'armed' OR triggered_at IS NULL),
    CONSTRAINT fk_conditional_orders_agent FOREIGN KEY(agent) REFERENCES agents (name),
    CONSTRAINT fk_conditional_orders_condition_id FOREIGN KEY(condition_id)
        REFERENCES markets (condition_id),
    CONSTRAINT fk_conditional_orders_order_id FOREIGN KEY(order_id)
        REFERENCES orders (order_id)
);
CREATE INDEX ix_conditional_orders_armed
    ON conditional_orders (agent, condition_id)
    WHERE state = 'armed';
CREATE INDEX ix_conditional_orders_group_id ON conditional_orders (group_id);
"""


def upgrade() -> None:
    op.execute(CONDITIONS)
    op.execute(EXECUTIONS)


def downgrade() -> None:
    op.execute(BEFORE)
