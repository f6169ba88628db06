"""The trading floor's own backtester: see feed.py for the rule."""

import logging
from decimal import Decimal
from pathlib import Path

import feed
import numpy as np
import structlog

from engine.backtest import BacktestAgent, BacktestConfig, run
from engine.sweep.screen import Bars, screen_momentum
from models.agents import AgentSpec, MarketSelector
from models.markets import Outcome, Side
from models.results import RunResult
from models.tape import Tape
from models.travel import Travel
from models.units import SHARE, USD
from risk.limits import Limits
from store.tape.cut import cut
from store.tape.file import open_tape
from strategies.base import Intents, Place, Strategy, StrategyParams, View
from strategies.momentum import MomentumParams

LIMITS = Limits(1_000 * USD, 100 * USD, 1_000 * USD, 1_000 * USD, 3)


class EverySecond(Strategy):
    """The rule, woken once a simulated second."""

    name = "every-second"
    cadence_ms = 1000

    def __init__(self) -> None:
        super().__init__(StrategyParams())
        self.woken = 0
        self.due_ns = 0
        self.side = Side.BUY

    def on_tick(self, view: View) -> Intents:
        self.woken += 1
        book = view.up
        bid, ask = book.bid_e4, book.ask_e4
        if bid is None or ask is None or view.now_ns < self.due_ns:
            return None
        self.due_ns = view.now_ns + feed.EVERY_S * feed.SECOND_NS
        side, self.side = self.side, self.side.opposite
        price = ask if side is Side.BUY else bid
        return Place(Outcome.UP, side, price_e4=price, size_e6=feed.SHARES * SHARE)


class EveryEvent(EverySecond):
    """The rule, woken at every event."""

    name = "every-event"
    cadence_ms = 0


def play(tape: Tape, strategy: EverySecond) -> RunResult:
    spec = AgentSpec(
        name="ours",
        strategy=strategy.name,
        markets=(MarketSelector(asset="BTC", timeframe="4h"),),
        capital_usd=Decimal(1_000),
    )
    agent = BacktestAgent(spec, LIMITS, strategy)
    return run(tape, BacktestConfig((agent,), feed=Travel(), order=Travel()))


def one_pass(tape: Tape, make: type[EverySecond]) -> None:
    play(cut(tape, end_ns=int(tape.recv_ns[100_000])), make())  # compiles, or loads what it did
    strategy = make()
    watch = feed.Stopwatch()
    result = play(tape, strategy)
    times = watch.read()
    failed = next(iter(result.failures.values()), None)
    if failed:
        raise SystemExit(failed)
    orders = len(result.tables["orders"]["order_id"])
    fills = len(result.tables["fills"]["order_id"])
    feed.tell(times, events=result.events, wakes=strategy.woken, orders=orders, fills=fills)


def sweep(folder: Path) -> None:
    spot = np.load(folder / "spot.npy")
    at = np.arange(len(spot))
    window = at // feed.WINDOW
    last = spot[feed.WINDOW - 1 :: feed.WINDOW]
    nothing = np.zeros(len(spot))
    bars = Bars(
        every_s=60.0,
        spot=spot,
        up_bid=np.full(len(spot), 0.49),
        up_ask=np.full(len(spot), 0.51),
        window=window,
        left_s=(feed.WINDOW - at % feed.WINDOW) * 60.0,
        fee_up=nothing,
        fee_down=nothing,
        up_won=(last >= spot[:: feed.WINDOW]).astype(np.int8),
    )
    sets = [
        # 61 s before the end: not at a window's last bar.
        MomentumParams(lookback_s=60 * back, threshold_pct=percent, min_time_left_s=61)
        for back in feed.LOOKBACKS
        for percent in feed.THRESHOLDS
    ]
    screen_momentum(bars, sets[:2])
    watch = feed.Stopwatch()
    screened = screen_momentum(bars, sets)
    entries = int(screened.entries.sum())
    feed.tell(watch.read(), events=len(spot) * len(sets), orders=entries)


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    case, folder, rows = feed.arguments()
    if case == "sweep":
        sweep(folder)
        return
    tape = open_tape(folder / f"tape-{rows}.arrow")
    one_pass(tape, EveryEvent if case == "every_event" else EverySecond)


if __name__ == "__main__":
    main()
