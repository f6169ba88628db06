"""The statements of the journal: fence and write in one."""

from models.orders import OrderState

TERMINAL = ", ".join(f"'{state}'" for state in OrderState if state.terminal)

# Locking the lease's row makes whoever takes it over wait for this transaction, and makes this
# one, if it had to wait, judge the row as it then is.
LEASE = """
    SELECT 1 FROM agent_leases
    WHERE agent = %(lease_agent)s AND token = %(lease_token)s AND holder = %(lease_holder)s
"""

# For a transaction that has locked the lease's row, and judged it, already.
LATE = "SELECT 1 FROM agent_leases WHERE agent = %(agent)s"

MARKET_COLUMNS = """
    condition_id, slug, question, asset, timeframe, up_token, down_token, starts_at, ends_at,
    tick, min_size, fee_rate_ppm, fee_exponent, rebate_ppm, fee_of_notional, settlement,
    neg_risk, strike
"""
MARKET_VALUES = """
    %(condition_id)s, %(slug)s, %(question)s, %(asset)s, %(timeframe)s, %(up_token)s,
    %(down_token)s, %(starts_at)s, %(ends_at)s, %(tick)s, %(min_size)s, %(fee_rate_ppm)s,
    %(fee_exponent)s, %(rebate_ppm)s, %(fee_of_notional)s, %(settlement)s,
    %(neg_risk)s, %(strike)s::numeric
"""

# The version of a write is (written_token, written_seq): the token of the lease it was made under,
# which for what waited in a file is an older one than the fence's, and a number that grows.
VERSION = "%(written_token)s::bigint, %(written_seq)s::bigint"

_MARKET = f"""
    market AS (
        INSERT INTO markets ({MARKET_COLUMNS}) SELECT {MARKET_VALUES} FROM lease
        ON CONFLICT (condition_id) DO NOTHING
    )
"""  # noqa: S608


def _order_made(where: str) -> str:
    """Return the steps that insert an order which is not there yet, and its first transitions."""
    return f"""
    made AS (
        INSERT INTO orders (
            order_id, intent_id, agent, condition_id, token_id, outcome, side, price, size, tif,
            post_only, expires_at, reason, state, filled, note, payload, lease_token, created_at,
            updated_at, written_token, written_seq
        )
        SELECT %(order_id)s, %(intent_id)s, %(agent)s, %(condition_id)s, %(token_id)s,
            %(outcome)s, %(side)s, %(price)s, %(size)s, %(tif)s, %(post_only)s,
            %(expires_at)s::timestamptz, %(reason)s, %(state)s, %(filled)s, %(note)s,
            %(payload)s::jsonb, %(written_token)s, %(created_at)s, %(updated_at)s, {VERSION}
        FROM lease
        {where}
        ON CONFLICT (order_id) DO NOTHING
        RETURNING 1
    ), steps AS (
        INSERT INTO order_transitions (order_id, state, filled, note, lease_token, at)
        SELECT %(order_id)s, step.state, step.filled, step.note, %(written_token)s, step.at
        FROM made CROSS JOIN (VALUES
            (1, '{OrderState.INTENDED}', 0::numeric, '', %(created_at)s::timestamptz),
            (2, %(state)s, %(filled)s::numeric, %(note)s, %(updated_at)s::timestamptz)
        ) AS step (n, state, filled, note, at)
        ORDER BY step.n
    )
    """  # noqa: S608


_OTHER_IN_FORCE = f"""
    SELECT 1 FROM orders
    WHERE agent = %(agent)s AND intent_id = %(intent_id)s AND order_id <> %(order_id)s
      AND state NOT IN ({TERMINAL})
"""  # noqa: S608

ORDER_SIGNED = f"""
    WITH lease AS ({LEASE} AND expires_at > clock_timestamp() FOR SHARE),
    {_MARKET}, {_order_made(f"WHERE NOT EXISTS ({_OTHER_IN_FORCE})")}
    SELECT EXISTS (SELECT 1 FROM lease) AS held, EXISTS (SELECT 1 FROM made) AS made,
        EXISTS (
            SELECT 1 FROM orders WHERE order_id = %(order_id)s AND agent = %(agent)s
                AND intent_id = %(intent_id)s
        ) AS known
"""  # noqa: S608

# What waited in a file was sent: it gets its row whatever else there is, and says what there was.
ORDER_SIGNED_LATE = f"""
    WITH lease AS ({LATE}), {_MARKET}, {_order_made("")}
    SELECT EXISTS (SELECT 1 FROM made) AS made,
        (SELECT array_agg(order_id) FROM ({_OTHER_IN_FORCE.replace("SELECT 1", "SELECT order_id")}
        ) AS other) AS others
"""  # noqa: S608

# An order whose own record was damaged: known from its later change, if its market is known.
ORDER_FOUND = f"""
    WITH lease AS ({LATE}),
    {_order_made("WHERE EXISTS (SELECT 1 FROM markets WHERE condition_id = %(condition_id)s)")}
    SELECT EXISTS (SELECT 1 FROM made) AS made
"""  # noqa: S608

