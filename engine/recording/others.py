"""A recorded session's market data as if its own orders had never been shown.

The venue's book shows our orders beside everybody else's. A fill model puts our orders there
itself, so they are taken out of the levels that were shown; the prints stay, ours among them:
somebody came for these shares, and whether our order got them is for the model to say.

Market and orders are told on channels of their own, so when a level shows an order of ours is
found from both: an order shows from the message on in which its level grew by its size, at the
latest from the next message after the venue's answer; what a print took of it is gone with that
print, not when its trade was told.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from engine.recording.replies import value_of
from models.events import (
    BookChange,
    BookSnapshot,
    FeedEvent,
    OrderUpdate,
    TradePrint,
    TradeUpdate,
)
from models.markets import Market, Outcome, Side
from models.orders import OrderRequest, Role
from models.recording import Answered, Asked, Entry, Record, Watched
from models.units import MILLISECOND_NS, PRICE_ONE

Level = tuple[str, Side, int]
"""Market, side and price of a level of Up's book."""

APART_NS = 250 * MILLISECOND_NS
"""A print and the news of our trade in it are heard no further apart."""


def level_of(request: OrderRequest) -> Level:
    """The level of Up's book at which an order rests."""
    if request.outcome is Outcome.UP:
        return request.condition_id, request.side, request.price_e4
    return request.condition_id, request.side.opposite, PRICE_ONE - request.price_e4


@dataclass(slots=True)
class _Resting:
    level: Level
    left_e6: int
    shown: bool = False
    """Whether the level's size has it in."""
    known: bool = False
    """Whether the venue has confirmed it."""


def without_ours(source: Callable[[], Iterable[Entry]]) -> Iterator[FeedEvent]:
    """Yield the market data of a recording, our own resting orders taken out of its books."""
    requests = _requests(source())
    taken = _taken(source(), requests)
    book = _Book()
    asked: dict[int, Asked] = {}
    for place, entry in enumerate(source()):
        for order_id, size in taken.get(place, ()):
            book.takes(order_id, size)
        if isinstance(entry, Watched):
            book.markets[entry.market.condition_id] = entry.market
        elif isinstance(entry, Asked):
            asked[entry.call] = entry
            if entry.what == "submit" and not requests[entry.about[0]].tif.immediate:
                book.sent(entry.about[0], requests[entry.about[0]])
        elif isinstance(entry, Answered):
            yield from book.answered(asked.pop(entry.call), entry)
        elif isinstance(entry, OrderUpdate):
            book.confirmed(entry.order_id)
            if entry.state.terminal:
                yield from book.ended(entry.order_id, entry.recv_ns)
        elif isinstance(entry, BookSnapshot | BookChange):
            if entry.token_id == book.up(entry.condition_id):
                yield book.less(entry)
        elif not isinstance(entry, Record | TradeUpdate):
            yield entry


