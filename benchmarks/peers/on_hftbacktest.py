"""hftbacktest with a jitted strategy: see feed.py for the rule.

Its fastest book (a vector of prices), no latency of orders, no fees; the data is in memory.
"""

import feed
import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    ROIVectorMarketDepthBacktest,
)
from hftbacktest.order import IOC
from hftbacktest.types import event_dtype
from numba import njit

STEP_NS = feed.SECOND_NS
EVERY_NS = feed.EVERY_S * feed.SECOND_NS
SHARES = float(feed.SHARES)


def converted(rows: dict[str, np.ndarray]) -> np.ndarray:
    """The rows as its own records."""
    kinds = np.array([DEPTH_CLEAR_EVENT, DEPTH_EVENT, TRADE_EVENT], np.uint64)
    sides = np.array([BUY_EVENT, SELL_EVENT], np.uint64)
    side = np.where(rows["kind"] == feed.CLEAR, 0, sides[rows["side"]])
    out = np.zeros(len(side), event_dtype)
    out["ev"] = kinds[rows["kind"]] | side.astype(np.uint64) | np.uint64(EXCH_EVENT | LOCAL_EVENT)
    out["exch_ts"], out["local_ts"] = rows["ts_ns"], rows["recv_ns"]
    out["px"], out["qty"] = rows["price"] / 100.0, rows["size"] / 100.0
    return out


@njit
def play(hbt):  # type: ignore[no-untyped-def]
    wakes, orders, due, buys = 0, 0, 0, True
    while hbt.elapse(STEP_NS) == 0:
        wakes += 1
        depth = hbt.depth(0)
        bid, ask, now = depth.best_bid, depth.best_ask, hbt.current_timestamp
        if not bid < ask or now < due:
            continue
        due = now + EVERY_NS
        orders += 1
        hbt.clear_inactive_orders(0)
        if buys:
            hbt.submit_buy_order(0, orders, ask, SHARES, IOC, LIMIT, False)
        else:
            hbt.submit_sell_order(0, orders, bid, SHARES, IOC, LIMIT, False)
        buys = not buys
    return wakes, orders


def market(data: np.ndarray):  # type: ignore[no-untyped-def]
    asset = (
        BacktestAsset()
        .data([data])
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(0.01)
        .lot_size(0.01)
        .roi_lb(0.0)
        .roi_ub(1.0)
        .last_trades_capacity(0)
    )
    return ROIVectorMarketDepthBacktest([asset])


def main() -> None:
    _, folder, rows = feed.arguments()
    few = converted(feed.columns(folder, 10_000))
    play(market(few))  # compiles; it keeps no reference to its data, so we do
    data = converted(feed.columns(folder, rows))
    hbt = market(data)
    watch = feed.Stopwatch()
    wakes, orders = play(hbt)
    times = watch.read()
    fills = hbt.state_values(0).num_trades
    feed.tell(times, events=len(data), wakes=wakes, orders=orders, fills=int(fills))


if __name__ == "__main__":
    main()
