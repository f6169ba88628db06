"""A whole exchange as bytes and back: JSON, the same bytes for the same state."""

import heapq
from typing import Any

import msgspec
import numpy as np

from engine.matching.kernels import layout as at
from engine.matching.kernels.orders import release
from engine.matching.kernels.restore import put_back
from engine.matching.ledger import Ledger
from engine.matching.market import Entry, MarketState
from engine.matching.types import CoreOrder, ExchangeConfig
from models.errors import BadValue
from models.markets import Market, Outcome, Side
from models.orders import OrderState
from models.units import MILLISECOND_NS

VERSION = 2
_KEPT = (
    at.NEXT_SEQ, at.TICK, at.COLLATERAL, at.FEES, at.ROUNDING, at.REBATE_TOTAL,
)  # fmt: skip


class AccountImage(msgspec.Struct, frozen=True):
    name: str
    cash_e6: int
    unlimited: bool
    fees_e6: int


class RestingImage(msgspec.Struct, frozen=True):
    """A resting order; `order_id` is empty for a nameless one."""

    seq: int
    account: int
    kind: int
    price_e4: int
    open_e6: int
    order_id: str


class EntryImage(msgspec.Struct, frozen=True):
    order: CoreOrder
    state: OrderState
    filled_e6: int
    cash_e6: int
    fee_e6: int
    held_e6: int
    reason: str


class MarketImage(msgspec.Struct, frozen=True):
    """A market; `counters` are the kept fields of its head, `held` its holdings by account."""

    market: Market
    number: int
    delay_ms: int
    winner: Outcome | None
    rebated_fees_e6: int
    rebates_paid_e6: int
    counters: list[int]
    held: list[tuple[int, int, int, int]]
    resting: list[RestingImage]


class ExchangeImage(msgspec.Struct, frozen=True):
    version: int
    config: ExchangeConfig
    deposited_e6: int
    trades: int
    listed: int
    accounts: list[AccountImage]
    markets: list[MarketImage]
    entries: list[EntryImage]
    timers: list[tuple[int, str]]


def encode(ledger: Ledger, trades: int, timers: list[tuple[int, int, str]]) -> bytes:
    """Write everything down; what is derived (levels, best prices, locked sums) is left out."""
    image = ExchangeImage(
        version=VERSION,
        config=ledger.config,
        deposited_e6=ledger.deposited_e6,
        trades=trades,
        listed=ledger._listed,
        accounts=[
            AccountImage(name, int(row[at.CASH]), bool(row[at.UNLIMITED]), int(row[at.FEES_PAID]))
            for name, row in zip(ledger.accounts, ledger._accounts, strict=False)
        ],
        markets=[_market_image(state) for state in ledger._states.values()],
        entries=[_entry_image(entry) for entry in ledger._entries.values()],
        timers=[(when, order_id) for when, _, order_id in sorted(timers)],
    )
    return msgspec.json.encode(image)


def decode(data: bytes) -> ExchangeImage:
    """Read bytes of `encode`. Raises `BadValue` for anything else."""
    try:
        image = msgspec.json.decode(data, type=ExchangeImage)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise BadValue(f"snapshot of the exchange is not readable: {error}") from error
    if image.version != VERSION:
        raise BadValue(f"snapshot of the exchange has version {image.version}, not {VERSION}")
    return image


def fill(ledger: Ledger, image: ExchangeImage, out: at.Array) -> None:
    """Fill a fresh ledger from an image."""
    for account in image.accounts[1:]:
        ledger.open_account(account.name, unlimited=account.unlimited)
    for number, account in enumerate(image.accounts):
        ledger._accounts[number, at.CASH] = account.cash_e6
        ledger._accounts[number, at.FEES_PAID] = account.fees_e6
    ledger.deposited_e6 = image.deposited_e6
    for market in image.markets:
        ledger._listed = market.number
        ledger.add_market(market.market, market.delay_ms)
        _fill_market(ledger._states[market.market.condition_id], market)
    ledger._listed = image.listed
    for entry in image.entries:
        _fill_entry(ledger, entry, out)
    for market in image.markets:
        _fill_book(ledger, ledger._states[market.market.condition_id], market, out)


