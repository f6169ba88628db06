"""The order desk: takes verified orders to the matching core and keeps clients' records true."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from engine.matching import Exchange
from engine.matching.types import CancelRefused, CoreOrder, OrderRefused
from models.orders import TradeStatus
from venue.simulator.bank import PROVIDER, TAKER, Bank
from venue.simulator.entry import Entry
from venue.simulator.errors import Refusal, bad
from venue.simulator.journal import Journal
from venue.simulator.records import LIVE, Leg, OrderRecord, Redemption, TradeRecord

NOT_FOUND = "Order not found or already canceled"
PUBLIC_TRADES = 5_000
STRANGERS = (PROVIDER, TAKER)


class Desk:
    """Orders and trades of clients. What the core reports goes to `absorb`, set by the world."""

    def __init__(self, exchange: Exchange, bank: Bank, journal: Journal) -> None:
        self._exchange = exchange
        self._bank = bank
        self._journal = journal
        self._seq = journal.last_seq()
        self._orders: dict[str, OrderRecord] = {}
        self._by_key: dict[str, dict[str, OrderRecord]] = defaultdict(dict)
        self._by_owner: dict[str, dict[str, OrderRecord]] = defaultdict(dict)
        self._trades: dict[str, TradeRecord] = {}
        self._traded: set[str] = set()
        self._trades_by_owner: dict[str, list[TradeRecord]] = defaultdict(list)
        self._legs: dict[tuple[str, str], list[Leg]] = defaultdict(list)
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.public: deque[dict[str, Any]] = deque(maxlen=PUBLIC_TRADES)
        self.redemptions: list[Redemption] = []
        self.absorb: Callable[[Iterable[Any], int], None] = lambda events, at_ns: None

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    # --- entering and cancelling --------------------------------------------------------------

    def place(self, entry: Entry, now_ns: int) -> OrderRecord:
        """Enter a verified order.

        Raises
        ------
        Refusal
            400 with the core's text; nothing changed.
        """
        if self.find(entry.order_id) is not None:
            raise bad(f"order {entry.order_id} is invalid. Duplicated.")
        self._bank.open(entry.wallet, entry.key.address)
        record = _record(entry, self._seq + 1, now_ns)
        self._orders[record.order_id] = record
        try:
            events = self._exchange.submit(core_order(record), now_ns)
        except OrderRefused as refused:
            del self._orders[record.order_id]
            raise Refusal(400, refused.text) from None
        self.next_seq()
        self._index(record)
        self.absorb(events, now_ns)
        self._journal.order(record)
        return record

    def cancel(
        self, wanted: Iterable[str], owner: str, now_ns: int
    ) -> tuple[list[str], dict[str, str]]:
        """Cancel orders of an address; returns the ids that are gone and the reasons of others."""
        done: list[str] = []
        refused: dict[str, str] = {}
        for order_id in dict.fromkeys(wanted):
            record = self._orders.get(order_id)
            if record is None or record.owner != owner:
                refused[order_id] = NOT_FOUND
                continue
            try:
                self.absorb(self._exchange.cancel(order_id, now_ns), now_ns)
            except CancelRefused as reason:
                refused[order_id] = reason.text
            else:
                done.append(order_id)
        return done, refused

    # --- keeping ------------------------------------------------------------------------------

    def restore_order(self, record: OrderRecord) -> None:
        self._orders[record.order_id] = record
        self._index(record)

    def restore_trade(self, record: TradeRecord) -> None:
        self._keep_trade(record)

    def add_trade(self, record: TradeRecord) -> None:
        self._keep_trade(record)
        self._journal.trade(record)

    def _keep_trade(self, record: TradeRecord) -> None:
        self._trades[record.trade_id] = record
        self._traded.add(record.condition_id)
        owners = {leg.owner for leg in (record.taker, *record.makers) if leg.owner}
        for owner in owners:
            self._trades_by_owner[owner].append(record)
        for leg in (record.taker, *record.makers):
            if leg.owner:
                self._legs[leg.wallet, leg.token_id].append(leg)

    def add_row(self, row: dict[str, Any], wallet: str | None) -> None:
        """Note a public trade row; a client's own rows are kept by wallet."""
        if wallet is None:
            self.public.append(row)
        else:
            self._rows[wallet].append(row)

    def close(self, record: OrderRecord) -> None:
        """The order is no longer open."""
        record.open = False
        self._by_key[record.key].pop(record.order_id, None)
        self._by_owner[record.owner].pop(record.order_id, None)

    def traded(self, condition_id: str) -> bool:
        """Whether a client ever traded in a market."""
        return condition_id in self._traded

    def forget_closed(self, condition_id: str) -> None:
        """Drop closed orders of a market from memory; the journal still has them."""
        gone = [
            order_id
            for order_id, record in self._orders.items()
            if record.condition_id == condition_id and not record.open
        ]
        for order_id in gone:
            del self._orders[order_id]

    def _index(self, record: OrderRecord) -> None:
        if record.open:
            self._by_key[record.key][record.order_id] = record
            self._by_owner[record.owner][record.order_id] = record

    # --- looking up ---------------------------------------------------------------------------

    def find(self, order_id: str) -> OrderRecord | None:
        return self._orders.get(order_id) or self._journal.read_order(order_id)

    def known(self, order_id: str) -> OrderRecord | None:
        """A client's order that memory still holds."""
        return self._orders.get(order_id)

    def open_of(self, key: str) -> list[OrderRecord]:
        return list(self._by_key.get(key, {}).values())

    def open_of_owner(self, owner: str) -> list[OrderRecord]:
        return list(self._by_owner.get(owner, {}).values())

    def open_count(self) -> int:
        return sum(len(orders) for orders in self._by_owner.values())

    def trade(self, trade_id: str) -> TradeRecord:
        return self._trades[trade_id]

    def trades_of(self, owner: str) -> list[TradeRecord]:
        """Oldest first."""
        return self._trades_by_owner.get(owner, [])

    def unsettled(self) -> list[TradeRecord]:
        final = (TradeStatus.CONFIRMED, TradeStatus.FAILED)
        return [trade for trade in self._trades.values() if trade.status not in final]

    def legs_of(self, wallet: str, token: str) -> list[Leg]:
        return self._legs.get((wallet, token), [])

    def rows_of(self, wallet: str) -> list[dict[str, Any]]:
        """Trade rows of a wallet as the data API tells them, oldest first."""
        return self._rows.get(wallet, [])


