"""backtesting.py, every event a bar of the mid price: see feed.py for the rule.

It has no book; the best prices are worked out for it beforehand. Its broker fills at the close.
"""

import warnings

import feed
import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

CASH = 10_000


class Rule(Strategy):
    def init(self) -> None:
        self.woken = self.sent = 0
        self.due_ns = 0

    def next(self) -> None:
        self.woken += 1
        bid, ask, now_ns = self.data.Bid[-1], self.data.Ask[-1], self.data.Now[-1]
        if not 0 < bid < ask < 1 or now_ns < self.due_ns:
            return
        self.due_ns = now_ns + feed.EVERY_S * feed.SECOND_NS
        self.sent += 1
        if self.position:
            self.position.close()
        else:
            self.buy(size=feed.SHARES)


def bars(rows: dict[str, np.ndarray]) -> pd.DataFrame:
    mid = (rows["bid"] + rows["ask"]) / 200.0
    prices = dict.fromkeys(("Open", "High", "Low", "Close"), mid)
    best = {"Bid": rows["bid"] / 100.0, "Ask": rows["ask"] / 100.0}
    now = np.array(rows["recv_ns"])
    return pd.DataFrame({**prices, **best, "Now": now}, index=pd.to_datetime(now))


def main() -> None:
    warnings.simplefilter("ignore")
    _, folder, rows = feed.arguments()
    data = bars(feed.columns(folder, rows))
    test = Backtest(data, Rule, cash=CASH, trade_on_close=True, finalize_trades=True)
    watch = feed.Stopwatch()
    rule = test.run()["_strategy"]
    times = watch.read()
    feed.tell(times, events=len(data), wakes=rule.woken, orders=rule.sent, fills=rule.sent)


if __name__ == "__main__":
    main()
