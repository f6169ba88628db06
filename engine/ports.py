"""What the engine needs from outside, as protocols. Rooms above implement them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from models.conditional import Condition
from models.events import FeedEvent
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
from risk.facts import FloorFacts
from risk.gate import Gate

Sink = Callable[[FeedEvent], None]
"""Takes one event, at once and without waiting; called from the event loop's thread."""


class Clock(Protocol):
    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        ...


class Venue(Protocol):
    """Orders and money at the venue. Implementations hold no state that a restart would miss.

    Every call may raise `VenueUnavailable` (nothing happened, try later) and `VenueUnknown`
    (nobody knows); `submit` may raise `VenueRejected`.
    """

    async def sign(self, request: OrderRequest, market: Market) -> SignedOrder:
        """Build and sign an order locally; its id is known afterwards, nothing is sent.

        Raises `BadValue` where the request is off the market's grid or below its minimum.
        """
        ...

    async def submit(self, order: SignedOrder) -> SubmitAck:
        """Post a signed order.

        A FOK or FAK that matched at all comes back FILLED, whatever it got; a resting order that
        matched in part comes back LIVE with trade ids. Raises `BadValue` for a spoilt payload.
        """
        ...

    async def cancel(self, order_ids: Sequence[str]) -> CancelReport: ...

    async def cancel_all(self) -> CancelReport:
        """Cancel every open order of this agent's API key."""
        ...

    async def order(self, order_id: str) -> VenueOrder | None:
        """Look up one order. None: not open now (filled, cancelled, or never arrived)."""
        ...

    async def open_orders(self, condition_id: str | None = None) -> list[VenueOrder]: ...

    async def trades(
        self, *, condition_id: str | None = None, after_s: int | None = None
    ) -> list[VenueTrade]:
        """List trades of this account, oldest first; legs of other agents' orders included."""
        ...

    async def cash_e6(self) -> int:
        """Collateral of the whole account at the venue, open orders not deducted."""
        ...

    async def shares_e6(self, token_id: str) -> int:
        """Shares of one token held by the whole account, open orders not deducted."""
        ...

    async def heartbeat(self) -> None:
        """Tell the venue we live. It cancels this key's orders after about 10 s of silence."""
        ...

    async def close(self) -> None: ...


class Discovery(Protocol):
    """Finds markets."""

    async def market(self, asset: str, timeframe: str, start_s: int) -> Market | None:
        """Market whose window starts at `start_s` (epoch seconds), None while not listed."""
        ...

    def window_start_s(self, timeframe: str, at_s: int) -> int:
        """Start of the window that contains the epoch second `at_s`."""
        ...

    async def resolution(self, market: Market) -> str | None:
        """Winning token's id once the venue has resolved the market, else None."""
        ...


class Feed(Protocol):
    """Market data, spot prices and our own order events, pushed into one sink.

    Emits `FeedStatus` whenever a channel goes up, stale or down. Reconnects by itself.
    """

    async def start(self, sink: Sink) -> None: ...

    async def watch(self, market: Market) -> None: ...

    async def unwatch(self, market: Market) -> None: ...

    async def close(self) -> None: ...


class Journal(Protocol):
    """The durable book of one agent's session, fenced by its lease.

    The `async` methods return once the rows are committed; the others hand over to a batching
    writer and never wait. Writes under a stale lease raise `LeaseLost`.
    """

    async def load(self) -> JournalState: ...

    async def order_signed(self, order: Order, market: Market) -> None:
        """Commit a signed order before it is sent. Refused unless this session holds the lease."""
        ...

    async def order_changed(self, order: Order) -> None:
        """Commit a change of state, filled size or note."""
        ...

    async def fill(self, fill: Fill) -> None:
        """Upsert by (trade_id, order_id); a lower-ranked status never replaces a higher one."""
        ...

    async def conditions_changed(self, changed: Sequence[Condition], market: Market) -> None:
        """Commit conditional orders of one market, new or changed, all of them or none.

        What is over stays over, whatever is written later.
        """
        ...

    async def execution_changed(self, execution: Execution, market: Market) -> None:
        """Commit an execution, new or changed; what has ended stays ended."""
        ...

    async def settled(self, result: WindowResult) -> None:
        """Close the agent's position in a market with its result, once."""
        ...

    async def checkpoint(self, state: Mapping[str, Any]) -> None: ...

    def signal(self, condition_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        """Note a decision: an intent, a refusal by risk, a resolution."""
        ...

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Note something that happened to the session (heartbeat missed, feed down, …)."""
        ...


class Floor(Protocol):
    """What an agent's orders must pass, and the limit it shares with the floor's other agents."""

    @property
    def gate(self) -> Gate:
        """The policies in force now; a new one after they changed."""
        ...

    @property
    def facts(self) -> FloorFacts:
        """What the floor last told of itself."""
        ...

    @property
    def others_e6(self) -> int:
        """Open cost of all other agents, as last heard, in e6."""
        ...

    async def take(self, open_e6: int) -> str:
        """Reserve so that all this agent has open, its next order included, may cost `open_e6`.

        Returns
        -------
        str
            Why there is no room for it; empty once it is reserved.

        Raises
        ------
        LeaseLost
            A newer session of the agent has spoken.
        """
        ...


class Notices(Protocol):
    """Messages for people and the floor's channel. Never waits, never fails."""

    def post(self, kind: str, text: str, **fields: Any) -> None:
        """`kind` is ``agent_started``, ``agent_stopped``, ``trade_executed``, ``window_settled``,
        ``breaker`` or ``error``."""
        ...
