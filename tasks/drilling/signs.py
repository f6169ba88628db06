"""When the floor noticed: the first thing in its own records that a fault left there."""

import re
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from models.errors import NotReady, StoreUnavailable
from models.units import SECOND_NS
from tasks.drilling.stage import Stage, log_events

PROGRAMS = ("postgres", "redis", "simulator", "prefect", "ops", "traders")


@dataclass(frozen=True, slots=True)
class Sign:
    """Something the floor wrote down, and when (nanoseconds since the epoch)."""

    at_ns: int
    text: str
    """``lease …``, ``restart …``, ``program …``, ``event …``, ``log …`` or ``heartbeat …``."""


class Signs:
    """Looks for what is new since `begin`; `first` is the earliest that matches.

    Parameters
    ----------
    pattern
        Which signs speak of the fault, as a regular expression.
    """

    def __init__(self, stage: Stage, agent: str, pattern: str) -> None:
        self.first: Sign | None = None
        self.seen: list[Sign] = []
        self._stage = stage
        self._agent = agent
        self._pattern = re.compile(pattern)
        self._told: set[str] = set()
        self._token = 0
        self._started: dict[str, float] = {}
        self._logs: dict[Path, int] = {}
        self._since_ns = 0

    async def begin(self) -> None:
        """Remember how everything is; what comes after is news."""
        self._since_ns = time.time_ns()
        lease = (await self._stage.leases()).get(self._agent)
        self._token = lease.token if lease is not None else 0
        self._started = {name: self._stage.programs.started(name) for name in PROGRAMS}
        self._logs = {path: path.stat().st_size for path in self._stage.logs.glob("*.log")}

    async def look(self) -> None:
        """Take one look at everything that answers."""
        found = [*self._in_programs(), *self._in_logs()]
        for looking in (self._in_database, self._in_heartbeats):
            try:
                found += await looking()
            except (NotReady, StoreUnavailable):
                continue
        for sign in sorted(found, key=lambda one: one.at_ns):
            if sign.at_ns >= self._since_ns and sign.text not in self._told:
                self._told.add(sign.text)
                self.seen.append(sign)
        matching = [sign for sign in self.seen if self._pattern.search(sign.text)]
        self.first = min(matching, key=lambda one: one.at_ns, default=None)

    def _in_programs(self) -> list[Sign]:
        started = {name: self._stage.programs.started(name) for name in PROGRAMS}
        return [
            Sign(int(at * SECOND_NS), f"program {name} started again")
            for name, at in started.items()
            if at > self._started[name]
        ]

    def _in_logs(self) -> list[Sign]:
        found = []
        for path in self._stage.logs.glob("*.log"):
            events, self._logs[path] = log_events(path, self._logs.get(path, 0))
            found += [
                Sign(_time_ns(event.get("timestamp")), f"log {path.stem}: {event['event']}")
                for event in events
                if event.get("agent") in (None, self._agent)
            ]
        return found

    async def _in_database(self) -> list[Sign]:
        found = []
        now = time.time_ns()
        lease = (await self._stage.leases()).get(self._agent)
        if lease is not None and lease.token > self._token:
            found.append(Sign(now, f"lease of {self._agent} taken with token {lease.token}"))
        elif lease is not None and not lease.live:
            found.append(Sign(now, f"lease of {self._agent} ended"))
        since = self._since_ns / SECOND_NS
        events = await self._stage.query(
            "SELECT (extract(epoch FROM ts) * 1000000)::bigint AS us, kind, detail"
            " FROM system_events WHERE ts >= to_timestamp(%s) AND coalesce(agent, %s) = %s"
            " ORDER BY ts LIMIT 200",
            (since, self._agent, self._agent),
        )
        for row in events:
            detail = ", ".join(f"{key} {value}" for key, value in row["detail"].items() if value)
            found.append(Sign(row["us"] * 1000, f"event {row['kind']}: {detail}"[:200]))
        restarts = await self._stage.query(
            "SELECT (extract(epoch FROM restarted_at) * 1000000)::bigint AS us, reason"
            " FROM agent_restarts WHERE agent = %s AND restarted_at >= to_timestamp(%s)",
            (self._agent, since),
        )
        return found + [
            Sign(row["us"] * 1000, f"restart noted: {row['reason']}"[:200]) for row in restarts
        ]

    async def _in_heartbeats(self) -> list[Sign]:
        beats = await self._stage.heartbeats()
        now = time.time_ns()
        if self._agent not in beats:
            return [Sign(now, f"heartbeat of {self._agent} gone")]
        beat = beats[self._agent]
        return [
            Sign(int(beat.get("ts_ns", now)), f"heartbeat says {what}: {beat[what]}")
            for what in ("suspended", "paused")
            if beat.get(what)
        ]


def _time_ns(text: object) -> int:
    """Read a log line's time; one that has none counts as now."""
    try:
        return int(datetime.fromisoformat(str(text)).timestamp() * SECOND_NS)
    except ValueError:
        return time.time_ns()