# A step is written down unless it is the one written last, so that the write can be repeated; an
# earlier version than the one there changes nothing.
_ORDER_CHANGED = f"""
    known AS (
        SELECT 1 FROM orders, lease WHERE order_id = %(order_id)s AND agent = %(agent)s
    ), done AS (
        UPDATE orders SET
            state = %(state)s, filled = %(filled)s, note = %(note)s, updated_at = %(updated_at)s,
            written_token = %(written_token)s, written_seq = %(written_seq)s
        FROM lease
        WHERE order_id = %(order_id)s AND agent = %(agent)s
          AND (orders.written_token, orders.written_seq) < ({VERSION})
        RETURNING 1
    ), steps AS (
        INSERT INTO order_transitions (order_id, state, filled, note, lease_token, at)
        SELECT %(order_id)s, %(state)s, %(filled)s, %(note)s, %(written_token)s, %(updated_at)s
        FROM done
        WHERE (%(state)s, %(filled)s::numeric, %(note)s) IS DISTINCT FROM (
            SELECT (state, filled, note) FROM order_transitions
            WHERE order_id = %(order_id)s ORDER BY id DESC LIMIT 1
        )
    )
    SELECT EXISTS (SELECT 1 FROM lease) AS held, EXISTS (SELECT 1 FROM known) AS made
"""  # noqa: S608

ORDER_CHANGED = f"WITH lease AS ({LEASE} FOR SHARE), {_ORDER_CHANGED}"
ORDER_CHANGED_LATE = f"WITH lease AS ({LATE}), {_ORDER_CHANGED}"

_CHECKPOINT = """
    made AS (
        INSERT INTO agent_checkpoints (agent, lease_token, seq, state, saved_at)
        SELECT %(agent)s, %(written_token)s, %(written_seq)s, %(state)s::jsonb, %(saved_at)s
        FROM lease
        ON CONFLICT (agent, lease_token, seq) DO NOTHING
        RETURNING 1
    ), pruned AS (
        DELETE FROM agent_checkpoints
        WHERE agent = %(agent)s AND EXISTS (SELECT 1 FROM lease) AND (lease_token, seq) <= (
            SELECT lease_token, seq FROM agent_checkpoints WHERE agent = %(agent)s
            ORDER BY lease_token DESC, seq DESC OFFSET 9 LIMIT 1
        )
    )
    SELECT EXISTS (SELECT 1 FROM lease) AS held
"""

CHECKPOINT = f"WITH lease AS ({LEASE} FOR SHARE), {_CHECKPOINT}"
CHECKPOINT_LATE = f"WITH lease AS ({LATE}), {_CHECKPOINT}"


# --- loading ----------------------------------------------------------------------------------

_SETTLED = """
    EXISTS (SELECT 1 FROM trades t
            WHERE t.agent = x.agent AND t.condition_id = x.condition_id)
"""

OPEN_ORDERS = f"""
    SELECT * FROM orders WHERE agent = %(agent)s AND state NOT IN ({TERMINAL})
    ORDER BY created_at, order_id
"""  # noqa: S608

# An order that never filled stops mattering soon after its market ended: no result will ever say
# that it is settled, and every session's start asks the venue about all that is loaded.
ENDED_ORDERS = f"""
    SELECT x.* FROM orders x JOIN markets m USING (condition_id)
    WHERE x.agent = %(agent)s AND x.state IN ({TERMINAL}) AND NOT {_SETTLED}
      AND (m.ends_at > now() - interval '2 hours'
           OR EXISTS (SELECT 1 FROM fills f WHERE f.order_id = x.order_id))
    ORDER BY x.created_at, x.order_id
"""  # noqa: S608

UNSETTLED_FILLS = f"""
    SELECT x.* FROM fills x WHERE x.agent = %(agent)s AND NOT {_SETTLED}
    ORDER BY x.matched_at, x.trade_id, x.order_id
"""  # noqa: S608

MARKETS = "SELECT * FROM markets WHERE condition_id = ANY(%(ids)s) ORDER BY starts_at, slug"

SETTLED_CASH = """
    SELECT coalesce(sum(pnl), 0) AS total,
        coalesce(sum(pnl) FILTER (
            WHERE closed_at < date_trunc('day', now(), 'UTC')), 0) AS day_start
    FROM trades WHERE agent = %(agent)s
"""

LAST_CHECKPOINT = """
    SELECT lease_token, seq, state FROM agent_checkpoints WHERE agent = %(agent)s
    ORDER BY lease_token DESC, seq DESC LIMIT 1
"""

SPOT_S = 900

# What others of the floor saw meanwhile fills the gap that a session's absence left.
RECENT_SPOT = f"""
    SELECT asset, source, ts, price FROM spot_prices
    WHERE ts > clock_timestamp() - {SPOT_S} * interval '1 second' AND asset IN (
        SELECT market ->> 'asset' FROM agents, jsonb_array_elements(spec -> 'markets') AS market
        WHERE name = %(agent)s
    )
    ORDER BY ts, asset, source
"""  # noqa: S608
