"""One look at the venue beside one look at our books, and what to do about the difference."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from engine.ports import Discovery, Venue
from models.errors import BadValue
from models.orders import Fill, Order, OrderState, VenueTrade
from models.units import SECOND_NS
from store import leases, ledger, markets, state
from store.database import Database
from store.events import record_event
from store.fills import adopt_fill
from store.reserve import Leak, Reserve
from tasks.open_costs import open_costs
from tasks.reconciliation import (
    Difference,
    cash_differences,
    fill_differences,
    fill_subject,
    order_differences,
    share_differences,
)

log = structlog.get_logger(__name__)

OPENING_CASH = "opening_cash_e6"
COMPARED = "reconcile_compared_ns"
TOLD = "reconcile_told"
LOOK_BACK_S = 3600
"""Trades are compared at least this far back, and further after a pause."""
PAID_LATE_S = 7200
"""How long after a settlement its winning shares may still wait to be paid out."""
OVERDUE_S = 1800
"""A window whose result is not booked so long after its end is told of."""
IN_DOUBT_S = 120
"""An order on its way, or being asked about by its session, is left to it for so long."""


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
    trades = await venue.trades(after_s=await _since_s(database))
    listed = {order.order_id: order for order in await venue.open_orders()}
    named = {leg.order_id for trade in trades for leg in trade.legs} | listed.keys()
    known = await ledger.orders_of(database, sorted(named))
    fills = await ledger.fills_of(database, [trade.trade_id for trade in trades])
    orders = {
        order_id: order
        for order_id, order in (await ledger.unfinished_orders(database)).items()
        if order_id in listed or not _in_doubt(order, time.time_ns())
    }
    orders |= {order_id: order for order_id, order in known.items() if order_id in listed}
    gap = await _cash_gap(database, venue, discovery)
    found = (
        *fill_differences(fills, trades, frozenset(known)),
        *order_differences(orders, listed),
        *await _holdings(database, venue),
        *cash_differences(0, gap),
        *await _overdue(database),
    )
    return Look(found, tuple(trades), known, gap)


async def _since_s(database: Database) -> int:
    """Epoch second from which trades are compared."""
    now_s = int(time.time())
    compared = await state.get(database, COMPARED)
    if compared is None:
        return now_s - LOOK_BACK_S
    return min(now_s, int(compared) // SECOND_NS) - LOOK_BACK_S


async def note_comparison(database: Database) -> None:
    """Remember that every trade up to now was compared, and mended where it differed."""
    await state.put(database, COMPARED, time.time_ns())


def _in_doubt(order: Order, now_ns: int) -> bool:
    """Whether the order's session is still finding out what became of it."""
    unsure = order.state in (OrderState.SIGNED, OrderState.SENT, OrderState.UNKNOWN)
    return unsure and now_ns - order.updated_ns < IN_DOUBT_S * SECOND_NS


async def _holdings(database: Database, venue: Venue) -> list[Difference]:
    """Compare shares in markets that are still trading; ended ones turn into cash."""
    found = []
    for held in await ledger.unsettled_holdings(database):
        if held.end_ns > time.time_ns():
            ours = {held.up_token: held.up_e6, held.down_token: held.down_e6}
            theirs = {token: await venue.shares_e6(token) for token in ours}
            found += share_differences(ours, theirs)
    return found


async def _overdue(database: Database) -> list[Difference]:
    """Windows that nobody settles: their money is neither lost nor free, and nobody would know."""
    return [
        Difference("overdue", f"{slug} of {agent}", "no result", "over for half an hour")
        for agent, slug in await ledger.overdue_windows(database, OVERDUE_S)
    ]


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
    gap = cash - int(opening) - booked
    return gap if gap >= 0 else gap + await _unpaid_e6(database, venue, -gap)


async def _unpaid_e6(database: Database, venue: Venue, short_e6: int) -> int:
    """Return how much of the cash that is short still lies in winning shares not paid out yet."""
    unpaid = 0
    for token_id in await ledger.winners_since(database, PAID_LATE_S):
        if unpaid >= short_e6:
            break
        unpaid += await venue.shares_e6(token_id)
    return min(unpaid, short_e6)


async def mend(database: Database, found: list[Difference], seen: Look) -> list[str]:
    """Let the venue win where no session does it: fills nobody booked, cash moved from outside.

    Cash is taken for moved only where nothing else differs: a missing fill explains it better,
    and correcting both would make the books wrong by that sum. Returns what was done, for people.
    """
    done = []
    wrong = {item.subject for item in found if item.kind in ("missing_fill", "fill")}
    adopted = [fill for fill in _fills(seen) if fill_subject(fill.trade_id, fill.order_id) in wrong]
    for fill in adopted:
        try:
            await adopt_fill(database, fill)
        except BadValue as error:
            log.error("fill_not_adopted", trade_id=fill.trade_id, reason=str(error))
            done.append(f"fill {fill.trade_id} could not be adopted: {error}")
        else:
            done.append(f"fill {fill.trade_id} adopted from the venue")
    if found and all(item.kind == "cash" for item in found):
        opening = await state.get(database, OPENING_CASH)
        await state.put(database, OPENING_CASH, int(opening) + seen.cash_gap_e6)
        done.append("cash moved outside the floor; its opening balance was corrected")
    return done


async def return_leaks(database: Database, reserve: Reserve) -> list[Leak]:
    """Give back what agents without a session still hold of the floor's room, and record it.

    Agents that run put their own numbers right. Who runs is asked before the books are read, so
    that an agent which starts in between is either seen running or in the books.

    Raises
    ------
    StoreUnavailable
        Postgres or Redis is away; nothing is lost by waiting.
    """
    held = await reserve.used()
    live = {lease.agent for lease in await leases.all(database) if lease.live}
    leaks = await reserve.settle_leaks(await open_costs(database), held.keys() - live)
    for leak in leaks:
        detail = {"agent": leak.agent, "held_e6": leak.held_e6, "books_e6": leak.books_e6}
        log.warning("reservation_leak_returned", **detail)
        await record_event(database, "reservation_leak", detail)
    return leaks


async def news(database: Database, found: list[Difference]) -> list[Difference]:
    """Record differences as system events; returns those not told of before.

    What lasts for hours is told once, not every minute.
    """
    told = {tuple(row) for row in await state.get(database, TOLD) or ()}
    rows = [(item.kind, item.subject, item.ours, item.venues) for item in found]
    fresh = [item for item, row in zip(found, rows, strict=True) if row not in told]
    for item in fresh:
        await record_event(
            database,
            f"reconcile_{item.kind}",
            {"subject": item.subject, "ours": item.ours, "venue": item.venues},
        )
    if set(rows) != told:
        await state.put(database, TOLD, rows)
    return fresh


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
