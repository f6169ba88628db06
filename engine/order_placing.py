"""Placing and replacing: signed, committed, sent, and one order for each wish."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import structlog

from engine.order_books import OrderBooks
from engine.order_doubts import Doubts
from engine.order_loops import Signals
from engine.order_pulse import Pulse
from engine.order_states import Acked, Lost, OrderLife, Refused, Sent, Signed, advance, intended
from engine.ports import Clock, Journal, Venue
from engine.reservations import cash_limited, reserved_cash_e6, reserved_shares_e6
from models.errors import BadValue, Suspended, VenueError, VenueRejected, VenueUnavailable
from models.markets import Market
from models.orders import Order, OrderRequest, OrderState, SignedOrder

log = structlog.get_logger(__name__)

_LOT_E6 = 10_000
"""Orders are for whole hundredths of a share."""

Later = Callable[[], Awaitable[None]]


class Placer:
    """The way of a wish to the venue.

    Parameters
    ----------
    absorb
        Works off the news that came meanwhile.
    flush
        Writes down every change, now.
    written
        Sees that changes get written.
    held
        Why nothing may be sent now, empty while it may.
    """

    def __init__(
        self,
        books: OrderBooks,
        doubts: Doubts,
        pulse: Pulse,
        signals: Signals,
        venue: Venue,
        journal: Journal,
        clock: Clock,
        *,
        absorb: Callable[[], None],
        flush: Later,
        written: Later,
        held: Callable[[], str] = str,
    ) -> None:
        self._books = books
        self._doubts = doubts
        self._pulse = pulse
        self._signals = signals
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._absorb = absorb
        self._flush = flush
        self._written = written
        self._held = held
        self._placing: dict[str, tuple[Order, Market]] = {}

    # --- reservations of wishes that are not in the books yet ---------------------------------

    def reserved_cash_e6(self) -> int:
        return sum(reserved_cash_e6(order, market) for order, market in self._placing.values())

    def reserved_shares_e6(self, token_id: str) -> int:
        return sum(
            reserved_shares_e6(order)
            for order, _ in self._placing.values()
            if order.request.token_id == token_id
        )

    # --- placing ------------------------------------------------------------------------------

    async def place(self, request: OrderRequest, market: Market) -> Order:
        """See `OrderManager.place`."""
        existing = self._books.in_force(request.intent_id)
        if existing is not None:
            return existing
        self._refuse_if_held()
        with self._wish(request, market) as wish:
            signed = await self._prepare(wish, market)
        return await self._post(signed)

    def _refuse_if_held(self) -> None:
        if held := self._held():
            raise Suspended(f"trading is suspended: {held}")

    @contextlib.contextmanager
    def _wish(self, request: OrderRequest, market: Market) -> Iterator[OrderLife]:
        """Reserve for a request while it is signed; one at a time per intent."""
        agent = self._books.agent
        if request.agent != agent:
            raise BadValue(f"intent {request.intent_id} is {request.agent}'s, not {agent}'s")
        if request.intent_id in self._placing:
            raise BadValue(
                f"intent {request.intent_id} is being placed already; wait for its order"
            )
        wish = intended(request, self._clock.now_ns())
        self._placing[request.intent_id] = (wish.order, market)
        try:
            yield wish
        finally:
            self._placing.pop(request.intent_id, None)

    async def _prepare(self, wish: OrderLife, market: Market) -> SignedOrder:
        """Sign and commit; afterwards the order may be sent, or withdrawn."""
        signed = await self._venue.sign(wish.request, market)
        if self._books.order(signed.order_id) is not None:
            raise BadValue(f"order {signed.order_id} was signed before; sign with a fresh salt")
        await self._pulse.before_order()
        life = advance(wish, Signed(signed), self._clock.now_ns())
        # In the books meanwhile, so that its cash is reserved.
        self._books.watch(market)
        self._books.add(life)
        self._placing.pop(life.request.intent_id, None)
        try:
            await self._journal.order_signed(life.order, market)
        except BaseException:
            self._books.drop(life.order.order_id)
            raise
        return signed

    async def _post(self, signed: SignedOrder) -> Order:
        order_id = signed.order_id
        if held := self._held():
            # Held back while it was being committed: it must not leave any more.
            self._withdraw(signed, f"trading is suspended: {held}")
            await self._written()
            raise Suspended(f"trading is suspended: {held}")
        # Written down with the answer: now it would only hold the order up, and SIGNED says enough.
        self._books.tell(order_id, Sent())
        self._signals.beat.set()
        try:
            ack = await self._venue.submit(signed)
        except VenueRejected as error:
            known = error.code == "duplicate"
            self._books.tell(order_id, Lost(str(error)) if known else Refused(_reason(error)))
        except VenueUnavailable as error:
            self._books.tell(order_id, Refused(f"{error.mode}: {error}"), quietly=True)
            await self._written()
            raise
        except VenueError as error:
            self._books.tell(order_id, Lost(str(error)))
        except BaseException as error:
            # Cut off, or a defect of the adapter: the order may be out there all the same.
            self._books.tell(order_id, Lost(f"interrupted by {type(error).__name__}"))
            self._signals.tend.set()
            raise
        else:
            if ack.order_id not in ("", order_id):
                log.error("venue_order_id_differs", ours=order_id, venues=ack.order_id)
            self._books.tell(order_id, Acked(ack))
        await self._written()
        return self._life(order_id).order

    # --- replacing ----------------------------------------------------------------------------

    async def replace(self, order_id: str, request: OrderRequest, market: Market) -> Order:
        """See `OrderManager.replace`."""
        old = self._life(order_id)
        existing = self._books.in_force(request.intent_id)
        if existing is not None:
            return existing
        if old.order.state.terminal:
            return old.order
        self._refuse_if_held()
        with self._wish(request, market) as wish:
            signed = await self._prepare(wish, market)
        try:
            await self._doubts.cancel([order_id])
        except BaseException:
            self._withdraw(signed, "the cancel before it was cut off")
            raise
        self._absorb()
        left = self._left(old, self._books.life(order_id), request)
        if left >= request.size_e6:
            return await self._post(signed)
        self._withdraw(signed, f"order {order_id} is not gone or has filled")
        if left < market.min_size_e6:
            await self._written()
            return self._life(order_id).order
        return await self._place_rest(replace(request, size_e6=left), market)

    async def _place_rest(self, request: OrderRequest, market: Market) -> Order:
        with self._wish(request, market) as wish:
            # The journal takes no second order of an intent while its first may still trade.
            await self._flush()
            signed = await self._prepare(wish, market)
        return await self._post(signed)

    def _withdraw(self, signed: SignedOrder, why: str) -> None:
        """Take back an order that was never sent."""
        self._books.tell(signed.order_id, Refused(f"not sent: {why}"), quietly=True)
        self._signals.tend.set()
        self._signals.write.set()

    @staticmethod
    def _left(old: OrderLife, now: OrderLife | None, request: OrderRequest) -> int:
        """Size the replacement may have; zero unless the old order is gone without filling."""
        if now is None or now.order.state not in (OrderState.CANCELLED, OrderState.EXPIRED):
            return 0
        alike = (request.token_id, request.side) == (old.request.token_id, old.request.side)
        if not alike or cash_limited(now.order):
            return request.size_e6
        got = max(now.filled_e6, now.matched_e6) - max(old.filled_e6, old.matched_e6)
        return request.size_e6 if got <= 0 else (request.size_e6 - got) // _LOT_E6 * _LOT_E6

    def _life(self, order_id: str) -> OrderLife:
        life = self._books.life(order_id)
        if life is None:
            agent = self._books.agent
            raise BadValue(f"order {order_id} is not one of {agent}'s; place a new one instead")
        return life


def _reason(error: VenueRejected) -> str:
    return f"{error.code}: {error}"
