"""A recorded session: everything one agent's trader heard, asked, decided and was answered.

Records are in the order in which things happened in the session's one event loop. ``at_ns`` never
falls, and what came from outside (an event, an answer) has a time of its own, later than all
before it: the order can be read from the times alone.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from models.errors import (
    BadValue,
    FloorError,
    LeaseLost,
    StoreUnavailable,
    VenueRejected,
    VenueUnavailable,
    VenueUnknown,
)
from models.events import FeedEvent
from models.journal import JournalState
from models.markets import Market
from models.orders import Fill

VERSION = 1


class Record(msgspec.Struct, frozen=True, gc=False, tag=True):
    at_ns: int


class Opened(Record, frozen=True, tag=True):
    """The session begins: who trades, with which limits and patience."""

    version: int
    agent: Mapping[str, Any]
    """The agent's file, as `models.agents.AgentSpec` writes it."""
    limits: Mapping[str, int]
    trader: Mapping[str, float]
    """The trader's settings, by name."""
    conditions: Mapping[str, Any] = {}
    """What else the session ran under, in words: mode, fill model, delays."""


class Loaded(Record, frozen=True, tag=True):
    """What the journal knew of the agent."""

    state: JournalState


class Watched(Record, frozen=True, tag=True):
    """The trader asks for a market's data."""

    market: Market


class Began(Record, frozen=True, tag=True):
    """The feed has been asked; the market's window is opened now."""

    condition_id: str


class Turn(Record, frozen=True, tag=True):
    """A window that waited wakes up."""

    condition_id: str


class Called(Record, frozen=True, tag=True):
    """A hook of the strategy was called and wanted these intents."""

    condition_id: str
    hook: str
    wants: tuple[str, ...]


class Floored(Record, frozen=True, tag=True):
    """The floor's policies, facts or other agents' open cost changed; what holds from now on."""

    file: Mapping[str, Any]
    """The policies in force, as `risk.policies.PolicyFile` writes them."""
    capital_e6: int
    share: float
    facts: Mapping[str, Any]
    """Fields of `risk.facts.FloorFacts`."""
    others_e6: int


class Absorbed(Record, frozen=True, tag=True):
    """The order manager has taken the news of its orders that were heard before."""


class Asked(Record, frozen=True, tag=True):
    """A call of the venue or the journal begins; ``call`` counts them."""

    call: int
    what: str
    """``sign``, ``submit``, ``cancel``, ``order``, ``trades``, ``commit`` and the like."""
    about: tuple[str, ...]
    """Order ids, or the market."""


class Closed(Record, frozen=True, tag=True):
    """The trader has stopped; without it the session died, perhaps in the middle of a step."""


class Fault(msgspec.Struct, frozen=True):
    """An error of ours, so that it can be raised again."""

    kind: str
    text: str
    code: str = ""
    retry_after_s: float = 0.0

    @classmethod
    def of(cls, error: BaseException) -> "Fault":
        if isinstance(error, VenueUnavailable):
            return cls(type(error).__name__, str(error), error.mode, error.retry_after_s)
        if isinstance(error, VenueRejected):
            return cls(VenueRejected.__name__, str(error), error.code)
        return cls(type(error).__name__, str(error))

    def error(self) -> FloorError:
        """Return the error again; one that is not of ours as `VenueUnknown`."""
        if self.kind == "VenueUnavailable":
            return VenueUnavailable(self.text, self.code, self.retry_after_s)
        if self.kind == "VenueRejected":
            return VenueRejected(self.text, self.code)
        kinds: dict[str, type[FloorError]] = {
            "BadValue": BadValue,
            "StoreUnavailable": StoreUnavailable,
            "LeaseLost": LeaseLost,
        }
        return kinds.get(self.kind, VenueUnknown)(self.text)


class Answered(Record, frozen=True, tag=True):
    """A call ends. ``value`` is the answer as msgpack, of the type that `what` has."""

    call: int
    value: bytes = b""
    fault: Fault | None = None


class Noted(Record, frozen=True, tag=True):
    """A decision as the journal was told of it."""

    condition_id: str
    kind: str
    detail: str
    """JSON."""


class Held(Record, frozen=True, tag=True):
    """Trading is suspended from now on, or goes on."""

    reason: str
    """Empty when it goes on."""


class Kept(Record, frozen=True, tag=True):
    """A fill as it was written down; again with every status of its trade."""

    fill: Fill


Entry = (
    FeedEvent
    | Opened
    | Loaded
    | Watched
    | Began
    | Turn
    | Called
    | Floored
    | Absorbed
    | Asked
    | Answered
    | Noted
    | Held
    | Kept
    | Closed
)
"""What a recording holds. Events are as the trader heard them: ``recv_ns`` is when."""


def time_of(entry: Entry) -> int:
    """When an entry happened in the session, in ns."""
    return entry.at_ns if isinstance(entry, Record) else entry.recv_ns
