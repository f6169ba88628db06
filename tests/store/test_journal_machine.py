"""Sessions on two hosts write, lose Postgres, die and take over; the books end as the model says.

Postgres is real; what comes between is a `Link` that refuses, cuts off a commit's answer, or lets
a write that was given up arrive later all the same.
"""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from models.errors import LeaseLost, StoreUnavailable
from models.orders import Fill, Order, OrderState
from store import agents, leases, portfolio
from store.database import Database
from store.journal import PostgresJournal
from store.journal_drain import drain_dead
from store.leases import Lease

_numbers = itertools.count(1)
_CHANGES = (
    OrderState.LIVE,
    OrderState.PARTIAL,
    OrderState.UNKNOWN,
    OrderState.CANCELLED,
    OrderState.FILLED,
)


class Ghost:
    """A connection whose answers are lost: what it is given is carried out later, if ever."""

    closed = True

    def __init__(self) -> None:
        self.statements: list[tuple[str, Any]] = []

    async def set_autocommit(self, on: bool) -> None:
        pass

    async def execute(self, statement: str, params: Any = ()) -> Any:
        self.statements.append((statement, params))
        raise StoreUnavailable("no answer")


class Link(Database):
    """A session's way to Postgres."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.down = self.cut = self.haunted = False
        self.ghosts: list[tuple[str, Any]] = []

    @asynccontextmanager
    async def transaction(self, answer_s: float | None = None) -> AsyncIterator[Any]:
        if self.haunted:
            self.haunted, self.down = False, True
            ghost = Ghost()
            try:
                yield ghost
            finally:
                self.ghosts += ghost.statements
            raise StoreUnavailable("no answer")
        if self.down:
            raise StoreUnavailable("down")
        async with self.database.transaction(60) as connection:
            yield connection
        if self.cut:
            self.cut, self.down = False, True
            raise StoreUnavailable("cut off after the commit")


@dataclass
class Session:
    """A session and what it knows, as an order manager would."""

    link: Link
    lease: Lease
    journal: PostgresJournal
    orders: dict[str, Order] = field(default_factory=dict)
    fills: int = 0
    until: float = math.inf

    async def die(self) -> None:
        """End as by SIGKILL: nothing is written, the file is let go of."""
        log = self.journal._log
        for part in (self.journal._backlog, log._signals, log._events):
            assert part._task is not None
            part._task.cancel()
            await asyncio.gather(part._task, return_exceptions=True)
        self.journal._backlog._wal._file.close()


class Floor:
    """One agent, its sessions, and what its books must say in the end."""

    def __init__(self, url: str, home: Path, make: Any) -> None:
        self.url, self.home, self.make = url, home, make
        self.agent = f"machine-{next(_numbers)}"
        self.hosts = [self.home / self.agent / name for name in ("one", "two")]
        self.market = self.make.market()
        self.words: dict[str, tuple[int, OrderState, int]] = {}
        """The last word on every order that was sent, and the token of whose word it is."""
        self.unsent: set[str] = set()
        self.fills: dict[tuple[str, str], Fill] = {}
        self.remembered: int | None = None
        self.sessions: list[Session] = []

    async def begin(self) -> None:
        self.db = Database(self.url, max_size=8, timeout_s=60)
        await self.db.open()
        await agents.sync_agents(self.db, [self.make.spec(self.agent)], disable_missing=False)
        await self._open(0)

    # --- sessions -------------------------------------------------------------------------------

    async def _open(self, host: int) -> None:
        """Take the lease over, whoever has it, and go on from the books."""
        before = await leases.holder(self.db, self.agent)
        if before is not None:
            await leases.expire(self.db, self.agent, before.token)
        lease = await leases.acquire(self.db, self.agent, f"s{next(_numbers)}", 3600)
        assert lease is not None
        for stale in self.sessions:
            stale.until = 0.0
        link = Link(self.db)
        session: Session
        journal = PostgresJournal(
            link, self.agent, lease, spool_dir=self.hosts[host], patience_s=0.05,
            may_trade_until=lambda: session.until, new_risk_s=math.inf,
        )  # fmt: skip
        session = Session(link, lease, journal)
        await journal.start()
        state = await journal.load()
        session.orders = {order.order_id: order for order in state.orders}
        for order in state.orders:
            assert order.order_id in self.words or order.order_id in self.unsent
        self.sessions.append(session)

    async def another_session_takes_over(self, draw: int) -> None:
        """On either host, whether its predecessor is dead or only out of reach."""
        if draw & 1:
            await self.sessions.pop().die()
        if len(self.sessions) > 3:
            await self.sessions.pop(0).die()
        await self._open(draw // 2 % 2)

    async def a_stale_session_dies(self, draw: int) -> None:
        if len(self.sessions) > 1:
            await self.sessions.pop(0).die()

    async def the_dead_are_drained_by_somebody_else(self, draw: int) -> None:
        _, damaged = await drain_dead(self.db, self.hosts[draw % 2])
        assert damaged == []

    # --- Postgres -------------------------------------------------------------------------------

    async def postgres_goes_away(self, draw: int) -> None:
        setattr(self._some(draw).link, ("down", "cut", "haunted")[draw % 3], True)

    async def postgres_comes_back(self, draw: int) -> None:
        session = self._some(draw)
        session.link.down = session.link.cut = session.link.haunted = False
        if draw & 1:
            await self._drained(session)

    async def _drained(self, session: Session) -> None:
        try:
            assert await session.journal.drained(60)
        except LeaseLost:
            assert session is not self.sessions[-1]

    async def what_was_given_up_arrives(self, draw: int) -> None:
        link = self._some(draw).link
        ghosts, link.ghosts = link.ghosts, []
        for statement, params in ghosts:
            if "FOR UPDATE" not in statement:  # of a transaction only the commit would count
                await self.db.execute(statement, params)

    # --- writing --------------------------------------------------------------------------------

    async def an_order_is_sent(self, draw: int) -> None:
        session = self._some(draw)
        n = next(_numbers)
        order = self.make.order(n, self.market, agent=self.agent, intent_id=f"{self.agent}-{n}")
        try:
            await session.journal.order_signed(order, self.market)
        except (LeaseLost, StoreUnavailable):
            assert session is not self.sessions[-1]
            self.unsent.add(order.order_id)
            return
        assert session is self.sessions[-1], "a stale session may send"
        session.orders[order.order_id] = order
        self._note(session, order)

    async def an_order_changes(self, draw: int) -> None:
        session = self._some(draw)
        if not session.orders:
            return
        order = list(session.orders.values())[draw // 7 % len(session.orders)]
        state = _CHANGES[draw % len(_CHANGES)]
        filled = order.filled_e6 + (1_000 if state is OrderState.PARTIAL else 0)
        changed = replace(order, state=state, filled_e6=filled)
        try:
            await session.journal.order_changed(changed)
        except LeaseLost:
            assert session is not self.sessions[-1]
            return
        session.orders[order.order_id] = changed
        self._note(session, changed)

    def _note(self, session: Session, order: Order) -> None:
        """Take the word of the newest session that ever spoke of an order."""
        token, _, _ = self.words.get(order.order_id, (0, None, 0))
        if token <= session.lease.token:
            self.words[order.order_id] = (session.lease.token, order.state, order.filled_e6)

    async def an_order_fills(self, draw: int) -> None:
        session = self._some(draw)
        if not session.orders:
            return
        order = list(session.orders.values())[draw // 7 % len(session.orders)]
        fill = self.make.fill(order, f"{self.agent}-t{next(_numbers)}", 1_000, 500, 1)
        try:
            await session.journal.fill(fill)
        except LeaseLost:
            assert session is not self.sessions[-1]
            return
        self.fills[(fill.trade_id, fill.order_id)] = fill

    async def the_session_remembers(self, draw: int) -> None:
        self.remembered = next(_numbers)
        await self.sessions[-1].journal.checkpoint({"n": self.remembered})

    def _some(self, draw: int) -> Session:
        """Mostly the session that holds the lease, now and then a stale one."""
        which = draw // 5 % 7
        return self.sessions[-1 - which] if which < len(self.sessions) else self.sessions[-1]

    # --- the end --------------------------------------------------------------------------------

    async def end(self) -> None:
        """All links are up again, everybody dies, and a last session opens on either host."""
        for session in self.sessions:
            await session.die()
        self.sessions.clear()
        for host in (0, 1):
            await self._open(host)
            assert self.sessions[-1].journal.damaged == []
            await self._drained(self.sessions[-1])
            state = await self.sessions[-1].journal.load()
            await self.sessions[-1].journal.close()
        left = [path for host in self.hosts if host.exists() for path in host.iterdir()]
        assert left == []
        assert (state.checkpoint or {}).get("n") == self.remembered
        await self._compare_orders()
        assert {(fill.trade_id, fill.order_id): fill for fill in state.fills} == self.fills
        held = sum(one.size_e6 for one in await portfolio.positions(self.db, self.agent))
        assert held == sum(fill.size_e6 for fill in self.fills.values())

    async def _compare_orders(self) -> None:
        rows = await self.db.fetch(
            "SELECT order_id, state, (filled * 1000000)::bigint AS filled,"
            " (SELECT array_agg(state ORDER BY id) FROM order_transitions t"
            "  WHERE t.order_id = o.order_id) AS steps FROM orders o WHERE agent = %s",
            [self.agent],
        )
        found = {row["order_id"]: (OrderState(row["state"]), row["filled"]) for row in rows}
        unsent = {one: found.pop(one) for one in self.unsent if one in found}
        assert found == {one: word[1:] for one, word in self.words.items()}
        assert all(state is OrderState.REJECTED for state, _ in unsent.values())
        for row in rows:
            assert row["steps"][0] == OrderState.INTENDED
            assert row["steps"][-1] == row["state"]
            assert row["steps"].count(OrderState.INTENDED) == 1


_STEPS = [
    *[Floor.an_order_is_sent] * 5,
    *[Floor.an_order_changes] * 6,
    *[Floor.an_order_fills] * 3,
    *[Floor.postgres_goes_away] * 3,
    *[Floor.postgres_comes_back] * 2,
    *[Floor.another_session_takes_over] * 2,
    Floor.what_was_given_up_arrives,
    Floor.a_stale_session_dies,
    Floor.the_dead_are_drained_by_somebody_else,
    Floor.the_session_remembers,
]


@pytest.mark.timeout(400)
@given(
    plan=st.lists(
        st.tuples(st.sampled_from(range(len(_STEPS))), st.integers(0, 10_000)),
        min_size=60,
        max_size=60,
    )
)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
def test_whatever_goes_away_dies_or_comes_late(
    clean_postgres_url: str,
    make: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plan: list[tuple[int, int]],
) -> None:
    monkeypatch.setattr("store.backlog._LEFTOVERS_S", 0.0)
    monkeypatch.setattr("store.backlog._PROBE_FIRST_S", 0.005)
    monkeypatch.setattr("store.backlog._PROBE_MOST_S", 0.01)

    async def live() -> None:
        floor = Floor(clean_postgres_url, tmp_path, make)
        await floor.begin()
        try:
            for step, draw in plan:
                await _STEPS[step](floor, draw)
            await floor.end()
        finally:
            await floor.db.close()

    asyncio.run(live())
