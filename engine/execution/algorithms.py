"""The four algorithms: TWAP, VWAP, iceberg, passive-then-cross."""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from engine.execution.algorithm import Algorithm, Steps
from engine.order_index import Work
from models.events import TradePrint
from models.execution import Algo, Execution
from models.markets import Market, Side
from models.orders import TimeInForce
from models.units import PRICE_ONE, SECOND_NS
from strategies.base import View

PPM = 1_000_000


class Twap(Algorithm):
    """Equal slices at equal intervals, the first at once; what a slice missed the next makes up."""

    def work_on(self, view: View, now_ns: int, work: Work) -> Steps:
        parent, slices = self.execution, int(self.execution.plan["slices"])
        elapsed, length = now_ns - parent.start_ns, parent.end_ns - parent.start_ns
        begun = min(slices, elapsed * slices // length + 1)
        due = parent.size_e6 * begun // slices
        return self.cross(view, now_ns, work, due - work.filled_e6)


class Vwap(Algorithm):
    """Follows volume: a profile over the time, or a share of what others trade."""

    def __init__(self, execution: Execution, market: Market) -> None:
        super().__init__(execution, market)
        weights: list[int] = [round(weight * PPM) for weight in execution.plan["profile"]]
        self._sums = [0, *accumulate(weights)]
        self._participation_ppm: int = round(execution.plan["participation"] * PPM)
        self._seen_e6 = 0

    def on_trade(self, trade: TradePrint) -> None:
        self._seen_e6 += trade.size_e6

    def work_on(self, view: View, now_ns: int, work: Work) -> Steps:
        wanted = self._due_e6(now_ns, work.filled_e6) - work.filled_e6
        if not work.open and wanted < min(self.market.min_size_e6, self.left_e6(work)):
            return []
        return self.cross(view, now_ns, work, wanted)

    def _due_e6(self, now_ns: int, own_e6: int) -> int:
        parent, total = self.execution, self._sums[-1]
        if not total:
            others = max(0, self._seen_e6 - own_e6)
            return min(parent.size_e6, others * self._participation_ppm // PPM)
        parts = len(self._sums) - 1
        length = parent.end_ns - parent.start_ns
        elapsed = min(now_ns - parent.start_ns, length)
        part, within = divmod(elapsed * parts, length)
        reached = self._sums[part]
        if part < parts:
            reached += (self._sums[part + 1] - reached) * within // length
        return parent.size_e6 * reached // total

    def snapshot(self) -> dict[str, Any]:
        return {"seen_e6": self._seen_e6}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._seen_e6 = int(state.get("seen_e6", 0))


class Iceberg(Algorithm):
    """Rests at the limit price; the next slice shows once the last one is gone."""

    def work_on(self, view: View, now_ns: int, work: Work) -> Steps:
        price = self.execution.price_e4
        if work.open or price is None:
            return []
        show = int(self.execution.plan["show_e6"])
        size = self.slice_e6(show, work, most_e6=show)
        return [self.order(price, size, TimeInForce.GTC)] if size else []

    @property
    def least_e6(self) -> int:
        return self.market.min_size_e6


class Passive(Algorithm):
    """Rests at the best price of its own side and moves with it; after `patience_s` it crosses."""

    def work_on(self, view: View, now_ns: int, work: Work) -> Steps:
        waits_ns = round(self.execution.plan["patience_s"] * SECOND_NS)
        if now_ns - self.execution.start_ns >= waits_ns:
            return self.cross(view, now_ns, work, self.left_e6(work))
        price = self._resting_price_e4(view)
        if price is None:
            return self.cancels(work)
        if work.open:
            moved = any(order.request.price_e4 != price for order in work.open)
            return self.cancels(work) if moved else []
        left = self.left_e6(work)
        if left < self.market.min_size_e6:
            return []
        return [self.order(price, left, TimeInForce.GTC, post_only=True)]

    def _resting_price_e4(self, view: View) -> int | None:
        """Best price of our own side, no better than the limit and never crossing."""
        book, limit, tick = self.book(view), self.execution.price_e4, self.market.tick_e4
        if self.execution.side is Side.BUY:
            best, other = book.bid_e4, book.ask_e4
            if best is None:
                return None
            price = best if limit is None else min(best, limit)
            return price if other is None or price < other else max(tick, other - tick)
        best, other = book.ask_e4, book.bid_e4
        if best is None:
            return None
        price = best if limit is None else max(best, limit)
        return price if other is None or price > other else min(other + tick, PRICE_ONE - tick)


ALGORITHMS: Mapping[Algo, type[Algorithm]] = {
    Algo.TWAP: Twap,
    Algo.VWAP: Vwap,
    Algo.ICEBERG: Iceberg,
    Algo.PASSIVE: Passive,
}


def make(execution: Execution, market: Market) -> Algorithm:
    """Make a parent's algorithm with its progress."""
    algorithm = ALGORITHMS[execution.algo](execution, market)
    algorithm.restore(execution.progress)
    return algorithm
