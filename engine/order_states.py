"""How an order's life goes on, as a pure function of what was known and what is told.

The venue's news come twice, late, out of order or not at all. Three rules make that harmless:

* a terminal state ends an order, unless the venue proves otherwise;
* an order the venue ended stays open in our books until the fills the venue spoke of are there,
  so that a terminal row means complete books;
* fills count whatever the state says, each once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from engine.reservations import cash_limited
from models.errors import BadValue
from models.orders import Fill, Order, OrderRequest, OrderState, SignedOrder, SubmitAck, TradeStatus

_S = OrderState
_ARRIVED = frozenset({_S.LIVE, _S.DELAYED, _S.PARTIAL})
_ENDS = frozenset({_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED})

LEGAL: Mapping[OrderState, frozenset[OrderState]] = {
    _S.INTENDED: frozenset({_S.SIGNED}),
    _S.SIGNED: _ARRIVED | _ENDS | {_S.SENT, _S.UNKNOWN},
    _S.SENT: _ARRIVED | _ENDS | {_S.UNKNOWN},
    _S.DELAYED: _ENDS | {_S.LIVE, _S.PARTIAL, _S.UNKNOWN},
    _S.LIVE: _ENDS | {_S.PARTIAL, _S.UNKNOWN},
    _S.PARTIAL: _ENDS | {_S.LIVE, _S.UNKNOWN},
    _S.UNKNOWN: _ARRIVED | _ENDS,
    # Terminal states give way only to proof from the venue (see `Reported` and `Counted`).
    _S.REJECTED: _ARRIVED | {_S.FILLED, _S.CANCELLED, _S.EXPIRED},
    _S.CANCELLED: frozenset({_S.LIVE, _S.PARTIAL, _S.FILLED}),
    _S.EXPIRED: frozenset({_S.LIVE, _S.PARTIAL, _S.FILLED}),
    _S.FILLED: frozenset(),
}
"""Which state may follow which (staying is always allowed)."""

DUST_E6 = 1_000
"""Matched shares no fill explains and nobody asks about: the venue rounds what it reports."""


def moved(order: Order, state: OrderState, now_ns: int, filled_e6: int, note: str = "") -> Order:
    """Return the order in a state. Raises `BadValue` where `LEGAL` forbids the step."""
    if state is not order.state and state not in LEGAL[order.state]:
        raise BadValue(
            f"order {order.order_id}: {order.state.value} can't become {state.value}; "
            f"allowed: {', '.join(sorted(LEGAL[order.state])) or 'nothing'}"
        )
    note = note or order.note
    if (state, filled_e6, note) == (order.state, order.filled_e6, order.note):
        return order
    return order.to(state, filled_e6=filled_e6, note=note, updated_ns=now_ns)


# --- what can be told -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signed:
    """We signed it; its id is known."""

    signed: SignedOrder


@dataclass(frozen=True, slots=True)
class Sent:
    """It is on its way to the venue."""


@dataclass(frozen=True, slots=True)
class Acked:
    """The venue answered that it took the order."""

    ack: SubmitAck


@dataclass(frozen=True, slots=True)
class Refused:
    """The venue answered that it did not take the order."""

    note: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody knows whether it arrived."""

    note: str


@dataclass(frozen=True, slots=True)
class Reported:
    """The venue's word on the order; ``certain`` when it answers a question of ours just asked.

    ``matched_e6`` is cumulative; zero also where the venue left it out.
    """

    state: OrderState
    matched_e6: int = 0
    note: str = ""
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """One of its fills, new or with a later status."""

    fill: Fill


@dataclass(frozen=True, slots=True)
class Recalled:
    """Taken up from the journal, whose rows may have been cut off between fill and order."""


