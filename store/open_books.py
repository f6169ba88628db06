"""Every agent's open orders and unsettled fills as of one moment, read without a lease."""

from dataclasses import dataclass

from psycopg.rows import DictRow

from models.markets import Market
from models.orders import Fill, Order
from store.database import Database
from store.journal_sql import TERMINAL
from store.rows import e6, fill_of, market_of, order_of

_ORDERS = f"SELECT * FROM orders WHERE state NOT IN ({TERMINAL}) ORDER BY created_at, order_id"  # noqa: S608
_FILLS = """
    SELECT f.* FROM fills f WHERE NOT EXISTS (
        SELECT 1 FROM trades t WHERE t.agent = f.agent AND t.condition_id = f.condition_id)
    ORDER BY f.matched_at, f.trade_id, f.order_id
"""
_MARKETS = "SELECT * FROM markets WHERE condition_id = ANY(%s)"
_AGENTS = "SELECT name, capital, enabled AND lifecycle <> 'retired' AS enabled FROM agents"


@dataclass(frozen=True, slots=True)
class OpenBooks:
    """What is open, of all agents.

    ``capital_e6`` holds the agents that may trade, with what they were given.
    """

    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    """Of unsettled markets, oldest first."""
    markets: dict[str, Market]
    """By condition id; those of the open orders."""
    capital_e6: dict[str, int]


async def read_open_books(db: Database) -> OpenBooks:
    """Read them in one snapshot. Raises `StoreUnavailable`."""
    async with db.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

        async def rows(statement: str, *params: object) -> list[DictRow]:
            return await (await connection.execute(statement, params)).fetchall()

        orders = [order_of(row) for row in await rows(_ORDERS)]
        fills = [fill_of(row) for row in await rows(_FILLS)]
        wanted = sorted({order.request.condition_id for order in orders})
        markets = [market_of(row) for row in await rows(_MARKETS, wanted)]
        agents = await rows(_AGENTS)
    return OpenBooks(
        tuple(orders),
        tuple(fills),
        {market.condition_id: market for market in markets},
        {row["name"]: e6(row["capital"]) for row in agents if row["enabled"]},
    )
