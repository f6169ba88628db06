"""What one drill works with: the floor, the agent it is about, what was, and the way back."""

import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tasks.drilling.stage import Stage

Undo = Callable[[], Awaitable[None] | None]


class Expect(StrEnum):
    """What must be seen before a drill counts as over."""

    REPLACED = "replaced"
    """An order of a newer session, timed from the fault."""
    THROUGH = "through"
    """An order of the same session while the fault is on, and that session still there."""
    AFTER = "after"
    """An order, of whichever session, timed from the end of the fault."""
    EITHER = "either"
    """Replaced, or through: both are right."""


@dataclass(slots=True)
class Scene:
    """One drill's state. `seconds` is how long the fault is to stay on."""

    stage: Stage
    agent: str
    seconds: float
    full: bool = False
    token: int = 0
    """Lease token of the agent's session when the fault struck."""
    window_end_ns: int = 0
    struck_ns: int = 0
    healed_ns: int = 0
    """0 until the fault is over."""
    again_ns: int = 0
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _undo: list[tuple[str, Undo]] = field(default_factory=list)

    def later(self, what: str, undo: Undo) -> None:
        """Remember how to take back what was just done; `what` names it for people."""
        self._undo.append((what, undo))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def fail(self, text: str) -> None:
        self.problems.append(text)

    async def heal(self) -> None:
        """Take back everything, latest first; what can't be is a problem, not an end."""
        while self._undo:
            what, undo = self._undo.pop()
            try:
                outcome = undo()
                if inspect.isawaitable(outcome):
                    await outcome
            except Exception as error:
                self.fail(f"could not restore: {what}: {error}")
        self.healed_ns = self.healed_ns or time.time_ns()


Strike = Callable[[Scene], Awaitable[None]]
Probe = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Drill:
    """One fault of the catalogue."""

    name: str
    about: str
    """What is done, for people."""
    strike: Strike
    expect: Expect
    target_s: float
    """Most seconds until trading again."""
    lasts_s: float = 0.0
    """How long the fault stays on; 0 for a blow."""
    full_s: float = 0.0
    """The same in `--full`; 0 for no longer than usual."""
    until_again: bool = False
    """Healed once a new session trades instead of after a time."""
    sign: str = "^(lease|restart|event (agent_start|session_ended))"
    """Which of our own records speak of it (a regular expression over `Sign.text`)."""
    probe: Probe | None = None
    """Looks for what else must hold, once trading is on again; notes and fails on the scene."""
    service: str = ""
    """A program that must be back before an order counts."""
    slow: bool = False
    """Takes minutes: part of `all` only with `--full`."""
    keeps_budget: bool = False
    """Its restarts are the drill's subject; they are forgiven by its own end."""
