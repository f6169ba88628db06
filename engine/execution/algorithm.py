"""What all execution algorithms share: how much is left, lots and minimums, crossing, the end.

An algorithm is a small synchronous state machine: `on_tick` is told what its orders have brought
and returns intents. Whatever it does, filled and open shares together never exceed the parent.
"""

from collections.abc import Mapping
from typing import Any

from engine.order_index import Work
from models.events import TradePrint
from models.execution import AtEnd, Execution
from models.markets import Market, Outcome, Side
from models.orders import TimeInForce
from models.units import PRICE_ONE, SECOND_NS
from risk.sizing import minimum_e6, whole_e6
from strategies.base import BookView, Cancel, Place, View

Steps = list[Place | Cancel]

FINISH_NS = 5 * SECOND_NS
"""The last moments of an execution, in which all that is left crosses if it is to finish; a fifth
of its time if that is less."""
LEFTOVER_NS = 2 * SECOND_NS
"""How long what is left of a crossing order may rest before it is tried anew."""


class Algorithm:
    """Base class; a subclass says what to do while there is time in `work_on`.

    Parameters
    ----------
    execution
        The parent order.
    market
        For its lots, its minimum and its tick.
    """

    def __init__(self, execution: Execution, market: Market) -> None:
        self.execution = execution
        self.market = market

    def on_tick(self, view: View, now_ns: int, work: Work) -> Steps:
        """Return what to do now.

        Parameters
        ----------
        work
            What the orders of this parent have brought, as it is known now.
        """
        parent = self.execution
        if now_ns >= parent.end_ns:
            return self.cancels(work)
        if parent.at_end is AtEnd.FINISH and now_ns >= self.finish_ns:
            return self.cross(view, now_ns, work, self.left_e6(work))
        return self.work_on(view, now_ns, work)

    def work_on(self, view: View, now_ns: int, work: Work) -> Steps:
        """What to do before the end."""
        raise NotImplementedError

    def on_trade(self, trade: TradePrint) -> None:
        """A public trade happened in the market."""

    def snapshot(self) -> dict[str, Any]:
        """Return memory worth keeping over a restart, JSON-serialisable."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `snapshot` returned."""

    # --- for subclasses -------------------------------------------------------------------------

    @property
    def finish_ns(self) -> int:
        """When what is left begins to cross, if the parent is to finish."""
        length = self.execution.end_ns - self.execution.start_ns
        return self.execution.end_ns - min(FINISH_NS, length // 5)

    def left_e6(self, work: Work) -> int:
        """Shares neither filled nor open, in whole lots."""
        return whole_e6(self.execution.size_e6 - work.taken_e6)

    def finished(self, work: Work) -> bool:
        """Whether nothing is left that the venue would take."""
        return not work.open and self.left_e6(work) < self.least_e6

    @property
    def least_e6(self) -> int:
        """Smallest order worth sending: what may rest needs the market's minimum."""
        return minimum_e6(PRICE_ONE // 2, self.market, self.execution.side, self.tif)

    @property
    def tif(self) -> TimeInForce:
        """How an order crosses. FAK purchases are limited by cash and might get more shares than
        they ask for; a purchase crosses as a limit order and what rests of it is cancelled."""
        return TimeInForce.GTC if self.execution.side is Side.BUY else TimeInForce.FAK

    def cancels(self, work: Work) -> Steps:
        return [Cancel(order.order_id) for order in work.open if not order.request.tif.immediate]

    def slice_e6(self, wanted_e6: int, work: Work, most_e6: int | None = None) -> int:
        """Turn a wish into the size of one order, zero when it is too small to send.

        What would be left over below the minimum goes along, as far as `most_e6` allows.
        """
        left, least = self.left_e6(work), self.least_e6
        size = whole_e6(min(wanted_e6, left))
        if 0 < left - size < least and (most_e6 is None or left <= most_e6):
            size = left
        return size if size >= least else 0

    def cross(self, view: View, now_ns: int, work: Work, wanted_e6: int) -> Steps:
        """Take up to `wanted_e6` shares now, within the limit; what rests too long goes first."""
        if work.open:
            old = [o for o in work.open if o.request.post_only or self._stale(o.created_ns, now_ns)]
            return [Cancel(o.order_id) for o in old if not o.request.tif.immediate]
        price = self._crossing_price_e4(view)
        size = self.slice_e6(wanted_e6, work)
        if price is None or not size:
            return []
        return [self.order(price, size, self.tif)]

    def order(
        self, price_e4: int, size_e6: int, tif: TimeInForce, post_only: bool = False
    ) -> Place:
        parent = self.execution
        return Place(
            parent.outcome, parent.side, price_e4=price_e4, size_e6=size_e6, tif=tif,
            post_only=post_only, reason=f"{parent.algo}: {parent.reason}",
        )  # fmt: skip

    def book(self, view: View) -> BookView:
        return view.up if self.execution.outcome is Outcome.UP else view.down

    def within(self, price_e4: int) -> bool:
        """Whether a price is no worse than the parent's limit."""
        limit = self.execution.price_e4
        if limit is None:
            return True
        return price_e4 <= limit if self.execution.side is Side.BUY else price_e4 >= limit

    def _crossing_price_e4(self, view: View) -> int | None:
        """The best opposite price and one tick beyond, as far as the limit goes."""
        book, tick = self.book(view), self.market.tick_e4
        buys = self.execution.side is Side.BUY
        best = book.ask_e4 if buys else book.bid_e4
        if best is None or not self.within(best):
            return None
        beyond = best + tick if buys else best - tick
        price = beyond if self.within(beyond) else best
        return max(tick, min(price, PRICE_ONE - tick))

    def _stale(self, created_ns: int, now_ns: int) -> bool:
        return now_ns - created_ns >= LEFTOVER_NS
