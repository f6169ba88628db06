"""Random trading under random faults, in sessions that are killed where they wait."""

import json
import random
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from models.markets import Outcome, Side
from models.orders import OrderRequest, TimeInForce
from tasks.drilling.week_awaits import Point, await_points
from tasks.drilling.week_process import Silent
from tests.orders_model import session
from tests.orders_model.rig import Stage

FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("rate-limit", {"count": 1, "retry_after": 1}),
    ("execution-500", {"count": 1}),
    ("accept-then-500", {"count": 1}),
    ("accept-then-timeout", {"count": 1, "hold": 1}),
    ("accept-then-drop", {"count": 1}),
    ("late-answer", {"count": 1, "hold": 0.05}),
    ("unmatched-answer", {"count": 1}),
    ("refused-in-answer", {"seconds": 4}),
    ("engine-restart", {"seconds": 4}),
    ("post-only", {"seconds": 4}),
    ("cancel-only", {"seconds": 4}),
    ("trading-disabled", {"seconds": 4}),
    ("cloudflare-403", {"count": 1}),
    ("ws-drop", {}),
    ("ws-freeze", {"seconds": 4}),
    ("duplicate-events", {"seconds": 20}),
    ("reordered-events", {"seconds": 20}),
    ("ghost-fill", {"count": 1}),
    ("partial-fak", {"count": 1}),
    ("stale-balance", {"seconds": 10}),
    ("key-revoked", {}),
)
ASKS_MOST = 15
"""What a session does before it is killed from outside, if it has not died by itself."""
AWAITS_MOST = 200
DOOM_MOST = 60
FAILURES_MOST = 10


def any_wish(rng: random.Random, stage: Stage) -> OrderRequest:
    tif = rng.choices(list(TimeInForce), (6, 2, 1, 2))[0]
    return stage.wish(
        side=rng.choices(list(Side), (3, 1))[0],
        outcome=rng.choice(list(Outcome)),
        price_e4=rng.choice((100, 200, 9_900, *range(1_000, 9_001, 500), *range(4_500, 5_501, 10))),
        shares=rng.randint(5, 30),
        tif=tif,
        post_only=rng.random() < 0.3,
    )


def any_ask(rng: random.Random, stage: Stage, wishes: list[OrderRequest]) -> session.Ask:
    kind = rng.choices(
        ("place", "again", "replace", "cancel", "all", "work", "reconcile", "look"),
        (8, 2, 3, 2, 1, 3, 1, 1),
    )[0]
    if kind == "again" and wishes:
        # What a careless trader would do after a crash: the same wish once more.
        return session.Place(rng.choice(wishes[-3:]))
    if kind in ("place", "again"):
        wishes.append(any_wish(rng, stage))
        return session.Place(wishes[-1])
    if kind == "replace":
        wishes.append(any_wish(rng, stage))
        return session.Replace(rng.randint(0, 9), wishes[-1])
    others: dict[str, session.Ask] = {
        "cancel": session.CancelOne(rng.randint(0, 9)),
        "all": session.CancelAll(stage.known_market.condition_id if rng.random() < 0.5 else None),
        "work": session.Work(),
        "reconcile": session.Reconcile(),
        "look": session.Checkpoint(),
    }
    return others[kind]


def any_mishap(rng: random.Random, stage: Stage) -> None:
    """Let the world move or fail a little."""
    kind = rng.choices(
        ("nothing", "fault", "sweep", "time", "tick", "store", "away", "venue"),
        (6, 4, 4, 3, 0.1, 0.4, 0.6, 0.3),
    )[0]
    match kind:
        case "fault":
            name, params = rng.choice(FAULTS)
            stage.fault(name, **params)
        case "sweep":
            outcome, side = rng.choice(list(Outcome)), rng.choice(list(Side))
            stage.sweep(outcome, side, rng.choice((5, 500, 100_000)))
        case "time":
            stage.clock.advance(rng.choice((0.2, 1.0, 3.0, 8.0)))
        case "tick":
            stage.change_tick()
        case "store":
            stage.cut_store()
        case "away":
            # For a while, most often until after the session's death.
            if stage.gate.shut and rng.random() < 0.5:
                stage.gate.open()
            else:
                stage.gate.close()
        case "venue":
            stage.kill_exchange()


