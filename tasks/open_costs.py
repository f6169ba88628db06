"""What every agent has open by the journal: the numbers the reservations are rebuilt from."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from engine.clearing import still_open_e6
from engine.portfolio import Portfolio
from models.markets import Market, Side
from models.orders import Fill, Order, TradeStatus
from store.database import Database
from store.open_books import OpenBooks, read_open_books


async def open_costs(database: Database) -> dict[str, int]:
    """Open cost of every agent that has any, in e6, by the engine's own arithmetic.

    Raises `StoreUnavailable`.
    """
    return costs_of(await read_open_books(database))


def costs_of(books: OpenBooks) -> dict[str, int]:
    """Open cost by agent: holdings at cost, open BUYs at worst."""
    fills: dict[str, list[Fill]] = defaultdict(list)
    orders: dict[str, list[Order]] = defaultdict(list)
    for fill in books.fills:
        fills[fill.agent].append(fill)
    for order in books.orders:
        orders[order.request.agent].append(order)
    found = {
        agent: open_cost_of(agent, orders[agent], fills[agent], books.markets)
        for agent in sorted({*fills, *orders})
    }
    return {agent: cost for agent, cost in found.items() if cost}


def open_cost_of(
    agent: str, orders: Iterable[Order], fills: Iterable[Fill], markets: Mapping[str, Market]
) -> int:
    """Open cost of one agent, in e6.

    Parameters
    ----------
    orders
        Those that are not terminal.
    fills
        Those in markets that are not settled.
    markets
        Those of the orders, by condition id.
    """
    portfolio = Portfolio(agent, 0)
    portfolio.load(fills, 0)
    spent: dict[str, int] = defaultdict(int)
    for fill in portfolio.fills():
        if fill.side is Side.BUY and fill.status is not TradeStatus.FAILED:
            spent[fill.order_id] += fill.cash_e6
    resting = sum(
        still_open_e6(order, markets[order.request.condition_id], spent[order.order_id])
        for order in orders
    )
    return portfolio.open_cost_e6() + resting
