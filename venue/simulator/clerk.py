"""The clerk: turns what the matching core reports into records and messages."""

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from engine.matching.types import (
    Cancelled,
    CancelReason,
    CoreEvent,
    CoreTrade,
    LevelChanged,
    Matched,
    Placed,
    Redeemed,
    Released,
    TickChanged,
)
from engine.matching.types import Leg as CoreLeg
from models.markets import FeeSchedule, Outcome, Side, taker_fee_e6
from models.orders import OrderState, TradeStatus
from models.units import PRICE_ONE, SECOND_NS, USD, notional_e6
from venue.simulator import wire
from venue.simulator.bank import CASH, Bank
from venue.simulator.desk import STRANGERS, Desk
from venue.simulator.eip712 import checksum, keccak
from venue.simulator.journal import Journal
from venue.simulator.life import Life
from venue.simulator.mirror import Mirror
from venue.simulator.records import (
    CANCELED,
    DELAYED,
    LIVE,
    MATCHED,
    Leg,
    OrderRecord,
    Redemption,
    TradeRecord,
)
from venue.simulator.tape import Outbox, Tape
from venue.simulator.windows import Registry, Window
from venue.simulator.ws_user import UserChannel

OURS_ONLY = (CancelReason.FAK_REST, CancelReason.SELF_TRADE)
"""Reasons for which the venue has no status of its own."""
STRANGER_KEY = "00000000-0000-4000-8000-000000000000"
NAMESPACE = uuid.UUID("5f0f5a4e-53d1-4f0a-9a57-d8a6a1f7f9c1")


