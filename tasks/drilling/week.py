"""A simulated week: real traders, real journal, real exchange, a clock that is told the time.

Everything real is real: the traders of the shipped agents with their adapter, HTTP and WebSockets
to the simulator, the journal on Postgres, processes that are killed. What is not: time moves in
steps of some seconds, so that what would happen in between happens at their ends, one after the
other; the network takes no time; and Prefect, Redis and the watchdogs, which live by the
machine's own clock, are left to the drills on a running floor.
"""

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from eth_account import Account

from models.settings import Settings
from models.units import SECOND_NS, to_cash_e6
from risk.limits import Limits
from tasks.agent_files import load_agents
from tasks.drilling.week_check import Told, disagreements, doubled_or_lost
from tasks.drilling.week_plan import CALM_S, HOUR_S, Fault, Kind, plan
from tasks.drilling.week_process import Silent
from tasks.drilling.week_report import WeekReport
from tasks.drilling.week_stage import STEP_S, Actor, Defect, Life, Stage, kill
from tasks.drilling.week_words import Done, Doom, HandOver, Reconcile, State, WrongClock

Tell = Callable[[str], None]
"""Takes a line for people: progress, faults, what was found."""

WINDOW_S = 900
LAST_MOMENTS_S = (WINDOW_S - 2.9, WINDOW_S + 3.1)
"""Steps beside: when traders quit a window, and when the venue has resolved it."""
SESSION_S = 3_600.0
CAPITAL_USD = Decimal(40_000)
"""Of each agent: more than the model's takers win from it in a week."""
MOST_SEEN = 6_000
"""Newest orders and trades that are compared each time; an hour brings fewer."""
PREPARE_TURNS = 20
"""How often a successor is asked whether it is prepared before time goes on without it."""
DOWN_MOST_S = 600.0
"""Nothing but a venue or a Postgres that is away keeps an agent from trading longer than this."""


async def run_week(hours: float, seed: int, tell: Tell) -> WeekReport:
    """Trade simulated hours of back-to-back windows under random faults, checking all along.

    Needs no running floor: exchange, Postgres and sessions are its own, in a folder of its own
    that is removed afterwards. The same seed makes the same plan. `tell` is called from another
    thread.

    Raises
    ------
    ConfigError
        An agent file is wrong, or the embedded Postgres can't be started.
    """
    home = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="floor-week-"))
    week = Week(hours, seed, tell, home)
    job = asyncio.create_task(asyncio.to_thread(week.run))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        week.stop.set()
        await job
        raise
    finally:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


def actors() -> list[Actor]:
    """The shipped agents, with capital and without a limit to a day's loss: they trade all week.

    Momentum looks for smaller moves than its file says, of which the model's prices have enough.
    """
    settings = Settings(_env_file=None)
    found = []
    for spec in load_agents().values():
        changed = dict(spec.parameters)
        if spec.strategy == "momentum":
            changed["threshold_pct"] = 0.15
        agent = spec.model_copy(update={"parameters": changed, "capital_usd": CAPITAL_USD})
        limits = Limits.of(settings, agent)
        found.append(Actor(agent, _patient(limits)))
    return found


def _patient(limits: Limits) -> Limits:
    return Limits(
        limits.capital_e6, limits.risk_per_trade_e6, limits.max_position_e6,
        limits.capital_e6 * 1_000, limits.max_concurrent_trades,
    )  # fmt: skip


class _Failed(Exception):
    """Something did not hold."""


