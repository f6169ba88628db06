"""What leases and heartbeats say is amiss, judged look after look. No I/O; times are given.

A lease says who may trade, by Postgres; a heartbeat says that its session's loop turns, by Redis;
a process id says who lives, by the operating system, for this host alone. Each can be away, so
nothing is judged by what could not be asked just now.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

MISSED = 3
"""Heartbeats missed in a row after which a session counts as dead."""
HEAD_START_S = 3.0
"""The deployment's own trigger follows a death within this; a second run would only get in its
way."""
FIRST_BEAT_S = 30.0
"""How much longer the first heartbeat after a lease may take: whoever starts is busy."""
SETTLE_S = 10.0
"""After Postgres was away, sessions that live may need this long to renew their leases."""
MISSING_S = 5.0
"""How long nobody may hold a lease between two sessions."""
LINGER_S = 120.0
"""How long a process may take to end once it holds no lease: telling Prefect can take a while."""
BLIND_S = 6.0
"""Looks further apart than this did not see what happened between them."""


class Kind(StrEnum):
    """What is amiss with an agent's session."""

    DEAD = "dead"
    """Its process was on this host and is gone; its lease may still be live."""
    LAPSED = "lapsed"
    """Its lease ran out and nobody gave it back: frozen, or its host is lost."""
    HUNG = "hung"
    """Its lease is renewed, but its heartbeats stopped."""
    ORPHAN = "orphan"
    """It trades, but the worker that started it is gone: nobody could stop it."""
    STALE = "stale"
    """Its process lives on although it holds no lease any more."""
    MISSING = "missing"
    """Nobody holds the agent's lease, though somebody should."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One agent's lease at one look."""

    agent: str
    holder: str
    """Empty when nobody holds it."""
    token: int
    live: bool
    here: bool
    """Whether the holder is a process of this host that lives."""
    dead: bool
    """Whether it was one of this host and is gone for sure."""
    orphan: bool = False
    wanted: bool = True
    """Whether a session of the agent should be running."""
    flow_run_id: str = ""


@dataclass(frozen=True, slots=True)
class Sign:
    """Something amiss with one agent."""

    kind: Kind
    agent: str
    holder: str
    token: int
    text: str
    end: bool
    """Whether a process of this host must be ended for it."""
    start: bool
    """Whether a session may have to be started."""
    flow_run_id: str = ""


@dataclass(slots=True)
class _Memory:
    """What earlier looks told of one agent."""

    token: int
    holder: str
    since: float
    """When this holder was first seen with this token."""
    beat_ns: int = 0
    """Stamp of the newest heartbeat with this token."""
    beat_at: float = 0.0
    """When it was first seen; 0 before the first."""
    amiss: Kind | None = None
    amiss_since: float = 0.0


