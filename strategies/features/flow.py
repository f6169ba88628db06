"""What the book's best level and the tape say: order-flow imbalance, micro-price, volume spike."""

from math import nan
from typing import ClassVar

from models.errors import BadValue
from strategies.features.base import LIMIT, Indicator, refuse, whole_period
from strategies.features.sums import RollingSum


def micro_price(bid: float, bid_size: float, ask: float, ask_size: float) -> float:
    """Mid weighted by the opposite sizes: nearer to the side that is about to give way.

    ``(bid * ask_size + ask * bid_size) / (bid_size + ask_size)``, the weighted mid to which
    Stoikov's micro-price (2018) is a correction. NaN unless both sizes are positive.
    """
    if not (0.0 < bid_size < LIMIT and 0.0 < ask_size < LIMIT):
        return nan
    return (bid * ask_size + ask * bid_size) / (bid_size + ask_size)


def flow_step(
    before: tuple[float, float, float, float], bid: float, bid_size: float,
    ask: float, ask_size: float,
) -> float:  # fmt: skip
    """Contribution of one change of the best level to the order-flow imbalance.

    ``e_n`` of Cont, Kukanov and Stoikov (The price impact of order book events, 2014): size that
    came to the bid or left the ask, less size that left the bid or came to the ask.
    """
    old_bid, old_bid_size, old_ask, old_ask_size = before
    step = 0.0
    if bid >= old_bid:
        step += bid_size
    if bid <= old_bid:
        step -= old_bid_size
    if ask <= old_ask:
        step -= ask_size
    if ask >= old_ask:
        step += old_ask_size
    return step


def _check_top(who: object, bid: float, bid_size: float, ask: float, ask_size: float) -> None:
    sizes_fit = 0.0 < bid_size < LIMIT and 0.0 < ask_size < LIMIT
    if not (sizes_fit and -LIMIT < bid < LIMIT and -LIMIT < ask < LIMIT):
        raise BadValue(
            f"{who!r}: top {bid!r} x {bid_size!r} / {ask!r} x {ask_size!r} must be finite, "
            "with positive sizes"
        )


class OrderFlowImbalance(Indicator):
    """Shares by which buying pressure at the best level outweighed selling, of `period` samples.

    The sum of `flow_step` over every change of the best level in the last `period` sampling
    periods; fed by hand (`update`) each change is a sample of its own. The first top only starts
    the comparison, and so does the first after a gap.
    """

    __slots__ = (
        "_ask", "_ask_size", "_bid", "_bid_size", "_known", "_step", "_sum", "period", "value",
    )  # fmt: skip
    SOURCES: ClassVar[frozenset[str]] = frozenset({"book"})
    STATE: ClassVar[tuple[str, ...]] = (
        "_sum", "_step", "_known", "_bid", "_bid_size", "_ask", "_ask_size", "value",
    )  # fmt: skip

    def __init__(self, period: int) -> None:
        self._sum = RollingSum(period)
        self.period = period
        self.reset()

    def reset(self) -> None:
        self._sum.reset()
        self._step = 0.0
        self._known = 0
        self._bid = self._bid_size = self._ask = self._ask_size = 0.0
        self.value = nan

    def add(self, *sample: float) -> None:
        bid, bid_size, ask, ask_size = sample
        _check_top(self, bid, bid_size, ask, ask_size)
        if self._known:
            before = (self._bid, self._bid_size, self._ask, self._ask_size)
            self._step += flow_step(before, bid, bid_size, ask, ask_size)
        self._bid, self._bid_size, self._ask, self._ask_size = bid, bid_size, ask, ask_size
        self._known = min(self._known + 1, 2)

    def close(self, ts_ns: int) -> None:
        if self._known > 1:
            self.value = self._sum.update(self._step)
            self._step = 0.0

    def update(self, bid: float, bid_size: float, ask: float, ask_size: float) -> float:
        """Take the best level after a change; return the imbalance, NaN until warm."""
        self.add(bid, bid_size, ask, ask_size)
        self.close(0)
        return self.value

    def gap(self) -> None:
        self._known = 0
        self._step = 0.0


class MicroPrice(Indicator):
    """The micro-price of the newest best level, see `micro_price`."""

    __slots__ = ("_pending", "value")
    SOURCES: ClassVar[frozenset[str]] = frozenset({"book"})
    CONFIG: ClassVar[tuple[str, ...]] = ()
    STATE: ClassVar[tuple[str, ...]] = ("_pending", "value")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._pending = nan
        self.value = nan

    def add(self, *sample: float) -> None:
        bid, bid_size, ask, ask_size = sample
        _check_top(self, bid, bid_size, ask, ask_size)
        self._pending = micro_price(bid, bid_size, ask, ask_size)

    def close(self, ts_ns: int) -> None:
        self.value = self._pending

    def update(self, bid: float, bid_size: float, ask: float, ask_size: float) -> float:
        """Take the best level; return its micro-price."""
        self.add(bid, bid_size, ask, ask_size)
        self.close(0)
        return self.value


class VolumeSpike(Indicator):
    """Volume of the newest sample as a multiple of the mean of the `period` samples before it.

    `floor` shares stand for a smaller mean: after silence a first small trade is no spike.
    """

    __slots__ = ("_before", "_volume", "floor", "period", "value")
    SOURCES: ClassVar[frozenset[str]] = frozenset({"volume"})
    CONFIG: ClassVar[tuple[str, ...]] = ("period", "floor")
    STATE: ClassVar[tuple[str, ...]] = ("_before", "_volume", "value")

    def __init__(self, period: int, floor: float = 1.0) -> None:
        if not 0.0 < floor < LIMIT:
            raise BadValue(f"floor={floor!r} must be a positive number of shares")
        self._before = RollingSum(whole_period("period", period))
        self.period = period
        self.floor = floor
        self.reset()

    def reset(self) -> None:
        self._before.reset()
        self._volume = 0.0
        self.value = nan

    def add(self, *sample: float) -> None:
        (size,) = sample
        if not 0.0 <= size < LIMIT:
            raise refuse(self, size)
        self._volume += size

    def close(self, ts_ns: int) -> None:
        self.update(self._volume)
        self._volume = 0.0

    def gap(self) -> None:
        self._volume = 0.0

    def update(self, volume: float) -> float:
        """Take a sample's volume, in shares; return the multiple, NaN until warm."""
        if not 0.0 <= volume < LIMIT:
            raise refuse(self, volume)
        mean = self._before.value / self.period
        self._before.update(volume)
        if mean == mean:
            self.value = volume / (mean if mean > self.floor else self.floor)
        return self.value