@dataclass
class Mayhem:
    """Kills sessions, again and again, and counts where."""

    rng: random.Random
    open_stage: Callable[[], Stage]
    total: frozenset[Point] = field(default_factory=lambda: frozenset(await_points()))
    hit: set[Point] = field(default_factory=set)
    seen: set[Point] = field(default_factory=set)
    kills: int = 0
    new_at: int = 0
    """How many kills there were when one last hit a point for the first time."""
    from_outside: int = 0
    away: int = 0
    """Sessions during which Postgres was away."""
    orders: int = 0
    fills: int = 0
    agreed: int = 0
    while_doing: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def run(self, kills: int) -> None:
        """Kill so many sessions, on as many stages as it takes; failures are kept, not raised."""
        while self.kills < kills and len(self.failures) < FAILURES_MOST:
            stage = self.open_stage()
            try:
                self._play(stage, kills)
            except (AssertionError, Silent) as failure:
                self.failures.append(str(failure))
                print(traceback.format_exc(), flush=True)
            finally:
                stage.close()
            print(self.report(), flush=True)

    def _play(self, stage: Stage, kills: int) -> None:
        wishes: list[OrderRequest] = []
        while not stage.over and self.kills < kills:
            for _ in range(self.rng.randint(1, 4)):
                self._one_life(stage, wishes)
            self._settle(stage)
        ledger = stage.ledger()
        self.orders += len(ledger["orders"])
        self.fills += len(ledger["trades"])

    def _one_life(self, stage: Stage, wishes: list[OrderRequest]) -> None:
        """Start a session and see it die; half of them, while there are any, at a new point."""
        at = self.rng.randint(1, AWAITS_MOST) if self.rng.random() < 0.4 else 0
        where = frozenset[Point]()
        if self.rng.random() < 0.5 and (self.seen - self.hit or self.kills < self.new_at + 40):
            at, where = 0, self.total - self.hit
        before = stage.kills
        ready = stage.begin(
            at, where, listens=self.rng.random() < 0.8, patience_s=self.rng.choice((0.05, 5.0))
        )
        away = False
        doomed_at = self.rng.randrange(ASKS_MOST) if self.rng.random() < 0.5 else -1
        for number in range(ASKS_MOST if ready else 0):
            any_mishap(self.rng, stage)
            away |= stage.gate.shut
            # Not all shall die of what follows their start.
            dooms = number == doomed_at and not where
            if dooms and stage.ask(session.Doom(self.rng.randint(1, DOOM_MOST))) is None:
                break
            asks = [any_ask(self.rng, stage, wishes) for _ in range(self.rng.choice((1, 1, 2, 3)))]
            if stage.ask(*asks) is None:
                break
        if stage.alive and self.rng.random() < 0.3:
            stage.end()
        if stage.alive:
            self.from_outside += 1
            stage.crash()
        self.kills += stage.kills - before
        stage.gate.open()
        self._read(stage)
        self.away += away
        stage.check_nothing_doubled_or_lost()
        if self.rng.random() < 0.3:
            # Long enough for the venue to notice that nobody is there.
            stage.clock.advance(self.rng.choice((4.0, 12.0)))

    def _settle(self, stage: Stage) -> None:
        stage.clear_faults()
        stage.begin_surely()
        stage.check_agreed(stage.settle())
        self.agreed += 1

    def _read(self, stage: Stage) -> None:
        lines = stage.diary.read_text().splitlines()
        stage.diary.write_text("")
        for line in lines:
            death = json.loads(line)
            if not self.hit.issuperset(death["points"]):
                self.new_at = self.kills
            self.hit.update(death["points"])
            self.seen.update(death["points"], death["seen"])
            self.while_doing[death["doing"]] = self.while_doing.get(death["doing"], 0) + 1

    def report(self) -> str:
        """What was done, for people."""
        manager = {point for point in self.total if point.startswith("engine/")}
        lines = [
            f"seconds               {time.monotonic() - self.began:.0f}",
            f"kills                 {self.kills} ({self.from_outside} of them from outside)",
            f"Postgres away in      {self.away} sessions",
            f"await points          {len(self.total)} in the source, {len(manager)} of the manager",
            f"  waited at           {len(self.seen)}, {len(self.seen & manager)} of the manager",
            f"  died at             {len(self.hit)}, {len(self.hit & manager)} of the manager",
            f"orders at the venue   {self.orders}, trades {self.fills}",
            f"agreements checked    {self.agreed}",
            f"lost                  {self._failures('lost')}",
            f"duplicates            {self._failures('duplicates')}",
            f"disagreements         {len(self.failures)}, those counted above among them",
            f"died while            {self.while_doing}",
            f"waited at, never died at: {sorted(self.seen - self.hit)}",
            f"never waited at: {sorted(self.total - self.seen)}",
        ]
        return "\n".join(lines)

    def _failures(self, kind: str) -> int:
        return sum(text.startswith(kind) for text in self.failures)
