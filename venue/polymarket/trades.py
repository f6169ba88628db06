"""Trades as the venue reports them, cut down to the legs that are ours.

One trade is one taker order against one or more maker orders. Its top level describes the taker;
a maker's part is its row in ``maker_orders``, in that order's own token and price, which may be
the complementary token at one less the price (a mint or a merge).
"""

from typing import Any

import msgspec

from models.errors import BadValue, VenueUnknown
from models.markets import FeeSchedule, Side, taker_fee_e6
from models.orders import Role, TradeStatus, VenueLeg, VenueTrade
from models.units import PRICE_ONE, notional_e6
from venue.polymarket.numbers import epoch_ns, price_e4, size_e6

_STATUSES = {
    "MATCHED": TradeStatus.MATCHED,
    "MATCHED_NOT_BROADCASTED": TradeStatus.MATCHED,
    "": TradeStatus.MATCHED,
    "MINED": TradeStatus.MINED,
    "CONFIRMED": TradeStatus.CONFIRMED,
    "RETRYING": TradeStatus.RETRYING,
    "FAILED": TradeStatus.FAILED,
}


class WireMaker(msgspec.Struct):
    """One row of ``maker_orders``."""

    order_id: str = ""
    maker_address: str = ""
    owner: str = ""
    matched_amount: str = ""
    price: str = ""
    asset_id: str = ""
    side: str = ""


class WireTrade(msgspec.Struct):
    """A row of ``/data/trades`` or a ``trade`` event of the user channel."""

    id: str = ""
    taker_order_id: str = ""
    market: str = ""
    asset_id: str = ""
    side: str = ""
    size: str = ""
    price: str = ""
    status: str = ""
    match_time: str | int = ""
    matchtime: str | int = ""
    match_time_nano: str | int = ""
    timestamp: str | int = ""
    owner: str = ""
    maker_address: str = ""
    trader_side: str = ""
    transaction_hash: str | None = None
    maker_orders: list[WireMaker] | None = None


class Party(msgspec.Struct, frozen=True):
    """Who we are in a trade: the wallet that owns the funds, and this client's API key."""

    wallet: str
    api_key: str

    def owns(self, maker_address: str, owner: str) -> bool:
        if maker_address:
            return maker_address.lower() == self.wallet.lower()
        return bool(owner) and owner == self.api_key


def read_wire(row: Any) -> WireTrade:
    """Check the shape of one REST row. Raises VenueUnknown where it is not a trade."""
    try:
        wire = msgspec.convert(row, WireTrade, strict=False)
    except msgspec.ValidationError as error:
        raise VenueUnknown(f"the venue reports a trade that cannot be read: {error}") from error
    if not wire.id or not wire.market:
        raise VenueUnknown("the venue reports a trade without id or market")
    return wire


def trade_of(wire: WireTrade, me: Party, fee: FeeSchedule) -> VenueTrade:
    """Read a trade, with our legs alone (none when the trade is not ours).

    Cash is exact: a maker's leg is its size at its price, the taker's is the sum over the maker
    rows in the taker's own price, so that both sides of a trade agree to the last unit.

    Raises
    ------
    VenueUnknown
        An amount or a status cannot be read; nothing is guessed about money.
    """
    try:
        legs = [
            _maker_leg(wire, row) for row in wire.maker_orders or () if _is_ours(row, me)
        ]  # fmt: skip
        if took(wire, me):
            legs.append(_taker_leg(wire, fee))
        return VenueTrade(
            trade_id=wire.id,
            condition_id=wire.market,
            status=_status(wire.status),
            matched_ns=_matched_ns(wire),
            legs=tuple(legs),
            transaction_hash=wire.transaction_hash or "",
        )
    except ValueError as error:
        raise VenueUnknown(f"trade {wire.id} cannot be read: {error}") from error


def _is_ours(row: WireMaker, me: Party) -> bool:
    return me.owns(row.maker_address, row.owner)


def took(wire: WireTrade, me: Party) -> bool:
    """Whether we took, which alone costs a fee.

    The venue says so; it is asked by address only where it does not. A maker's view of a trade may
    carry either party's address at the top level.
    """
    if wire.trader_side:
        return wire.trader_side.upper() == Role.TAKER
    return me.owns(wire.maker_address, wire.owner)


def _maker_leg(wire: WireTrade, row: WireMaker) -> VenueLeg:
    size = size_e6(row.matched_amount)
    if not row.order_id or size <= 0:
        raise BadValue("a maker order of ours has no id or no size")
    return VenueLeg(
        order_id=row.order_id,
        token_id=row.asset_id or wire.asset_id,
        side=_maker_side(wire, row),
        role=Role.MAKER,
        size_e6=size,
        cash_e6=notional_e6(price_e4(row.price), size),
        fee_e6=0,
    )


def _maker_side(wire: WireTrade, row: WireMaker) -> Side:
    """The row's side; where it is left out, it follows from the tokens.

    On the taker's own token the maker stands opposite; on the complementary one it does the
    same as the taker (both buy: a mint; both sell: a merge).
    """
    if row.side:
        return Side(row.side.upper())
    taker = Side(wire.side.upper())
    same_token = not row.asset_id or row.asset_id == wire.asset_id
    return taker.opposite if same_token else taker


def _taker_leg(wire: WireTrade, fee: FeeSchedule) -> VenueLeg:
    size = size_e6(wire.size)
    if not wire.taker_order_id or size <= 0:
        raise BadValue("our taker order has no id or no size")
    cash, charged = _taker_money(wire, size, fee)
    return VenueLeg(
        order_id=wire.taker_order_id,
        token_id=wire.asset_id,
        side=Side(wire.side.upper()),
        role=Role.TAKER,
        size_e6=size,
        cash_e6=cash,
        fee_e6=charged,
    )


def _taker_money(wire: WireTrade, size: int, fee: FeeSchedule) -> tuple[int, int]:
    """Cash and fee of the taker; a trade at several prices is the sum of its parts."""
    price = price_e4(wire.price)
    parts = [
        (_in_taker_price(wire, row), size_e6(row.matched_amount)) for row in wire.maker_orders or ()
    ]
    if sum(matched for _, matched in parts) != size or all(at == price for at, _ in parts):
        parts = [(price, size)]
    return (
        sum(notional_e6(at, matched) for at, matched in parts),
        sum(taker_fee_e6(at, matched, fee) for at, matched in parts),
    )


def _in_taker_price(wire: WireTrade, row: WireMaker) -> int:
    price = price_e4(row.price)
    if not row.asset_id or row.asset_id == wire.asset_id:
        return price
    return PRICE_ONE - price


def _status(text: str) -> TradeStatus:
    plain = text.upper().removeprefix("TRADE_STATUS_").strip("[] ")
    try:
        return _STATUSES[plain]
    except KeyError:
        raise BadValue(f"status {text!r} is not known") from None


def _matched_ns(wire: WireTrade) -> int:
    if wire.match_time_nano:
        return epoch_ns(wire.match_time_nano)
    for value in (wire.match_time, wire.matchtime, wire.timestamp):
        if value:
            return epoch_ns(value)
    return 0