class _Book:
    """What the levels showed, and what of our orders was in it."""

    def __init__(self) -> None:
        self.markets: dict[str, Market] = {}
        self._shown: dict[Level, int] = {}
        self._ours: dict[str, _Resting] = {}
        self._at: dict[Level, set[str]] = defaultdict(set)

    def up(self, condition_id: str) -> str:
        market = self.markets.get(condition_id)
        return "" if market is None else market.up_token

    # --- our orders -----------------------------------------------------------------------------

    def sent(self, order_id: str, request: OrderRequest) -> None:
        level = level_of(request)
        self._ours[order_id] = _Resting(level, request.size_e6)
        self._at[level].add(order_id)

    def confirmed(self, order_id: str) -> None:
        if order_id in self._ours:
            self._ours[order_id].known = True

    def takes(self, order_id: str, size_e6: int) -> None:
        one = self._ours.get(order_id)
        if one is not None:
            one.left_e6 = max(0, one.left_e6 - size_e6)

    def answered(self, question: Asked, answer: Answered) -> Iterator[FeedEvent]:
        """Take the answer to an order or a cancel."""
        if question.what == "submit":
            if answer.fault is None:
                self.confirmed(question.about[0])
            else:
                yield from self.ended(question.about[0], answer.at_ns)
        elif question.what == "cancel" and (report := value_of("cancel", answer)) is not None:
            for order_id in report.cancelled:
                yield from self.ended(order_id, answer.at_ns)

    def ended(self, order_id: str, at_ns: int) -> Iterator[FeedEvent]:
        """Forget an order; its level is told anew if the order was in it."""
        one = self._ours.pop(order_id, None)
        if one is None:
            return
        self._at[one.level].discard(order_id)
        if one.shown and one.left_e6 and one.level in self._shown:
            cid, side, price = one.level
            size = max(0, self._shown[one.level] - self._in(one.level))
            yield BookChange(at_ns, at_ns, cid, self.up(cid), ((side, price, size),))

    # --- the market -----------------------------------------------------------------------------

    def less(self, event: BookSnapshot | BookChange) -> BookSnapshot | BookChange:
        """Return the same message without our orders."""
        cid = event.condition_id
        key = event.ts_ns, event.recv_ns, cid, event.token_id
        if isinstance(event, BookChange):
            changes = ((s, p, self._left((cid, s, p), size)) for s, p, size in event.changes)
            return BookChange(*key, tuple(changes))
        before = {level: size for level, size in self._shown.items() if level[0] == cid}
        told = {(cid, Side.BUY, p): size for p, size in event.bids}
        told |= {(cid, Side.SELL, p): size for p, size in event.asks}
        left = {level: self._left(level, size) for level, size in told.items()}
        for level in before.keys() - told.keys():
            del self._shown[level]
        bids = tuple((p, left[cid, Side.BUY, p]) for p, _ in event.bids)
        asks = tuple((p, left[cid, Side.SELL, p]) for p, _ in event.asks)
        return BookSnapshot(
            *key, tuple(one for one in bids if one[1]), tuple(one for one in asks if one[1])
        )

    def _left(self, level: Level, size_e6: int) -> int:
        grew = size_e6 - self._shown.get(level, 0)
        self._shown[level] = size_e6
        for order_id in self._at.get(level, ()):
            one = self._ours[order_id]
            one.shown = one.shown or one.known or grew >= one.left_e6
        return max(0, size_e6 - self._in(level))

    def _in(self, level: Level) -> int:
        some = (self._ours[order_id] for order_id in self._at.get(level, ()))
        return sum(one.left_e6 for one in some if one.shown)


def _requests(entries: Iterable[Entry]) -> dict[str, OrderRequest]:
    """Every order that was signed, by id."""
    signing: set[int] = set()
    found: dict[str, OrderRequest] = {}
    for entry in entries:
        if isinstance(entry, Asked) and entry.what == "sign":
            signing.add(entry.call)
        elif isinstance(entry, Answered) and entry.call in signing and entry.fault is None:
            signed = value_of("sign", entry)
            found[signed.order_id] = signed.request
    return found


def _taken(
    entries: Iterable[Entry], requests: dict[str, OrderRequest]
) -> dict[int, list[tuple[str, int]]]:
    """What prints took of our resting orders, by the place at which that is to be known.

    The place is the print's where one at our price is heard near the news of the trade, else
    that of the news.
    """
    prints: dict[Level, list[tuple[int, int, int]]] = defaultdict(list)
    legs: list[tuple[int, int, str, int]] = []
    counted: set[tuple[str, str]] = set()
    ups: dict[str, str] = {}
    for place, entry in enumerate(entries):
        if isinstance(entry, Watched):
            ups[entry.market.condition_id] = entry.market.up_token
        elif isinstance(entry, TradePrint):
            up = entry.token_id == ups.get(entry.condition_id)
            price = entry.price_e4 if up else PRICE_ONE - entry.price_e4
            taker = entry.side if up else entry.side.opposite
            level = entry.condition_id, taker.opposite, price
            prints[level].append((place, entry.recv_ns, entry.size_e6))
        elif isinstance(entry, TradeUpdate):
            for leg in entry.trade.legs:
                key = entry.trade.trade_id, leg.order_id
                if leg.role is Role.MAKER and leg.order_id in requests and key not in counted:
                    counted.add(key)
                    legs.append((place, entry.recv_ns, leg.order_id, leg.size_e6))
    taken: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for place, at_ns, order_id, size in legs:
        near = [
            (abs(heard_ns - at_ns), where)
            for where, heard_ns, there in prints[level_of(requests[order_id])]
            if abs(heard_ns - at_ns) <= APART_NS and there >= size
        ]
        taken[min(near)[1] if near else place].append((order_id, size))
    return taken
