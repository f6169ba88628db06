"""What a session writes into its durable book, as records that can wait in a file."""

import time
from typing import Any

import msgspec

from models.conditional import Condition
from models.errors import BadValue
from models.execution import Execution
from models.journal import WindowResult
from models.markets import Market
from models.orders import Fill, Order
from store.versions import Version, next_seq


class OrderSigned(msgspec.Struct, frozen=True, tag="order_signed"):
    """An order about to be sent, or sent already where it is read from a file."""

    order: Order
    market: Market


class OrderChanged(msgspec.Struct, frozen=True, tag="order_changed"):
    order: Order
    market: Market | None = None
    """Given where the order itself may not be in the books."""


class FillSeen(msgspec.Struct, frozen=True, tag="fill"):
    fill: Fill


class ConditionsChanged(msgspec.Struct, frozen=True, tag="conditions"):
    changed: tuple[Condition, ...]
    market: Market


class ExecutionChanged(msgspec.Struct, frozen=True, tag="execution"):
    execution: Execution
    market: Market


class Settled(msgspec.Struct, frozen=True, tag="settled"):
    result: WindowResult


class CheckpointKept(msgspec.Struct, frozen=True, tag="checkpoint"):
    state: str
    """JSON."""


What = (
    OrderSigned
    | OrderChanged
    | FillSeen
    | ConditionsChanged
    | ExecutionChanged
    | Settled
    | CheckpointKept
)


class Entry(msgspec.Struct, frozen=True):
    """One write. ``token`` is that of the lease it was made under, whoever books it."""

    agent: str
    token: int
    seq: int
    at_ns: int
    what: What

    @property
    def version(self) -> Version:
        return Version(self.token, self.seq)


_decoder = msgspec.json.Decoder(Entry)


def entry(agent: str, token: int, what: What) -> Entry:
    """Make the next entry of this process."""
    return Entry(agent, token, next_seq(), time.time_ns(), what)


def encode(one: Entry) -> bytes:
    """Return an entry as a record. Raises `BadValue` for what JSON can't hold."""
    try:
        return msgspec.json.encode(one, enc_hook=_text)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise BadValue(f"a write of {one.agent} can't be kept in a file: {error}") from None


def decode(record: bytes) -> Entry:
    """Return the entry of a record. Raises `BadValue` where it is none of ours."""
    try:
        return _decoder.decode(record)
    except msgspec.MsgspecError as error:
        raise BadValue(f"a record of {len(record)} bytes is no journal entry: {error}") from None


def _text(value: Any) -> str:
    return str(value)


def state_of(kept: CheckpointKept) -> dict[str, Any]:
    """Return the state of a checkpoint's entry."""
    return msgspec.json.decode(kept.state, type=dict[str, Any])
