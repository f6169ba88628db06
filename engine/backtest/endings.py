"""What the tape leaves to be worked out: boundary prices, and what an open window is worth."""

from engine.backtest.agent import Agent
from engine.markets import MarketData, MarketState
from engine.strikes import MAX_GAP_NS, settlement_source
from models.events import SpotSource
from models.journal import WindowResult
from models.markets import Market
from models.settlement import TWAP_LAG_S, TWAP_SECONDS, settlement_price
from models.units import SECOND_NS

RULE_NS = (TWAP_SECONDS + TWAP_LAG_S + 30) * SECOND_NS
"""Ticks before a boundary that its price can depend on."""


def boundary_e8(data: MarketData, market: Market, at_ns: int) -> int | None:
    """Price the market's rule gives for a boundary, from what has been seen; None if unknown.

    The settlement feed's own price where the tape has that feed. Else, for the averaging rule,
    the average of the price feed (`models.settlement`).
    """
    source = settlement_source(market)
    told = data.history(market.asset, source).at(at_ns, MAX_GAP_NS)
    if source is SpotSource.CHAINLINK or told is not None:
        return told
    history = data.history(market.asset, SpotSource.CHAINLINK)
    times, prices = history.between(at_ns - RULE_NS, at_ns)
    ticks = list(zip(times.tolist(), prices.tolist(), strict=True))
    return settlement_price(ticks, at_ns, market.settlement)


def unresolved(agent: Agent, market: Market, now_ns: int) -> tuple[WindowResult, int]:
    """Result of a window without a winner, and its profit or loss with its shares at their mark.

    Nothing is paid out, nothing counts as won: shares are worth what is bid for them, or their
    cost where nobody bids.
    """
    result = agent.portfolio.window_result(market, None, now_ns)
    marks = agent.data.marks_e4()
    worth = 0
    for token in (market.up_token, market.down_token):
        position = agent.portfolio.position(token)
        mark = marks.get(token)
        worth += position.cost_e6 if mark is None else position.value_e6(mark)
    return result, result.pnl_e6 + worth


def feed(state: MarketState) -> None:
    """Let a market's indicators take its book, as `engine.markets.MarketData.book` does."""
    ladder = state.ladder
    bid, ask = ladder.bid_e4, ladder.ask_e4
    if ladder.ready and bid is not None and ask is not None and bid < ask:
        sizes = ladder.bid_size_e6, ladder.ask_size_e6
        state.view.features.on_book(ladder.ts_ns, bid, sizes[0], ask, sizes[1])
