"""Compiles the loops before they are needed."""

import time

import numpy as np

from engine.matching import batch
from engine.matching.exchange import Exchange
from engine.matching.kernels import batch as columns
from engine.matching.types import CoreOrder
from models.markets import FeeSchedule, Market, Outcome, Side
from models.units import SHARE

_MARKET = Market(
    "m", "warm-up", "", "BTC", "15m", "up", "down", 0, 1, 100, 5 * SHARE, FeeSchedule(70_000)
)  # fmt: skip


def warm_up() -> float:
    """Run every compiled loop once; return the seconds it took (much less once cached)."""
    start = time.perf_counter()
    exchange = Exchange()
    exchange.add_market(_MARKET)
    exchange.open_account("lp", unlimited=True)
    batch.run(exchange, "m", np.zeros((0, columns.COMMAND_FIELDS), np.int64))
    exchange.impose("m", "lp", [(4_000, SHARE)], [], 0)
    cash, size = 2_000_000, 5 * SHARE
    order = CoreOrder("o", "lp", "m", "up", Side.BUY, 4_000, cash, size, size)
    exchange.submit(order, 0)
    exchange = Exchange.restore(exchange.snapshot())
    exchange.cancel("o", 0)
    exchange.book("m", Outcome.UP)
    exchange.resolve("m", Outcome.UP, 0)
    return time.perf_counter() - start
