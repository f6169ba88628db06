"""Clients' orders under three fill models, beside the exchange that really fills them.

The depth of everybody else is imposed on the matching core, which fills by price and time. Where
a client's order stands among that depth the core cannot know; the chosen model says it, and the
core's queue is arranged accordingly (`VenueExchange.stand`). The three models also run beside it,
each with cash and shares of its own for every wallet, on the same orders, cancels and tape.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from engine.fills import FillTriple, OurOrder, print_of
from engine.fills.account import Account, new_account
from engine.fills.triple import CENTRAL
from engine.matching.types import Cancelled, CoreOrder, Matched, Placed, Released
from models.errors import BadValue
from models.fills import FillModel
from models.markets import Outcome, Side
from models.orders import OrderState
from models.units import SECOND_NS, usd
from venue.simulator.bank import PROVIDER, Bank
from venue.simulator.core import VenueExchange
from venue.simulator.desk import STRANGERS
from venue.simulator.journal import Journal
from venue.simulator.liquidity import SEEN_LEVELS, Step
from venue.simulator.records import OrderRecord, TradeRecord
from venue.simulator.windows import Registry, Window

log = structlog.get_logger(__name__)
EXCHANGE = "exchange"
"""Name of the account of what really filled."""
LIVE_GRACE_NS = SECOND_NS
"""A live print and the level's change it explains lie apart by less than this."""
MEANING = (
    "profit and loss of the same orders under three assumptions about the queue; 'exchange' is "
    "what really filled, with the queue arranged by fill_model; maker rebates are in none of them"
)


@dataclass(frozen=True, slots=True)
class _Saved:
    triple: bytes
    exchange: dict[str, Account]


