"""What a simulated week and its sessions say to each other."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from models.agents import AgentSpec
from risk.limits import Limits


class State(StrEnum):
    """How far a session has come."""

    PREPARING = "preparing"
    PREPARED = "prepared"
    STARTING = "starting"
    TRADING = "trading"
    ENDING = "ending"
    ENDED = "ended"
    FAILED = "failed"
    """Venue or Postgres did not answer, or the trader ended; its text says so."""
    DEFECT = "defect"


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """What a session is told when it starts; `number` tells its process' lives apart."""

    agent: AgentSpec
    limits: Limits
    number: int
    database: str
    home: Path
    clock: Path
    port: int
    diary: Path
    silence_s: float
    """When the venue takes an agent for dead."""
    keep_orders: bool = True


# --- what a session is told -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """Do what is due."""


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Take the lease and trade; the predecessor is dead, or gives its lease back."""

    died: bool


@dataclass(frozen=True, slots=True)
class HandOver:
    """Stop, leave the orders to the successor, and give the lease back."""


@dataclass(frozen=True, slots=True)
class Doom:
    """Die at the n-th await from now."""

    awaits: int


@dataclass(frozen=True, slots=True)
class WrongClock:
    """The machine's wall clock is off by so much from now on."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reconcile:
    pass


@dataclass(frozen=True, slots=True)
class Done:
    """All is quiet: what was due is done, as far as anybody answers."""

    state: State
    text: str
    behind: int
    """Orders in doubt and rows not written."""
    cash_e6: int
    shares_e6: dict[str, int]
    traded: int
    """Windows begun."""
    memory: int
    tasks: int
    files: int
    cpu_s: float
    """Processor time of this process so far."""
