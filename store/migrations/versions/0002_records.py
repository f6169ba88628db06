"""Market data, decisions, events, metrics, snapshots and the audit log."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE portfolio_snapshots (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    agent TEXT,
    taken_at TIMESTAMP WITH TIME ZONE NOT NULL,
    cash NUMERIC(20, 6) NOT NULL,
    position_cost NUMERIC(20, 6) NOT NULL,
    position_value NUMERIC(20, 6) NOT NULL,
    equity NUMERIC(20, 6) NOT NULL,
    realised NUMERIC(20, 6) NOT NULL,
    unrealised NUMERIC(20, 6) NOT NULL,
    CONSTRAINT pk_portfolio_snapshots PRIMARY KEY (id),
    CONSTRAINT ck_portfolio_snapshots_position_cost CHECK (position_cost >= 0),
    CONSTRAINT ck_portfolio_snapshots_position_value CHECK (position_value >= 0),
    CONSTRAINT ck_portfolio_snapshots_equity CHECK (equity = cash + position_value),
    CONSTRAINT fk_portfolio_snapshots_agent FOREIGN KEY(agent) REFERENCES agents (name)
);
CREATE UNIQUE INDEX uq_portfolio_snapshots_agent_taken_at
    ON portfolio_snapshots (agent, taken_at)
    NULLS NOT DISTINCT;

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

CREATE TABLE signals (
    id UUID NOT NULL,
    ts TIMESTAMP WITH TIME ZONE NOT NULL,
    agent TEXT NOT NULL,
    condition_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail JSONB NOT NULL,
    lease_token BIGINT NOT NULL,
    CONSTRAINT pk_signals PRIMARY KEY (id),
    CONSTRAINT fk_signals_agent FOREIGN KEY(agent) REFERENCES agents (name)
);
CREATE INDEX ix_signals_agent_ts ON signals (agent, ts);
CREATE INDEX ix_signals_condition_id ON signals (condition_id);

CREATE TABLE performance_metrics (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    agent TEXT,
    horizon TEXT NOT NULL,
    name TEXT NOT NULL,
    value FLOAT(53) NOT NULL,
    computed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_performance_metrics PRIMARY KEY (id),
    CONSTRAINT ck_performance_metrics_finite
        CHECK (value > '-Infinity' AND value < 'Infinity'),
    CONSTRAINT fk_performance_metrics_agent FOREIGN KEY(agent) REFERENCES agents (name)
);
CREATE UNIQUE INDEX uq_performance_metrics_agent_horizon_name_computed_at
    ON performance_metrics (agent, horizon, name, computed_at)
    NULLS NOT DISTINCT;

CREATE TABLE system_events (
    id UUID NOT NULL,
    ts TIMESTAMP WITH TIME ZONE NOT NULL,
    agent TEXT,
    kind TEXT NOT NULL,
    detail JSONB NOT NULL,
    lease_token BIGINT,
    CONSTRAINT pk_system_events PRIMARY KEY (id),
    CONSTRAINT fk_system_events_agent FOREIGN KEY(agent) REFERENCES agents (name)
);
CREATE INDEX ix_system_events_agent_ts ON system_events (agent, ts);
CREATE INDEX ix_system_events_ts ON system_events (ts);

CREATE TABLE system_state (
    key TEXT NOT NULL,
    value JSONB NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_system_state PRIMARY KEY (key)
);

CREATE TABLE market_data (
    ts TIMESTAMP WITH TIME ZONE NOT NULL,
    token_id TEXT NOT NULL,
    recv_at TIMESTAMP WITH TIME ZONE NOT NULL,
    seq INTEGER NOT NULL,
    condition_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    bid NUMERIC(6, 4),
    bid_size NUMERIC(20, 6),
    ask NUMERIC(6, 4),
    ask_size NUMERIC(20, 6),
    last_price NUMERIC(6, 4),
    last_size NUMERIC(20, 6),
    side TEXT,
    CONSTRAINT pk_market_data PRIMARY KEY (ts, token_id, recv_at, seq),
    CONSTRAINT ck_market_data_kind CHECK (kind IN ('top', 'print')),
    CONSTRAINT ck_market_data_side CHECK (side IN ('BUY', 'SELL')),
    CONSTRAINT ck_market_data_bid CHECK (bid > 0 AND bid < 1 AND bid_size > 0),
    CONSTRAINT ck_market_data_ask CHECK (ask > 0 AND ask < 1 AND ask_size > 0),
    CONSTRAINT ck_market_data_last CHECK (last_price > 0 AND last_price < 1),
    CONSTRAINT ck_market_data_print_whole
        CHECK (kind <> 'print' OR (last_price IS NOT NULL AND last_size > 0
            AND side IS NOT NULL))
);

CREATE TABLE spot_prices (
    ts TIMESTAMP WITH TIME ZONE NOT NULL,
    asset TEXT NOT NULL,
    source TEXT NOT NULL,
    price NUMERIC(20, 8) NOT NULL,
    recv_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_spot_prices PRIMARY KEY (ts, asset, source),
    CONSTRAINT ck_spot_prices_source CHECK (source IN ('chainlink', 'binance', 'twap60')),
    CONSTRAINT ck_spot_prices_price CHECK (price > 0)
);

CREATE TABLE audit_log (
    seq BIGINT NOT NULL,
    ts TIMESTAMP WITH TIME ZONE NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail JSONB NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    CONSTRAINT pk_audit_log PRIMARY KEY (seq),
    CONSTRAINT uq_audit_log_prev_hash UNIQUE (prev_hash),
    CONSTRAINT ck_audit_log_seq CHECK (seq > 0),
    CONSTRAINT ck_audit_log_hash
        CHECK (hash ~ '^[0-9a-f]{64}$' AND prev_hash ~ '^[0-9a-f]{64}$')
);
"""

SEAL = """
CREATE FUNCTION audit_log_hash(entry audit_log) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT encode(sha256(convert_to(jsonb_build_array(
        entry.seq,
        to_char(entry.ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
        entry.actor, entry.action, entry.subject, entry.detail, entry.prev_hash
    )::text, 'UTF8')), 'hex')
$$;

CREATE FUNCTION audit_log_seal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last record;
BEGIN
    PERFORM pg_advisory_xact_lock('audit_log'::regclass::bigint);
    SELECT seq, hash INTO last FROM audit_log ORDER BY seq DESC LIMIT 1;
    NEW.seq := coalesce(last.seq, 0) + 1;
    NEW.ts := clock_timestamp();
    NEW.prev_hash := coalesce(last.hash, repeat('0', 64));
    NEW.hash := audit_log_hash(NEW);
    RETURN NEW;
END
$$;

CREATE FUNCTION audit_log_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is append-only: % refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER audit_log_seal BEFORE INSERT ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_seal();
CREATE TRIGGER audit_log_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_keep();
"""

DROP = """
DROP FUNCTION audit_log_hash(audit_log);
DROP TABLE audit_log;
DROP TABLE spot_prices;
DROP TABLE market_data;
DROP TABLE system_state;
DROP TABLE system_events;
DROP TABLE performance_metrics;
DROP TABLE signals;
DROP TABLE conditional_orders;
DROP TABLE portfolio_snapshots;
DROP FUNCTION audit_log_seal();
DROP FUNCTION audit_log_keep();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(SEAL)


def downgrade() -> None:
    op.execute(DROP)