class Signs:
    """Judges look after look; `now` is in monotonic seconds everywhere.

    Parameters
    ----------
    interval_s
        Seconds between a session's heartbeats.
    now
        When watching began.
    """

    def __init__(self, interval_s: float, now: float) -> None:
        self._silent_s = MISSED * interval_s
        self._known: dict[str, _Memory] = {}
        self._former: dict[str, tuple[str, int, float]] = {}
        self._looked = now
        self._postgres_since = now
        self._redis_since: float | None = None
        self._was_away = False

    def away(self) -> None:
        """Note a look at which Postgres did not answer."""
        self._was_away = True

    def judge(
        self, seen: Iterable[Seen], beats: Mapping[str, tuple[int, int]] | None, now: float
    ) -> list[Sign]:
        """Judge one look.

        Parameters
        ----------
        seen
            Every agent's lease.
        beats
            Token and stamp of each agent's heartbeat; None while Redis does not answer.
        now
            Monotonic seconds.
        """
        blind = now - self._looked > BLIND_S
        self._looked = now
        if blind or self._was_away:
            self._postgres_since = now
            self._was_away = False
        self._hear(beats, now, blind)
        signs = []
        for one in seen:
            signs += self._judge(one, beats, now)
        return signs + self._lingering(now)

    def returned(self, now: float) -> bool:
        """Whether Postgres is back so lately that a lapsed lease may be renewed yet."""
        return now - self._postgres_since < SETTLE_S

    def _hear(self, beats: Mapping[str, tuple[int, int]] | None, now: float, blind: bool) -> None:
        if beats is None:
            self._redis_since = None
        elif self._redis_since is None or blind:
            # What was not heard while nobody could listen was not missed.
            self._redis_since = now
            for memory in self._known.values():
                memory.beat_at = now if memory.beat_at else 0.0

    def _judge(
        self, one: Seen, beats: Mapping[str, tuple[int, int]] | None, now: float
    ) -> list[Sign]:
        memory = self._remember(one, now)
        kind = self._kind(one, memory, beats, now)
        if kind is not memory.amiss:
            memory.amiss, memory.amiss_since = kind, now
        if kind is None or now - memory.amiss_since < self._patience_s(kind):
            return []
        ends = one.here and kind in (Kind.LAPSED, Kind.HUNG, Kind.ORPHAN)
        return [
            Sign(kind, one.agent, one.holder, one.token, self._text(kind, memory, now), ends,
                 one.wanted, one.flow_run_id)
        ]  # fmt: skip

    def _remember(self, one: Seen, now: float) -> _Memory:
        memory = self._known.get(one.agent)
        if memory is None or (memory.token, memory.holder) != (one.token, one.holder):
            if memory is not None and memory.holder and memory.holder != one.holder:
                self._former[memory.holder] = (one.agent, memory.token, now)
            memory = self._known[one.agent] = _Memory(one.token, one.holder, now)
        return memory

    def _kind(
        self,
        one: Seen,
        memory: _Memory,
        beats: Mapping[str, tuple[int, int]] | None,
        now: float,
    ) -> Kind | None:
        if not one.holder:
            return Kind.MISSING if one.wanted else None
        if one.dead:
            return Kind.DEAD
        if not one.live:
            # Whoever lives may still renew it: Postgres has only just come back.
            return None if self.returned(now) else Kind.LAPSED
        if one.orphan:
            return Kind.ORPHAN
        if beats is not None and self._silent(one, memory, beats, now):
            return Kind.HUNG
        return None

    def _silent(
        self, one: Seen, memory: _Memory, beats: Mapping[str, tuple[int, int]], now: float
    ) -> bool:
        """Whether the holder's heartbeats stopped while we could have heard them."""
        token, stamp_ns = beats.get(one.agent, (0, 0))
        if token == one.token and stamp_ns != memory.beat_ns:
            memory.beat_ns, memory.beat_at = stamp_ns, now
        if memory.beat_at:
            return now - memory.beat_at >= self._silent_s
        listening = max(memory.since, self._redis_since or now)
        return now - listening >= self._silent_s + FIRST_BEAT_S

    def _patience_s(self, kind: Kind) -> float:
        """How long something must be amiss before it counts."""
        return {Kind.DEAD: HEAD_START_S, Kind.MISSING: MISSING_S}.get(kind, 0.0)

    def _text(self, kind: Kind, memory: _Memory, now: float) -> str:
        silent_s = now - (memory.beat_at or memory.since)
        return {
            Kind.DEAD: "its process died",
            Kind.LAPSED: "its lease ran out unrenewed",
            Kind.HUNG: f"no heartbeat for {silent_s:.0f} s although its lease is renewed",
            Kind.ORPHAN: "the worker that started it is gone",
            Kind.MISSING: "nobody holds its lease",
        }[kind]

    def _lingering(self, now: float) -> list[Sign]:
        """Return the processes that held a lease before and should have ended by now."""
        over = {holder: row for holder, row in self._former.items() if now - row[2] >= LINGER_S}
        for holder in over:
            del self._former[holder]
        return [
            Sign(Kind.STALE, agent, holder, token, "it holds no lease any more", True, False)
            for holder, (agent, token, _) in over.items()
        ]
