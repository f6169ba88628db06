"""Our books beside the exchange's own ledger: what must agree however often something died.

The ledger is what the simulator's ``/admin/ledger/{address}`` answers: the exchange's truth, which
no part of the floor can have written.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from models.orders import OrderState, TradeStatus
from store.database import Database
from store.rows import e6

LIMIT = 100_000
"""Most orders and trades the simulator tells at once."""

Ledger = Mapping[str, Any]
ReadLedger = Callable[[], Awaitable[Ledger]]
FillKey = tuple[str, str]
"""Trade id and order id."""
FillFacts = tuple[int, int, int, bool]
"""Size, cash and fee in e6, and whether the trade failed."""


@dataclass(frozen=True, slots=True)
class OurOrder:
    """What our table says about one order."""

    agent: str
    intent_id: str
    open: bool
    lease_token: int


@dataclass(frozen=True, slots=True)
class OurBooks:
    """Our tables, as far as a ledger can be compared with them."""

    orders: Mapping[str, OurOrder]
    """By id: those of the ledger that we know, and all we believe open."""
    fills: Mapping[FillKey, FillFacts]
    """Our fills in the ledger's trades."""
    trading_cash_e6: int
    """What all our fills that did not fail did to the cash."""
    positions_e6: Mapping[str, int]
    """Shares by token, all agents together, settled ones too."""
    payouts_e6: Mapping[str, int]
    """Booked payout by market, where every agent that had a position has settled."""


@dataclass(frozen=True, slots=True)
class BooksReport:
    """Where our books and the exchange's differ; empty and zero where they agree."""

    orders: int
    """Orders the exchange has of us."""
    fills: int
    doubled: tuple[str, ...] = ()
    """Order ids the exchange has twice, and intents with more than one live or filled order."""
    unknown: tuple[str, ...] = ()
    """Orders of the exchange that our table does not have."""
    forgotten: tuple[str, ...] = ()
    """Orders open at the exchange that we believe are over."""
    ghosts: tuple[str, ...] = ()
    """Orders we believe open that are not open at the exchange."""
    missing_fills: tuple[str, ...] = ()
    """Fills of the exchange that we lack, or have otherwise."""
    share_gaps: tuple[str, ...] = ()
    payout_gaps: tuple[str, ...] = ()
    cash_gap_e6: int = 0
    """The wallet's cash less what our fills and settlements make it."""

    @property
    def lost(self) -> int:
        """Orders and fills of the exchange that our books do not have."""
        return len(self.unknown) + len(self.forgotten) + len(self.missing_fills)

    @property
    def agree(self) -> bool:
        return not self.faults()

    def faults(self) -> list[str]:
        """Say what differs, one line each."""
        named = {
            "sent twice": self.doubled,
            "unknown to us": self.unknown,
            "open, but over for us": self.forgotten,
            "open for us only": self.ghosts,
            "fill missing or other": self.missing_fills,
            "shares differ": self.share_gaps,
            "payout differs": self.payout_gaps,
        }
        lines = [f"{what}: {one}" for what, found in named.items() for one in found]
        if self.cash_gap_e6:
            lines.append(f"cash differs by {self.cash_gap_e6} e6")
        return lines


def compare(ours: OurBooks, ledger: Ledger) -> BooksReport:
    """Compare our books with a ledger that was read while nothing was under way."""
    orders = {order["order_id"]: order for order in ledger["orders"]}
    theirs_open = {order_id for order_id, order in orders.items() if order["open"]}
    legs = _legs(ledger)
    expected, gaps = _expected_cash(ours, ledger)
    cash = sum(wallet["cash_e6"] for wallet in ledger["wallets"].values())
    return BooksReport(
        orders=len(ledger["orders"]),
        fills=len(legs),
        doubled=_doubled(ours, ledger),
        unknown=tuple(sorted(orders.keys() - ours.orders.keys())),
        forgotten=tuple(
            sorted(one for one in theirs_open & ours.orders.keys() if not ours.orders[one].open)
        ),
        ghosts=tuple(
            sorted(
                one for one, order in ours.orders.items() if order.open and one not in theirs_open
            )
        ),
        missing_fills=tuple(
            sorted(f"{trade}/{order[:18]}" for (trade, order), facts in legs.items()
                   if _fill_differs(ours.fills.get((trade, order)), facts))
        ),
        share_gaps=tuple(gaps),
        payout_gaps=tuple(_payout_gaps(ours, ledger)),
        cash_gap_e6=cash - expected,
    )  # fmt: skip


