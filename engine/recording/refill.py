"""A recorded session's orders, sent again into the backtester's own fill model.

Every order and cancel leaves when it left, arrives when its measured way there and back says, and
meets the recorded market without our own orders (`engine.recording.others`). What fills then is
the model's doing alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from engine.backtest import layout as on
from engine.backtest.pit import Pit
from engine.backtest.reel import Reel
from engine.backtest.timing import Clock, Loop
from engine.backtest.venue import CancelWish, SubmitWish, TapeVenue
from engine.fills.account import Holding
from engine.fills.latency import ConstantDelay
from engine.recording.replies import value_of
from models.events import TradeUpdate
from models.fills import FillModel
from models.markets import Market
from models.orders import OrderState, SignedOrder, VenueLeg
from models.recording import Answered, Asked, Entry
from models.tape import Tape
from models.units import SECOND_NS, USD

LINGER_NS = 3600 * SECOND_NS
"""How long after the last order fills are waited for; the tape ends before."""
RICH_E6 = 1_000_000_000 * USD
"""More than any order costs: whether an order could be paid the session has already decided."""


@dataclass(frozen=True, slots=True)
class Sending:
    """An order or a cancel as the session sent it."""

    sent_ns: int
    answered_ns: int
    order: SignedOrder | None = None
    delayed: bool = False
    """Whether the venue answered that it holds the order before it may take."""
    cancels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Latency:
    """How long orders took there and back, in ns."""

    median_ns: int
    most_ns: int


@dataclass(frozen=True, slots=True)
class ModelFill:
    """A fill as the model gives it."""

    at_ns: int
    leg: VenueLeg


def sendings(entries: Iterable[Entry]) -> list[Sending]:
    """Return what a recording's session sent to the venue, in order."""
    asked: dict[int, Asked] = {}
    orders: dict[str, SignedOrder] = {}
    found: list[Sending] = []
    for entry in entries:
        if isinstance(entry, Asked):
            asked[entry.call] = entry
        elif isinstance(entry, Answered):
            question = asked.pop(entry.call)
            times = question.at_ns, entry.at_ns
            if question.what == "sign" and entry.fault is None:
                signed = value_of("sign", entry)
                orders[signed.order_id] = signed
            elif question.what == "submit":
                ack = value_of("submit", entry)
                delayed = ack is not None and ack.state is OrderState.DELAYED
                found.append(Sending(*times, orders[question.about[0]], delayed))
            elif question.what == "cancel":
                found.append(Sending(*times, cancels=question.about))
    return sorted(found, key=lambda one: one.sent_ns)


def latency_of(sent: Iterable[Sending]) -> Latency:
    """How long orders took from leaving to their answer."""
    took = [one.answered_ns - one.sent_ns for one in sent if one.order is not None]
    return Latency(round(median(took)), max(took)) if took else Latency(0, 0)


def refill(
    sent: Iterable[Sending],
    tape: Tape,
    model: FillModel,
    there: float = 0.5,
    taker_delay_ns: int = 0,
) -> Mapping[str, list[ModelFill]]:
    """Send orders into a fill model; return its fills by order id.

    Parameters
    ----------
    tape
        The market without our own orders.
    there
        Share of an order's measured way there and back after which it arrives; the rest is the
        way of the answer.
    taker_delay_ns
        How long the venue holds an order that it says it holds.
    """
    street = _Street(tape, model)
    arrivals = [(_arrival_ns(one, there, taker_delay_ns), one) for one in sent]
    for at_ns, one in sorted(arrivals, key=lambda each: each[0]):
        street.go_to(at_ns)
        street.send(one)
    street.go_to(max([at_ns for at_ns, _ in arrivals], default=0) + LINGER_NS)
    return street.fills


def _arrival_ns(one: Sending, there: float, taker_delay_ns: int) -> int:
    held_ns = taker_delay_ns if one.delayed else 0
    return one.sent_ns + held_ns + round((one.answered_ns - one.sent_ns) * there)


class _Street:
    """The market of a tape with one client, whose orders arrive at once."""

    def __init__(self, tape: Tape, model: FillModel) -> None:
        self.fills: dict[str, list[ModelFill]] = {}
        first_ns = int(tape.ts_ns[0]) if len(tape) else 0
        self._world = Clock(first_ns)
        self._loop = Loop(Clock(first_ns))  # type: ignore[abstract]
        self._reel = Reel(
            tape, 0, len(tape), ConstantDelay(0), lambda market: True, self._seated, False
        )
        self._markets: dict[str, Market] = {m.condition_id: m for m in tape.markets}
        self._pit = Pit(self._reel, self._world, model, 0, SECOND_NS, 2 * SECOND_NS, False)
        self._venue = TapeVenue("session", "session", self._pit.fund("session", RICH_E6))
        self._pit.join(self._venue, ConstantDelay(0), ConstantDelay(0))
        for index, market in enumerate(tape.markets):
            self._pit.list_market(market, index)
            held = self._pit.shadow.accounts["session"]
            held.holdings[market.condition_id] = Holding(RICH_E6, RICH_E6)

    def send(self, one: Sending) -> None:
        """Let an order or a cancel arrive now."""
        reply = self._loop.create_future()
        if one.order is None:
            self._venue.out.append(CancelWish(one.cancels, reply))
        else:
            condition_id = one.order.request.condition_id
            self._venue._markets[condition_id] = self._markets[condition_id]
            self._venue.out.append(SubmitWish(one.order, reply))
        self._pit.collect(self._venue)
        self._happen()

    def go_to(self, now_ns: int) -> None:
        """Let time pass, with all that happens on the tape and on its way."""
        while True:
            due_ns = min(now_ns, self._world.next_ns())
            while (code := self._reel.run(due_ns, bool(self._pit.resting))) != on.LIMIT:
                if code == on.OURS:
                    self._world.now = max(self._world.now, self._reel.happened_ns)
                    self._pit.moment(self._world.now)
                    due_ns = min(due_ns, self._world.next_ns())
            self._world.now = max(self._world.now, due_ns)
            self._happen()
            if due_ns >= now_ns:
                return

    def _happen(self) -> None:
        while self._world.ring():
            pass
        for answer in self._venue.inbox:
            if isinstance(answer, TradeUpdate) and not answer.trade.status.rank:
                for leg in answer.trade.legs:
                    fill = ModelFill(answer.trade.matched_ns, leg)
                    self.fills.setdefault(leg.order_id, []).append(fill)
        self._venue.inbox.clear()

    def _seated(self, index: int, slot: int) -> None:
        self._pit.seated(self._reel.tape.markets[index].condition_id)
