"""The whole floor's money across agents, against sums done by hand."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from models.journal import WindowResult
from models.markets import Outcome, Side
from models.orders import OrderState, TradeStatus
from models.units import MINUTE_NS, SECOND_NS, SHARE, USD
from store import leases, ledger, markets
from store.database import Database
from store.journal import PostgresJournal


@pytest.fixture
async def journal(db: Database, make: Any, tmp_path: Path) -> AsyncIterator[PostgresJournal]:
    lease = await leases.acquire(db, make.agent, "here:1:1", 60)
    assert lease is not None
    async with PostgresJournal(db, make.agent, lease, spool_dir=tmp_path) as opened:
        yield opened


async def buy(
    journal: PostgresJournal,
    make: Any,
    n: int = 1,
    status: TradeStatus = TradeStatus.CONFIRMED,
    side: Side = Side.BUY,
    outcome: Outcome = Outcome.UP,
) -> None:
    """Book an order with one fill: 4 shares for 2.20 and a fee of 0.07."""
    market = make.market()
    order = make.order(n, market, side=side, outcome=outcome)
    await journal.order_signed(order, market)
    await journal.fill(make.fill(order, trade=f"t{n}", status=status))


async def test_cash_is_what_was_bought_sold_and_charged(
    db: Database, journal: PostgresJournal, make: Any
) -> None:
    assert await ledger.trading_cash_e6(db) == 0
    await buy(journal, make, 1)
    await buy(journal, make, 2)
    await buy(journal, make, 3, side=Side.SELL)
    await buy(journal, make, 4, status=TradeStatus.FAILED)
    assert await ledger.trading_cash_e6(db) == -2 * 2_270_000 + 2_130_000


async def test_a_window_is_overdue_until_its_result_is_booked(
    db: Database, journal: PostgresJournal, make: Any
) -> None:
    end_ns = time.time_ns() // SECOND_NS * SECOND_NS - 60 * MINUTE_NS
    market = make.market(1, start_ns=end_ns - 15 * MINUTE_NS, end_ns=end_ns)
    order = make.order(1, market)
    await journal.order_signed(order, market)
    fill = make.fill(order, trade="t1", status=TradeStatus.CONFIRMED)
    await journal.fill(fill)
    assert await ledger.overdue_windows(db, 3_000) == [(make.agent, market.slug)]
    assert await ledger.overdue_windows(db, 4_000) == []
    await journal.settled(
        WindowResult(
            agent=make.agent, condition_id=market.condition_id, slug=market.slug,
            winner=Outcome.DOWN, bought_e6=fill.cash_e6, sold_e6=0, fees_e6=fill.fee_e6,
            payout_e6=0, fills=1, opened_ns=fill.matched_ns, closed_ns=time.time_ns(),
        )
    )  # fmt: skip
    assert await ledger.overdue_windows(db, 3_000) == []


async def test_holdings_count_both_tokens_until_they_are_settled(
    db: Database, journal: PostgresJournal, make: Any
) -> None:
    await buy(journal, make, 1)
    await buy(journal, make, 2, outcome=Outcome.DOWN)
    (held,) = await ledger.unsettled_holdings(db)
    assert (held.up_e6, held.down_e6) == (4 * SHARE, 4 * SHARE)
    assert held.end_ns == make.market().end_ns
    await journal.settled(
        WindowResult(
            agent=make.agent, condition_id=held.condition_id, slug="s", winner="Up",
            bought_e6=4_400_000, sold_e6=0, fees_e6=140_000, payout_e6=4 * USD, fills=2,
            opened_ns=1, closed_ns=2,
        )
    )  # fmt: skip
    assert await ledger.unsettled_holdings(db) == []
    assert await ledger.paid_out_e6(db) == 4 * USD


async def test_winners_are_those_that_paid_lately(
    db: Database, journal: PostgresJournal, make: Any
) -> None:
    await buy(journal, make, 1)
    result = WindowResult(
        agent=make.agent, condition_id=make.market().condition_id, slug="s", winner="Up",
        bought_e6=2_200_000, sold_e6=0, fees_e6=70_000, payout_e6=4 * USD, fills=1,
        opened_ns=1, closed_ns=time.time_ns(),
    )  # fmt: skip
    assert await ledger.winners_since(db, 600) == []
    await journal.settled(result)
    assert await ledger.winners_since(db, 600) == [make.market().up_token]
    await db.execute("UPDATE trades SET closed_at = closed_at - interval '1 hour'")
    assert await ledger.winners_since(db, 600) == []


async def test_orders_and_fills_are_found_by_their_ids(
    db: Database, journal: PostgresJournal, make: Any
) -> None:
    await buy(journal, make, 1)
    done = make.order(2)
    await journal.order_signed(done, make.market())
    await journal.order_changed(done.to(OrderState.CANCELLED))
    assert (await ledger.unfinished_orders(db)).keys() == {make.order(1).order_id}
    found = await ledger.orders_of(db, [make.order(2).order_id, "0xstranger"])
    assert [order.state for order in found.values()] == [OrderState.CANCELLED]
    fills = await ledger.fills_of(db, ["t1", "t9"])
    assert [key[0] for key in fills] == ["t1"]


async def test_worth_is_cash_and_shares_at_the_last_bid(
    db: Database, journal: PostgresJournal, make: Any
) -> None:
    await buy(journal, make, 1)
    now_ns = time.time_ns()
    before = {one.agent: one for one in await ledger.valuations(db, now_ns)}
    alpha = before[make.agent]
    assert alpha.cash_e6 == 200 * USD - 2_270_000
    assert (alpha.position_cost_e6, alpha.position_value_e6) == (2_200_000, 2_200_000)
    await db.execute(
        "INSERT INTO market_data (ts, token_id, recv_at, seq, condition_id, kind, bid, bid_size)"
        " VALUES (now(), %s, now(), 0, 'c', 'top', 0.75, 10)",
        [make.market().up_token],
    )
    marked = {one.agent: one for one in await ledger.valuations(db, now_ns)}
    assert marked[make.agent].position_value_e6 == 3 * USD
    assert marked[make.agent].unrealised_e6 == 800_000
    assert marked[None].equity_e6 == 400 * USD - 2_270_000 + 3 * USD
    await markets.set_resolution(db, make.market().condition_id, Outcome.DOWN, now_ns)
    lost = {one.agent: one for one in await ledger.valuations(db, now_ns)}
    assert lost[make.agent].position_value_e6 == 0