def _doubled(ours: OurBooks, ledger: Ledger) -> tuple[str, ...]:
    """Order ids listed twice, and intents of which more than one order lives or was filled."""
    ids = Counter(order["order_id"] for order in ledger["orders"])
    effective = {
        order["order_id"]
        for order in ledger["orders"]
        if order["open"] or order["matched_e6"] >= order["size_e6"]
    }
    intents = Counter(ours.orders[one].intent_id for one in effective & ours.orders.keys())
    return tuple(
        sorted(f"{what} ({count} times)" for what, count in (ids | intents).items() if count > 1)
    )


def _legs(ledger: Ledger) -> dict[FillKey, FillFacts]:
    """Our part in every trade of the ledger."""
    owner = ledger["owner"]
    return {
        (trade["trade_id"], leg["order_id"]): (
            leg["size_e6"],
            leg["cash_e6"],
            leg["fee_e6"],
            trade["status"] == TradeStatus.FAILED,
        )
        for trade in ledger["trades"]
        for leg in (trade["taker"], *trade["makers"])
        if leg["owner"] == owner
    }


def _fill_differs(ours: FillFacts | None, theirs: FillFacts) -> bool:
    return not theirs[3] if ours is None else ours != theirs


def _expected_cash(ours: OurBooks, ledger: Ledger) -> tuple[int, list[str]]:
    """Return the cash our books make of the wallet, and every token whose shares differ."""
    wallets = ledger["wallets"].values()
    cash = ours.trading_cash_e6 + sum(wallet["granted_e6"] for wallet in wallets)
    cash += sum(rebate["cash_e6"] for rebate in ledger["rebates"])
    theirs: Counter[str] = Counter()
    for wallet in wallets:
        theirs.update(wallet["shares_e6"])
    for redemption in ledger["redemptions"]:
        theirs[redemption["token_id"]] += redemption["size_e6"]
        if redemption["cash_e6"]:
            cash += ours.positions_e6.get(redemption["token_id"], 0)
    gaps = [
        f"token {token[:12]}: ours {ours.positions_e6.get(token, 0)}, exchange {theirs[token]} e6"
        for token in sorted(theirs.keys() | ours.positions_e6.keys())
        if theirs[token] != ours.positions_e6.get(token, 0)
    ]
    return cash, gaps


def _payout_gaps(ours: OurBooks, ledger: Ledger) -> list[str]:
    paid: Counter[str] = Counter()
    for redemption in ledger["redemptions"]:
        paid[redemption["condition_id"]] += redemption["cash_e6"]
    return [
        f"market {condition_id[:12]}: booked {booked}, paid {paid[condition_id]} e6"
        for condition_id, booked in sorted(ours.payouts_e6.items())
        if booked != paid[condition_id]
    ]


# --- reading ------------------------------------------------------------------------------------

_OVER = [state.value for state in OrderState if state.terminal]

_ORDERS = """
    SELECT order_id, agent, intent_id, state <> ALL(%(over)s) AS open, lease_token
    FROM orders WHERE order_id = ANY(%(ids)s) OR state <> ALL(%(over)s)
"""
_FILLS = """
    SELECT trade_id, order_id, size, cash, fee, status = 'FAILED' AS failed
    FROM fills WHERE trade_id = ANY(%s)
"""
_CASH = """
    SELECT sum(CASE WHEN status = 'FAILED' THEN 0
                    WHEN side = 'BUY' THEN -cash - fee ELSE cash - fee END) AS cash FROM fills
"""
_POSITIONS = "SELECT token_id, sum(size) AS size FROM positions GROUP BY 1 HAVING sum(size) <> 0"
_PAYOUTS = """
    SELECT condition_id, sum(payout) AS payout FROM trades t
    WHERE NOT EXISTS (
        SELECT 1 FROM positions p WHERE p.condition_id = t.condition_id AND NOT p.settled
    ) GROUP BY 1
"""


