"""A strategy that keeps orders in the book and takes a little every second, whatever the market.

Run as a program it trades until it is killed; the environment says how, and where it dies.
"""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from models.markets import Market, Outcome, Side
from models.orders import TimeInForce
from models.settings import load_settings
from models.units import SHARE, USD
from store import leases
from strategies import library
from strategies.base import Intents, Place, Strategy, View
from tasks.agent_files import find_agent
from tasks.logs import configure_logs
from tasks.session import TradingSession
from tasks.session_lease import LeaseKeeper

AGENT = "market-maker-btc-15m"


class Eager(Strategy):
    name = "eager"

    def on_timer(self, view: View) -> Intents:
        if not view.open_orders:
            for outcome in Outcome:
                yield Place(outcome, Side.BUY, 200, 5 * SHARE, tif=TimeInForce.GTC, post_only=True)
        outcome = Outcome.UP if int(view.elapsed_s) % 2 else Outcome.DOWN
        yield Place(outcome, Side.BUY, budget_e6=2 * USD, tif=TimeInForce.FAK, slippage_ticks=2)


class Quoter(Strategy):
    """Keeps one order a side in the book and counts its decisions; takes nothing."""

    name = "quoter"

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        self.asked = 0

    def on_start(self, view: View) -> Intents:
        return self.on_tick(view)

    def on_timer(self, view: View) -> Intents:
        return self.on_tick(view)

    def on_tick(self, view: View) -> Intents:
        self.asked += 1
        held = {order.request.outcome for order in view.open_orders}
        for outcome in Outcome:
            if outcome not in held:
                yield Place(outcome, Side.BUY, 200, 5 * SHARE, tif=TimeInForce.GTC, post_only=True)

    def snapshot(self) -> dict[str, Any]:
        return {"asked": self.asked}

    def restore(self, state: Any) -> None:
        self.asked = int(state["asked"])


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


def die_at(point: str) -> None:
    """Have this process killed on its way from one session to the next.

    Parameters
    ----------
    point
        ``before_release``, ``after_release``, ``after_announce``, ``after_acquire`` ...
    """
    moment, _, name = point.partition("_")
    where: Any = leases if name == "announce" else LeaseKeeper
    real: Callable[..., Awaitable[Any]] = getattr(where, name)

    async def dying(*args: Any) -> Any:
        if moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = await real(*args)
        os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(where, name, dying)


async def nobody(attempt: int) -> None:
    """Call no successor: whoever runs this program starts one."""


async def main() -> None:
    """Trade until killed, or until a successor is prepared."""
    play({"eager": Eager, "quoter": Quoter}[os.environ.get("EAGER_PLAYS", "eager")])
    # Shorter than the settings allow people to make them.
    changes = {"sim_window_seconds": int(os.environ["EAGER_WINDOW_SECONDS"])}
    successor = None
    if length := os.environ.get("EAGER_SESSION_SECONDS"):
        changes["session_seconds"] = int(length)
        successor = nobody
    if point := os.environ.get("EAGER_DIES"):
        die_at(point)
    settings = load_settings().model_copy(update=changes)
    configure_logs(settings.log_level)
    run = os.environ.get("EAGER_RUN", "a-run")
    session = TradingSession(settings, find_agent(AGENT), run, successor)
    if reason := await session.open():
        sys.exit(reason)
    async with session:
        if size := os.environ.get("EAGER_FILE_BYTES"):
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), hard))
        await session.follow(trade_window, settle_window)
        await session.finish_settling()
    if session.terminated:
        sys.exit(143)


if __name__ == "__main__":
    asyncio.run(main())
