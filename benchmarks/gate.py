"""The pre-trade check of the full policy set: one order at a time, and many at once.

The peer is the bare sum an order would need anyway: its worst cost, which every check works out.
"""

import statistics
import timeit
from pathlib import Path

import numpy as np

from models.markets import FeeSchedule, Market, Outcome, Side
from models.orders import OrderRequest, TimeInForce
from models.units import SHARE, USD
from risk.gate import COLUMNS, Facts, Gate
from risk.limits import Limits, cost_e6
from risk.policies import load

FILE = Path(__file__).parent.parent / "deployments" / "risk.yaml"
CALLS, ROWS = 20_000, 10_000


def main() -> None:
    market = Market(
        "0xc", "btc-updown-15m-0", "?", "BTC", "15m", "up", "down", 0, 900 * 10**9, 100, 5 * SHARE,
        FeeSchedule(rate_ppm=70_000),
    )  # fmt: skip
    limits = Limits(500 * USD, 20 * USD, 100 * USD, 200 * USD, 3)
    gate = Gate(load(FILE.read_text(encoding="utf-8"), FILE.name, 1000 * USD), limits, 1000 * USD)
    request = OrderRequest(
        "i", "a", "0xc", "up", Outcome.UP, Side.BUY, 5000, 20 * SHARE, TimeInForce.GTC, True
    )
    facts = Facts(500 * USD, 0, mid_e4=5000, greeks=(1.0, 0.1, 3.0), up_greeks=(0.01, 0.1, 0.2))
    refused = Facts(5 * USD, 0, mid_e4=3000, sent_second=99)
    row = [1, cost_e6(request, market), request.size_e6, request.price_e4]
    rows = np.array([row + [getattr(facts, name) for name in COLUMNS[4:]]] * ROWS, np.int64)
    gate.check_many(rows)
    bare = _micros(lambda: cost_e6(request, market))
    print(f"pre-trade check against {len(gate.file.policies)} policies (median of 9)")
    for name, micros in (
        ("one order, allowed", _micros(lambda: gate.check(request, market, facts))),
        ("one order, refused with reasons", _micros(lambda: gate.check(request, market, refused))),
        ("its worst cost alone", bare),
        (f"of {ROWS:,} at once", _micros(lambda: gate.check_many(rows), 20) / ROWS),
    ):
        print(f"  {name:32} {micros:9.3f} us   {micros / bare:8.2f} x the cost alone")


def _micros(work, calls: int = CALLS) -> float:  # type: ignore[no-untyped-def]
    return statistics.median(timeit.repeat(work, number=calls, repeat=9)) / calls * 1e6


if __name__ == "__main__":
    main()