class Clerk:
    """Absorbs events of the core, in order."""

    def __init__(
        self,
        desk: Desk,
        bank: Bank,
        journal: Journal,
        registry: Registry,
        tape: Tape,
        users: UserChannel,
        outbox: Outbox,
    ) -> None:
        self._desk = desk
        self._bank = bank
        self._journal = journal
        self._registry = registry
        self._tape = tape
        self._users = users
        self._outbox = outbox
        self.life: Life | Mirror | None = None
        self.on_trade: Any = lambda record, now_ns: None
        self.on_event: Any = lambda event, now_ns: None

    def absorb(self, events: Iterable[CoreEvent], now_ns: int) -> None:
        levels: dict[str, dict[tuple[Side, int], int]] = defaultdict(dict)
        for event in events:
            self.on_event(event, now_ns)
            if isinstance(event, LevelChanged):
                levels[event.condition_id][event.side, event.price_e4] = event.size_e6
            elif isinstance(event, Matched):
                self._matched(event.trade, now_ns)
            elif isinstance(event, Placed | Released):
                self._placed(event, now_ns)
            elif isinstance(event, Cancelled):
                self._cancelled(event, now_ns)
            elif isinstance(event, TickChanged):
                self._tick(event, now_ns)
            elif isinstance(event, Redeemed):
                self._redeemed(event, now_ns)
        for condition_id, changes in levels.items():
            window = self._registry.by_condition.get(condition_id)
            if window is not None and not window.closed:
                self._tape.levels(window, changes, now_ns)

    # --- orders -------------------------------------------------------------------------------

    def _placed(self, event: Placed | Released, now_ns: int) -> None:
        record = self._desk.known(event.order.order_id)
        if record is None:
            return
        record.status = DELAYED if event.status is OrderState.DELAYED else LIVE
        if event.status in (OrderState.LIVE, OrderState.DELAYED):
            kind = "PLACEMENT" if isinstance(event, Placed) else "UPDATE"
            self._tell_order(record, kind, now_ns)
        self._save(record, now_ns)

    def _cancelled(self, event: Cancelled, now_ns: int) -> None:
        record = self._desk.known(event.order_id)
        if record is None:
            return
        record.status = CANCELED if event.reason in OURS_ONLY else event.reason.value
        self._desk.close(record)
        self._tell_order(record, "CANCELLATION", now_ns)
        self._save(record, now_ns)

    def _tell_order(self, record: OrderRecord, kind: str, now_ns: int) -> None:
        if not self._users.listens(record.owner):
            return
        message = wire.order_event(record, kind, now_ns)
        if record.status == CancelReason.FOK_KILLED.value:
            # The venue leaves these two empty when it kills an order that never rested.
            message["size_matched"] = message["created_at"] = ""
        self._outbox.add(lambda: self._users.publish(record.owner, record.condition_id, message))

    def _save(self, record: OrderRecord, now_ns: int) -> None:
        record.updated_ns = now_ns
        self._journal.order(record)

    # --- trades -------------------------------------------------------------------------------

    def _matched(self, trade: CoreTrade, now_ns: int) -> None:
        window = self._registry.by_condition[trade.condition_id]
        taker = trade.taker
        hash_ = _hash(window, trade)
        window.volume_e6 += notional_e6(taker.price_e4, taker.size_e6)
        self._consume(window, trade)
        self._tape.traded(window, taker.token_id, taker.side, taker.price_e4, taker.size_e6, now_ns)
        self._desk.add_row(_row(window, taker, hash_, now_ns, _wallet(taker)), None)
        if all(leg.account in STRANGERS for leg in (taker, *trade.makers)):
            return
        record = self._record(trade, hash_, now_ns)
        for leg in (taker, *trade.makers):
            self._fill(leg, record, now_ns)
        self._desk.add_trade(record)
        self.note_rows(window, record)
        self.tell_trade(record, now_ns)
        self.on_trade(record, now_ns)

    def note_rows(self, window: Window, record: TradeRecord) -> None:
        """Add the data API's rows of a trade to its clients' wallets."""
        for leg in (record.taker, *record.makers):
            if leg.owner:
                row = _row(window, leg, record.transaction_hash, record.matched_ns, leg.wallet)
                self._desk.add_row(row, leg.wallet)

    def tell_trade(self, record: TradeRecord, now_ns: int) -> None:
        """Send a trade's state to everyone in it."""
        for owner in {leg.owner for leg in (record.taker, *record.makers) if leg.owner}:
            message = wire.trade_event(record, owner, now_ns)
            self._outbox.add(
                lambda o=owner, m=message: self._users.publish(o, record.condition_id, m)  # type: ignore[misc]
            )

    def _consume(self, window: Window, trade: CoreTrade) -> None:
        """A client took the provider's depth: it stays away until the source moves the level."""
        if trade.taker.account in STRANGERS or self.life is None:
            return
        demand = self.life.demands.get(window.condition_id)
        if demand is None:
            return
        for leg in trade.makers:
            if leg.account not in STRANGERS:
                continue
            up = leg.outcome is Outcome.UP
            bid = (leg.side is Side.BUY) == up
            demand.consume(bid, leg.price_e4 if up else PRICE_ONE - leg.price_e4, leg.size_e6)

    def _fill(self, leg: CoreLeg, trade: TradeRecord, now_ns: int) -> None:
        self._bank.touch(leg.account, CASH)
        self._bank.touch(leg.account, leg.token_id)
        record = self._desk.known(leg.order_id)
        if record is None:
            return
        record.matched_e6 += leg.size_e6
        record.cash_e6 += leg.cash_e6
        record.trades.append(trade.trade_id)
        record.status = LIVE
        if leg.open_e6 == 0 or record.tif.immediate:
            record.status = MATCHED
        if leg.open_e6 == 0:
            self._desk.close(record)
        self._tell_order(record, "UPDATE", now_ns)
        self._save(record, now_ns)

    def _record(self, trade: CoreTrade, hash_: str, now_ns: int) -> TradeRecord:
        seq = self._desk.next_seq()
        fee = self._registry.by_condition[trade.condition_id].market.fee
        name = f"{trade.taker.order_id}|{trade.number}|{seq}"
        return TradeRecord(
            trade_id=str(uuid.uuid5(NAMESPACE, name)),
            seq=seq,
            condition_id=trade.condition_id,
            taker=self._leg(trade.taker),
            makers=[self._leg(leg, earned_e6(trade.taker, leg, fee)) for leg in trade.makers],
            kind=trade.kind.value,
            matched_ns=now_ns,
            transaction_hash=hash_,
            bucket=0,
            status=TradeStatus.MATCHED,
            updated_ns=now_ns,
            rebate_ppm=fee.rebate_ppm,
        )

    def _leg(self, leg: CoreLeg, earned_e6: int = 0) -> Leg:
        record = self._desk.known(leg.order_id)
        return Leg(
            order_id=record.order_id if record else "0x" + keccak(leg.order_id.encode()).hex(),
            key=record.key if record else STRANGER_KEY,
            owner=record.owner if record else "",
            wallet=_wallet(leg),
            token_id=leg.token_id,
            outcome=leg.outcome,
            side=leg.side,
            price_e4=leg.price_e4,
            size_e6=leg.size_e6,
            cash_e6=leg.cash_e6,
            fee_e6=leg.fee_e6,
            earned_e6=earned_e6,
        )

    # --- markets ------------------------------------------------------------------------------

    def _tick(self, event: TickChanged, now_ns: int) -> None:
        window = self._registry.by_condition[event.condition_id]
        window.market = replace(window.market, tick_e4=event.new_tick_e4)
        self._tape.tick_changed(window, event.old_tick_e4, event.new_tick_e4, now_ns)
        if self.life is not None:
            self.life.save(window)

    def _redeemed(self, event: Redeemed, now_ns: int) -> None:
        if event.account in STRANGERS:
            return
        self._bank.touch(event.account, CASH)
        self._bank.touch(event.account, event.token_id)
        redemption = Redemption(
            wallet=event.account,
            condition_id=event.condition_id,
            token_id=event.token_id,
            size_e6=event.size_e6,
            cash_e6=event.cash_e6,
            at_ns=now_ns,
            transaction_hash="0x"
            + keccak(f"redeem|{event.account}|{event.token_id}".encode()).hex(),
        )
        self._desk.redemptions.append(redemption)
        self._journal.redemption(redemption)


def earned_e6(taker: CoreLeg, maker: CoreLeg, fee: FeeSchedule) -> int:
    """Fee that a maker's fill made the taker pay, at the taker's own price."""
    same = maker.token_id == taker.token_id
    price = maker.price_e4 if same else PRICE_ONE - maker.price_e4
    return taker_fee_e6(price, maker.size_e6, fee)


def _wallet(leg: CoreLeg) -> str:
    if leg.account in STRANGERS:
        return checksum(keccak(leg.account.encode())[:20])
    return leg.account


def _hash(window: Window, trade: CoreTrade) -> str:
    """One transaction settles all that an order takes at once, however many trades that is."""
    name = f"{window.condition_id}|{trade.taker.order_id}|{trade.matched_ns}"
    return "0x" + keccak(name.encode()).hex()


def _row(window: Window, leg: CoreLeg | Leg, hash_: str, at_ns: int, wallet: str) -> dict[str, Any]:
    market = window.market
    return {
        "proxy_wallet": wallet,
        "side": leg.side.value,
        "token_id": leg.token_id,
        "condition_id": market.condition_id,
        "size": leg.size_e6 / USD,
        "price": leg.price_e4 / PRICE_ONE,
        "timestamp": at_ns // SECOND_NS,
        "title": market.question,
        "slug": market.slug,
        "event_slug": market.slug,
        "outcome": leg.outcome.value,
        "outcome_index": 0 if leg.outcome is Outcome.UP else 1,
        "transaction_hash": hash_,
    }