@dataclass(frozen=True, slots=True)
class Missing:
    """The venue has no such open order, and its trades don't explain why."""

    note: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The settle time is over: what it is now is what it stays, until there is proof."""

    state: OrderState
    note: str


Signal = Signed | Sent | Acked | Refused | Lost | Reported | Counted | Recalled | Missing | GivenUp


# --- the life -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderLife:
    """An order and what the venue has said about it so far.

    ``legs`` holds its fills by trade id, failed ones too; ``matched_e6`` is the most the venue
    said was matched; ``awaited`` names trades whose fill has not come; ``ending`` is the terminal
    state the order takes once its fills are complete; ``rests`` says that it is past matching on
    arrival and pays no taker fee any more; ``unsure`` says the venue must be asked.
    """

    order: Order
    legs: Mapping[str, Fill] = field(default_factory=dict)
    matched_e6: int = 0
    awaited: frozenset[str] = frozenset()
    ending: OrderState | None = None
    arrived: bool = False
    rests: bool = False
    unsure: bool = False

    @property
    def request(self) -> OrderRequest:
        return self.order.request

    @property
    def filled_e6(self) -> int:
        """Shares of fills that count, in e6."""
        return sum(f.size_e6 for f in self.legs.values() if f.status is not TradeStatus.FAILED)

    @property
    def spent_e6(self) -> int:
        """Cash of fills that count, without fees, in e6."""
        return sum(f.cash_e6 for f in self.legs.values() if f.status is not TradeStatus.FAILED)

    @property
    def told_e6(self) -> int:
        """Shares of every fill known, failed ones too: what the venue calls matched."""
        return sum(f.size_e6 for f in self.legs.values())

    @property
    def whole(self) -> bool:
        """Whether nothing is left to match. Unknowable for an order that cash limits."""
        if cash_limited(self.order):
            return False
        return self.told_e6 >= self.request.size_e6

    @property
    def complete(self) -> bool:
        """Whether every fill the venue spoke of is in the books."""
        if self.ending is OrderState.FILLED and not self.legs:
            return False
        short = self.matched_e6 - self.told_e6
        return short <= DUST_E6 and self.awaited <= self.legs.keys()

    @property
    def unsettled(self) -> bool:
        """Whether anything about it may still change."""
        return not self.order.state.terminal or self.doubtful

    @property
    def doubtful(self) -> bool:
        """Whether the venue should be asked about it."""
        if self.order.state.terminal:
            return not self.complete
        if self.ending is not None or self.unsure:
            return True
        if self.order.state in (OrderState.UNKNOWN, OrderState.DELAYED):
            return True
        acked = self.order.state in _ARRIVED
        return acked and (self.request.tif.immediate or not self.complete)


def intended(request: OrderRequest, now_ns: int) -> OrderLife:
    """Begin a life: wished for, no id yet."""
    return OrderLife(Order("", request, OrderState.INTENDED, created_ns=now_ns, updated_ns=now_ns))


def known(order: Order, fills: Mapping[str, Fill]) -> OrderLife:
    """Take up a life from the journal's rows."""
    return OrderLife(
        order,
        legs=fills,
        arrived=order.state in _ARRIVED or bool(fills),
        rests=order.state in (OrderState.LIVE, OrderState.PARTIAL),
    )


def advance(life: OrderLife, signal: Signal, now_ns: int) -> OrderLife:
    """Return the life after a signal. News that come too late to matter change nothing.

    Raises
    ------
    BadValue
        A step of our own that can't be: signing twice, sending or refusing what ended.
    """
    match signal:
        case Signed(signed):
            if life.order.order_id:
                raise BadValue(f"order {life.order.order_id} is signed already; wish for a new one")
            order = replace(life.order, order_id=signed.order_id, payload=signed.payload)
            return replace(life, order=moved(order, OrderState.SIGNED, now_ns, 0))
        case Sent():
            return _step(life, OrderState.SENT, now_ns)
        case Acked(ack):
            return _concluded(_acked(life, ack, now_ns), now_ns)
        case Refused(note):
            return _concluded(_refused(life, note, now_ns), now_ns)
        case Lost(note):
            return _lost(life, note, now_ns)
        case Reported():
            return _concluded(_reported(life, signal, now_ns), now_ns)
        case Counted(fill):
            return _concluded(_counted(life, fill, now_ns), now_ns)
        case Recalled():
            return _concluded(life, now_ns)
        case Missing(note):
            return _missing(life, note, now_ns)
        case GivenUp(state, note):
            return _given_up(life, state, note, now_ns)


def _step(life: OrderLife, state: OrderState, now_ns: int, note: str = "") -> OrderLife:
    filled = life.filled_e6
    if not cash_limited(life.order) and filled > life.request.size_e6:
        # Positions come from the fills; the order itself can't be more than filled.
        filled, note = life.request.size_e6, f"the venue filled {life.filled_e6} e6 shares"
    return replace(life, order=moved(life.order, state, now_ns, filled, note))


def _acked(life: OrderLife, ack: SubmitAck, now_ns: int) -> OrderLife:
    life = replace(life, awaited=life.awaited | frozenset(ack.trade_ids))
    if ack.state is OrderState.UNKNOWN:
        return _lost(life, ack.message or "the venue must be asked", now_ns)
    life = replace(life, arrived=True, rests=life.rests or ack.state is not OrderState.DELAYED)
    if life.order.state.terminal:
        return life
    if ack.state is OrderState.FILLED:
        # For an order that may rest, "matched" does not say whether all of it was.
        done = life.request.tif.immediate and ack.trade_ids
        life = replace(life, ending=OrderState.FILLED) if done else replace(life, unsure=True)
        return _step(life, OrderState.PARTIAL, now_ns, ack.message)
    return _arrived_as(life, ack.state, now_ns, ack.message)