def timers_of(image: ExchangeImage) -> list[tuple[int, int, str]]:
    timers = [(when, number, order_id) for number, (when, order_id) in enumerate(image.timers, 1)]
    heapq.heapify(timers)
    return timers


def _market_image(state: MarketState) -> MarketImage:
    holders = np.flatnonzero(state.held[:, [at.UP, at.DOWN, at.REBATE_WEIGHT]].any(axis=1))
    rows = np.flatnonzero(state.orders[:, at.SEQ] > 0)
    rows = rows[np.argsort(state.orders[rows, at.SEQ])]
    return MarketImage(
        market=state.market,
        number=state.number,
        delay_ms=state.delay_ns // MILLISECOND_NS,
        winner=state.winner,
        rebated_fees_e6=state.rebated_fees_e6,
        rebates_paid_e6=state.rebates_paid_e6,
        counters=[int(state.head[field]) for field in _KEPT],
        held=[
            (int(i), *(int(state.held[i, f]) for f in (at.UP, at.DOWN, at.REBATE_WEIGHT)))  # type: ignore[misc]
            for i in holders
        ],
        resting=[_resting_image(state, int(row)) for row in rows],
    )


def _resting_image(state: MarketState, row: int) -> RestingImage:
    order: list[Any] = state.orders[row].tolist()
    entry = state.entries.get(row)
    return RestingImage(
        seq=order[at.SEQ],
        account=order[at.ACCOUNT],
        kind=order[at.KIND],
        price_e4=order[at.PRICE],
        open_e6=order[at.OPEN],
        order_id=entry.order.order_id if entry else "",
    )


def _entry_image(entry: Entry) -> EntryImage:
    return EntryImage(
        entry.order, entry.state, entry.filled_e6, entry.cash_e6, entry.fee_e6, entry.held_e6,
        entry.reason,
    )  # fmt: skip


def _fill_market(state: MarketState, image: MarketImage) -> None:
    state.winner = image.winner
    state.rebated_fees_e6 = image.rebated_fees_e6
    state.rebates_paid_e6 = image.rebates_paid_e6
    for field, value in zip(_KEPT, image.counters, strict=True):
        state.head[field] = value
    for number, up, down, weight in image.held:
        state.held[number, at.UP] = up
        state.held[number, at.DOWN] = down
        state.held[number, at.REBATE_WEIGHT] = weight


def _fill_entry(ledger: Ledger, image: EntryImage, out: at.Array) -> None:
    order = image.order
    state = ledger._states[order.condition_id]
    account = ledger._index[order.account]
    kind = state.kinds[order.token_id][0 if order.side is Side.BUY else 1]
    entry = Entry(order, account, kind)
    entry.state = image.state
    entry.filled_e6 = image.filled_e6
    entry.cash_e6 = image.cash_e6
    entry.fee_e6 = image.fee_e6
    entry.held_e6 = image.held_e6
    entry.reason = image.reason
    ledger._entries[order.order_id] = entry
    if entry.state.terminal:
        return
    ledger._open[account][order.order_id] = entry
    if entry.state is OrderState.DELAYED:
        state.delayed[order.order_id] = entry
        state.call(
            release, ledger._accounts, out, account, entry.kind, -order.size_e6, -entry.held_e6
        )


def _fill_book(ledger: Ledger, state: MarketState, image: MarketImage, out: at.Array) -> None:
    state.make_room(len(image.resting))
    next_seq = int(state.head[at.NEXT_SEQ])
    for order in image.resting:
        row = state.call(
            put_back, ledger._accounts, out, order.account, order.kind, order.price_e4,
            order.open_e6, order.seq,
        )  # fmt: skip
        if order.order_id:
            entry = ledger._entries[order.order_id]
            entry.row = row
            state.entries[row] = entry
    state.head[at.NEXT_SEQ] = next_seq
