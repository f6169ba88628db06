"""A strategy that keeps orders in the book and takes a little every second, whatever the market."""

import asyncio
import os
import sys

from models.markets import Market, Outcome, Side
from models.orders import TimeInForce
from models.settings import load_settings
from models.units import SHARE, USD
from strategies import library
from strategies.base import Intents, Place, Strategy, View
from tasks.agent_files import find_agent
from tasks.session import TradingSession

AGENT = "market-maker-btc-15m"


class Eager(Strategy):
    name = "eager"

    def on_timer(self, view: View) -> Intents:
        if not view.open_orders:
            for outcome in Outcome:
                yield Place(outcome, Side.BUY, 200, 5 * SHARE, tif=TimeInForce.GTC, post_only=True)
        outcome = Outcome.UP if int(view.elapsed_s) % 2 else Outcome.DOWN
        yield Place(outcome, Side.BUY, budget_e6=2 * USD, tif=TimeInForce.FAK, slippage_ticks=2)


class Raising(Strategy):
    name = "raising"

    def on_timer(self, view: View) -> Intents:
        raise RuntimeError("no idea what to do")


async def trade_window(session: TradingSession, market: Market) -> None:
    await session.trade(market)


async def settle_window(session: TradingSession, market: Market) -> None:
    await session.settle(market)


def play(kind: type[Strategy]) -> None:
    """Let every agent of this process trade by `kind`."""
    library.create = lambda name, parameters: kind(kind.Params())  # type: ignore[assignment]


async def main() -> None:
    """Trade until killed."""
    play(Eager)
    # Shorter than the settings allow people to make them.
    length = {"sim_window_seconds": int(os.environ["EAGER_WINDOW_SECONDS"])}
    settings = load_settings().model_copy(update=length)
    session = TradingSession(settings, find_agent(AGENT), "a-run")
    if reason := await session.open():
        sys.exit(reason)
    async with session:
        await session.follow(trade_window, settle_window)


if __name__ == "__main__":
    asyncio.run(main())