def _arrived_as(life: OrderLife, state: OrderState, now_ns: int, note: str = "") -> OrderLife:
    """Take LIVE or DELAYED from the venue; DELAYED never follows LIVE."""
    order = life.order
    if state is OrderState.DELAYED and order.state in (OrderState.LIVE, OrderState.PARTIAL):
        return life
    life = replace(life, rests=life.rests or state is not OrderState.DELAYED)
    if life.legs or order.state is OrderState.PARTIAL:
        state = OrderState.PARTIAL if life.filled_e6 else state
    return _step(life, state, now_ns, note)


def _refused(life: OrderLife, note: str, now_ns: int) -> OrderLife:
    if life.order.state.terminal:
        return life
    if life.arrived or life.legs:
        # The venue says both; its book decides.
        return _lost(life, note, now_ns)
    return _step(life, OrderState.REJECTED, now_ns, note)


def _lost(life: OrderLife, note: str, now_ns: int) -> OrderLife:
    if life.order.state.terminal:
        return life
    life = replace(life, unsure=True)
    return life if life.legs else _step(life, OrderState.UNKNOWN, now_ns, note)


def _reported(life: OrderLife, word: Reported, now_ns: int) -> OrderLife:
    life = replace(life, matched_e6=max(life.matched_e6, word.matched_e6))
    state = word.state
    if state is OrderState.UNKNOWN or state not in _ARRIVED | _ENDS:
        return life if life.order.state.terminal else replace(life, unsure=True)
    if state in _ARRIVED:
        return _reported_open(life, word, now_ns)
    if life.order.state.terminal and life.order.state is not OrderState.REJECTED:
        return life
    life = replace(life, arrived=life.arrived or state is not OrderState.REJECTED)
    if state is not OrderState.FILLED or life.request.tif.immediate:
        return _ending(life, state, word.note)
    if life.matched_e6 >= life.request.size_e6:
        return _ending(life, state, word.note)
    if life.order.state is OrderState.REJECTED:
        life = _step(life, OrderState.PARTIAL, now_ns, word.note)
    return replace(life, unsure=True)


def _ending(life: OrderLife, state: OrderState, note: str) -> OrderLife:
    order = replace(life.order, note=note) if note else life.order
    return replace(life, order=order, ending=life.ending or state)


def _reported_open(life: OrderLife, word: Reported, now_ns: int) -> OrderLife:
    state = life.order.state
    if state is OrderState.FILLED:
        return life
    if state.terminal and state is not OrderState.REJECTED and not word.certain:
        # An old message overtaken by the end of the order.
        return life
    revived = state.terminal
    life = replace(life, arrived=True)
    if word.certain or revived:
        life = replace(life, ending=None, unsure=False)
    shown = OrderState.DELAYED if word.state is OrderState.DELAYED else OrderState.LIVE
    if revived and shown is OrderState.DELAYED and state is not OrderState.REJECTED:
        shown = OrderState.LIVE
    return _arrived_as(life, shown, now_ns, word.note)


def _counted(life: OrderLife, fill: Fill, now_ns: int) -> OrderLife:
    held = life.legs.get(fill.trade_id)
    if held is not None and held.status.rank >= fill.status.rank:
        return life
    life = replace(life, legs={**life.legs, fill.trade_id: fill}, arrived=True)
    if life.order.state is OrderState.REJECTED:
        life = replace(life, unsure=True)
        return _step(life, OrderState.PARTIAL, now_ns, "traded after all")
    return life


def _missing(life: OrderLife, note: str, now_ns: int) -> OrderLife:
    if life.order.state.terminal or life.ending is not None:
        return life
    return _step(replace(life, unsure=True), OrderState.UNKNOWN, now_ns, note)


def _given_up(life: OrderLife, state: OrderState, note: str, now_ns: int) -> OrderLife:
    if life.order.state.terminal:
        return life
    final = life.ending or state
    if life.request.tif.immediate and life.filled_e6:
        final = OrderState.FILLED
    return replace(_step(life, final, now_ns, note), ending=None, unsure=False)


def _concluded(life: OrderLife, now_ns: int) -> OrderLife:
    """Bring state and filled size in line with the fills and the ending."""
    state = life.order.state
    if state is OrderState.FILLED or life.whole:
        target = OrderState.FILLED
    elif life.ending is not None and life.complete:
        target = life.ending
        if life.request.tif.immediate and life.filled_e6:
            target = OrderState.FILLED
    elif state.terminal:
        target = state
        if life.request.tif.immediate and life.filled_e6:
            target = OrderState.FILLED
    elif life.filled_e6 and state is not OrderState.PARTIAL:
        target = OrderState.PARTIAL
    elif state is OrderState.PARTIAL and life.legs and not life.filled_e6:
        # Every fill failed: it rests as it did before.
        target = OrderState.LIVE
    else:
        target = state
    life = _step(life, target, now_ns)
    if target.terminal:
        life = replace(life, ending=None, unsure=False)
    return life
