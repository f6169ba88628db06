"""The venue, played: our orders against the tape's book as it is when they arrive."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from engine.backtest import layout as on
from engine.backtest.reel import Reel
from engine.backtest.timing import Clock
from engine.backtest.venue import Answer, CancelWish, SubmitWish, TapeVenue
from engine.backtest.views import read_levels
from engine.fills.account import Account
from engine.fills.depth import Depth, Level
from engine.fills.latency import Delay, InOrder
from engine.fills.orders import Fill, OurOrder, Print, Resting
from engine.fills.shadow import Shadow
from engine.matching import refusals
from engine.matching.types import NO_MATCH_FAK, NOT_FILLED_FOK
from models.errors import VenueRejected
from models.events import OrderUpdate, TradeUpdate
from models.fills import FillModel
from models.history import taker_delay_ms
from models.markets import Market, Outcome, Side
from models.orders import (
    CancelReport,
    Order,
    OrderState,
    SignedOrder,
    SubmitAck,
    TimeInForce,
    TradeStatus,
    VenueLeg,
    VenueOrder,
    VenueTrade,
)
from models.units import MILLISECOND_NS, PRICE_ONE, SECOND_NS, notional_e6

GTD_EARLY_S = 60
"""The venue ends a GTD order this long before the expiry it states."""


class TapeDepth(Depth):
    """What the venue's ladder shows of a market, less what our orders took of it."""

    __slots__ = ("_index", "_reel")

    def __init__(self, reel: Reel, market: int, view: int | None) -> None:
        super().__init__(view)
        self._reel = reel
        self._index = market

    def _facts(self) -> tuple[int, int, int] | None:
        """Slot, best bid and best ask; None while nothing is known."""
        slot = self._reel.slot(self._index)
        if slot is None:
            return None
        row = self._reel.venue.meta[slot]
        bid, ask = int(row[on.BEST_BID]), int(row[on.BEST_ASK])
        return None if bid == on.NO_BID and ask == on.NO_ASK else (slot, bid, ask)

    def show(self, bids: object = (), asks: object = ()) -> None:
        """Take the ladder as it is now; what is told is not needed."""
        self.known = self._facts() is not None
        if not self.known:
            return
        for bid in (False, True):
            taken = self._taken[bid]
            for price in list(taken):
                shown = self.size(bid, price)
                if shown is not None:
                    least = self._least(bid, price)
                    taken[price] = min(taken[price], shown, least)
                    if not taken[price]:
                        del taken[price]

    def _least(self, bid: bool, price_e4: int) -> int:
        """Least shown of a level we took of since anybody looked, where the loops kept it."""
        slot = self._reel.slot(self._index)
        side = on.BID if bid else on.ASK
        if slot is None or self._reel.watch[slot, side, price_e4] != on.TOOK:
            return on.NEVER
        return int(self._reel.least[slot, side, price_e4])

    def size(self, bid: bool, price_e4: int) -> int | None:
        facts = self._facts()
        if facts is None:
            return None
        side = on.BID if bid else on.ASK
        books = self._reel.venue
        size = int(books.sizes[facts[0], side, price_e4])
        if size or self._view is None or books.meta[facts[0], on.BIDS + side] < self._view:
            return size
        worst = read_levels(books, facts[0], side)[-1][0]
        beyond = price_e4 < worst if bid else price_e4 > worst
        return None if beyond else 0

    def against(self, bid: bool, limit_e4: int) -> list[Level]:
        facts = self._facts()
        if facts is None:
            return []
        slot, best_bid, best_ask = facts
        if (best_ask > limit_e4) if bid else (best_bid < limit_e4):
            return []
        taken = self._taken[not bid]
        result: list[Level] = []
        for price, size in read_levels(self._reel.venue, slot, on.ASK if bid else on.BID):
            if price > limit_e4 if bid else price < limit_e4:
                break
            left = size - taken.get(price, 0)
            if left > 0:
                result.append((price, left))
        return result

    def liquidation_e6(self, up_e6: int, down_e6: int) -> int:
        facts = self._facts()
        _, bid, ask = facts or (0, on.NO_BID, on.NO_ASK)
        return (up_e6 * bid + down_e6 * (PRICE_ONE - ask)) // PRICE_ONE

    def taken_levels(self) -> Iterable[tuple[int, int]]:
        """(side, price) of the levels we took of."""
        for bid in (False, True):
            for price in self._taken[bid]:
                yield (on.BID if bid else on.ASK), price


@dataclass(slots=True)
class _Sent:
    """An order that arrived here, and whose it is."""

    venue: TapeVenue
    order: OurOrder
    request: Order | None = None
    trades: list[VenueTrade] = field(default_factory=list)


