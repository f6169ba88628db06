"""How the fills of our own model compare with the live ones, and what explains a difference."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.recording.refill import Latency, ModelFill, Sending
from models.events import BookChange, BookSnapshot, FeedEvent, TradePrint, TradeUpdate
from models.orders import TradeStatus
from models.recording import Entry, Kept
from models.units import MILLISECOND_NS, PRICE_ONE, SECOND_NS, SHARE

ROUNDING_E6 = 10_000
"""A hundredth of a share, the least the venue trades: what a budget buys is rounded for every
order it meets, so as many shares fewer, for each of them, are the same fill."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some shares of an order that filled."""

    at_ns: int
    size_e6: int
    cash_e6: int


@dataclass(frozen=True, slots=True)
class Bound:
    """How far a fill of the model may be from the live one, in ns: what latency explains."""

    order_ns: int
    """The slowest order's way there and back, and what the venue holds takers."""
    book_ns: int
    """The longest time between two messages about a book: the model's market may lag so much."""

    @property
    def total_ns(self) -> int:
        return self.order_ns + self.book_ns


@dataclass(frozen=True, slots=True)
class Closeness:
    """How the model's fills compare with the live ones, order by order and share by share."""

    live_fills: int
    model_fills: int
    live_e6: int
    model_e6: int
    orders: int
    """Orders that filled in either."""
    alike: int
    """Orders that filled the same size at the same price."""
    bound: Bound
    median_ns: int
    """Median distance in time between a live fill and its counterpart."""
    worst_ns: int
    timed: tuple[str, ...]
    """Orders that fill as live when they arrive at another time of their measured way, or whose
    cancel was under way within the bound of the fill."""
    queued: tuple[str, ...]
    """Resting orders whose live fills lie between those with everybody ahead and those with
    nobody ahead: where in the queue they stood the market data do not tell."""
    beyond: tuple[str, ...]
    """What nothing explains, in words."""


def live_parts(entries: Iterable[Entry]) -> dict[str, list[Part]]:
    """Return the fills of a session by order, each when the session first heard of it."""
    heard: dict[tuple[str, str], int] = {}
    kept: dict[tuple[str, str], Kept] = {}
    for entry in entries:
        if isinstance(entry, TradeUpdate):
            for leg in entry.trade.legs:
                heard.setdefault((entry.trade.trade_id, leg.order_id), entry.recv_ns)
        elif isinstance(entry, Kept):
            kept[entry.fill.trade_id, entry.fill.order_id] = entry
    parts: dict[str, list[Part]] = {}
    for key, one in kept.items():
        if one.fill.status is not TradeStatus.FAILED:
            at_ns = heard.get(key, one.at_ns)
            part = Part(at_ns, one.fill.size_e6, one.fill.cash_e6)
            parts.setdefault(one.fill.order_id, []).append(part)
    return {order_id: sorted(some, key=_at) for order_id, some in parts.items()}


def _at(part: Part) -> int:
    return part.at_ns


def bound_of(latency: Latency, taker_delay_ns: int, events: Iterable[FeedEvent]) -> Bound:
    """The bound that a session's own latency, its venue's delay and its market's pace give."""
    last: dict[str, int] = {}
    longest = 0
    for event in events:
        if isinstance(event, BookSnapshot | BookChange | TradePrint):
            before = last.get(event.condition_id, event.recv_ns)
            longest = max(longest, event.recv_ns - before)
            last[event.condition_id] = event.recv_ns
    return Bound(latency.most_ns + taker_delay_ns, longest)


