"""Orders nobody is sure about: ask the venue by id, cancel again, decide when it is time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from engine.order_books import OrderBooks, since_s
from engine.order_states import GivenUp, Missing, OrderLife, Reported
from engine.ports import Clock, Venue
from models.errors import VenueError, VenueUnavailable
from models.orders import CancelReport, Order, OrderState, TimeInForce, VenueOrder
from models.units import SECOND_NS

log = structlog.get_logger(__name__)

_ON_THE_WAY = frozenset({OrderState.SIGNED, OrderState.SENT})
_UNRESOLVED = _ON_THE_WAY | {OrderState.UNKNOWN}

_ENDED_MOST_S = 60.0
"""Longest wait between questions about fills that an ended order still lacks."""


@dataclass(slots=True)
class _Case:
    """When to act next, and how long to wait after that. ``gone_ns``: missing since then."""

    next_ns: int
    wait_s: float
    gone_ns: int | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the venue said of an order, and the life as it was when we asked."""

    before: OrderLife
    found: VenueOrder | None


class Doubts:
    """Works off the doubtful orders of the books and the cancels that were not confirmed.

    Parameters
    ----------
    settle_s
        How long an order nobody can find may still turn up.
    gone_s
        How long one the venue had confirmed may be missing before it counts as ended.
    first_s, most_s
        Back-off between questions about the same order.
    """

    def __init__(
        self,
        books: OrderBooks,
        venue: Venue,
        clock: Clock,
        settle_s: float,
        gone_s: float,
        first_s: float,
        most_s: float,
    ) -> None:
        self._books = books
        self._venue = venue
        self._clock = clock
        self._settle_ns = int(settle_s * SECOND_NS)
        self._gone_ns = int(min(gone_s, settle_s) * SECOND_NS)
        self._first_s = first_s
        self._most_s = most_s
        self._cases: dict[str, _Case] = {}
        self._cancels: dict[str, _Case] = {}

    def load(self, orders: Iterable[Order]) -> None:
        """Take up the journal's open orders; those never confirmed are missing since then."""
        now = self._clock.now_ns()
        for order in orders:
            gone = order.updated_ns if order.state in _UNRESOLVED else None
            self._cases[order.order_id] = _Case(now, self._first_s, gone)

    @property
    def next_ns(self) -> int | None:
        """When the next question or cancel is due, None without any."""
        self._take_up()
        waits = [case.next_ns for case in (*self._cases.values(), *self._cancels.values())]
        return min(waits, default=None)

    async def tend(self, *, now: bool = False) -> None:
        """Do what is due (everything if `now`). Venue trouble postpones, it never raises."""
        self._take_up()
        at_ns = self._clock.now_ns()
        cancels = [i for i, case in self._cancels.items() if now or case.next_ns <= at_ns]
        if cancels:
            await self.cancel(cancels)
            self._take_up()
        await self._ask([i for i, case in self._cases.items() if now or case.next_ns <= at_ns])
        self._take_up()

    # --- cancelling ---------------------------------------------------------------------------

    async def cancel(self, order_ids: Iterable[str]) -> None:
        """Cancel orders; whatever is not confirmed is tried again until the order ended."""
        wanted = self._want(order_ids)
        if wanted:
            try:
                report = await self._venue.cancel(wanted)
            except VenueError as error:
                self._postpone(self._cancels, wanted, error)
            else:
                self._take_report(wanted, report)

    async def cancel_all(self) -> None:
        """Cancel everything under this agent's key, known to us or not."""
        wanted = self._want(life.order.order_id for life in self._books.open_lives())
        try:
            report = await self._venue.cancel_all()
        except VenueError as error:
            self._postpone(self._cancels, wanted, error)
        else:
            self._take_report(wanted, report)

    def _want(self, order_ids: Iterable[str]) -> list[str]:
        """Note that orders shall go; return those the venue can be told of now.

        An order on its way is left until the venue's answer: a cancel might overtake it.
        """
        wanted = []
        for order_id in order_ids:
            life = self._books.life(order_id)
            if life is None or life.order.state.terminal:
                continue
            case = self._cancels.get(order_id)
            if case is None:
                case = _Case(0, self._first_s)
                self._cancels[order_id] = case
            self._put_off(case)
            if life.order.state not in _ON_THE_WAY:
                wanted.append(order_id)
        return wanted

    def _take_report(self, wanted: Sequence[str], report: CancelReport) -> None:
        gone = set(report.cancelled)
        for order_id in dict.fromkeys((*wanted, *report.cancelled)):
            if self._books.life(order_id) is None:
                continue
            if order_id in gone:
                self._books.tell(order_id, Reported(OrderState.CANCELLED))
            elif not self._ended(order_id):
                # Filled, gone before, not there yet or not cancellable now: only asking tells.
                self._books.tell(order_id, Reported(OrderState.UNKNOWN))

    # --- asking -------------------------------------------------------------------------------

    async def _ask(self, order_ids: Sequence[str]) -> None:
        """Ask for the orders first and for trades afterwards: a fill shows in one of the two."""
        answers: dict[str, _Answer] = {}
        for order_id in order_ids:
            life = self._books.life(order_id)
            if life is None:
                continue
            found = None
            if not life.order.state.terminal:
                try:
                    found = await self._venue.order(order_id)
                except VenueError as error:
                    self._postpone(self._cases, [order_id], error)
                    continue
            answers[order_id] = _Answer(life, found)
            self._hear(order_id, answers[order_id])
        unread = await self._read_trades(answers)
        for order_id, answer in answers.items():
            if answer.before.request.condition_id not in unread:
                await self._judge(order_id, answer)
            case = self._cases.get(order_id)
            if case is not None:
                self._put_off(case, most_s=_ENDED_MOST_S if self._ended(order_id) else None)

    def _hear(self, order_id: str, answer: _Answer) -> None:
        found = answer.found
        if found is None:
            return
        # News that came while we asked may be newer than the answer.
        certain = self._books.life(order_id) is answer.before
        word = Reported(found.state, found.size_matched_e6, certain=certain)
        self._books.tell(order_id, word)
        case = self._cases.get(order_id)
        if case is not None and not found.state.terminal:
            case.gone_ns = None

    async def _read_trades(self, answers: dict[str, _Answer]) -> set[str]:
        """Count the trades that may explain the answers; return markets that did not answer."""
        since: dict[str, int] = {}
        for order_id, answer in answers.items():
            life = self._books.life(order_id)
            if life is not None and life.doubtful:
                order = answer.before.order
                market = order.request.condition_id
                since[market] = min(since.get(market, order.created_ns), order.created_ns)
        unread = set()
        for market, at_ns in since.items():
            try:
                trades = await self._venue.trades(condition_id=market, after_s=since_s(at_ns))
            except VenueError as error:
                unread.add(market)
                log.warning("trades_not_read", condition_id=market, error=str(error))
                continue
            for trade in trades:
                self._books.trade(trade)
        return unread

    async def _judge(self, order_id: str, answer: _Answer) -> None:
        """Decide about an order that is not open at the venue and not explained by its trades."""
        life = self._books.life(order_id)
        if life is None or life.order.state.terminal:
            return
        open_there = answer.found is not None and not answer.found.state.terminal
        if open_there or not life.doubtful or answer.before.order.state.terminal:
            return
        self._books.tell(order_id, Missing("not open at the venue, no trade explains it"))
        now = self._clock.now_ns()
        case = self._cases.setdefault(order_id, _Case(now, self._first_s))
        if case.gone_ns is None:
            case.gone_ns = now if life.arrived else min(now, life.order.updated_ns)
        if now - case.gone_ns >= (self._gone_ns if life.arrived else self._settle_ns):
            await self._give_up(order_id, life, now)

    async def _give_up(self, order_id: str, life: OrderLife, now_ns: int) -> None:
        # A cancel makes sure: should it be there and only not shown, it ends now.
        try:
            report = await self._venue.cancel([order_id])
        except VenueError as error:
            self._postpone(self._cases, [order_id], error)
            return
        if order_id in report.cancelled:
            self._books.tell(order_id, Reported(OrderState.CANCELLED))
        elif self._ended(order_id):
            return
        elif life.arrived:
            self._books.tell(order_id, GivenUp(_gone_as(life, now_ns), "gone at the venue"))
        elif not self._arrived(order_id):
            self._books.tell(order_id, GivenUp(OrderState.REJECTED, "never arrived at the venue"))

    # --- when ---------------------------------------------------------------------------------

    def _take_up(self) -> None:
        """Bring the cases in line with the books."""
        while self._books.revived:
            self._want([self._books.revived.pop()])
        for order_id, since_ns in self._books.doubtful.items():
            if order_id not in self._cases:
                first_ns = since_ns + int(self._first_s * SECOND_NS)
                self._cases[order_id] = _Case(first_ns, self._first_s)
        for order_id in [i for i in self._cases if i not in self._books.doubtful]:
            del self._cases[order_id]
        for order_id in [i for i in self._cancels if self._ended(i)]:
            del self._cancels[order_id]

    def _ended(self, order_id: str) -> bool:
        order = self._books.order(order_id)
        return order is None or order.state.terminal

    def _arrived(self, order_id: str) -> bool:
        life = self._books.life(order_id)
        return life is not None and life.arrived

    def _later(self, seconds: float) -> int:
        return self._clock.now_ns() + int(seconds * SECOND_NS)

    def _put_off(
        self, case: _Case, at_least_s: float = 0.0, *, most_s: float | None = None
    ) -> None:
        case.next_ns = self._later(max(case.wait_s, at_least_s))
        case.wait_s = min(case.wait_s * 2, most_s or self._most_s)

    def _postpone(self, cases: dict[str, _Case], order_ids: Iterable[str], why: VenueError) -> None:
        log.warning("venue_did_not_answer", orders=len(list(order_ids)), error=str(why))
        pause = why.retry_after_s if isinstance(why, VenueUnavailable) else 0.0
        for order_id in order_ids:
            case = cases.get(order_id)
            if case is not None:
                self._put_off(case, pause)


def _gone_as(life: OrderLife, now_ns: int) -> OrderState:
    """Terminal state of an order that is no longer there: EXPIRED once its time was over."""
    request = life.request
    # The venue ends a GTD order a minute before the time it states.
    if request.tif is TimeInForce.GTD and now_ns >= (request.expires_s - 60) * SECOND_NS:
        return OrderState.EXPIRED
    return OrderState.CANCELLED
