"""Venue and journal of a recorded session: every call and its answer is written down."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, TypeVar

import msgspec

from engine.ports import Journal, Venue
from engine.recording.clock import RecordingClock
from engine.suspension import RESUMED, SUSPENDED
from models.conditional import Condition
from models.execution import Execution
from models.journal import JournalState, WindowResult
from models.markets import Market
from models.orders import (
    CancelReport,
    Fill,
    Order,
    OrderRequest,
    SignedOrder,
    SubmitAck,
    VenueOrder,
    VenueTrade,
)
from models.recording import Answered, Asked, Entry, Fault, Held, Kept, Loaded, Noted

Answer = TypeVar("Answer")
Write = Callable[[Entry], None]

ANSWERS: Mapping[str, Any] = {
    "sign": SignedOrder,
    "submit": SubmitAck,
    "cancel": CancelReport,
    "cancel_all": CancelReport,
    "order": VenueOrder | None,
    "open_orders": list[VenueOrder],
    "trades": list[VenueTrade],
    "commit": None,
    "arm": None,
    "execution": None,
    "settled": None,
    "take": str,
}
"""What is asked, and the type of its answer."""

_CALLS = count(1)


class Calls:
    """Writes down a call's beginning and end."""

    def __init__(self, write: Write, clock: RecordingClock) -> None:
        self.write = write
        self.clock = clock

    async def __call__(
        self,
        what: str,
        about: tuple[str, ...],
        answer: Awaitable[Answer],
        kept: Callable[[Answer], object] = lambda value: value,
    ) -> Answer:
        """Await an answer; `kept` is what of it is written down."""
        call = next(_CALLS)
        self.write(Asked(self.clock.now_ns(), call, what, about))
        try:
            value = await answer
        except BaseException as error:
            self.write(Answered(self.clock.stamp(), call, fault=Fault.of(error)))
            raise
        packed = msgspec.msgpack.encode(kept(value))
        self.write(Answered(self.clock.stamp(), call, packed))
        return value


class RecordedVenuePort:
    """Implements `engine.ports.Venue` over another one."""

    def __init__(self, inner: Venue, write: Write, clock: RecordingClock) -> None:
        self._inner = inner
        self._call = Calls(write, clock)

    async def sign(self, request: OrderRequest, market: Market) -> SignedOrder:
        # The payload holds the signature; nobody needs it to play the session again.
        return await self._call(
            "sign",
            (request.condition_id,),
            self._inner.sign(request, market),
            lambda signed: replace(signed, payload={}),
        )

    async def submit(self, order: SignedOrder) -> SubmitAck:
        return await self._call("submit", (order.order_id,), self._inner.submit(order))

    async def cancel(self, order_ids: Sequence[str]) -> CancelReport:
        about = tuple(sorted(order_ids))
        return await self._call("cancel", about, self._inner.cancel(order_ids))

    async def cancel_all(self) -> CancelReport:
        return await self._call("cancel_all", (), self._inner.cancel_all())

    async def order(self, order_id: str) -> VenueOrder | None:
        return await self._call("order", (order_id,), self._inner.order(order_id))

    async def open_orders(self, condition_id: str | None = None) -> list[VenueOrder]:
        about = () if condition_id is None else (condition_id,)
        return await self._call("open_orders", about, self._inner.open_orders(condition_id))

    async def trades(
        self, *, condition_id: str | None = None, after_s: int | None = None
    ) -> list[VenueTrade]:
        about = () if condition_id is None else (condition_id,)
        asked = self._inner.trades(condition_id=condition_id, after_s=after_s)
        return await self._call("trades", about, asked)

    async def cash_e6(self) -> int:
        return await self._inner.cash_e6()

    async def shares_e6(self, token_id: str) -> int:
        return await self._inner.shares_e6(token_id)

    async def heartbeat(self) -> None:
        await self._inner.heartbeat()

    async def close(self) -> None:
        await self._inner.close()


class RecordedJournalPort:
    """Implements `engine.ports.Journal` over another one."""

    def __init__(self, inner: Journal, write: Write, clock: RecordingClock) -> None:
        self._inner = inner
        self._write = write
        self._clock = clock
        self._call = Calls(write, clock)

    async def load(self) -> JournalState:
        state = await self._inner.load()
        self._write(Loaded(self._clock.stamp(), state))
        return state

    async def order_signed(self, order: Order, market: Market) -> None:
        await self._call("commit", (order.order_id,), self._inner.order_signed(order, market))

    async def order_changed(self, order: Order) -> None:
        await self._inner.order_changed(order)

    async def fill(self, fill: Fill) -> None:
        await self._inner.fill(fill)
        self._write(Kept(self._clock.now_ns(), fill))

    async def conditions_changed(self, changed: Sequence[Condition], market: Market) -> None:
        asked = self._inner.conditions_changed(changed, market)
        await self._call("arm", (market.condition_id,), asked)

    async def execution_changed(self, execution: Execution, market: Market) -> None:
        asked = self._inner.execution_changed(execution, market)
        await self._call("execution", (execution.id,), asked)

    async def settled(self, result: WindowResult) -> None:
        await self._call("settled", (result.condition_id,), self._inner.settled(result))

    async def checkpoint(self, state: Mapping[str, Any]) -> None:
        await self._inner.checkpoint(state)

    def signal(self, condition_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        self._write(Noted(self._clock.now_ns(), condition_id, kind, plain(detail)))
        self._inner.signal(condition_id, kind, detail)

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        if kind in (SUSPENDED, RESUMED):
            self._write(Held(self._clock.now_ns(), str(detail.get("reason", ""))))
        self._inner.event(kind, detail)


def plain(detail: Mapping[str, Any]) -> str:
    """The detail of a decision as JSON, the same for equal ones."""
    return json.dumps(detail, separators=(",", ":"), sort_keys=True, default=str)