def core_order(record: OrderRecord) -> CoreOrder:
    """What the matching core needs of an order."""
    return CoreOrder(
        order_id=record.order_id,
        account=record.wallet,
        condition_id=record.condition_id,
        token_id=record.token_id,
        side=record.side,
        price_e4=record.price_e4,
        maker_amount_e6=record.maker_amount_e6,
        taker_amount_e6=record.taker_amount_e6,
        size_e6=record.size_e6,
        tif=record.tif,
        post_only=record.post_only,
        expires_s=record.expires_s,
        created_ns=record.created_ns,
    )


def _record(entry: Entry, seq: int, now_ns: int) -> OrderRecord:
    return OrderRecord(
        order_id=entry.order_id,
        seq=seq,
        key=entry.key.key,
        owner=entry.key.address,
        wallet=entry.wallet,
        condition_id=entry.condition_id,
        token_id=entry.token_id,
        outcome=entry.outcome,
        side=entry.side,
        price_e4=entry.price_e4,
        maker_amount_e6=entry.maker_amount_e6,
        taker_amount_e6=entry.taker_amount_e6,
        size_e6=entry.size_e6,
        tif=entry.tif,
        post_only=entry.post_only,
        expires_s=entry.expires_s,
        created_ns=now_ns,
        status=LIVE,
    )
