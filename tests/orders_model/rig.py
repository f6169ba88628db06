"""The stage: one simulator and one agent's sessions, each a process, and the truth to compare.

Nothing here is a stand-in. The simulator serves HTTP and WebSockets and keeps its accounts in
SQLite, the journal is on Postgres, and a crash is SIGKILL.
"""

import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from eth_account import Account
from psycopg.rows import dict_row

from models.markets import Market, Outcome, Side
from models.orders import OrderRequest, TimeInForce
from models.units import SECOND_NS
from tasks.drilling import week_exchange as exchange
from tasks.drilling.week_awaits import Point
from tasks.drilling.week_clock import SharedClock
from tasks.drilling.week_process import PATIENCE_S, Died, Process, context
from tests.orders_model import session
from tests.orders_model.gate import Gate
from tests.orders_model.session import START_S, Books, Failed, Ready
from tests.orders_model.truth import Comparison

INTO_S = 120
LAST_S = 800
"""Seconds into the window after which a stage is used up."""

CONTEXT = context("tests.orders_model.preload")


@dataclass
class Stage:
    """One agent, with a wallet and a simulator of its own, in one fifteen-minute window."""

    agent: str
    database: str
    home: Path
    taker_delay_ms: int = 0
    seed: int = 7
    timeout_s: float = 10.0
    """How long a session waits for the venue's answers."""
    kills: int = 0
    checks: int = 0
    wishes: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    market: Market | None = None
    tick_e4: int = 100
    running: Process | None = None

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.diary = self.home / "deaths.jsonl"
        self.diary.touch()
        self.clock = SharedClock(self.home / "clock", (START_S + INTO_S) * SECOND_NS)
        self.http = httpx.Client(timeout=PATIENCE_S)
        self.gate = Gate(self.database)
        self.db = psycopg.connect(self.database, autocommit=True, row_factory=dict_row)
        self.port = 0
        self.start_exchange()

    # --- the venue ----------------------------------------------------------------------------

    def start_exchange(self) -> None:
        spec = exchange.ExchangeSpec(
            self.home, self.home / "clock", self.port, self.taker_delay_ms, self.seed
        )
        self.venue = Process.start(CONTEXT, exchange.main, spec)
        self.port = self.venue.hear()

    def kill_exchange(self) -> None:
        """SIGKILL; what it acknowledged is in its SQLite, and faults are forgotten."""
        self.venue.kill()
        self.start_exchange()

    def fault(self, name: str, **params: Any) -> None:
        body = {"name": name} | params
        reply = self.http.post(f"http://127.0.0.1:{self.port}/admin/faults", json=body)
        assert reply.status_code == 200, reply.text

    def change_tick(self) -> None:
        self.fault("tick-change", slug=self.known_market.slug, tick="0.001")
        self.tick_e4 = 10

    def clear_faults(self) -> None:
        self.http.delete(f"http://127.0.0.1:{self.port}/admin/faults")

    def sweep(self, outcome: Outcome, side: Side, shares: int) -> None:
        """A stranger takes the best `shares` of a book, ours among them."""
        price = 9_900 if side is Side.BUY else 100
        self.venue.ask(exchange.Sweep(outcome, side, price, shares * 1_000_000))

    def ledger(self) -> dict[str, Any]:
        key = self.home / "credentials" / "simulated-wallet.key"
        if not key.exists():
            return {"orders": [], "trades": []}
        wallet = str(Account.from_key(key.read_text().strip()).address)
        url = f"http://127.0.0.1:{self.port}/admin/ledger/{wallet}?limit=100000"
        body: dict[str, Any] = self.http.get(url).json()
        return body | body["wallets"].get(wallet, {})

    def cut_store(self) -> None:
        """Postgres ends every connection of the agent's session."""
        self.db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'floor' AND datname = current_database()"
        )

    # --- sessions -----------------------------------------------------------------------------

    @property
    def known_market(self) -> Market:
        assert self.market is not None, "no session has been ready yet"
        return self.market

    @property
    def over(self) -> bool:
        return self.clock.now_ns() > (START_S + LAST_S) * SECOND_NS

    @property
    def alive(self) -> bool:
        return self.running is not None

    def begin(
        self,
        die_at: int = 0,
        die_where: frozenset[Point] = frozenset(),
        *,
        listens: bool = True,
        patience_s: float = 5.0,
    ) -> bool:
        """Start a session, ending the one that runs; False when it ended before it was ready."""
        if self.running is not None:
            self.crash()
        spec = session.SessionSpec(
            self.agent, self.gate.url, self.home, self.home / "clock", self.port, self.diary,
            die_at, die_where, timeout_s=self.timeout_s, patience_s=patience_s, listens=listens,
            market=self.market,
        )  # fmt: skip
        self.running = Process.start(CONTEXT, session.main, spec)
        try:
            ready = self.running.hear()
        except Died:
            self._note_death()
            return False
        if isinstance(ready, Failed):
            # The venue or Postgres did not answer: it ends, as a session does; others follow.
            assert ready.expected, ready.text
            self.refused[ready.kind] += 1
            self.running.end()
            self.running = None
            return False
        assert isinstance(ready, Ready), ready
        self.market = ready.market
        return True

    def begin_surely(self) -> None:
        """Start a session that does not die, again where venue or Postgres do not answer."""
        for _ in range(10):
            if self.begin():
                return
        raise AssertionError(f"no session could be started: {self.refused}")

    def ask(self, *asks: session.Ask) -> list[Any] | None:
        """Let the session do some things at the same time; None when it died of it."""
        assert self.running is not None
        try:
            answers = self.running.ask(asks)
        except Died:
            self._note_death()
            return None
        return self._heard(answers)

    def ask_and_kill_venue(self, *asks: session.Ask, after_s: float) -> list[Any] | None:
        """The same, with the simulator killed and started again while it is being done."""
        assert self.running is not None
        try:
            self.running.tell(asks)
            time.sleep(after_s)
            self.kill_exchange()
            return self._heard(self.running.hear())
        except Died:
            self._note_death()
            return None

    def _heard(self, answers: list[Any]) -> list[Any]:
        for answer in answers:
            if isinstance(answer, Failed):
                assert answer.expected, answer.text
                self.refused[answer.kind] += 1
        return answers

    def crash(self) -> None:
        """SIGKILL from outside, wherever it is."""
        assert self.running is not None
        self.running.kill()
        self._note_death()

    def end(self) -> None:
        """Let the session end in good order; it may die of it, or have nothing left to do."""
        assert self.running is not None
        self.running.end()
        if self.running.child.exitcode == -signal.SIGKILL:
            self.kills += 1
        self.running = None

    def _note_death(self) -> None:
        assert self.running is not None
        self.running.pipe.close()
        self.running = None
        self.kills += 1

    def pass_time(self, seconds: float, step: float = 2.0) -> bool:
        """Let the clock run while the session works; False when it died."""
        left = seconds
        while left > 0:
            self.clock.advance(min(step, left))
            left -= step
            if self.alive and self.ask(session.Work()) is None:
                return False
        return True

    def wish(
        self,
        *,
        side: Side = Side.BUY,
        outcome: Outcome = Outcome.UP,
        price_e4: int = 200,
        shares: int = 10,
        tif: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
    ) -> OrderRequest:
        """A wish of the agent's; by default 10 Up at 0.02, which rests far from the market."""
        self.wishes += 1
        expires = self.clock.now_ns() // SECOND_NS + 200 if tif is TimeInForce.GTD else 0
        market, price = self.known_market, price_e4 // self.tick_e4 * self.tick_e4
        return OrderRequest(
            f"{self.agent}-{self.wishes}", self.agent, market.condition_id,
            market.token(outcome), outcome, side, price,
            shares * 1_000_000, tif, post_only and not tif.immediate, expires,
        )  # fmt: skip

    # --- the truth ----------------------------------------------------------------------------

    def check_nothing_doubled_or_lost(self) -> None:
        """At any moment: what the venue has we have kept, one order for each intent.

        Kept is what stands in the table, or in a local file that a successor brings there.
        """
        there = self.ledger()["orders"]
        # Read before the table, into which they are being brought.
        files = b"".join(_read(path) for path in (self.home / "spool").glob("*.wal"))
        rows = self.db.execute(
            "SELECT order_id, intent_id FROM orders WHERE agent = %s", (self.agent,)
        ).fetchall()
        intents = {row["order_id"]: row["intent_id"] for row in rows}
        unknown = [row["order_id"] for row in there if row["order_id"] not in intents]
        unknown = [order_id for order_id in unknown if order_id.encode() not in files]
        assert not unknown, f"lost: the venue has {unknown}, we have kept nothing of it"
        # One that the venue ended untouched, before we could ask, may have been wished for again.
        took = [row["order_id"] for row in there if row["open"] or row["matched_e6"]]
        counts = Counter(intents[order_id] for order_id in took if order_id in intents)
        doubled = [intent for intent, n in counts.items() if n > 1]
        assert not doubled, f"duplicates: {[self._life(intent) for intent in doubled]}"
        self.checks += 1

    def _life(self, intent_id: str) -> list[Any]:
        """What was written down of an intent's orders, for a failed test's message."""
        return self.db.execute(
            "SELECT order_id, t.state, t.filled, t.note, t.lease_token, t.at, side, tif"
            " FROM order_transitions t JOIN orders USING (order_id)"
            " WHERE intent_id = %s ORDER BY t.id",
            (intent_id,),
        ).fetchall()

    def settle(self, seconds: float = 120.0) -> Books:
        """Let faults stop and doubts be over; needs a session that does not die."""
        self.clear_faults()
        waited = 0.0
        while True:
            self.clock.advance(2.0)
            waited += 2.0
            answers = self.ask(session.Work())
            assert answers is not None
            if answers[0] == 0 and waited >= 8.0:
                break
            assert waited < seconds, f"still in doubt after {waited} s: {answers}"
        for step in (session.Reconcile(), session.Work(), session.TellBooks()):
            for _ in range(10):  # a venue on a busy machine may answer too late
                answers = self.ask(step)
                assert answers is not None
                if not isinstance(answers[0], Failed):
                    break
            assert not isinstance(answers[0], Failed), answers
        books = answers[0]
        assert isinstance(books, Books)
        return books

    def check_agreed(self, books: Books) -> None:
        """Venue, books and table say the same of orders, fills, positions and cash."""
        self.check_nothing_doubled_or_lost()
        Comparison(self.db, self.agent, self.ledger()).check(books)

    def close(self) -> None:
        if self.running is not None:
            self.running.end()
            self.running = None
        self.venue.kill()
        self.gate.remove()
        self.http.close()
        self.db.close()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