def compare_fills(
    live: Mapping[str, Sequence[Part]],
    model: Mapping[str, Sequence[ModelFill]],
    others: Iterable[Mapping[str, Sequence[ModelFill]]],
    bounds: Callable[[], tuple[Mapping[str, Sequence[ModelFill]], ...]],
    sent: Sequence[Sending],
    bound: Bound,
) -> Closeness:
    """Hold the model's fills against the live ones.

    Share by share: what one side had filled of an order at some time the other has filled too
    within the bound of it, and the whole at the same price. Where that is not so, latency
    explains the difference if the order fills as live when it arrives at another moment of its
    measured way, or if its cancel left or was answered within the bound of the fill. A resting
    order's place in the queue explains what lies between the models' bounds.

    Parameters
    ----------
    others
        The model's fills for other arrivals; asked for only while something is unexplained.
    bounds
        The fills with everybody ahead of us for ever and those with nobody ahead; likewise.
    """
    cancelled = _cancelled(sent)
    mine = {order_id: _parts(some) for order_id, some in model.items()}
    filled = dict.fromkeys([*live, *mine])
    distances: list[int] = []
    apart: dict[str, int] = {}
    for order_id in filled:
        near, missed = _apart(live.get(order_id, ()), mine.get(order_id, ()), bound.total_ns)
        distances += near
        if missed is not None:
            apart[order_id] = missed
    alike = sum(_alike(live.get(one, ()), mine.get(one, ())) for one in filled)
    timed = [
        one for one, at_ns in apart.items()
        if any(abs(at_ns - each) <= bound.total_ns for each in cancelled.get(one, ()))
    ]  # fmt: skip
    left = [one for one in apart if one not in timed]
    for another in others if left else ():
        found = [
            one
            for one in left
            if _apart(live.get(one, ()), _parts(another.get(one, ())), bound.total_ns)[1] is None
        ]
        timed += found
        left = [one for one in left if one not in found]
        if not left:
            break
    queued: list[str] = []
    if left:
        least, most = bounds()
        resting = {
            one.order.order_id for one in sent if one.order and not one.order.request.tif.immediate
        }
        queued = [
            one
            for one in left
            if one in resting
            and _within(_parts(least.get(one, ())), live.get(one, ()), bound.total_ns)
            and _within(live.get(one, ()), _parts(most.get(one, ())), bound.total_ns)
        ]
    left = [one for one in left if one not in queued]
    distances.sort()
    every = [part for some in live.values() for part in some]
    modelled = [part for some in mine.values() for part in some]
    return Closeness(
        len(every), len(modelled), _total(every), _total(modelled), len(filled), alike, bound,
        distances[len(distances) // 2] if distances else 0, max(distances, default=0),
        tuple(timed), tuple(queued),
        tuple(_words(one, live.get(one, ()), mine.get(one, ()), bound) for one in left),
    )  # fmt: skip


def _parts(fills: Iterable[ModelFill]) -> list[Part]:
    return [Part(one.at_ns, one.leg.size_e6, one.leg.cash_e6) for one in fills]


def _alike(live: Sequence[Part], model: Sequence[Part]) -> bool:
    near = abs(_total(live) - _total(model)) < _rounding_e6(live, model)
    return near and _price(live) == _price(model)


def _cancelled(sent: Iterable[Sending]) -> dict[str, list[int]]:
    """Times at which a cancel of an order left and was answered."""
    times: dict[str, list[int]] = {}
    for one in sent:
        for order_id in one.cancels:
            times.setdefault(order_id, []).extend((one.sent_ns, one.answered_ns))
    return times


def _apart(
    live: Sequence[Part], model: Sequence[Part], most_ns: int
) -> tuple[list[int], int | None]:
    """Distances in time of counterparts, and when a share filled that has none as it should be."""
    distances: list[int] = []
    missed: int | None = None
    rounding_e6 = _rounding_e6(live, model)
    for ones, others in ((live, model), (model, live)):
        had = 0
        for part in sorted(ones, key=_at):
            had += part.size_e6
            reached = _reached(others, had, rounding_e6)
            if reached is None or abs(reached - part.at_ns) > most_ns:
                missed = part.at_ns if missed is None else missed
            elif ones is live:
                distances.append(abs(reached - part.at_ns))
    if missed is None and live and _price(live) != _price(model):
        missed = live[0].at_ns
    return distances, missed


def _within(less: Sequence[Part], more: Sequence[Part], late_ns: int) -> bool:
    """Whether what one side had filled the other had filled too, no later than that."""
    had, rounding_e6 = 0, _rounding_e6(less, more)
    for part in sorted(less, key=_at):
        had += part.size_e6
        reached = _reached(more, had, rounding_e6)
        if reached is None or reached > part.at_ns + late_ns:
            return False
    return True


def _rounding_e6(ones: Sequence[Part], others: Sequence[Part]) -> int:
    """What rounding may make of a budget that met as many orders as either side says."""
    return ROUNDING_E6 * max(1, len(ones), len(others))


def _reached(parts: Sequence[Part], size_e6: int, rounding_e6: int) -> int | None:
    """When so many shares had filled, up to what rounding makes of a budget."""
    had = 0
    for part in sorted(parts, key=_at):
        had += part.size_e6
        if had + rounding_e6 > size_e6:
            return part.at_ns
    return None


def _total(parts: Iterable[Part]) -> int:
    return sum(part.size_e6 for part in parts)


def _price(parts: Sequence[Part]) -> int:
    """Average price in e4; rounding of single fills to whole units of cash does not show."""
    size = _total(parts)
    return round(sum(part.cash_e6 for part in parts) * PRICE_ONE / size) if size else 0


def _words(order_id: str, live: Sequence[Part], model: Sequence[Part], bound: Bound) -> str:
    ms = bound.total_ns / MILLISECOND_NS
    return f"{order_id}: live {_told(live)}, model {_told(model)}, bound {ms:.0f} ms"


def _told(parts: Sequence[Part]) -> str:
    if not parts:
        return "nothing"
    size, at_s = _total(parts) / SHARE, parts[0].at_ns / SECOND_NS
    return f"{size:g} at {_price(parts) / PRICE_ONE:.4f} from {at_s:.3f} s on"
