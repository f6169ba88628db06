"""One market's arrays, the orders known by name that rest in them, and their growth."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np

from engine.matching.kernels import layout as at
from engine.matching.kernels.layout import Array
from engine.matching.refusals import AMOUNT_DECIMALS
from engine.matching.types import CoreOrder, ExchangeConfig
from models.errors import BadValue
from models.markets import Market, Outcome, Side
from models.orders import OrderState, TimeInForce
from models.units import MILLISECOND_NS

TIFS: Final = {
    TimeInForce.GTC: at.GTC,
    TimeInForce.GTD: at.GTD,
    TimeInForce.FOK: at.FOK,
    TimeInForce.FAK: at.FAK,
}
FIRST_ORDERS = 256
"""Order rows a market begins with; they double when full."""
MAX_RATE_PPM = 300_000
"""Highest fee rate the compiled fee is exact for."""


class Entry(msgspec.Struct, gc=False):
    """An order with a name, and how far it has come.

    ``kind`` and ``account`` are the loops' numbers, ``row`` where it rests (0: nowhere) and
    ``held_e6`` the cash set aside while a taker delay runs.
    """

    order: CoreOrder
    account: int
    kind: int
    state: OrderState = OrderState.LIVE
    row: int = 0
    filled_e6: int = 0
    cash_e6: int = 0
    fee_e6: int = 0
    held_e6: int = 0
    reason: str = ""

    @property
    def open_e6(self) -> int:
        """Shares that may still fill; none once cash bought more than the order's size."""
        left = self.order.size_e6 - self.filled_e6
        return left if left > 0 else 0


class MarketState:
    """A market on the exchange.

    Attributes
    ----------
    number
        Position in the order of listing; part of the names of nameless orders.
    entries
        Orders with a name that rest, by row.
    delayed
        Orders in their taker delay, by id.
    kinds
        Kind of a BUY and of a SELL, by token.
    sides
        Token, outcome and side, by kind.
    spare
        Orders that may still be entered before `make_room` must look again.
    rebated_fees_e6, rebates_paid_e6
        Fees that rebates were paid for, and what was paid.
    """

    def __init__(
        self, market: Market, number: int, config: ExchangeConfig, delay_ms: int, accounts: int
    ) -> None:
        check_market(market, delay_ms)
        self.market = market
        self.number = number
        self.delay_ns = delay_ms * MILLISECOND_NS
        self.winner: Outcome | None = None
        self.entries: dict[int, Entry] = {}
        self.delayed: dict[str, Entry] = {}
        self.rebated_fees_e6 = 0
        self.rebates_paid_e6 = 0
        self.spare = 0
        self.head = at.new_head()
        self.levels = at.new_levels()
        self.orders = np.zeros((FIRST_ORDERS, at.ORDER_FIELDS), np.int64)
        self.held = np.zeros((accounts, at.HELD_FIELDS), np.int64)
        self.kinds = {
            market.up_token: (2 * at.BID + at.UP, 2 * at.ASK + at.UP),
            market.down_token: (2 * at.ASK + at.DOWN, 2 * at.BID + at.DOWN),
        }
        self.sides = {
            kind: (token, market.outcome(token), side)
            for token, kinds in self.kinds.items()
            for kind, side in zip(kinds, (Side.BUY, Side.SELL), strict=True)
        }
        self._set_rules(config)

    def _set_rules(self, config: ExchangeConfig) -> None:
        head, fee = self.head, self.market.fee
        head[at.TICK] = self.market.tick_e4
        head[at.MIN_SIZE] = self.market.min_size_e6
        head[at.MIN_BUY] = config.min_market_buy_e6
        head[at.CHECK_AMOUNTS] = config.check_amounts
        head[at.TIGHTEN_FROM] = config.tighten_from_e4 if config.tighten else 0
        head[at.TIGHTEN_TO] = config.tighten_to_e4
        head[at.RATE_PPM] = fee.rate_ppm
        head[at.EXPONENT] = fee.exponent
        head[at.OF_NOTIONAL] = fee.of_notional
        head[at.FEE_ROUNDING] = config.fee_rounding
        head[at.SELF_TRADE] = config.self_trade
        head[at.DELAYED] = self.delay_ns > 0

    @property
    def tick_e4(self) -> int:
        return int(self.head[at.TICK])

    @property
    def period_fees_e6(self) -> int:
        """Fees collected since rebates were last paid."""
        return int(self.head[at.FEES]) + self.rebates_paid_e6 - self.rebated_fees_e6

    @property
    def live(self) -> int:
        """Resting orders."""
        return int(self.head[at.LIVE])

    def call(self, kernel: Callable[..., int], accounts: Array, out: Array, *rest: Any) -> int:
        """Call a compiled function with this market's arrays in front."""
        return kernel(self.head, self.levels, self.orders, self.held, accounts, out, *rest)

    def make_room(self, orders: int) -> None:
        """Make sure that so many more orders can rest, and note how many more beside them."""
        live, size = self.live, len(self.orders)
        while size < 2 * (live + orders + 1):
            size *= 2
        if size > len(self.orders):
            self.orders = grown(self.orders, size)
        self.spare = size - live - orders - 1

    def token_index(self, token_id: str) -> int:
        return at.UP if token_id == self.market.up_token else at.DOWN


def grown(array: Array, rows: int) -> Array:
    """Copy with more rows, the new ones zero."""
    result = np.zeros((rows, *array.shape[1:]), np.int64)
    result[: len(array)] = array
    return result


def check_market(market: Market, delay_ms: int) -> None:
    """Refuse what the core cannot trade. Raises `BadValue`."""
    if market.tick_e4 not in AMOUNT_DECIMALS:
        raise BadValue(
            f"market {market.slug}: tick_e4 {market.tick_e4} is none of "
            f"{', '.join(map(str, AMOUNT_DECIMALS))}"
        )
    fee = market.fee
    if not fee.free and (fee.exponent not in (1, 2) or not 0 < fee.rate_ppm <= MAX_RATE_PPM):
        raise BadValue(
            f"market {market.slug}: fee rate_ppm {fee.rate_ppm}, exponent {fee.exponent}; "
            f"the core takes rates to {MAX_RATE_PPM} and exponents 1 and 2"
        )
    if not 0 <= fee.rebate_ppm <= 1_000_000:
        raise BadValue(f"market {market.slug}: rebate_ppm {fee.rebate_ppm} is not in 0..1000000")
    if market.up_token == market.down_token:
        raise BadValue(f"market {market.slug}: both tokens are {market.up_token!r}")
    if delay_ms < 0:
        raise BadValue(f"market {market.slug}: taker_delay_ms {delay_ms} is negative")
