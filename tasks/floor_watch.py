"""The floor watch: every two seconds it looks at leases and heartbeats, and calls the floor boss.

It ends processes of this host that must not go on, which needs nobody's leave; whether an agent is
started is the supervise flow's to decide, and the watch only has it look at once rather than at its
next turn. It runs inside the ops process, beside the risk watch.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

import structlog

from models.errors import FloorError, StoreUnavailable
from models.settings import Settings
from store import agents, leases, risk, state
from store.bus import Bus
from store.database import Database
from store.events import record_event
from store.leases import LeaseStatus
from store.session_halts import halt_session
from store.urls import urls
from tasks.alerts import Alerts
from tasks.deployments import start_run
from tasks.holders import is_dead, kill_holder, pid_here
from tasks.session_processes import is_orphan
from tasks.signs import Kind, Seen, Sign, Signs

log = structlog.get_logger(__name__)

LOOK_S = 2.0
CALL_S = (0.0, 4.0, 10.0, 30.0, 60.0)
"""Pauses between calls for the same sign; the flow comes by itself every thirty seconds."""
CALL_MISSING_S = (0.0, 30.0, 60.0)
"""Between calls for a lease nobody holds: a session that was started needs its time."""
ANSWER_S = 20.0
SUPERVISE = "supervise/supervise"
BACK = "postgres_back_ns"
"""When Postgres was last seen to be back, in the floor's state."""

Call = Callable[[str], Awaitable[None]]
"""Has the floor boss look at once; the text says why."""


async def call_supervise(why: str) -> None:
    """Start a run of the supervise flow."""
    async with asyncio.timeout(ANSWER_S):
        await start_run(SUPERVISE, f"watch-{time.time_ns()}", name=f"supervise: {why}")


@dataclass(slots=True)
class _Called:
    """How often the floor boss was called for one sign, and when it may be again."""

    times: int = 0
    next_at: float = 0.0


class FloorWatch:
    """``async with FloorWatch(settings) as watch``, then `look` again and again."""

    def __init__(self, settings: Settings, call: Call = call_supervise) -> None:
        self._settings = settings
        self._call = call
        self._signs = Signs(float(settings.heartbeat_interval), time.monotonic())
        self._called: dict[tuple[str, int, Kind], _Called] = {}
        self._stack = AsyncExitStack()
        self._postgres_away = False
        self._prefect_away = False

    async def __aenter__(self) -> Self:
        addresses = urls(self._settings)
        enter = self._stack.enter_async_context
        self._database = await enter(Database(addresses.database, max_size=1, timeout_s=3.0))
        bus = self._bus = await enter(Bus(addresses.redis))
        self._alerts = await enter(
            Alerts(self._settings, publish=lambda kind, fields: bus.message(kind, **fields))
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def look(self) -> list[Sign]:
        """Look once, end what must end, and call the floor boss; returns what is amiss."""
        try:
            seen = await self._see()
        except StoreUnavailable as error:
            self._signs.away()
            if not self._postgres_away:
                log.warning("floor_watch_without_postgres", reason=str(error))
            self._postgres_away = True
            return []
        signs = self._signs.judge(seen, await self._beats(), time.monotonic())
        if self._postgres_away:
            self._postgres_away = False
            log.info("floor_watch_has_postgres_again")
            await state.put(self._database, BACK, time.time_ns())
        for sign in signs:
            if sign.end:
                await self._end(sign)
            elif sign.kind is Kind.HUNG:
                # Of another host: its own loop may still turn, so it is asked.
                await halt_session(self._database, sign.flow_run_id or sign.holder, sign.text)
        # What was ended just now is dead at the next look, and its trigger may be quicker still;
        # of an orphan's death no worker is left to tell.
        await self._call_for(
            [sign for sign in signs if sign.start and (not sign.end or sign.kind is Kind.ORPHAN)]
        )
        return signs

    # --- seeing ---------------------------------------------------------------------------------

    async def _see(self) -> list[Seen]:
        held = {lease.agent: lease for lease in await leases.all(self._database)}
        wanted = await self._wanted()
        return [
            self._seen(agent, held.get(agent), agent in wanted)
            for agent in sorted(held.keys() | wanted)
        ]

    async def _wanted(self) -> set[str]:
        """Agents that should trade; none while the floor is halted or its kill switch thrown."""
        if await state.halted(self._database) is not None:
            return set()
        names = await agents.wanted_agents(self._database)
        return {name for name in names if not await risk.stop_reason(self._database, name)}

    def _seen(self, agent: str, lease: LeaseStatus | None, wanted: bool) -> Seen:
        if lease is None:
            return Seen(agent, "", 0, live=False, here=False, dead=False, wanted=wanted)
        pid = pid_here(lease.holder)
        return Seen(
            agent,
            lease.holder,
            lease.token,
            live=lease.live,
            here=pid is not None,
            dead=is_dead(lease.holder),
            orphan=pid is not None and is_orphan(pid, self._settings.floor_home),
            wanted=wanted,
            flow_run_id=lease.flow_run_id,
        )

    async def _beats(self) -> dict[str, tuple[int, int]] | None:
        try:
            beats = await self._bus.heartbeats()
        except StoreUnavailable:
            return None
        return {
            agent: (_whole(beat, "token"), _whole(beat, "ts_ns")) for agent, beat in beats.items()
        }

    # --- acting ---------------------------------------------------------------------------------

    async def _end(self, sign: Sign) -> None:
        """End a process of this host; its lease is taken over from a dead one at once."""
        if not kill_holder(sign.holder):
            return
        log.warning("session_ended", agent=sign.agent, kind=sign.kind.value, holder=sign.holder)
        detail = {"kind": sign.kind.value, "holder": sign.holder, "reason": sign.text,
                  "token": sign.token}  # fmt: skip
        text = f"{sign.agent}: its process was ended from outside: {sign.text}"
        self._alerts.post("error", text, agent=sign.agent)
        try:
            await record_event(self._database, "session_ended_from_outside", detail, sign.agent)
        except FloorError as error:
            log.warning("event_not_recorded", reason=str(error))

    async def _call_for(self, signs: Iterable[Sign]) -> None:
        """Call the floor boss for signs that are new, or that it left as they were for long."""
        now = time.monotonic()
        called = {(sign.agent, sign.token, sign.kind): sign for sign in signs}
        self._called = {key: self._called.get(key, _Called()) for key in called}
        due = [key for key, row in self._called.items() if now >= row.next_at]
        if not due:
            return
        why = "; ".join(f"{called[key].agent}: {called[key].text}" for key in due)
        try:
            await self._call(why)
        except Exception as error:
            if not self._prefect_away:
                log.warning("supervise_not_called", why=why, reason=repr(error))
            self._prefect_away = True
            return
        if self._prefect_away:
            log.info("supervise_called_again")
        self._prefect_away = False
        for key in due:
            row = self._called[key]
            row.times += 1
            pauses = CALL_MISSING_S if key[2] is Kind.MISSING else CALL_S
            row.next_at = now + pauses[min(row.times, len(pauses) - 1)]


def _whole(beat: dict[str, Any], key: str) -> int:
    value = beat.get(key)
    return value if isinstance(value, int) else 0
