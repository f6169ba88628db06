"""What drills read of our tables, on a real Postgres: books, and sessions that must not overlap."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from models.markets import Outcome
from store import agents
from store.database import Database
from tasks.agent_files import find_agent
from tasks.drilling.books import compare, read_books
from tasks.drilling.invariants import overlaps
from tests.tasks.risk_rows import add_market, add_order, add_position, window
from tests.tasks.risk_stage import AGENTS

MAKER, OTHER = AGENTS[:2]


@pytest.fixture
async def database(clean_postgres_url: str) -> AsyncIterator[Database]:
    async with Database(clean_postgres_url, max_size=2) as opened:
        await agents.sync_agents(opened, [find_agent(name) for name in AGENTS])
        yield opened


class Tables:
    """The part of a drill's stage that asks our tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def query(self, sql: str, params: Any = ()) -> list[dict[str, Any]]:
        return [dict(row) for row in await self._database.fetch(sql, params)]


def ledger(orders: list[dict[str, Any]], shares: dict[str, int], cash_e6: int) -> dict[str, Any]:
    wallet = {"granted_e6": 1_000_000, "cash_e6": cash_e6, "shares_e6": shares}
    return {
        "owner": "0xme", "wallets": {"0xw": wallet}, "orders": orders, "trades": [],
        "rebates": [], "redemptions": [],
    }  # fmt: skip


def on_the_book(order_id: str) -> dict[str, Any]:
    return {"order_id": order_id, "size_e6": 5_000_000, "matched_e6": 0, "open": True}


async def test_our_tables_are_read_as_the_comparison_needs_them(database: Database) -> None:
    market = await add_market(database, window())
    ours = await add_order(database, MAKER, market, Outcome.UP, 0.5, 5)
    closed = await add_order(database, MAKER, market, Outcome.UP, 0.5, 5)
    await database.execute("UPDATE orders SET state = 'cancelled' WHERE order_id = %s", [closed])
    await add_position(database, MAKER, market, Outcome.UP, 3, 1.5)
    await add_position(database, OTHER, market, Outcome.UP, 2, 1.0)
    theirs = ledger([on_the_book(ours)], {market.up_token: 5_000_000}, 1_000_000)
    books = await read_books(database, theirs)
    assert set(books.orders) == {ours}, "orders that are over are read only where the ledger asks"
    assert books.positions_e6 == {market.up_token: 5_000_000}
    assert compare(books, theirs).agree
    stranger = ledger([on_the_book(ours), on_the_book(closed), on_the_book("0xstranger")], {}, 7)
    report = compare(await read_books(database, stranger), stranger)
    assert (report.unknown, report.forgotten) == (("0xstranger",), (closed,))
    assert report.share_gaps
    assert report.cash_gap_e6 == 7 - 1_000_000


async def test_a_session_that_signs_after_its_successor_began_is_told(database: Database) -> None:
    market = await add_market(database, window())

    async def signed(agent: str, token: int, at_s: int) -> None:
        order_id = await add_order(database, agent, market, Outcome.UP, 0.5, 5)
        await database.execute(
            "UPDATE orders SET lease_token = %s, created_at = now() - (100 - %s) * interval '1 s'"
            " WHERE order_id = %s",
            [token, at_s, order_id],
        )

    for token, at_s in ((1, 10), (1, 20), (2, 21), (2, 30), (4, 31)):
        await signed(MAKER, token, at_s)
    await signed(OTHER, 1, 40)  # another agent's session is no rival
    stage: Any = Tables(database)
    assert await overlaps(stage) == []
    await signed(MAKER, 1, 25)
    (told,) = await overlaps(stage)
    assert MAKER in told
    assert "session 1 signed after session 2 began" in told
