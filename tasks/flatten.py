"""Selling what an agent holds, once a breaker that wants it flat has ended its session.

It takes the agent's lease as a session does, so that nobody else trades for it meanwhile, and
sends through the order manager: every order is committed before it is sent, whatever happens.
Only shares that are held are sold, which no limit forbids.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog

from engine.clock import SystemClock
from engine.orders import OrderManager
from engine.portfolio import Portfolio
from models.errors import FloorError
from models.journal import JournalState
from models.markets import Market, Outcome, Side
from models.orders import OrderRequest, TimeInForce
from models.settings import Settings
from models.units import SECOND_NS, SHARE
from risk.sizing import minimum_e6, whole_e6
from store import agents, exposure, leases, risk
from store.database import Database
from store.journal import PostgresJournal
from store.leases import Lease
from tasks.api_keys import api_nonce
from tasks.holders import process_name
from venue.polymarket.client import PolymarketVenue

log = structlog.get_logger(__name__)

LEASE_S = 60.0
WAIT_S = 30.0
"""Longest that a session may take to end and give its lease back."""
AT_MOST_S = 40.0
"""All of the selling; less than the lease."""
FILLS_S = 8.0
QUOTED_S = 30.0
SLIP_E4 = 500
"""How far below the best bid a sale may go."""
LEAST_LEFT_S = 5.0
"""Shares of a window with less left than this are kept to its resolution."""


async def flatten(settings: Settings, database: Database, agent: str, reason: str) -> list[str]:
    """Sell an agent's shares in open windows at what the book pays; returns what was done.

    Never raises for what may be away: what could not be sold is kept to its resolution, and said.
    """
    try:
        if await risk.killed(database) is not None:
            return [f"{agent}: the kill switch is thrown, its shares are kept"]
        if not await exposure.costs_by_agent(database):
            return []
        lease = await _take(database, agent)
        if lease is None:
            return [f"{agent}: its session did not end in {WAIT_S:.0f} s, its shares are kept"]
        try:
            async with asyncio.timeout(AT_MOST_S):
                return await _sell_all(settings, database, lease, reason)
        finally:
            await leases.release(database, lease)
    except (FloorError, TimeoutError) as error:
        log.warning("not_flattened", agent=agent, reason=repr(error))
        return [f"{agent}: its shares are kept: {error or 'it took too long'}"]


async def _take(database: Database, agent: str) -> Lease | None:
    """Take the agent's lease as soon as its session has ended."""
    until = time.monotonic() + WAIT_S
    while True:
        lease = await leases.acquire(database, agent, process_name(), LEASE_S, "flatten")
        if lease is not None or time.monotonic() > until:
            return lease
        await asyncio.sleep(0.5)


async def _sell_all(settings: Settings, database: Database, lease: Lease, reason: str) -> list[str]:
    agent = lease.agent
    spec = await agents.load_spec(database, agent)
    spool = settings.floor_home / "spool"
    venue = await PolymarketVenue.connect(settings, nonce=api_nonce(agent), agent=agent)
    try:
        async with PostgresJournal(database, agent, lease, spool_dir=spool) as journal:
            state = await journal.load()
            portfolio = Portfolio(agent, spec.capital_e6)
            orders = OrderManager(
                agent, venue, journal, portfolio, SystemClock(), lambda _: None, lambda _: None
            )
            await orders.recover(state)
            await orders.cancel_all()
            await _until_free(orders, state.markets)
            bids = await _bids(database, state)
            done = [
                await _sell(orders, market, outcome, bids, reason)
                for market in state.markets
                for outcome in Outcome
                if market.end_ns > time.time_ns() + LEAST_LEFT_S * SECOND_NS
            ]
            await _settle(orders)
            await orders.flush()
            return [line for line in done if line]
    finally:
        await venue.close()


async def _until_free(orders: OrderManager, markets: Sequence[Market]) -> None:
    """Wait, bounded, until what was bought lately can be sold."""
    tokens = [market.token(outcome) for market in markets for outcome in Outcome]
    until = time.monotonic() + FILLS_S
    while time.monotonic() < until:
        if all(
            orders.free_shares_e6(token) >= orders.portfolio.shares_e6(token) for token in tokens
        ):
            return
        await asyncio.sleep(0.5)
        await orders.reconcile()


async def _bids(database: Database, state: JournalState) -> Mapping[str, int]:
    """Best bids by token, e4: the other side of an ask is a bid for the other outcome."""
    found: dict[str, int] = {}
    for top in await exposure.tops_since(database, state.markets, QUOTED_S):
        market = next(one for one in state.markets if one.condition_id == top.condition_id)
        found[market.up_token] = top.bid_e4 or 0
        found[market.down_token] = 10_000 - top.ask_e4 if top.ask_e4 is not None else 0
    return found


async def _sell(
    orders: OrderManager, market: Market, outcome: Outcome, bids: Mapping[str, int], reason: str
) -> str:
    """Sell one token's free shares at once, or not at all; says what was done."""
    token = market.token(outcome)
    held = orders.free_shares_e6(token)
    what = f"{orders.agent}: {held / SHARE:g} {outcome} of {market.slug}"
    bid = bids.get(token, 0)
    price = max(market.tick_e4, (bid - SLIP_E4) // market.tick_e4 * market.tick_e4)
    size = whole_e6(held)
    if size < minimum_e6(price, market, Side.SELL, TimeInForce.FAK):
        return f"{what} are too few to sell" if held > 0 else ""
    if bid <= 0:
        return f"{what} are kept: nobody bids"
    request = OrderRequest(
        intent_id=f"flatten-{time.time_ns()}",
        agent=orders.agent,
        condition_id=market.condition_id,
        token_id=token,
        outcome=outcome,
        side=Side.SELL,
        price_e4=price,
        size_e6=size,
        tif=TimeInForce.FAK,
        reason=reason[:200],
    )
    try:
        order = await orders.place(request, market)
    except FloorError as error:
        return f"{what} are kept: {error}"
    return f"{what}: sold at {price / 10_000:g} or better ({order.state})"


async def _settle(orders: OrderManager) -> None:
    """Wait, bounded, until the venue told what became of every order."""
    until = time.monotonic() + FILLS_S
    while time.monotonic() < until:
        await orders.reconcile()
        if not orders.open_orders():
            return
        await asyncio.sleep(0.5)
