"""Settling a market: its winner, its last fills, its result in the journal, in that order."""

from typing import Protocol

import structlog

from engine.clock import WaitingClock, wait_for
from engine.markets import MarketData, MarketState
from engine.orders import OrderManager
from engine.portfolio import Portfolio
from engine.ports import Discovery, Journal
from models.errors import FloorError, LeaseLost, StoreUnavailable
from models.events import MarketResolved
from models.journal import WindowResult
from models.markets import Market
from models.orders import TradeStatus
from models.units import SECOND_NS

log = structlog.get_logger(__name__)

_FINAL = frozenset({TradeStatus.CONFIRMED, TradeStatus.FAILED})
QUIET_FIRST_S = 1.0
QUIET_MOST_S = 15.0
STORE_RETRY_S = 2.0


class Patience(Protocol):
    """The times of `TraderSettings` that settling needs."""

    @property
    def resolution_first_s(self) -> float: ...
    @property
    def resolution_most_s(self) -> float: ...
    @property
    def confirm_s(self) -> float: ...


class Settler:
    """Waits for what it must and books the result once."""

    def __init__(
        self,
        data: MarketData,
        orders: OrderManager,
        portfolio: Portfolio,
        discovery: Discovery,
        journal: Journal,
        clock: WaitingClock,
        patience: Patience,
    ) -> None:
        self._data = data
        self._orders = orders
        self._portfolio = portfolio
        self._discovery = discovery
        self._journal = journal
        self._clock = clock
        self._patience = patience

    async def settle(self, state: MarketState) -> tuple[MarketResolved, WindowResult]:
        """Return the resolution and the result, once the journal has it."""
        market = state.market
        await self._clock.sleep((market.end_ns - self._clock.now_ns()) / SECOND_NS)
        resolved = await self._resolution(state)
        await self._quiet(market)
        result = self._portfolio.window_result(market, resolved.winner, self._clock.now_ns())
        self._portfolio.settle(result)
        self._journal.signal(
            market.condition_id,
            "resolved",
            {"winner": result.winner, "pnl_e6": result.pnl_e6, "fills": result.fills},
        )
        if result.fills:
            await self._book(result)
        self._portfolio.booked(market.condition_id)
        self._orders.forget(market.condition_id)
        return resolved, result

    async def _resolution(self, state: MarketState) -> MarketResolved:
        """Wait for the venue's event; ask, ever more slowly, in case it was missed."""
        delay_s = self._patience.resolution_first_s
        while not await wait_for(self._clock, state.settled, delay_s):
            delay_s = min(delay_s * 1.5, self._patience.resolution_most_s)
            await self._ask(state)
        assert state.resolved is not None
        return state.resolved

    async def _ask(self, state: MarketState) -> None:
        market = state.market
        try:
            token_id = await self._discovery.resolution(market)
            if token_id is None:
                return
            winner = market.outcome(token_id)
        except FloorError as error:
            log.warning("resolution_not_known", market=market.slug, reason=str(error))
            return
        except KeyError:
            log.error("resolution_unknown_token", market=market.slug)
            return
        now = self._clock.now_ns()
        self._data.resolved(MarketResolved(now, now, market.condition_id, winner))

    async def _quiet(self, market: Market) -> None:
        """Wait until no order is in doubt and every fill is final, as far as patience goes."""
        give_up_ns = self._clock.now_ns() + round(self._patience.confirm_s * SECOND_NS)
        delay_s = QUIET_FIRST_S
        while True:
            reconciled = await self._reconciled(market)
            waiting = self._orders.open_orders(market.condition_id)
            pending = [
                fill
                for fill in self._portfolio.fills(market.condition_id)
                if fill.status not in _FINAL
            ]
            if reconciled and not waiting:
                if not pending:
                    return
                if self._clock.now_ns() >= give_up_ns:
                    log.warning("fills_not_final", market=market.slug, fills=len(pending))
                    return
            await self._clock.sleep(delay_s)
            delay_s = min(delay_s * 1.5, QUIET_MOST_S)

    async def _reconciled(self, market: Market) -> bool:
        try:
            await self._orders.reconcile()
        except LeaseLost:
            raise
        except FloorError as error:
            log.warning("settling_waits_for_venue", market=market.slug, reason=str(error))
            return False
        return True

    async def _book(self, result: WindowResult) -> None:
        while True:
            try:
                await self._orders.flush()
                await self._journal.settled(result)
            except StoreUnavailable as error:
                log.warning("settling_waits_for_store", market=result.slug, reason=str(error))
                await self._clock.sleep(STORE_RETRY_S)
            else:
                return