class Week:
    """Drives a stage through the hours; `stop` ends it early."""

    def __init__(self, hours: float, seed: int, tell: Tell, home: Path) -> None:
        self.stop = threading.Event()
        self.report = WeekReport(hours, seed)
        self._tell = tell
        self._hours = hours
        self._actors = actors()
        start_s = int(time.time()) // int(HOUR_S) * int(HOUR_S)
        self._start_ns = start_s * SECOND_NS
        self._stage = Stage(home, self._start_ns, seed, self._actors)
        self._plan = list(plan(hours, seed, len(self._actors)))
        self._lasting: list[tuple[int, Callable[[], None]]] = []
        self._doomed: dict[str, Fault] = {}
        self._look_ns = 0
        """When to look whether the last faults lost or doubled anything; 0 for never."""
        self._next_check_s = sum(CALM_S) / 2
        self._seen: list[tuple[int, list[Done]]] = []
        self._down_since: dict[str, int] = {}

    def run(self) -> WeekReport:
        """Play it all. What does not hold is in the report; the first such thing ends it."""
        began = time.monotonic()
        stage = self._stage
        try:
            stage.open()
            for actor in self._actors:
                stage.replace(actor)
                stage.step(self._start_ns)
            while self._elapsed_s() < self._hours * HOUR_S and not self.stop.is_set():
                self._turn()
        except (_Failed, Defect, Silent) as failure:
            self.report.failures.append(
                f"seed {self.report.seed}, {stage.now()}: {failure or type(failure).__name__}"
            )
        finally:
            self._sum_up(time.monotonic() - began)
            stage.close()
        return self.report

    # --- time -----------------------------------------------------------------------------------

    def _elapsed_s(self) -> float:
        return (self._stage.clock.now_ns() - self._start_ns) / SECOND_NS

    def _next_ns(self) -> int:
        """The next moment at which everybody is woken."""
        now_s = self._elapsed_s()
        window = now_s // WINDOW_S * WINDOW_S
        steps = [now_s // STEP_S * STEP_S + STEP_S]
        steps += [window + s for s in (LAST_MOMENTS_S[1] - WINDOW_S, LAST_MOMENTS_S[0])]
        return self._start_ns + round(min(s for s in steps if s > now_s + 0.01) * SECOND_NS)

    def _turn(self) -> None:
        while self._plan and self._plan[0].at_s <= self._elapsed_s():
            self._strike(self._plan.pop(0))
        self._go_on()
        self._look()
        if self._elapsed_s() >= self._next_check_s:
            self._compare()
            self._next_check_s += HOUR_S

    def _go_on(self) -> None:
        """One step of the clock, the ends of faults, and whatever sessions need."""
        self._stage.step(self._next_ns())
        now_ns = self._stage.clock.now_ns()
        for due_ns, end in [one for one in self._lasting if one[0] <= now_ns]:
            self._lasting.remove((due_ns, end))
            end()
        for actor in self._actors:
            self._tend(actor, now_ns)

    # --- sessions -------------------------------------------------------------------------------

    def _tend(self, actor: Actor, now_ns: int) -> None:
        """Replace the dead, and hand over what is old."""
        if actor.running is None:
            actor.back_ns = actor.back_ns or now_ns + round(STEP_S * SECOND_NS)
            if now_ns >= actor.back_ns and not self._stage.postgres.away:
                actor.back_ns = 0
                self._stage.replace(actor)
                if fault := self._doomed.pop(actor.spec.name, None):
                    self._doom(actor, actor.running, fault.awaits)
        elif actor.coming is not None:
            self._hand_over(actor)
        elif now_ns - actor.running.began_ns > SESSION_S * SECOND_NS and actor.trading:
            actor.coming = self._stage.begin(actor)
        self._watch_over(actor, now_ns)

    def _hand_over(self, actor: Actor, dooms: Fault | None = None) -> None:
        """Go on with a hand-over; time stands still while everybody answers."""
        stage, old, new = self._stage, actor.running, actor.coming
        if old is None or new is None or new.state is not State.PREPARED:
            return
        if old.state is State.TRADING:
            if dooms is not None and dooms.kind is Kind.KILL_HANDING_OVER:
                self._doom(actor, old, dooms.awaits)
            stage.tell(actor, old, HandOver())
            stage.step(stage.clock.now_ns())
        if actor.running is old and old.state is not State.ENDED:
            return
        died = actor.running is None
        if not died:
            assert old.last is not None
            stage.ended.append(old.last)
            stage.cpu_s += old.last.cpu_s
            old.process.end()
            self.report.handed_over += 1
        if actor.coming is None:
            actor.running = None
            return
        actor.running, actor.coming = actor.coming, None
        if dooms is not None and dooms.kind is Kind.KILL_TAKING_OVER:
            self._doom(actor, actor.running, dooms.awaits)
        stage.take_over(actor, died=died)
        stage.step(stage.clock.now_ns())

    def _hand_over_now(self, actor: Actor, dooms: Fault) -> None:
        """Hand over with a death on the way; time stands still until the successor is prepared."""
        stage = self._stage
        actor.coming = actor.coming or stage.begin(actor)
        for _ in range(PREPARE_TURNS):
            stage.step(stage.clock.now_ns())
            if actor.coming is None or actor.coming.state is State.PREPARED:
                break
        self._hand_over(actor, dooms)

    def _doom(self, actor: Actor, life: Life | None, awaits: int) -> None:
        if life is not None:
            self._stage.tell(actor, life, Doom(awaits))

    def _watch_over(self, actor: Actor, now_ns: int) -> None:
        """Nobody stays down for long while venue and Postgres are there."""
        name = actor.spec.name
        if actor.trading or self._lasting or self._stage.postgres.away:
            self._down_since.pop(name, None)
            return
        since = self._down_since.setdefault(name, now_ns)
        if now_ns - since > DOWN_MOST_S * SECOND_NS:
            raise _Failed(
                f"{name} has not traded for {DOWN_MOST_S:.0f} s; its session: {_said(actor)}"
            )

    # --- faults ---------------------------------------------------------------------------------

    def _strike(self, fault: Fault) -> None:
        """Let something go wrong."""
        actor = self._actors[fault.agent]
        self.report.faults[fault.kind.value] += 1
        match fault.kind:
            case Kind.KILL if actor.running is not None:
                kill(actor.running)
            case Kind.KILL_AT_AWAIT:
                self._doom(actor, actor.running, fault.awaits)
            case Kind.KILL_TWICE if actor.running is not None:
                kill(actor.running)
                self._doomed[actor.spec.name] = fault
            case Kind.KILL_HANDING_OVER | Kind.KILL_TAKING_OVER if actor.trading:
                self._hand_over_now(actor, fault)
            case Kind.VENUE_FAULT:
                self._stage.fault(fault.name, **fault.params)
                self._last(float(fault.params.get("seconds", 60)), self._stage.clear_faults)
            case Kind.VENUE_KILLED:
                self._stage.kill_exchange()
            case Kind.STORE_CUT if not self._stage.postgres.away:
                self._cut_store()
            case Kind.STORE_AWAY if not self._stage.postgres.away:
                self._stage.postgres.stop()
                self._last(fault.seconds, self._stage.postgres.start)
            case Kind.CLOCK_JUMP:
                self._set_clocks(-fault.seconds if fault.awaits % 2 else fault.seconds)
                self._last(120.0, lambda: self._set_clocks(0.0))
            case _:
                pass
        actor.back_ns = self._stage.clock.now_ns() + round(fault.seconds * SECOND_NS)
        self._look_ns = self._stage.clock.now_ns() + round(3 * STEP_S * SECOND_NS)

    def _last(self, seconds: float, end: Callable[[], None]) -> None:
        """Call `end` when a fault is over."""
        until_ns = self._stage.clock.now_ns() + round(seconds * SECOND_NS)
        self._lasting.append((until_ns, end))

    def _cut_store(self) -> None:
        """Postgres ends every connection."""
        with psycopg.connect(self._stage.postgres.url, autocommit=True) as db:
            db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'floor' AND datname = current_database()"
            )

    def _set_clocks(self, seconds: float) -> None:
        for actor in self._actors:
            if actor.running is not None:
                self._stage.tell(actor, actor.running, WrongClock(seconds))

    # --- what holds -----------------------------------------------------------------------------

    def _ledger(self) -> dict[str, Any]:
        address = Account.from_key(self._stage.key).address
        return self._stage.ledger(address, MOST_SEEN)

    def _look(self) -> None:
        """After a fault, once all trade and all is written: nothing lost, nothing doubled."""
        if self._look_ns and self._stage.clock.now_ns() >= self._look_ns and self._calm():
            self._look_ns = 0
            self.report.looks += 1
            self._demand(doubled_or_lost(self._stage.postgres.url, self._ledger()))

    def _calm(self) -> bool:
        """Nothing is wrong on purpose, nobody is down, in doubt or behind."""
        return not self._lasting and all(
            actor.trading and actor.running and actor.running.last and not actor.running.last.behind
            for actor in self._actors
        )

    def _compare(self) -> None:
        """Let doubts be over, then compare everything, to the base unit."""
        stage = self._stage
        for _ in range(60):
            if self._calm():
                break
            self._go_on()
        else:
            raise _Failed(f"still not calm: {[(a.spec.name, _said(a)) for a in self._actors]}")
        for actor in self._actors:
            assert actor.running is not None
            stage.tell(actor, actor.running, Reconcile())
        for _ in range(2):
            stage.step(stage.clock.now_ns())
        told = [
            Told(actor.spec.name, actor.spec.capital_e6, last.cash_e6, last.shares_e6)
            for actor in self._actors
            if actor.running is not None and (last := actor.running.last) is not None
        ]
        ledger = self._ledger()
        found = disagreements(stage.postgres.url, ledger, told, stage.clock.now_ns())
        self.report.checks += 1
        self._demand(found)
        lasts = [a.running.last for a in self._actors if a.running and a.running.last]
        self._seen.append((stage.memory, lasts))
        self._tell(
            f"{stage.now()}  {len(ledger['orders'])} orders seen, "
            f"{sum(self.report.faults.values())} faults so far, all agrees"
        )

    def _demand(self, found: list[str]) -> None:
        if found:
            raise _Failed("\n".join(found))

    def _sum_up(self, took_s: float) -> None:
        report, stage = self.report, self._stage
        report.took_s = took_s
        report.kills = sum(actor.deaths for actor in self._actors)
        report.sessions = sum(actor.lives for actor in self._actors)
        ends = [
            *stage.ended,
            *(a.running.last for a in self._actors if a.running and a.running.last),
        ]
        report.windows = sum(done.traded for done in ends)
        if hasattr(stage, "key") and not stage.postgres.away:
            self._count(stage.postgres.url)
            report.cpu_s = stage.processor_s()
        if self._seen:
            report.measure(self._seen)

    def _count(self, database: str) -> None:
        with psycopg.connect(database) as db:
            row = db.execute(
                "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM fills),"
                " (SELECT count(*) FROM trades), (SELECT coalesce(sum(pnl), 0) FROM trades)"
            ).fetchone()
        assert row is not None
        self.report.orders, self.report.fills, self.report.settled = row[:3]
        self.report.pnl_e6 = to_cash_e6(row[3])


def _said(actor: Actor) -> str:
    life = actor.running
    if life is None or life.last is None:
        return f"none; the last one that failed: {actor.said}"
    return f"{life.state}, behind {life.last.behind} {life.last.text}"


__all__ = ["Tell", "WeekReport", "run_week"]