@dataclass(slots=True)
class Pit:
    """Every market and account of a run.

    Attributes
    ----------
    resting
        Markets in which orders of ours rest: the venue's books must go along with time.
    engaged
        Those, and markets where we took something: how much of it is still shown must be followed,
        which can wait until something of ours arrives there.
    """

    reel: Reel
    clock: Clock
    model: FillModel
    grace_ns: int
    mined_ns: int
    confirmed_ns: int
    delay_takers: bool
    shadow: Shadow = field(init=False)
    resting: set[str] = field(default_factory=set)
    engaged: set[str] = field(default_factory=set)
    _index: dict[str, int] = field(default_factory=dict)
    _depths: dict[str, TapeDepth] = field(default_factory=dict)
    _sent: dict[str, _Sent] = field(default_factory=dict)
    _watched: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    _lines: dict[TapeVenue, tuple[InOrder, InOrder]] = field(default_factory=dict)
    _trades: int = 0

    def __post_init__(self) -> None:
        self.shadow = Shadow(self.model, None, self.grace_ns)

    # --- who and where ------------------------------------------------------------------------

    def join(self, venue: TapeVenue, order: Delay, feed: Delay) -> None:
        """Let an agent trade here, its messages and the answers taking these times."""
        self._lines[venue] = (InOrder(order), InOrder(feed))

    def fund(self, account: str, cash_e6: int) -> Account:
        """Add to an account's cash before the run, opening it if it is new."""
        if account not in self.shadow.accounts:
            self.shadow.open_account(account, 0)
        held = self.shadow.accounts[account]
        held.granted_e6 += cash_e6
        held.cash_e6 += cash_e6
        return held

    def list_market(self, market: Market, index: int) -> None:
        if market.condition_id in self._index:
            return
        depth = TapeDepth(self.reel, index, self.reel.tape.depth)
        self._index[market.condition_id] = index
        self._depths[market.condition_id] = depth
        self.shadow.list_market(market, depth=depth)

    # --- our side: wishes on their way, and arriving --------------------------------------------

    def collect(self, venue: TapeVenue) -> None:
        """Take what an agent sends now on its way."""
        there, _ = self._lines[venue]
        while venue.out:
            wish = venue.out.popleft()
            at_ns = there.arrival_ns(self.clock.now)
            if isinstance(wish, SubmitWish):
                self.clock.call_at(at_ns, partial(self._submitted, venue, wish))
            else:
                self.clock.call_at(at_ns, partial(self._cancel, venue, wish))

    def _answer(self, venue: TapeVenue, *answers: Answer) -> None:
        _, back = self._lines[venue]
        at_ns = back.arrival_ns(self.clock.now)
        self.clock.call_at(at_ns, lambda: venue.inbox.extend(answers))

    def _submitted(self, venue: TapeVenue, wish: SubmitWish) -> None:
        """An order arrives: what takes waits as long as the venue holds takers."""
        self._be_here()
        depth = self._depths.get(wish.signed.request.condition_id)
        request = wish.signed.request
        if self.delay_takers and depth is not None and not request.post_only:
            ours = _our_order(wish.signed, venue.account)
            if depth.against(ours.bid, ours.up_price_e4):
                held_ns = taker_delay_ms(self.clock.now) * MILLISECOND_NS
                if held_ns:
                    at_ns = self.clock.now + held_ns
                    self.clock.call_at(at_ns, lambda: self._arrive(venue, wish))
                    return
        self._arrive(venue, wish)

    def _arrive(self, venue: TapeVenue, wish: SubmitWish) -> None:
        self._be_here()
        try:
            ack, told = self._place(venue, wish.signed)
        except VenueRejected as error:
            self._answer(venue, (wish.reply, error))
            return
        self._answer(venue, *told, (wish.reply, ack))

    def _place(
        self, venue: TapeVenue, signed: SignedOrder
    ) -> tuple[SubmitAck, list[TradeUpdate | OrderUpdate]]:
        request, now = signed.request, self.clock.now
        depth = self._depths.get(request.condition_id)
        if depth is None:
            raise VenueRejected(refusals.NO_BOOK, "closed")
        ours = _our_order(signed, venue.account)
        if request.tif is TimeInForce.GTD and now >= _dies_ns(request.expires_s):
            raise VenueRejected(refusals.BAD_EXPIRATION, "other")
        if not self._afforded(signed, ours):
            raise VenueRejected(refusals.NO_BALANCE, "balance")
        if request.post_only and depth.against(ours.bid, ours.up_price_e4):
            raise VenueRejected(refusals.POST_ONLY_CROSSES, "crosses")
        self._sent[ours.order_id] = _Sent(venue, ours)
        fills = self.shadow.place(ours, now)
        told = [self._trade(fill) for fill in fills]
        rests = any(one.order is ours for one in self.shadow.resting(request.condition_id))
        if request.tif.immediate and not fills:
            del self._sent[ours.order_id]
            text = NOT_FILLED_FOK if request.tif is TimeInForce.FOK else NO_MATCH_FAK
            raise VenueRejected(text, "unmatched")
        if rests:
            self._show(venue, ours, signed)
            if request.tif is TimeInForce.GTD:
                self.clock.call_at(_dies_ns(request.expires_s), lambda: self._expire(ours.order_id))
        self._watch(request.condition_id)
        state = OrderState.FILLED if request.tif.immediate else OrderState.LIVE
        ids = tuple(update.trade.trade_id for update in told)
        return SubmitAck(ours.order_id, state, ids), list(told)

    def _afforded(self, signed: SignedOrder, ours: OurOrder) -> bool:
        """Whether the account can back an order beside those it has resting."""
        account = self.shadow.accounts[ours.account]
        mine = [
            one
            for cid in self._index
            for one in self.shadow.resting(cid)
            if one.order.account == ours.account and one.order.side is ours.side
        ]
        if ours.side is Side.BUY:
            tied = sum(notional_e6(one.order.price_e4, one.left_e6) for one in mine)
            return signed.maker_amount_e6 + tied <= account.cash_e6
        held = account.holdings.get(ours.condition_id)
        tied = sum(
            one.left_e6
            for one in mine
            if (one.order.condition_id, one.order.outcome) == (ours.condition_id, ours.outcome)
        )
        return held is not None and ours.size_e6 + tied <= held.shares(ours.outcome)

    def _cancel(self, venue: TapeVenue, wish: CancelWish) -> None:
        self._be_here()
        gone, refused = [], {}
        for order_id in wish.order_ids:
            if self._end(order_id):
                gone.append(order_id)
            else:
                refused[order_id] = refusals.NOT_FOUND
        self._answer(venue, (wish.reply, CancelReport(tuple(gone), refused)))

    def _end(self, order_id: str) -> bool:
        """Take a resting order off the book; False where none of this id rests."""
        sent = self._sent.get(order_id)
        if sent is None or self._resting(order_id) is None:
            return False
        self.shadow.cancel(sent.order.condition_id, order_id, self.clock.now)
        sent.venue.shown.pop(order_id, None)
        self._watch(sent.order.condition_id)
        return True

    def _expire(self, order_id: str) -> None:
        self._be_here()
        sent = self._sent[order_id]
        resting = self._resting(order_id)
        if resting is None:
            return
        filled = sent.order.size_e6 - resting.left_e6
        if self._end(order_id):
            self._tell_ended(sent, OrderState.EXPIRED, filled)

    def _tell_ended(self, sent: _Sent, state: OrderState, filled_e6: int) -> None:
        now, order = self.clock.now, sent.order
        update = OrderUpdate(now, now, order.order_id, order.condition_id, state, filled_e6)
        self._answer(sent.venue, update)

    def _resting(self, order_id: str) -> Resting | None:
        cid = self._sent[order_id].order.condition_id
        found = (one for one in self.shadow.resting(cid) if one.order.order_id == order_id)
        return next(found, None)

    def _show(self, venue: TapeVenue, ours: OurOrder, signed: SignedOrder) -> None:
        request = signed.request
        venue.shown[ours.order_id] = VenueOrder(
            ours.order_id, ours.condition_id, request.token_id, ours.side, ours.price_e4,
            ours.size_e6, 0, OrderState.LIVE,
        )  # fmt: skip

    # --- the tape's side ------------------------------------------------------------------------

    def moment(self, at_ns: int) -> None:
        """Something that concerns our orders happened."""
        prints: dict[int, list[Print]] = {}
        for place, side, price, size in self.reel.take_prints():
            prints.setdefault(place, []).append(Print(side == 0, price, size))
        meta = self.reel.venue.meta
        for condition_id in sorted(self.engaged):
            slot = self.reel.slot(self._index[condition_id])
            if slot is None or not meta[slot, on.HIT]:
                continue
            meta[slot, on.HIT] = 0
            fills = self.shadow.step(condition_id, prints.get(slot, ()), (), (), at_ns)
            for fill in fills:
                update = self._trade(fill)
                self._answer(self._sent[fill.order_id].venue, update)
            self._watch(condition_id)

    def settle(self, market: Market, winner: Outcome) -> None:
        """Pay a resolved market out; what rests there is gone."""
        condition_id = market.condition_id
        for resting in self.shadow.resting(condition_id):
            order_id = resting.order.order_id
            filled = resting.order.size_e6 - resting.left_e6
            sent = self._sent[order_id]
            if self._end(order_id):
                self._tell_ended(sent, OrderState.CANCELLED, filled)
        self.shadow.settle(condition_id, winner, self.clock.now)
        self.leave(condition_id)

    def leave(self, condition_id: str) -> None:
        """Follow a market no longer."""
        index = self._index.pop(condition_id, None)
        self._depths.pop(condition_id, None)
        slot = None if index is None else self.reel.slot(index)
        if slot is not None:
            self._watched.pop(slot, None)
            self.reel.venue.meta[slot, on.ENGAGED] = 0
        self.engaged.discard(condition_id)
        self.resting.discard(condition_id)
        self.shadow.drop_market(condition_id)
        for order_id in [i for i, s in self._sent.items() if s.order.condition_id == condition_id]:
            del self._sent[order_id]

    # --- inside ---------------------------------------------------------------------------------

    def _be_here(self) -> None:
        """Have the venue's books as of now, before anything of ours meets them."""
        if not self.resting:
            self.catch_up(self.clock.now)
        for condition_id in sorted(self.engaged):
            self._depths[condition_id].show()
            self._watch(condition_id)

    def catch_up(self, now_ns: int) -> None:
        """Have the venue's books, in which no order of ours rests, as of `now_ns`."""
        while self.reel.catch_up(now_ns, copying=not self.engaged) == on.OURS:
            self.moment(self.reel.happened_ns)

    def _trade(self, fill: Fill) -> TradeUpdate:
        """Turn a fill into the venue's trade, and see to its way onto the chain."""
        self._trades += 1
        sent = self._sent[fill.order_id]
        venue, order = sent.venue, sent.order
        shown = venue.shown.get(fill.order_id)
        if shown is not None:
            matched = shown.size_matched_e6 + fill.size_e6
            if matched >= shown.original_size_e6:
                del venue.shown[fill.order_id]
            else:
                venue.shown[fill.order_id] = replace(shown, size_matched_e6=matched)
        leg = VenueLeg(
            fill.order_id, venue.token(order.condition_id, fill.outcome), fill.side, fill.role,
            fill.size_e6, notional_e6(fill.price_e4, fill.size_e6), fill.fee_e6,
        )  # fmt: skip
        trade = VenueTrade(
            f"t{self._trades}", order.condition_id, TradeStatus.MATCHED, fill.at_ns, (leg,)
        )
        venue.keep(trade)
        for after_ns, status in (
            (self.mined_ns, TradeStatus.MINED),
            (self.confirmed_ns, TradeStatus.CONFIRMED),
        ):
            later = replace(trade, status=status)
            self.clock.call_at(fill.at_ns + after_ns, partial(self._settled, venue, later))
        return TradeUpdate(fill.at_ns, fill.at_ns, trade)

    def _settled(self, venue: TapeVenue, trade: VenueTrade) -> None:
        venue.keep(trade)
        self._answer(venue, TradeUpdate(self.clock.now, self.clock.now, trade))

    def seated(self, condition_id: str) -> None:
        """A market's first row has come, perhaps after an order of ours."""
        if condition_id in self._index:
            self._watch(condition_id)

    def _watch(self, condition_id: str) -> None:
        """Tell the loops which rows of a market concern our orders from now on."""
        resting = [one.order for one in self.shadow.resting(condition_id)]
        levels = list(self._depths[condition_id].taken_levels())
        took = len(levels)
        levels += [(on.BID if one.bid else on.ASK, one.up_price_e4) for one in resting]
        (self.resting.add if resting else self.resting.discard)(condition_id)
        (self.engaged.add if levels else self.engaged.discard)(condition_id)
        slot = self.reel.slot(self._index[condition_id])
        if slot is None:
            return
        watch, row = self.reel.watch, self.reel.venue.meta[slot]
        for side, price in self._watched.pop(slot, ()):
            watch[slot, side, price] = 0
        shows = row[on.BEST_BID] != on.NO_BID or row[on.BEST_ASK] != on.NO_ASK
        for place, (side, price) in enumerate(levels):
            watch[slot, side, price] = on.TOOK if place < took else on.RESTS
            size = self.reel.venue.sizes[slot, side, price]
            self.reel.least[slot, side, price] = size if shows else on.NEVER
        if levels:
            self._watched[slot] = levels
        row[on.ENGAGED] = bool(levels)
        row[on.EVERY] = self.reel.tape.depth is not None
        row[on.OUR_BID] = max((o.up_price_e4 for o in resting if o.bid), default=on.NO_BID)
        row[on.OUR_ASK] = min((o.up_price_e4 for o in resting if not o.bid), default=on.NO_ASK)


def _our_order(signed: SignedOrder, account: str) -> OurOrder:
    request = signed.request
    limited = request.tif.immediate and request.side is Side.BUY
    return OurOrder(
        signed.order_id, account, request.condition_id, request.outcome, request.side,
        request.price_e4, signed.taker_amount_e6 if limited else request.size_e6, request.tif,
        request.post_only, signed.maker_amount_e6 if limited else 0,
    )  # fmt: skip


def _dies_ns(expires_s: int) -> int:
    return (expires_s - GTD_EARLY_S) * SECOND_NS