class FillBoard:
    """Feeds the fill models with what the core tells, and arranges the core's queue."""

    def __init__(
        self,
        exchange: VenueExchange,
        bank: Bank,
        journal: Journal,
        registry: Registry,
        model: FillModel,
        live: bool,
    ) -> None:
        self.model = model
        self._exchange = exchange
        self._bank = bank
        self._journal = journal
        self._registry = registry
        self._view = None if live else SEEN_LEVELS
        self.triple = FillTriple(
            model if model.central else FillModel.LOG, grace_ns=LIVE_GRACE_NS if live else 0
        )
        self._real: dict[str, Account] = {}
        self._changed = False

    # --- clients' side ------------------------------------------------------------------------

    def heard(self, event: object, now_ns: int) -> None:
        """Take one event of the core."""
        if isinstance(event, Placed | Released):
            if event.status is not OrderState.DELAYED and event.order.account not in STRANGERS:
                self._place(_our(event.order, self._outcome(event.order)), now_ns)
        elif isinstance(event, Cancelled):
            if event.account not in STRANGERS:
                self.triple.cancel(event.condition_id, event.order_id, now_ns)
        elif isinstance(event, Matched):
            for leg in (event.trade.taker, *event.trade.makers):
                if leg.account in STRANGERS:
                    continue
                self._open(leg.account).trade(
                    event.condition_id, leg.outcome, leg.side, leg.price_e4, leg.size_e6,
                    leg.fee_e6, leg.cash_e6,
                )  # fmt: skip
                self._changed = True
                if leg.open_e6 == 0:
                    self.triple.over(event.condition_id, leg.order_id)

    def reentered(self, record: OrderRecord, now_ns: int) -> None:
        """An open order of an earlier life is back; nothing is known of its place any more."""
        left = record.size_e6 - record.matched_e6
        order = OurOrder(
            record.order_id, record.wallet, record.condition_id, record.outcome, record.side,
            record.price_e4, left, record.tif, record.post_only,
        )  # fmt: skip
        self._place(order, now_ns)

    def undone(self, trade: TradeRecord) -> None:
        """A trade failed to settle: what really filled shrinks; the models are not concerned."""
        for leg in (trade.taker, *trade.makers):
            account = self._real.get(leg.wallet)
            if account is not None and leg.owner:
                sign = 1 if leg.side is Side.BUY else -1
                account.undo(
                    trade.condition_id, leg.outcome, leg.side, leg.size_e6,
                    sign * leg.cash_e6 + leg.fee_e6,
                )  # fmt: skip
                self._changed = True

    # --- the market's side --------------------------------------------------------------------

    def listed(self, window: Window) -> None:
        self.triple.list_market(window.market, self._view)

    def stepped(self, window: Window, step: Step, now_ns: int) -> None:
        """Show the models a moment of the tape."""
        prints = tuple(
            print_of(taker.outcome, taker.side, taker.price_e4, taker.size_e6)
            for taker in step.takers
        )
        filled = self.triple.step(window.condition_id, prints, step.bids, step.asks, now_ns)
        self._changed |= any(filled.values())

    def arrange(self, window: Window) -> None:
        """Put the provider's depth ahead of clients' orders where the chosen model sees it."""
        ahead = self.triple.of(self.model).ahead(window.condition_id)
        if ahead:
            self._exchange.stand(window.condition_id, PROVIDER, ahead)

    def resolved(self, window: Window, winner: Outcome, now_ns: int) -> None:
        self.triple.settle(window.condition_id, winner, now_ns)
        for account in self._real.values():
            account.settle(window.condition_id, winner)
        self._changed = True

    # --- what came of it ----------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """The three results and the real one of every wallet, as JSON."""
        return {
            "fill_model": self.model.value,
            "meaning": MEANING,
            "wallets": {wallet: self._wallet(wallet) for wallet in self._real},
        }

    def totals(self) -> dict[str, str]:
        """Profit and loss of all wallets together in pUSD, by model."""
        totals: dict[str, int] = {}
        for wallet in self._real:
            for name, row in self._wallet(wallet).items():
                totals[name] = totals.get(name, 0) + row["pnl_e6"]
        return {name: usd(pnl_e6) for name, pnl_e6 in totals.items()}

    def _wallet(self, wallet: str) -> dict[str, dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = {}
        real = self._real[wallet]
        depth = self.triple.shadows[CENTRAL]
        rows[EXCHANGE] = _row(self.model, real, depth.worth_e6(real))
        for name, shadow in self.triple.shadows.items():
            account = shadow.accounts[wallet]
            rows[name] = _row(shadow.model, account, shadow.worth_e6(account))
        return rows

    # --- keeping ------------------------------------------------------------------------------

    def save(self) -> None:
        """Hand the accounts to the journal if they changed."""
        if self._changed:
            self._changed = False
            saved = _Saved(self.triple.export(), self._real)
            self._journal.meta("fills", msgspec.json.encode(saved))

    def restore(self) -> None:
        """Take the accounts of an earlier life back; orders come by `reentered`."""
        raw = self._journal.read_meta("fills")
        if raw is None:
            return
        try:
            saved = msgspec.json.decode(raw, type=_Saved)
            self.triple.restore(saved.triple)
        except (msgspec.DecodeError, BadValue) as error:
            log.warning("fill_accounts_lost", error=str(error))
            return
        self._real = saved.exchange

    # --- inside -------------------------------------------------------------------------------

    def _place(self, order: OurOrder, now_ns: int) -> None:
        self._open(order.account)
        filled = self.triple.place(order, now_ns)
        self._changed |= any(filled.values())

    def _open(self, wallet: str) -> Account:
        if wallet not in self._real:
            granted_e6 = self._bank.granted(wallet)
            self._real[wallet] = new_account(granted_e6)
            self.triple.open_account(wallet, granted_e6)
            self._changed = True
        return self._real[wallet]

    def _outcome(self, order: CoreOrder) -> Outcome:
        return self._registry.by_condition[order.condition_id].market.outcome(order.token_id)


def _our(order: CoreOrder, outcome: Outcome) -> OurOrder:
    by_cash = order.tif.immediate and order.side is Side.BUY
    return OurOrder(
        order.order_id, order.account, order.condition_id, outcome, order.side, order.price_e4,
        order.size_e6, order.tif, order.post_only, order.maker_amount_e6 if by_cash else 0,
    )  # fmt: skip


def _row(model: FillModel, account: Account, open_e6: int) -> dict[str, Any]:
    pnl_e6 = account.settled_e6 + open_e6
    return {
        "model": model.value,
        "pnl_e6": pnl_e6,
        "pnl": usd(pnl_e6),
        "settled_e6": account.settled_e6,
        "open_e6": open_e6,
        "cash_e6": account.cash_e6,
        "fees_e6": account.fees_e6,
        "fills": account.fills,
        "filled_e6": account.filled_e6,
    }
