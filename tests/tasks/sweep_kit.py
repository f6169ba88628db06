"""A small recording to sweep over, and strategies that go wrong."""

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from models.runs import SweepSpec
from models.settings import Settings
from models.units import SECOND_NS
from store.tape import write_tape
from strategies.base import Intents, Strategy, View
from tests.engine.backtest.tape_kit import START_NS, START_S, TapeWriter, make_market

WINDOWS, WINDOW_S = 10, 300
SPOTS_EVERY_S, BOOKS_EVERY_S = 2, 10


def small_tape(path: Path) -> Path:
    """Write ten 5-minute windows of a random walk whose books follow it late."""
    markets = [
        make_market(
            number,
            slug=f"btc-updown-5m-{START_S + WINDOW_S * number}",
            timeframe="5m",
            start_ns=START_NS + WINDOW_S * number * SECOND_NS,
            end_ns=START_NS + WINDOW_S * (number + 1) * SECOND_NS,
        )
        for number in range(WINDOWS)
    ]
    writer = TapeWriter(*markets)
    rng = np.random.default_rng(11)
    length = WINDOWS * WINDOW_S
    walk = 60_000 * np.exp(np.cumsum(rng.normal(0, 2e-4, length)))
    for second in range(0, length, SPOTS_EVERY_S):
        writer.spot(second, float(walk[second]))
    for number in range(WINDOWS):
        first = WINDOW_S * number
        for second in range(first, first + WINDOW_S, BOOKS_EVERY_S):
            seen = walk[max(second - 10, 0)] / walk[first] - 1
            cents = int(np.clip(50 + 8_000 * seen, 4, 95))
            writer.book(second, {cents - 1: 500}, {cents + 1: 500}, number)
        closing = walk[min(first + WINDOW_S, length - 1)]
        writer.resolve(first + WINDOW_S + 0.5, bool(closing >= walk[first]), number)
    write_tape(writer.tape(), path)
    return path


def sweep_raw(tape: Path, **changes: Any) -> dict[str, Any]:
    """Keys and values of a sweep of momentum over the small tape."""
    agent = {
        "name": "anna",
        "strategy": "momentum",
        "markets": [{"asset": "BTC", "timeframe": "5m"}],
        "capital_usd": 500,
        "parameters": {"budget_usd": 20},
    }
    return {
        "run": {"name": "small", "data": str(tape), "agents": [agent]},
        "space": {
            "lookback_s": {"low": 10, "high": 60, "step": 10},
            "threshold_pct": {"low": 0.02, "high": 0.2},
        },
        "sampler": "random",
        "objectives": ["pnl"],
        "trials": 6,
        "walk_forward": {"folds": 2, "train_share": 2, "embargo_s": 0},
        "workers": 1,
        **changes,
    }


def sweep_spec(tape: Path, **changes: Any) -> SweepSpec:
    return SweepSpec.model_validate(sweep_raw(tape, **changes))


def settings_at(home: Path) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        floor_home=home,
        risk_per_trade=Decimal(50),
    )


class Deadly(Strategy):
    """Takes its process with it."""

    name = "deadly"

    def on_start(self, view: View) -> Intents:
        os._exit(9)
