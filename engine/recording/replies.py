"""The answers of a recorded session, given again to whoever asks the same."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from engine.recording.ports import ANSWERS
from models.errors import VenueUnknown
from models.recording import Answered, Asked, Entry
from models.units import SECOND_NS

Key = tuple[str, tuple[str, ...]]

KEPT = frozenset({"sign", "submit", "commit", "arm", "execution", "settled", "take"})
"""Answers that wait for their question; others are about a moment and go with it."""
EARLY_NS = SECOND_NS
"""A question may come so much before it was asked in the session."""


class Replies:
    """Questions and answers by what they are about, first asked first answered.

    Parameters
    ----------
    entries
        The whole recording; questions and answers are read once beforehand.
    now_ns
        The time in the session.
    """

    def __init__(self, entries: Iterable[Entry], now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._keys: dict[int, Key] = {}
        self._coming: dict[Key, deque[int]] = defaultdict(deque)
        self._waiting: dict[Key, deque[asyncio.Future[Any]]] = defaultdict(deque)
        self._ready: dict[Key, deque[Answered]] = defaultdict(deque)
        asked: dict[int, int] = {}
        for entry in entries:
            if isinstance(entry, Asked):
                self._keys[entry.call] = entry.what, entry.about
                asked[entry.call] = entry.at_ns
            elif isinstance(entry, Answered):
                self._coming[self._keys[entry.call]].append(asked.pop(entry.call))
        # What a session that died was not answered any more.
        for call, at_ns in asked.items():
            self._coming[self._keys[call]].append(at_ns)

    async def ask(self, what: str, *about: str) -> Any:
        """Return what the session was answered, when it was answered.

        Where everything goes on only after the answer (`KEPT`), what the session was never
        answered is waited for without end.

        Raises
        ------
        VenueUnknown
            The session never asked this, or not now.
        FloorError
            What the session was answered.
        """
        key = what, about
        if self._ready[key]:
            return _value(what, self._ready[key].popleft())
        coming, waiting = self._coming[key], self._waiting[key]
        place = len(waiting)
        now = what in KEPT or (place < len(coming) and coming[place] <= self._now_ns() + EARLY_NS)
        if not now:
            raise VenueUnknown(f"{what} {', '.join(about)}: the session did not ask this now")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiting.append(future)
        return _value(what, await future)

    def awaited(self, entry: Asked) -> bool:
        """Whether somebody has asked what the session asks here."""
        return bool(self._waiting[entry.what, entry.about])

    def deliver(self, entry: Answered) -> None:
        """Give an answer of the session to who asked for it."""
        key = self._keys[entry.call]
        self._coming[key].popleft()
        waiting = self._waiting[key]
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(entry)
                return
        if key[0] in KEPT:
            self._ready[key].append(entry)


def value_of(what: str, entry: Answered) -> Any:
    """Return an answer as it was given, None where it was an error."""
    return None if entry.fault is not None else _value(what, entry)


def _value(what: str, entry: Answered) -> Any:
    if entry.fault is not None:
        raise entry.fault.error()
    return msgspec.msgpack.decode(entry.value, type=ANSWERS[what])
