"""How fast a tape is played to Python strategies, and in how much memory.

    python benchmarks/backtest.py [rows]

A synthetic tape (level changes, trades, spot; memory-mapped from disk) is played to a strategy
woken once a simulated second, to one woken at every event, and to the shipped market maker. Rates
are rows over CPU seconds of this process, checking the rows included: the best of three runs,
after one that compiles. Memory is the peak of a process of its own, for a tape of a million rows
and for one of many.
"""

import logging
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import structlog

from engine.backtest import BacktestAgent, BacktestConfig, run
from models.agents import AgentSpec, MarketSelector
from models.markets import Outcome
from models.results import RunResult
from models.tape import Tape
from models.units import USD
from risk.limits import Limits
from store.tape.file import open_tape
from store.tape.synthetic import synthetic
from strategies.base import Buy, Intents, Strategy, StrategyParams, View

LIMITS = Limits(500 * USD, 20 * USD, 100 * USD, 200 * USD, 3)
MAKER_ROWS = 400_000


class EverySecond(Strategy):
    """Reads the best prices once a simulated second; buys once in a while."""

    name = "every-second"
    cadence_ms = 1000

    def __init__(self) -> None:
        super().__init__(StrategyParams())
        self.woken = 0

    def on_tick(self, view: View) -> Intents:
        self.woken += 1
        book = view.up
        bid, ask = book.bid_e4, book.ask_e4
        if bid is None or ask is None or self.woken % 600:
            return None
        return Buy(Outcome.UP, budget_e6=5 * USD)


class EveryEvent(EverySecond):
    """The same, at every event."""

    name = "every-event"
    cadence_ms = 0

    def on_tick(self, view: View) -> Intents:
        self.woken += 1
        book = view.up
        bid, ask = book.bid_e4, book.ask_e4
        if bid is None or ask is None or self.woken % 1_000_000:
            return None
        return Buy(Outcome.UP, budget_e6=5 * USD)


def agent(strategy: Strategy | str) -> BacktestAgent:
    spec = AgentSpec(
        name="bench",
        strategy=strategy if isinstance(strategy, str) else strategy.name,
        markets=(MarketSelector(asset="BTC", timeframe="15m"),),
        capital_usd=Decimal(500),
    )
    return BacktestAgent(spec, LIMITS, None if isinstance(strategy, str) else strategy)


def timed(tape: Tape, make: type[EverySecond] | str) -> tuple[float, RunResult, int]:
    """CPU seconds of one run, its result, and how often `on_tick` was called."""
    strategy = make if isinstance(make, str) else make()
    began = time.process_time()
    result = run(tape, BacktestConfig((agent(strategy),)))
    spent = time.process_time() - began
    return spent, result, 0 if isinstance(strategy, str) else strategy.woken


def best(tape: Tape, make: type[EverySecond] | str) -> tuple[float, RunResult, int]:
    return min((timed(tape, make) for _ in range(3)), key=lambda one: one[0])


def high_water_mb() -> float:
    """Peak memory of this process alone; `getrusage` counts the parent's at the fork too."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) / 1024


def peak_mb(path: Path) -> float:
    """Peak memory in MB of a process that plays a tape once a simulated second."""
    done = subprocess.run(
        [sys.executable, __file__, "--peak", str(path)], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def main(rows: int) -> None:
    quiet = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=quiet)
    with tempfile.TemporaryDirectory() as folder:
        small = synthetic(Path(folder, "small.arrow"), min(rows, 1_000_000))
        tape = synthetic(Path(folder, "large.arrow"), rows)
        timed(small, EverySecond)
        timed(small, EveryEvent)
        spent, result, woken = best(tape, EverySecond)
        print(f"once a simulated second  {rows / spent / 1e6:8.1f} M rows/s   {woken:,} ticks")
        few = min(rows, 3_000_000)
        part = tape if few == rows else synthetic(Path(folder, "part.arrow"), few)
        spent, result, woken = best(part, EveryEvent)
        orders = len(result.tables["orders"]["order_id"])
        print(f"at every event           {woken / spent / 1e3:8.0f} k wakes/s  {orders} orders")
        part = synthetic(Path(folder, "maker.arrow"), min(rows, MAKER_ROWS))
        spent, result, _ = best(part, "market-maker")
        orders, fills = (len(result.tables[name]["order_id"]) for name in ("orders", "fills"))
        print(
            f"market maker             {len(part) / spent / 1e3:8.0f} k rows/s   "
            f"{orders / spent:,.0f} orders/s, {fills} fills"
        )
        few_mb, many_mb = (peak_mb(Path(folder, f"{name}.arrow")) for name in ("small", "large"))
        print(f"peak memory              {few_mb:8.0f} MB for {len(small):,} rows")
        print(f"                         {many_mb:8.0f} MB for {rows:,} rows")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        run(open_tape(Path(sys.argv[2])), BacktestConfig((agent(EverySecond()),)))
        print(high_water_mb())
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000_000)
