"""Where an agent stands: the markets it is in, and today's result."""

from engine.markets import MarketData
from engine.orders import OrderManager
from engine.portfolio import Portfolio
from engine.ports import Clock
from models.journal import JournalState
from models.markets import Market
from models.units import DAY_NS


class Standing:
    """Facts about one agent that its limits are checked against.

    Attributes
    ----------
    markets
        Markets that may hold a position, by condition id.
    """

    def __init__(
        self, orders: OrderManager, portfolio: Portfolio, data: MarketData, clock: Clock
    ) -> None:
        self.markets: dict[str, Market] = {}
        self._orders = orders
        self._portfolio = portfolio
        self._data = data
        self._clock = clock
        self._day = 0
        self._day_start_e6 = 0

    def begin(self, state: JournalState) -> None:
        """Start from what the journal knows."""
        self.markets = {market.condition_id: market for market in state.markets}
        self._day = self._clock.now_ns() // DAY_NS
        self._day_start_e6 = state.day_start_cash_e6

    def slug(self, condition_id: str) -> str:
        market = self.markets.get(condition_id)
        return condition_id if market is None else market.slug

    def other_markets(self, condition_id: str, sending: frozenset[str] = frozenset()) -> int:
        """Count the markets with a position or an order, without the one given.

        Parameters
        ----------
        sending
            Markets for which an order is on its way into the books.
        """
        busy = {order.request.condition_id for order in self._orders.open_orders()} | sending
        for held in self._portfolio.markets():
            market = self.markets.get(held)
            if market is None or any(
                self._portfolio.shares_e6(token) for token in (market.up_token, market.down_token)
            ):
                busy.add(held)
        return len(busy - {condition_id})

    def day_pnl_e6(self) -> int:
        """Result of this UTC day, open holdings at what they could be sold for.

        What was open at midnight counts with its whole result on the day it ends.
        """
        day = self._clock.now_ns() // DAY_NS
        if day != self._day:
            self._day, self._day_start_e6 = day, self._portfolio.settled_e6
        equity = self._portfolio.equity_e6(self._data.marks_e4())
        return equity - self._portfolio.capital_e6 - self._day_start_e6
