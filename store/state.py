"""The floor's own switches (system_state): small values by key, above all the halt flag."""

from dataclasses import dataclass
from typing import Any

from store.database import Database


@dataclass(frozen=True, slots=True)
class Halt:
    reason: str
    since_ns: int


async def get(db: Database, key: str) -> Any:
    """Return a value, None where the key is not set."""
    raise NotImplementedError


async def put(db: Database, key: str, value: Any) -> None: ...


async def delete(db: Database, key: str) -> bool:
    raise NotImplementedError


async def set_halt(db: Database, reason: str) -> None:
    """Ask every session to wind down (cancel orders, release leases) and start no more."""
    raise NotImplementedError


async def clear_halt(db: Database) -> None: ...


async def halted(db: Database) -> Halt | None:
    """Return why and since when the floor is halted, None when it is not."""
    raise NotImplementedError
