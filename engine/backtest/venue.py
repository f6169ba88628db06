"""One agent's way to the played venue: what it sends waits in `out`, what it is told in `inbox`.

Nothing here leads to the tape: a strategy that looks through its view finds its own orders.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.fills.account import Account
from models.errors import BadValue
from models.events import OrderUpdate, TradeUpdate
from models.markets import Market, Outcome, Side
from models.orders import (
    CancelReport,
    OrderRequest,
    SignedOrder,
    SubmitAck,
    VenueOrder,
    VenueTrade,
)
from models.units import PRICE_ONE, SECOND_NS, USD, price_decimal, size_decimal

CENT_E6 = LOT_E6 = 10_000


@dataclass(frozen=True, slots=True)
class SubmitWish:
    """An order to be sent."""

    signed: SignedOrder
    reply: "asyncio.Future[Any]"


@dataclass(frozen=True, slots=True)
class CancelWish:
    """Orders to be cancelled."""

    order_ids: tuple[str, ...]
    reply: "asyncio.Future[Any]"


Wish = SubmitWish | CancelWish
Answer = OrderUpdate | TradeUpdate | tuple["asyncio.Future[Any]", object]
"""News of the user channel, or the answer to a call."""


@dataclass(slots=True, eq=False)
class TapeVenue:
    """Implements `engine.ports.Venue` for one agent."""

    agent: str
    account: str
    purse: Account
    """What the account owns; other agents of the run may draw on it too."""
    out: deque[Wish] = field(default_factory=deque)
    inbox: deque[Answer] = field(default_factory=deque)
    shown: dict[str, VenueOrder] = field(default_factory=dict)
    """Our open orders, as the venue would list them."""
    _markets: dict[str, Market] = field(default_factory=dict)
    _trades: dict[str, dict[str, VenueTrade]] = field(default_factory=dict)
    _count: int = 0

    # --- the port -------------------------------------------------------------------------------

    async def sign(self, request: OrderRequest, market: Market) -> SignedOrder:
        """Number an order; it is refused here as the live client would refuse to sign it."""
        _check(request, market)
        self._markets[market.condition_id] = market
        self._count += 1
        maker, taker = _amounts(request, market)
        return SignedOrder(f"{self.agent}-{self._count}", request, maker, taker, {})

    async def submit(self, order: SignedOrder) -> SubmitAck:
        reply = asyncio.get_running_loop().create_future()
        self.out.append(SubmitWish(order, reply))
        ack: SubmitAck = await reply
        return ack

    async def cancel(self, order_ids: Sequence[str]) -> CancelReport:
        reply = asyncio.get_running_loop().create_future()
        self.out.append(CancelWish(tuple(order_ids), reply))
        report: CancelReport = await reply
        return report

    async def cancel_all(self) -> CancelReport:
        return await self.cancel(tuple(self.shown)) if self.shown else CancelReport()

    async def order(self, order_id: str) -> VenueOrder | None:
        return self.shown.get(order_id)

    async def open_orders(self, condition_id: str | None = None) -> list[VenueOrder]:
        return [o for o in self.shown.values() if condition_id in (None, o.condition_id)]

    async def trades(
        self, *, condition_id: str | None = None, after_s: int | None = None
    ) -> list[VenueTrade]:
        return [
            trade
            for market, some in self._trades.items()
            for trade in some.values()
            if condition_id in (None, market) and trade.matched_ns // SECOND_NS >= (after_s or 0)
        ]

    async def cash_e6(self) -> int:
        return self.purse.cash_e6

    async def shares_e6(self, token_id: str) -> int:
        for condition_id, market in self._markets.items():
            if token_id in (market.up_token, market.down_token):
                held = self.purse.holdings.get(condition_id)
                return 0 if held is None else held.shares(market.outcome(token_id))
        return 0

    async def heartbeat(self) -> None:
        return None

    async def close(self) -> None:
        return None

    # --- told by the played venue ---------------------------------------------------------------

    def token(self, condition_id: str, outcome: Outcome) -> str:
        return self._markets[condition_id].token(outcome)

    def keep(self, trade: VenueTrade) -> None:
        """List a trade of ours, or its later status."""
        self._trades.setdefault(trade.condition_id, {})[trade.trade_id] = trade

    def forget(self, condition_id: str) -> None:
        """Drop a settled market's trades."""
        self._trades.pop(condition_id, None)
        self._markets.pop(condition_id, None)


def _check(request: OrderRequest, market: Market) -> None:
    """Refuse what the live client would not sign."""
    price, tick = request.price_e4, market.tick_e4
    if price % tick or not tick <= price <= PRICE_ONE - tick:
        raise BadValue(
            f"price {price_decimal(price)} is off the grid: whole multiples of "
            f"{price_decimal(tick)} between 0 and 1"
        )
    if request.size_e6 <= 0 or request.size_e6 % LOT_E6:
        raise BadValue(
            f"size {size_decimal(request.size_e6)} must be whole hundredths of a share above zero"
        )
    if not request.tif.immediate and request.size_e6 < market.min_size_e6:
        raise BadValue(
            f"size {size_decimal(request.size_e6)} is below the market's minimum "
            f"{size_decimal(market.min_size_e6)}"
        )


def _amounts(request: OrderRequest, market: Market) -> tuple[int, int]:
    """What the order gives and gets at most, in e6, within the venue's decimals.

    A FOK or FAK BUY spends whole cents; see `venue.polymarket.amounts` for the live client's.
    """
    exact = request.price_e4 * request.size_e6
    if request.side is Side.SELL:
        return request.size_e6, exact // PRICE_ONE
    if not request.tif.immediate:
        return -(-exact // PRICE_ONE), request.size_e6
    cash = exact // PRICE_ONE // CENT_E6 * CENT_E6
    if cash < USD:
        raise BadValue(
            f"buying {size_decimal(request.size_e6)} at {price_decimal(request.price_e4)} spends "
            f"less than a dollar, the venue's minimum"
        )
    unit = 1_000 if market.tick_e4 == 1_000 else 100
    return cash, cash * PRICE_ONE // request.price_e4 // unit * unit
