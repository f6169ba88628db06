"""The page of a session; tests/flows/test_automations.py sees it in a real server."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from models.markets import FeeSchedule, Market
from models.settings import TradingMode
from models.tables.columns import from_ns
from models.units import SECOND_NS
from store import agents
from store.database import Database
from store.markets import upsert_market
from tasks.agent_files import find_agent
from tasks.run_events import SessionEvent, tell_event
from tasks.session_page import keep_session_page, read_session_page, session_markdown

SPEC = find_agent("momentum-btc-15m")
BEGAN_NS = 1_800_000_000 * SECOND_NS


@pytest.fixture
async def database(clean_postgres_url: str) -> AsyncIterator[Database]:
    async with Database(clean_postgres_url, max_size=2) as opened:
        await agents.sync_agents(opened, [SPEC])
        yield opened


async def settle(database: Database, n: int, pnl: str, closed_s: int) -> None:
    """Book a window that was settled `closed_s` seconds after the session began."""
    start_ns = BEGAN_NS + n * 900 * SECOND_NS
    market = Market(
        condition_id=f"0x{n}",
        slug=f"btc-updown-15m-{n}",
        question="Bitcoin up or down?",
        asset="BTC",
        timeframe="15m",
        up_token=f"{n}1",
        down_token=f"{n}2",
        start_ns=start_ns,
        end_ns=start_ns + 900 * SECOND_NS,
        tick_e4=100,
        min_size_e6=5_000_000,
        fee=FeeSchedule(70_000),
    )
    await upsert_market(database, market)
    await database.execute(
        "INSERT INTO trades (agent, condition_id, slug, winner, bought, sold, fees, payout, pnl,"
        " fills, opened_at, closed_at) VALUES (%s, %s, %s, 'Up', 10, 0, 0, %s, %s, 2, %s, %s)",
        (
            SPEC.name, market.condition_id, market.slug, Decimal(10) + Decimal(pnl), Decimal(pnl),
            from_ns(start_ns), from_ns(BEGAN_NS + closed_s * SECOND_NS),
        ),
    )  # fmt: skip


async def test_a_page_counts_what_was_settled_since_the_session_began(database: Database) -> None:
    await settle(database, 1, "-4.25", closed_s=-1)
    await settle(database, 2, "2.50", closed_s=0)
    await settle(database, 3, "-0.75", closed_s=900)
    await agents.record_restart(database, SPEC.name, "its session died | OOM")
    page = await read_session_page(database, SPEC, TradingMode.SIM, BEGAN_NS, "session over")
    assert [each.slug for each in page.windows] == ["btc-updown-15m-2", "btc-updown-15m-3"]
    assert (page.fills, page.pnl_e6) == (4, 1_750_000)
    text = session_markdown(page)
    assert "| P&L | $1.75 |" in text
    assert "| btc-updown-15m-3 | Up | 2 | $-0.75 |" in text
    assert "| strategy | momentum |" in text
    # The ledger's clock is the database's, which here is long before the session's.
    assert page.restarts == []


async def test_restarts_stand_on_the_page_with_their_reasons(database: Database) -> None:
    await agents.record_restart(database, SPEC.name, "its session died | OOM")
    await database.execute("UPDATE agent_restarts SET restarted_at = %s", [from_ns(BEGAN_NS)])
    page = await read_session_page(database, SPEC, TradingMode.PAPER, BEGAN_NS, "halted")
    assert [why for _, why in page.restarts] == ["its session died | OOM"]
    assert r"its session died \| OOM" in session_markdown(page)
    assert "| restarts | 1 |" in session_markdown(page)


async def test_without_a_database_or_prefect_nothing_is_raised() -> None:
    async with Database("postgresql://nobody@127.0.0.1:9/none", max_size=1) as away:
        assert not await keep_session_page(away, SPEC, TradingMode.SIM, BEGAN_NS, "session over")


def test_an_event_is_told_to_nobody_where_there_is_no_prefect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert not tell_event(SessionEvent.STARTED, SPEC.name)
