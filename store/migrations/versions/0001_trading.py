"""Agents, markets, orders, fills and what they add up to."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE agents (
    name TEXT NOT NULL,
    strategy TEXT NOT NULL,
    spec JSONB NOT NULL,
    capital NUMERIC(20, 6) NOT NULL,
    enabled BOOLEAN NOT NULL,
    status TEXT DEFAULT 'stopped' NOT NULL,
    status_reason TEXT DEFAULT '' NOT NULL,
    lifecycle TEXT DEFAULT 'paper' NOT NULL,
    parent TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_agents PRIMARY KEY (name),
    CONSTRAINT ck_agents_name CHECK (name ~ '^[a-z][a-z0-9-]{1,62}$'),
    CONSTRAINT ck_agents_status
        CHECK (status IN ('stopped', 'starting', 'running', 'paused', 'failed')),
    CONSTRAINT ck_agents_lifecycle
        CHECK (lifecycle IN ('candidate', 'paper', 'live', 'retired')),
    CONSTRAINT ck_agents_capital CHECK (capital > 0),
    CONSTRAINT ck_agents_pause_has_reason CHECK (status <> 'paused' OR status_reason <> ''),
    CONSTRAINT fk_agents_parent FOREIGN KEY(parent) REFERENCES agents (name)
);

CREATE TABLE agent_leases (
    agent TEXT NOT NULL,
    holder TEXT,
    token BIGINT NOT NULL,
    flow_run_id TEXT DEFAULT '' NOT NULL,
    window_slug TEXT DEFAULT '' NOT NULL,
    acquired_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    heartbeat_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_agent_leases PRIMARY KEY (agent),
    CONSTRAINT ck_agent_leases_token CHECK (token > 0),
    CONSTRAINT ck_agent_leases_holder CHECK (holder <> ''),
    CONSTRAINT fk_agent_leases_agent FOREIGN KEY(agent) REFERENCES agents (name)
);

CREATE TABLE agent_checkpoints (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    agent TEXT NOT NULL,
    saved_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    lease_token BIGINT NOT NULL,
    state JSONB NOT NULL,
    CONSTRAINT pk_agent_checkpoints PRIMARY KEY (id),
    CONSTRAINT fk_agent_checkpoints_agent FOREIGN KEY(agent) REFERENCES agents (name)
);
CREATE INDEX ix_agent_checkpoints_agent ON agent_checkpoints (agent, id DESC);

CREATE TABLE agent_restarts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    agent TEXT NOT NULL,
    restarted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    reason TEXT NOT NULL,
    CONSTRAINT pk_agent_restarts PRIMARY KEY (id),
    CONSTRAINT fk_agent_restarts_agent FOREIGN KEY(agent) REFERENCES agents (name)
);
CREATE INDEX ix_agent_restarts_agent_restarted_at ON agent_restarts (agent, restarted_at);

CREATE TABLE markets (
    condition_id TEXT NOT NULL,
    slug TEXT NOT NULL,
    question TEXT NOT NULL,
    asset TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    up_token TEXT NOT NULL,
    down_token TEXT NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    tick NUMERIC(6, 4) NOT NULL,
    min_size NUMERIC(20, 6) NOT NULL,
    fee_rate_ppm INTEGER NOT NULL,
    fee_exponent SMALLINT NOT NULL,
    rebate_ppm INTEGER NOT NULL,
    fee_of_notional BOOLEAN NOT NULL,
    settlement TEXT NOT NULL,
    neg_risk BOOLEAN NOT NULL,
    strike NUMERIC(20, 8),
    winner TEXT,
    resolved_at TIMESTAMP WITH TIME ZONE,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_markets PRIMARY KEY (condition_id),
    CONSTRAINT uq_markets_up_token UNIQUE (up_token),
    CONSTRAINT uq_markets_down_token UNIQUE (down_token),
    CONSTRAINT ck_markets_settlement CHECK (settlement IN ('boundary', 'twap60')),
    CONSTRAINT ck_markets_winner CHECK (winner IN ('Up', 'Down')),
    CONSTRAINT ck_markets_two_tokens CHECK (up_token <> down_token),
    CONSTRAINT ck_markets_window CHECK (starts_at < ends_at),
    CONSTRAINT ck_markets_tick CHECK (tick > 0 AND tick < 1),
    CONSTRAINT ck_markets_min_size CHECK (min_size >= 0),
    CONSTRAINT ck_markets_fee_rate_ppm CHECK (fee_rate_ppm BETWEEN 0 AND 1000000),
    CONSTRAINT ck_markets_fee_exponent CHECK (fee_exponent BETWEEN 0 AND 10),
    CONSTRAINT ck_markets_rebate_ppm CHECK (rebate_ppm BETWEEN 0 AND 1000000),
    CONSTRAINT ck_markets_strike CHECK (strike > 0),
    CONSTRAINT ck_markets_resolution CHECK ((winner IS NULL) = (resolved_at IS NULL))
);
CREATE INDEX ix_markets_asset_timeframe_starts_at ON markets (asset, timeframe, starts_at);
CREATE INDEX ix_markets_slug ON markets (slug);

CREATE TABLE orders (
    order_id TEXT NOT NULL,
    intent_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    condition_id TEXT NOT NULL,
    token_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    side TEXT NOT NULL,
    price NUMERIC(6, 4) NOT NULL,
    size NUMERIC(20, 6) NOT NULL,
    tif TEXT NOT NULL,
    post_only BOOLEAN NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    filled NUMERIC(20, 6) NOT NULL,
    note TEXT NOT NULL,
    payload JSONB NOT NULL,
    lease_token BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_orders PRIMARY KEY (order_id),
    CONSTRAINT uq_orders_identity UNIQUE (order_id, agent, condition_id, token_id, outcome,
            side),
    CONSTRAINT ck_orders_outcome CHECK (outcome IN ('Up', 'Down')),
    CONSTRAINT ck_orders_side CHECK (side IN ('BUY', 'SELL')),
    CONSTRAINT ck_orders_tif CHECK (tif IN ('GTC', 'GTD', 'FOK', 'FAK')),
    CONSTRAINT ck_orders_state
        CHECK (state IN ('intended', 'signed', 'sent', 'live', 'delayed', 'partial',
            'unknown', 'filled', 'cancelled', 'rejected', 'expired')),
    CONSTRAINT ck_orders_price CHECK (price > 0 AND price < 1),
    CONSTRAINT ck_orders_size CHECK (size > 0),
    CONSTRAINT ck_orders_filled
        CHECK (filled >= 0 AND (filled <= size OR (side = 'BUY' AND tif IN ('FOK', 'FAK')))),
    CONSTRAINT ck_orders_expiry CHECK ((tif = 'GTD') = (expires_at IS NOT NULL)),
    CONSTRAINT ck_orders_post_only_rests CHECK (NOT (post_only AND tif IN ('FOK', 'FAK'))),
    CONSTRAINT fk_orders_agent FOREIGN KEY(agent) REFERENCES agents (name),
    CONSTRAINT fk_orders_condition_id FOREIGN KEY(condition_id)
        REFERENCES markets (condition_id)
);
CREATE INDEX ix_orders_agent_intent_id ON orders (agent, intent_id);
CREATE INDEX ix_orders_condition_id ON orders (condition_id);
CREATE INDEX ix_orders_open
    ON orders (agent, created_at)
    WHERE state NOT IN ('filled', 'cancelled', 'rejected', 'expired');

CREATE TABLE fills (
    trade_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    condition_id TEXT NOT NULL,
    token_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    side TEXT NOT NULL,
    role TEXT NOT NULL,
    size NUMERIC(20, 6) NOT NULL,
    cash NUMERIC(20, 6) NOT NULL,
    fee NUMERIC(20, 6) NOT NULL,
    status TEXT NOT NULL,
    transaction_hash TEXT NOT NULL,
    matched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_fills PRIMARY KEY (trade_id, order_id),
    CONSTRAINT fk_fills_order FOREIGN KEY(order_id, agent, condition_id, token_id, outcome,
            side)
        REFERENCES orders (order_id, agent, condition_id, token_id, outcome, side),
    CONSTRAINT ck_fills_role CHECK (role IN ('MAKER', 'TAKER')),
    CONSTRAINT ck_fills_status
        CHECK (status IN ('MATCHED', 'MINED', 'CONFIRMED', 'RETRYING', 'FAILED')),
    CONSTRAINT ck_fills_size CHECK (size > 0),
    CONSTRAINT ck_fills_cash CHECK (cash >= 0 AND cash <= size),
    CONSTRAINT ck_fills_fee CHECK (fee >= 0)
);
CREATE INDEX ix_fills_agent_condition_id ON fills (agent, condition_id);
CREATE INDEX ix_fills_agent_token_id ON fills (agent, token_id);
CREATE INDEX ix_fills_matched_at ON fills (matched_at);
CREATE INDEX ix_fills_order_id ON fills (order_id);

CREATE TABLE positions (
    agent TEXT NOT NULL,
    token_id TEXT NOT NULL,
    condition_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    size NUMERIC(20, 6) NOT NULL,
    bought NUMERIC(20, 6) NOT NULL,
    sold NUMERIC(20, 6) NOT NULL,
    bought_cash NUMERIC(20, 6) NOT NULL,
    sold_cash NUMERIC(20, 6) NOT NULL,
    fees NUMERIC(20, 6) NOT NULL,
    settled BOOLEAN DEFAULT false NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_positions PRIMARY KEY (agent, token_id),
    CONSTRAINT ck_positions_outcome CHECK (outcome IN ('Up', 'Down')),
    CONSTRAINT ck_positions_size CHECK (size = bought - sold),
    CONSTRAINT ck_positions_sums
        CHECK (least(bought, sold, bought_cash, sold_cash, fees) >= 0),
    CONSTRAINT fk_positions_agent FOREIGN KEY(agent) REFERENCES agents (name),
    CONSTRAINT fk_positions_condition_id FOREIGN KEY(condition_id)
        REFERENCES markets (condition_id)
);
CREATE INDEX ix_positions_condition_id ON positions (condition_id);

CREATE TABLE trades (
    agent TEXT NOT NULL,
    condition_id TEXT NOT NULL,
    slug TEXT NOT NULL,
    winner TEXT NOT NULL,
    bought NUMERIC(20, 6) NOT NULL,
    sold NUMERIC(20, 6) NOT NULL,
    fees NUMERIC(20, 6) NOT NULL,
    payout NUMERIC(20, 6) NOT NULL,
    pnl NUMERIC(20, 6) NOT NULL,
    fills INTEGER NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_trades PRIMARY KEY (agent, condition_id),
    CONSTRAINT ck_trades_winner CHECK (winner IN ('Up', 'Down')),
    CONSTRAINT ck_trades_sums CHECK (least(bought, sold, fees, fills) >= 0),
    CONSTRAINT ck_trades_pnl CHECK (pnl = sold + payout - bought - fees),
    CONSTRAINT fk_trades_agent FOREIGN KEY(agent) REFERENCES agents (name),
    CONSTRAINT fk_trades_condition_id FOREIGN KEY(condition_id)
        REFERENCES markets (condition_id)
);
CREATE INDEX ix_trades_agent_closed_at ON trades (agent, closed_at);
"""

DROP = """
DROP TABLE trades;
DROP TABLE positions;
DROP TABLE fills;
DROP TABLE orders;
DROP TABLE markets;
DROP TABLE agent_restarts;
DROP TABLE agent_checkpoints;
DROP TABLE agent_leases;
DROP TABLE agents;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute(DROP)
