"""Closing an agent's business in one market: its fills and the winner make the result."""

from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from models.errors import BadValue
from models.journal import WindowResult
from models.markets import Outcome
from models.tables.columns import from_ns
from store.fills import WINDOW_SUMS
from store.rows import e6

_WINNER = """
    UPDATE markets SET
        winner = coalesce(winner, %(winner)s), resolved_at = coalesce(resolved_at, %(closed_at)s)
    WHERE condition_id = %(condition_id)s
    RETURNING winner, slug
"""

_TRADE = """
    INSERT INTO trades (
        agent, condition_id, slug, winner, bought, sold, fees, payout, pnl, fills, opened_at,
        closed_at
    ) VALUES (
        %(agent)s, %(condition_id)s, %(slug)s, %(winner)s, %(bought)s, %(sold)s, %(fees)s,
        %(payout)s, %(sold)s + %(payout)s - %(bought)s - %(fees)s, %(fills)s, %(opened_at)s,
        %(closed_at)s
    ) ON CONFLICT (agent, condition_id) DO NOTHING
"""


async def book_settlement(connection: AsyncConnection[DictRow], result: WindowResult) -> None:
    """Write the trade from the fills, provided that `result` says the same; once.

    Raises
    ------
    BadValue
        The result has no winner, contradicts the recorded one, names an unknown market, or its
        cash differs from what the fills in the database come to.
    """
    if result.winner not in tuple(Outcome):
        raise BadValue(
            f"result of {result.agent} in {result.slug}: winner {result.winner!r} is neither Up "
            "nor Down; settle once the market is resolved"
        )
    params: dict[str, Any] = {
        "agent": result.agent,
        "condition_id": result.condition_id,
        "slug": result.slug,
        "winner": result.winner,
        "closed_at": from_ns(result.closed_ns),
    }
    cursor = await connection.execute(_WINNER, params)
    market = await cursor.fetchone()
    if market is None:
        raise BadValue(f"result of {result.agent}: no market {result.condition_id} in the books")
    if market["winner"] != result.winner:
        raise BadValue(
            f"result of {result.agent} in {result.slug}: winner {result.winner}, but "
            f"{market['winner']} is recorded already"
        )
    cursor = await connection.execute(WINDOW_SUMS, params)
    sums = await cursor.fetchone()
    assert sums is not None
    _refuse_difference(result, sums)
    opened_at = sums["opened_at"] or from_ns(result.opened_ns)
    await connection.execute(_TRADE, params | sums | {"opened_at": opened_at})
    await connection.execute(
        "UPDATE positions SET settled = true"
        " WHERE agent = %(agent)s AND condition_id = %(condition_id)s",
        params,
    )


def _refuse_difference(result: WindowResult, sums: DictRow) -> None:
    said = {
        "bought": result.bought_e6,
        "sold": result.sold_e6,
        "fees": result.fees_e6,
        "payout": result.payout_e6,
    }
    wrong = [
        f"{name} {value} where the fills make {e6(sums[name])}"
        for name, value in said.items()
        if value != e6(sums[name])
    ]
    if wrong:
        raise BadValue(
            f"result of {result.agent} in {result.slug} differs from its fills (in e6): "
            f"{', '.join(wrong)}; reconcile the fills first"
        )
