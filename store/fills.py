"""Booking fills: each counts once, and positions and trades are always their sums."""

from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from models.orders import Fill, TradeStatus
from store.database import Database
from store.rows import fill_params


def _rank(column: str) -> str:
    cases = " ".join(f"WHEN '{status}' THEN {status.rank}" for status in TradeStatus)
    return f"CASE {column} {cases} END"


# A later report replaces an earlier one only by a higher rank, so that repeated and reordered
# deliveries end in the same row.
_UPSERT = f"""
    INSERT INTO fills AS known (
        trade_id, order_id, agent, condition_id, token_id, outcome, side, role, size, cash, fee,
        status, transaction_hash, matched_at
    ) VALUES (
        %(trade_id)s, %(order_id)s, %(agent)s, %(condition_id)s, %(token_id)s, %(outcome)s,
        %(side)s, %(role)s, %(size)s, %(cash)s, %(fee)s, %(status)s, %(transaction_hash)s,
        %(matched_at)s
    )
    ON CONFLICT (trade_id, order_id) DO UPDATE SET
        size = excluded.size, cash = excluded.cash, fee = excluded.fee,
        status = excluded.status,
        transaction_hash = coalesce(nullif(excluded.transaction_hash, ''), known.transaction_hash),
        updated_at = clock_timestamp()
    WHERE {_rank("excluded.status")} > {_rank("known.status")}
"""  # noqa: S608

_POSITION = """
    INSERT INTO positions AS known (
        agent, token_id, condition_id, outcome, size, bought, sold, bought_cash, sold_cash, fees,
        settled, opened_at, updated_at
    )
    SELECT agent, token_id, condition_id, outcome, bought - sold, bought, sold, bought_cash,
           sold_cash, fees,
           EXISTS (SELECT 1 FROM trades t
                   WHERE t.agent = sums.agent AND t.condition_id = sums.condition_id),
           opened_at, clock_timestamp()
    FROM (
        SELECT agent, token_id, condition_id, outcome, min(matched_at) AS opened_at,
            coalesce(sum(size) FILTER (WHERE side = 'BUY' AND status <> 'FAILED'), 0) AS bought,
            coalesce(sum(size) FILTER (WHERE side = 'SELL' AND status <> 'FAILED'), 0) AS sold,
            coalesce(sum(cash) FILTER (WHERE side = 'BUY' AND status <> 'FAILED'), 0)
                AS bought_cash,
            coalesce(sum(cash) FILTER (WHERE side = 'SELL' AND status <> 'FAILED'), 0)
                AS sold_cash,
            coalesce(sum(fee) FILTER (WHERE status <> 'FAILED'), 0) AS fees
        FROM fills WHERE agent = %(agent)s AND token_id = %(token_id)s
        GROUP BY agent, token_id, condition_id, outcome
    ) AS sums
    ON CONFLICT (agent, token_id) DO UPDATE SET
        size = excluded.size, bought = excluded.bought, sold = excluded.sold,
        bought_cash = excluded.bought_cash, sold_cash = excluded.sold_cash, fees = excluded.fees,
        settled = excluded.settled, opened_at = excluded.opened_at,
        updated_at = excluded.updated_at
"""

WINDOW_SUMS = """
    SELECT
        coalesce(sum(cash) FILTER (WHERE side = 'BUY'), 0) AS bought,
        coalesce(sum(cash) FILTER (WHERE side = 'SELL'), 0) AS sold,
        coalesce(sum(fee), 0) AS fees,
        coalesce(sum(CASE side WHEN 'BUY' THEN size ELSE -size END)
            FILTER (WHERE outcome = %(winner)s), 0) AS payout,
        count(*) AS fills,
        min(matched_at) AS opened_at
    FROM fills
    WHERE agent = %(agent)s AND condition_id = %(condition_id)s AND status <> 'FAILED'
"""
"""What an agent's fills in one market come to when `winner` wins; a winning share pays 1."""

_TRADE = f"""
    UPDATE trades SET
        bought = sums.bought, sold = sums.sold, fees = sums.fees, payout = sums.payout,
        pnl = sums.sold + sums.payout - sums.bought - sums.fees, fills = sums.fills
    FROM ({WINDOW_SUMS}) AS sums
    WHERE agent = %(agent)s AND condition_id = %(condition_id)s
"""  # noqa: S608


async def lock_agent(connection: AsyncConnection[DictRow], agent: str) -> DictRow | None:
    """Make other bookings of this agent wait until the transaction ends; returns its lease."""
    cursor = await connection.execute(
        "SELECT token, holder FROM agent_leases WHERE agent = %s FOR UPDATE", (agent,)
    )
    return await cursor.fetchone()


async def book_fill(connection: AsyncConnection[DictRow], fill: Fill) -> bool:
    """Upsert a fill and bring position and settled trade up to date, in the caller's transaction.

    Call `lock_agent` first. False when the fill was known with the same or a higher rank.
    """
    params: dict[str, Any] = fill_params(fill)
    if (await connection.execute(_UPSERT, params)).rowcount == 0:
        return False
    await connection.execute(_POSITION, params)
    cursor = await connection.execute(
        "SELECT winner FROM trades WHERE agent = %(agent)s AND condition_id = %(condition_id)s",
        params,
    )
    settled = await cursor.fetchone()
    if settled is not None:
        await connection.execute(_TRADE, params | {"winner": settled["winner"]})
    return True


async def adopt_fill(db: Database, fill: Fill) -> bool:
    """Book a fill the venue reports and no session booked; safe beside a running session.

    Raises
    ------
    BadValue
        The fill's order is not in our books, or disagrees with it.
    """
    async with db.transaction() as connection:
        await lock_agent(connection, fill.agent)
        return await book_fill(connection, fill)