async def read_books(database: Database, ledger: Ledger) -> OurBooks:
    """Read what `compare` needs of our tables, as they were at one moment.

    Raises
    ------
    StoreUnavailable
        Postgres is away.
    """
    ids = [order["order_id"] for order in ledger["orders"]]
    trades = [trade["trade_id"] for trade in ledger["trades"]]
    async with database.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor = await connection.execute(_ORDERS, {"over": _OVER, "ids": ids})
        orders = await cursor.fetchall()
        fills = await (await connection.execute(_FILLS, [trades])).fetchall()
        cash = await (await connection.execute(_CASH)).fetchone()
        positions = await (await connection.execute(_POSITIONS)).fetchall()
        payouts = await (await connection.execute(_PAYOUTS)).fetchall()
    return OurBooks(
        orders={
            row["order_id"]: OurOrder(
                row["agent"], row["intent_id"], row["open"], row["lease_token"]
            )
            for row in orders
        },
        fills={
            (row["trade_id"], row["order_id"]): (
                e6(row["size"]),
                e6(row["cash"]),
                e6(row["fee"]),
                row["failed"],
            )
            for row in fills
        },
        trading_cash_e6=e6(cash["cash"]) if cash is not None else 0,
        positions_e6={row["token_id"]: e6(row["size"]) for row in positions},
        payouts_e6={row["condition_id"]: e6(row["payout"]) for row in payouts},
    )


async def agree(
    database: Database, read_ledger: ReadLedger, patience_s: float = 30.0, pause_s: float = 0.5
) -> BooksReport:
    """Compare until the books agree, or `patience_s` is over; trading may go on meanwhile.

    A look in which the exchange's trades or wallets changed between two readings of its ledger
    proves nothing and is taken again.

    Returns
    -------
    BooksReport
        One that agrees, or what the last two looks both found.

    Raises
    ------
    StoreUnavailable
        Postgres is away.
    """
    deadline = time.monotonic() + patience_s
    last: BooksReport | None = None
    while True:
        before = await read_ledger()
        await asyncio.sleep(pause_s)
        ours = await read_books(database, before)
        after = await read_ledger()
        report = compare(ours, before)
        if report.agree:
            return report
        still = _money(before) == _money(after)
        late = time.monotonic() >= deadline
        if still or late:
            both = report if last is None else _persisting(last, report)
            if (last is not None and both.agree) or late:
                return both
            last = report


def _money(ledger: Ledger) -> tuple[object, ...]:
    """What only changes when money moves."""
    held = [(wallet["cash_e6"], wallet["shares_e6"]) for wallet in ledger["wallets"].values()]
    trades = [(trade["trade_id"], trade["status"]) for trade in ledger["trades"]]
    return held, trades, len(ledger["redemptions"])


def _persisting(first: BooksReport, second: BooksReport) -> BooksReport:
    """Keep of the second what the first found too: the rest was under way."""

    def both(name: str) -> tuple[str, ...]:
        seen = set(getattr(first, name))
        return tuple(one for one in getattr(second, name) if one in seen)

    same_cash = first.cash_gap_e6 == second.cash_gap_e6
    return BooksReport(
        orders=second.orders,
        fills=second.fills,
        doubled=second.doubled,
        unknown=both("unknown"),
        forgotten=both("forgotten"),
        ghosts=both("ghosts"),
        missing_fills=both("missing_fills"),
        share_gaps=both("share_gaps"),
        payout_gaps=both("payout_gaps"),
        cash_gap_e6=second.cash_gap_e6 if same_cash else 0,
    )
