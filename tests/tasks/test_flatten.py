"""Positions sold because a breaker wants it, on real servers, order by order in the books."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from engine.clock import SystemClock
from engine.orders import OrderManager
from engine.portfolio import Portfolio
from models.markets import Outcome, Side
from models.orders import OrderRequest, TimeInForce
from models.units import SHARE
from store import agents, leases, markets, risk
from store.database import Database
from store.journal import PostgresJournal
from tasks import flatten as module
from tasks.agent_files import find_agent
from tasks.flatten import flatten
from tasks.risk_policies import Policies
from tasks.risk_watch import RiskWatch
from tests.tasks.risk_rows import add_market, add_position, add_result, window
from tests.tasks.risk_stage import AGENTS, Exchange, exchange, settings_of

AGENT = AGENTS[0]


@pytest.fixture
async def database(clean_postgres_url: str) -> AsyncIterator[Database]:
    async with Database(clean_postgres_url, max_size=3) as opened:
        await agents.sync_agents(opened, [find_agent(name) for name in AGENTS])
        yield opened


@pytest.fixture
async def stage(
    clean_postgres_url: str, redis_url: str, tmp_path: Path, programs: SimpleNamespace
) -> AsyncIterator[Exchange]:
    port = programs.free_port()
    settings = settings_of(tmp_path, port, clean_postgres_url, redis_url)
    async with exchange(settings, port) as opened:
        yield opened


async def book_of(stage: Exchange, token: str) -> tuple[float, float]:
    """Best bid and ask as the exchange tells them."""
    async with httpx.AsyncClient(trust_env=False) as client:
        reply = await client.get(f"{stage.simulator.url}/clob/book", params={"token_id": token})
    book = reply.json()
    return (
        max((float(level["price"]) for level in book["bids"]), default=0.0),
        min((float(level["price"]) for level in book["asks"]), default=1.0),
    )


async def buy(stage: Exchange, database: Database, shares: int) -> Outcome:
    """Buy some of the likelier outcome as a session does, and let the collector see the book."""
    market, home = stage.market, stage.settings.floor_home
    await markets.upsert_market(database, market)
    bid, ask = await book_of(stage, market.up_token)
    outcome = Outcome.UP if bid + ask > 1 else Outcome.DOWN
    price = ask if outcome is Outcome.UP else 1 - bid
    lease = await leases.acquire(database, AGENT, "a session", 60)
    assert lease is not None
    async with PostgresJournal(database, AGENT, lease, spool_dir=home / "spool") as journal:
        portfolio = Portfolio(AGENT, 500_000_000)
        orders = OrderManager(
            AGENT, stage.lines[0], journal, portfolio, SystemClock(), lambda _: None, lambda _: None
        )
        await orders.recover(await journal.load())
        await orders.place(
            OrderRequest(
                "a-purchase", AGENT, market.condition_id, market.token(outcome), outcome, Side.BUY,
                min(9_900, round(price * 100 + 3) * 100), shares * SHARE, TimeInForce.FAK,
            ),
            market,
        )  # fmt: skip
        await module._settle(orders)
        await orders.flush()
    await leases.release(database, lease)
    await database.execute(
        "INSERT INTO market_data (ts, token_id, recv_at, seq, condition_id, kind, bid, bid_size,"
        " ask, ask_size) VALUES (now(), %s, now(), 1, %s, 'top', nullif(%s, 0), 50,"
        " nullif(%s, 1), 50)",
        (market.up_token, market.condition_id, round(bid, 2), round(ask, 2)),
    )
    return outcome


async def held(stage: Exchange, outcome: Outcome) -> int:
    return await stage.lines[0].shares_e6(stage.market.token(outcome))


@pytest.mark.timeout(90)
async def test_a_breaker_that_wants_the_agent_flat_sells_what_it_holds(
    stage: Exchange, database: Database, tmp_path: Path
) -> None:
    outcome = await buy(stage, database, 20)
    before = await held(stage, outcome)
    assert before >= 15 * SHARE
    path = tmp_path / "risk.yaml"
    path.write_text("breakers: [{name: agent-losses, max_in_a_row: 1, positions: flatten}]")
    await add_result(database, AGENT, await add_market(database, window(9)), -1, 5)
    async with RiskWatch(stage.settings, Policies(1_000_000_000, path)) as watch:
        assert f"agent-losses:{AGENT}" in (await watch.look())["stops"]
        for task in list(watch._sweeps):
            await task
    # Less than a hundredth of a share can't be sold.
    assert await held(stage, outcome) < SHARE // 100
    (sale,) = await database.fetch("SELECT * FROM orders WHERE side = 'SELL'")
    assert sale["reason"] == f"breaker agent-losses:{AGENT}" and sale["tif"] == "FAK"
    sold = await database.fetch_one("SELECT sum(size) AS size FROM fills WHERE side = 'SELL'")
    assert sold is not None and int(sold["size"] * SHARE) == before - await held(stage, outcome)
    lease = await leases.holder(database, AGENT)
    assert lease is not None and not lease.live


async def test_shares_are_kept_while_a_session_lives_or_the_switch_is_thrown(
    stage: Exchange, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.2)
    assert await flatten(stage.settings, database, AGENT, "a test") == []
    outcome = await buy(stage, database, 5)
    lease = await leases.acquire(database, AGENT, "a session", 60)
    assert lease is not None
    (line,) = await flatten(stage.settings, database, AGENT, "a test")
    assert "its session did not end" in line
    await leases.release(database, lease)
    # Nobody bids.
    await database.execute("DELETE FROM market_data")
    (line,) = await flatten(stage.settings, database, AGENT, "a test")
    assert "kept: nobody bids" in line
    await risk.throw_kill(database, risk.Kill("a drill", "tester", time.time_ns()))
    (line,) = await flatten(stage.settings, database, AGENT, "a test")
    assert "kill switch is thrown" in line
    assert await held(stage, outcome) >= 4 * SHARE


async def test_without_the_venue_they_are_kept_and_said_so(
    database: Database, clean_postgres_url: str, tmp_path: Path
) -> None:
    await add_position(database, AGENT, await add_market(database, window(1)), Outcome.UP, 10, 5)
    settings = settings_of(tmp_path, 1, clean_postgres_url)
    (line,) = await flatten(settings, database, AGENT, "a test")
    assert "its shares are kept" in line
    lease = await leases.holder(database, AGENT)
    assert lease is not None and not lease.live
