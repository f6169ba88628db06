"""One look at the venue beside one look at our books, and what to do about the difference."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from engine.ports import Discovery, Venue
from models.orders import Fill, Order, VenueTrade
from store import ledger, markets, state
from store.database import Database
from store.events import record_event
from store.fills import adopt_fill
from tasks.reconciliation import (
    Difference,
    cash_differences,
    fill_differences,
    fill_subject,
    order_differences,
    share_differences,
)

OPENING_CASH = "opening_cash_e6"
LOOK_BACK_S = 3600
"""Trades are compared this far back; older ones were compared then."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one comparison found."""

    differences: tuple[Difference, ...]
    trades: tuple[VenueTrade, ...]
    orders: Mapping[str, Order]
    """Our orders among those the venue spoke of."""
    cash_gap_e6: int
    """Venue's cash less what our books make it."""


async def look(database: Database, venue: Venue, discovery: Discovery) -> Look:
    """Compare orders, fills, holdings and cash with the venue."""
    trades = await venue.trades(after_s=int(time.time()) - LOOK_BACK_S)
    listed = {order.order_id: order for order in await venue.open_orders()}
    named = {leg.order_id for trade in trades for leg in trade.legs} | listed.keys()
    known = await ledger.orders_of(database, sorted(named))
    fills = await ledger.fills_of(database, [trade.trade_id for trade in trades])
    orders = await ledger.unfinished_orders(database)
    orders |= {order_id: order for order_id, order in known.items() if order_id in listed}
    gap = await _cash_gap(database, venue, discovery)
    found = (
        *fill_differences(fills, trades, frozenset(known)),
        *order_differences(orders, listed),
        *await _holdings(database, venue),
        *cash_differences(0, gap),
    )
    return Look(found, tuple(trades), known, gap)


async def _holdings(database: Database, venue: Venue) -> list[Difference]:
    """Compare shares in markets that are still trading; ended ones turn into cash."""
    found = []
    for held in await ledger.unsettled_holdings(database):
        if held.end_ns > time.time_ns():
            ours = {held.up_token: held.up_e6, held.down_token: held.down_e6}
            theirs = {token: await venue.shares_e6(token) for token in ours}
            found += share_differences(ours, theirs)
    return found


async def _cash_gap(database: Database, venue: Venue, discovery: Discovery) -> int:
    """Return the venue's cash less opening cash, fills and payouts.

    A market the venue has paid out, but whose result is not booked here yet, counts as paid.
    """
    cash = await venue.cash_e6()
    booked = await ledger.trading_cash_e6(database) + await ledger.paid_out_e6(database)
    for held in await ledger.unsettled_holdings(database):
        if held.end_ns <= time.time_ns():
            record = await markets.load_market(database, held.condition_id)
            token = await discovery.resolution(record.market) if record is not None else None
            booked += {held.up_token: held.up_e6, held.down_token: held.down_e6}.get(token or "", 0)
    opening = await state.get(database, OPENING_CASH)
    if opening is None:
        opening = cash - booked
        await state.put(database, OPENING_CASH, opening)
    return cash - int(opening) - booked


async def mend(database: Database, found: list[Difference], seen: Look) -> list[str]:
    """Let the venue win where no session does it: fills nobody booked, cash moved from outside.

    Returns what was done, for people. Every difference becomes a system event.
    """
    done = []
    for difference in found:
        await record_event(
            database,
            f"reconcile_{difference.kind}",
            {"subject": difference.subject, "ours": difference.ours, "venue": difference.venues},
        )
    wrong = {item.subject for item in found if item.kind in ("missing_fill", "fill")}
    adopted = [fill for fill in _fills(seen) if fill_subject(fill.trade_id, fill.order_id) in wrong]
    for fill in adopted:
        await adopt_fill(database, fill)
    if adopted:
        done.append(f"{len(adopted)} fills adopted from the venue")
    if any(item.kind == "cash" for item in found):
        opening = await state.get(database, OPENING_CASH)
        await state.put(database, OPENING_CASH, int(opening) + seen.cash_gap_e6)
        done.append("cash moved outside the floor; its opening balance was corrected")
    return done


def _fills(seen: Look) -> list[Fill]:
    """Turn the venue's trades into fills of our orders."""
    return [
        Fill(
            trade_id=trade.trade_id,
            order_id=leg.order_id,
            agent=order.request.agent,
            condition_id=trade.condition_id,
            token_id=leg.token_id,
            outcome=order.request.outcome,
            side=leg.side,
            role=leg.role,
            size_e6=leg.size_e6,
            cash_e6=leg.cash_e6,
            fee_e6=leg.fee_e6,
            status=trade.status,
            matched_ns=trade.matched_ns,
            transaction_hash=trade.transaction_hash,
        )
        for trade in seen.trades
        for leg in trade.legs
        if (order := seen.orders.get(leg.order_id)) is not None
    ]
