"""The backtester decides and orders as the live trader does, over recorded real books."""

import json

import numpy as np
import pytest
from reference_floor import ReferenceFloor
from tape_kit import LIMITS, agent

from engine.backtest import BacktestConfig, Travel, run
from models.fills import FillModel
from models.settings import Settings
from models.tape import DTYPES, Tape

FEED_NS, ORDER_NS = 37_000_001, 41_000_003
"""Odd, so that nothing of ours falls on the very nanosecond of a recorded row."""
FOLDER = "polymarket_btc_15m_book5_2026-02"


@pytest.fixture(scope="module")
def recorded() -> Tape:
    """Two recorded windows, read as the floor reads them."""
    from store.tape.readers.book5 import read_book5

    path = Settings(_env_file=None).floor_data_dir / FOLDER
    assert path.is_dir(), f"{path} is missing; set FLOOR_DATA_DIR to the recorded data"
    tape = read_book5(path)
    last = int(np.searchsorted(tape.recv_ns, tape.markets[0].end_ns + 60 * 10**9))
    columns = {name: getattr(tape, name)[:last] for name in DTYPES}
    return Tape(**columns, markets=tape.markets[:2], assets=tape.assets, depth=tape.depth)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("market-maker", {"half_spread_ticks": 1, "max_inventory_shares": 100}),
        ("momentum", {"threshold_pct": 0.05, "lookback_s": 60}),
    ],
)
async def test_decisions_and_orders_are_the_live_traders(recorded, name, parameters):
    asked = agent(name, "anna", LIMITS, **parameters)
    floor = ReferenceFloor(recorded, asked, FillModel.LOG, FEED_NS, ORDER_NS)
    await floor.play()
    config = BacktestConfig(
        (asked,), fill_model=FillModel.LOG, feed=Travel(FEED_NS), order=Travel(ORDER_NS)
    )
    result = run(recorded, config)
    orders = result.tables["orders"]
    ours = [
        (int(at), outcome, side, int(price), int(size), str(tif))
        for at, outcome, side, price, size, tif in zip(
            *(orders[c] for c in ("created_ns", "outcome", "side", "price_e4", "size_e6", "tif")),
            strict=True,
        )
    ]
    theirs = [
        (
            at,
            0 if r.outcome == "Up" else 1,
            0 if r.side == "BUY" else 1,
            r.price_e4,
            r.size_e6,
            r.tif.value,
        )
        for at, r in floor.requests
    ]
    assert len(theirs) >= (100 if name == "market-maker" else 1)
    assert ours == theirs
    decisions = result.tables["decisions"]
    told = zip(decisions["kind"].tolist(), decisions["detail"].tolist(), strict=True)
    heard = [(kind, json.loads(json.dumps(detail))) for _, kind, detail in floor.store.signals]
    assert [(kind, json.loads(detail)) for kind, detail in told] == heard
    fills = [(f.matched_ns, f.size_e6, f.cash_e6, f.fee_e6) for f in floor.store.fills.values()]
    table = result.tables["fills"]
    mine = list(
        zip(*(table[c].tolist() for c in ("time_ns", "size_e6", "cash_e6", "fee_e6")), strict=True)
    )
    assert sorted(mine) == sorted(fills)
    assert len(mine) >= 1
