"""Maker rebates: a part of the taker fees of every market, paid to its makers once a UTC day.

A maker gets the market's share (a fifth of the fee on crypto markets) of the fees that its own
fills made takers pay, which is its pro-rata part of the market's pool. Source: the venue's pages
on fees and maker rebates. A day's trades are paid at its end; one that is not confirmed by then is
paid a day later, one that failed never. Payments come out of what the exchange took in fees.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from models.orders import TradeStatus
from models.units import DAY_NS, SECOND_NS
from venue.simulator.bank import CASH, Bank
from venue.simulator.core import VenueExchange
from venue.simulator.eip712 import keccak
from venue.simulator.journal import Journal
from venue.simulator.records import Rebate, TradeRecord

log = structlog.get_logger(__name__)
PPM = 1_000_000

Share = tuple[str, str, str]
"""Day, condition id, wallet."""


class Rebates:
    """What makers are owed, and what they were paid."""

    def __init__(self, exchange: VenueExchange, bank: Bank, journal: Journal) -> None:
        self._exchange = exchange
        self._bank = bank
        self._journal = journal
        self._owing: dict[str, TradeRecord] = {}
        self._paid: dict[str, list[Rebate]] = defaultdict(list)

    def note(self, trade: TradeRecord) -> None:
        """Remember a trade in which a client was a maker and a fee was paid."""
        if trade.rebated or not trade.rebate_ppm:
            return
        if any(leg.owner and leg.earned_e6 for leg in trade.makers):
            self._owing[trade.trade_id] = trade

    def restore(self, paid: Iterable[Rebate]) -> None:
        """Take back what was paid in an earlier life."""
        for rebate in paid:
            self._paid[rebate.wallet].append(rebate)

    def pay(self, now_ns: int) -> None:
        """Pay for the settled trades of the days before; part of the next commit, whole."""
        midnight_ns = now_ns - now_ns % DAY_NS
        ready = [t for t in self._owing.values() if t.matched_ns < midnight_ns and _final(t)]
        owed = shares(ready)
        for (day, condition_id, wallet), cash_e6 in owed.items():
            self._exchange.pay(wallet, cash_e6)
            self._bank.touch(wallet, CASH)
            name = f"rebate|{day}|{condition_id}|{wallet}|{now_ns}"
            hash_ = "0x" + keccak(name.encode()).hex()
            rebate = Rebate(wallet, condition_id, day, cash_e6, now_ns, hash_)
            self._paid[wallet].append(rebate)
            self._journal.rebate(rebate)
        for trade in ready:
            trade.rebated = True
            self._journal.trade(trade)
            del self._owing[trade.trade_id]
        if owed:
            log.info("rebates_paid", payments=len(owed), cash_e6=sum(owed.values()))

    def of_day(self, day: str, wallet: str) -> dict[str, int]:
        """A wallet's rebates of a day in e6 by condition id, paid or not yet."""
        found: dict[str, int] = defaultdict(int)
        for rebate in self._paid.get(wallet, ()):
            if rebate.day == day:
                found[rebate.condition_id] += rebate.cash_e6
        for (of, condition_id, maker), cash_e6 in shares(self._owing.values()).items():
            if (of, maker) == (day, wallet):
                found[condition_id] += cash_e6
        return dict(found)

    def paid_to(self, wallet: str) -> list[Rebate]:
        """What a wallet was paid, oldest first."""
        return list(self._paid.get(wallet, ()))


def shares(trades: Iterable[TradeRecord]) -> dict[Share, int]:
    """Rebates in e6 of trades, rounded down for each day, market and wallet; none of nothing."""
    earned: dict[tuple[Share, int], int] = defaultdict(int)
    for trade in trades:
        if trade.status is TradeStatus.FAILED:
            continue
        day = datetime.fromtimestamp(trade.matched_ns // SECOND_NS, UTC).date().isoformat()
        for leg in trade.makers:
            if leg.owner:
                share = (day, trade.condition_id, leg.wallet)
                earned[share, trade.rebate_ppm] += leg.earned_e6
    rebates: dict[Share, int] = defaultdict(int)
    for (share, ppm), fees_e6 in sorted(earned.items()):
        rebates[share] += fees_e6 * ppm // PPM
    return {share: cash_e6 for share, cash_e6 in rebates.items() if cash_e6}


def _final(trade: TradeRecord) -> bool:
    return trade.status in (TradeStatus.CONFIRMED, TradeStatus.FAILED)
