"""One look at the venue beside one look at our books, and what to do about the difference."""

import time
from dataclasses import dataclass

from engine.ports import Discovery, Venue
from models.orders import VenueTrade
from store import ledger, markets, state
from store.database import Database
from store.events import record_event
from tasks.reconciliation import (
    Difference,
    cash_differences,
    fill_differences,
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
    cash_gap_e6: int
    """Venue's cash less what our books make it."""


async def look(database: Database, venue: Venue, discovery: Discovery) -> Look:
    """Compare orders, fills, holdings and cash with the venue."""
    since_s = int(time.time()) - LOOK_BACK_S
    trades = await venue.trades(after_s=since_s)
    open_orders = {order.order_id: order for order in await venue.open_orders()}
    ids = {leg.order_id for trade in trades for leg in trade.legs} | open_orders.keys()
    owners = await ledger.order_owners(database, sorted(ids))
    fills = await ledger.fills_of(database, [trade.trade_id for trade in trades])
    orders = await ledger.unfinished_orders(database, also=sorted(open_orders))
    gap = await _cash_gap(database, venue, discovery)
    found = [
        *fill_differences(fills, trades, frozenset(owners)),
        *order_differences(orders, open_orders),
        *await _holdings(database, venue),
        *(cash_differences(0, gap)),
    ]
    return Look(tuple(found), tuple(trades), gap)


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
    if wrong:
        adopted = await ledger.adopt_fills(
            database,
            [
                trade
                for trade in seen.trades
                if any(f"{trade.trade_id}/{leg.order_id[:10]}" in wrong for leg in trade.legs)
            ],
        )
        done.append(f"{adopted} fills adopted from the venue")
    if any(item.kind == "cash" for item in found):
        opening = await state.get(database, OPENING_CASH)
        await state.put(database, OPENING_CASH, int(opening) + seen.cash_gap_e6)
        done.append("cash moved outside the floor; its opening balance was corrected")
    return done
