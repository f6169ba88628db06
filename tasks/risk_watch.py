"""The risk watch: every few seconds it looks at the whole floor, trips breakers, tells facts.

It runs inside the ops process, beside the supervise flow: that one comes every thirty seconds,
which is too old for a value at risk. What fails in one look is logged and tried in the next; a
part that is away (Postgres, Redis, the venue) never keeps the others from being looked at.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

import structlog

from models.errors import FloorError, StoreUnavailable
from models.settings import Settings
from models.units import to_cash_e6
from risk.breaker_rules import OF_AGENT, OF_MARKET, kind_of, subject_of
from risk.breakers import ErrorRate, Look, Positions, clock_skew, drawdown, silent_for
from risk.guard import Board, Change, MarketWatch
from store import exposure, risk, state
from store.bus import Bus
from store.database import Database
from store.events import record_event
from store.ledger import valuations
from store.portfolio import Snapshot
from store.reserve import Reserve
from store.urls import urls
from tasks.alerts import Alerts
from tasks.flatten import flatten
from tasks.kill import LIVE_ORDERS, agent_names
from tasks.risk_book import FloorBook, read_book
from tasks.risk_causes import Peaks, agent_drawdown, agent_losses, disagreements
from tasks.risk_facts import breaker_facts, facts_of
from tasks.risk_policies import Policies
from tasks.risk_probe import Probe
from tasks.sweep import Sweeper

log = structlog.get_logger(__name__)

LOOK_S = 5.0
FACTS_S = 30.0
"""Facts older than this are none."""
PEAKS = "risk:peaks"
SWEEP_S = 10.0


class RiskWatch:
    """``async with RiskWatch(settings) as watch``, then `look` again and again."""

    def __init__(self, settings: Settings, policies: Policies | None = None) -> None:
        self._settings = settings
        capital_e6 = to_cash_e6(settings.initial_capital)
        self._policies = policies or Policies(capital_e6, settings.risk_file)
        self._board = Board(self._policies.current().rules)
        self._stack = AsyncExitStack()
        self._unsaved: set[str] = set()
        self._peaks: Peaks | None = None
        self._facts: dict[str, Any] = {}
        self._killed = ""
        self._fresh_seen = False
        self._halted_ns = 0
        self._answered_ns = time.time_ns()
        self._sweeps: set[asyncio.Task[None]] = set()
        rule = self._policies.current().rules.api
        self._errors = ErrorRate(rule.share, rule.window_s, rule.least)
        self._calls: dict[tuple[str, Any], tuple[int, int]] | None = None
        self._fault_told = ""
        self._windows: dict[str, str] = {}
        self._markets: dict[str, MarketWatch] = {}
        self._seen_ns: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        addresses = urls(self._settings)
        enter = self._stack.enter_async_context
        self._database = await enter(Database(addresses.database, max_size=1, timeout_s=3.0))
        self._reserve = await enter(Reserve(addresses.redis))
        bus = self._bus = await enter(Bus(addresses.redis))
        self._alerts = await enter(
            Alerts(self._settings, publish=lambda kind, fields: bus.message(kind, **fields))
        )
        self._probe = await enter(Probe(self._settings))
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._sweeps:
            task.cancel()
        await asyncio.gather(*self._sweeps, return_exceptions=True)
        await self._stack.aclose()

    async def look(self) -> dict[str, Any]:
        """Look once; returns the facts that were told."""
        file = self._policies.current()
        self._tell_fault()
        self._board.adopt(file.rules)
        await self._count_calls()
        found, changes = None, [*self._see_venue(await self._probe.ask())]
        try:
            found = await self._see_database(changes)
            self._answered_ns = time.time_ns()
        except StoreUnavailable as error:
            log.warning("risk_database_away", reason=str(error))
            if kill := risk.read_kill_file(self._settings.floor_home):
                self._killed = str(kill)
        self._see(changes, "database-lost", self._database_cause())
        if found is not None:
            book, day_pnl_e6 = found
            self._facts = await asyncio.to_thread(facts_of, book, file, day_pnl_e6)
        await self._act(changes)
        return await self._publish()

    # --- seeing ---------------------------------------------------------------------------------

    def _see(self, changes: list[Change], name: str, cause: str) -> None:
        change = self._board.see(name, cause, time.time_ns())
        if change is not None:
            self._unsaved.add(name)
            changes.append(change)

    async def _count_calls(self) -> None:
        """Add the sessions' calls to the venue since the last look, as their heartbeats tell."""
        try:
            beats = await self._bus.heartbeats()
        except StoreUnavailable:
            return
        now_ns, told = time.time_ns(), {}
        for agent, beat in beats.items():
            calls, failed = beat.get("calls") or (0, 0)
            session = told[agent, beat.get("token")] = (int(calls), int(failed))
            if self._calls is None:
                continue  # what a session did before this watch began is no news
            before = self._calls.get((agent, beat.get("token")), (0, 0))
            made, lost = max(0, session[0] - before[0]), max(0, session[1] - before[1])
            self._errors.count(made, min(made, lost), now_ns)
        self._calls = told

    def _see_venue(self, answer: tuple[bool, int | None]) -> list[Change]:
        """Take the venue's answer to our question for the time: whether it failed, and the gap."""
        failed, offset_ns = answer
        rules, now_ns = self._board.rules, time.time_ns()
        changes: list[Change] = []
        breaker = self._board.breakers.get("api-errors")
        if breaker is not None and breaker.stops:
            # Nobody trades, so nobody's calls would tell that the venue is back: ours do.
            self._errors.clear()
            self._see(changes, "api-errors", "the venue does not answer" if failed else "")
        else:
            self._errors.add(failed, now_ns)
            self._see(changes, "api-errors", self._errors.cause(now_ns))
        if offset_ns is not None:
            self._see(changes, "clock-skew", clock_skew(offset_ns, rules.clock.max_s))
        return changes

    def _database_cause(self) -> str:
        most_s = self._board.rules.database.max_s
        return silent_for("Postgres has not answered", self._answered_ns, time.time_ns(), most_s)

    async def _see_database(self, changes: list[Change]) -> tuple[FloorBook, int]:
        """Everything that Postgres tells; returns the book and the day's result."""
        database, rules = self._database, self._board.rules
        kill = await risk.adopt(database, self._settings.floor_home)
        self._killed = "" if kill is None else str(kill)
        await self._take_over()
        self._see(changes, "stale-data", await self._stale_cause())
        worth = await valuations(database, time.time_ns())
        day_pnl_e6 = await self._see_equity(changes, worth)
        results = await exposure.results_by_agent(database, rules.losses.max_in_a_row)
        for agent, ended in results.items():
            name = f"agent-losses:{agent}"
            mark_ns = self._board.marks.get(name, 0)
            self._see(changes, name, agent_losses(ended, mark_ns, rules.losses.max_in_a_row))
        resolved = await exposure.resolved_since(database, 600)
        mark_ns = self._board.marks.get("resolution-disagreement", 0)
        cause = disagreements(resolved, rules.resolution, mark_ns)
        self._see(changes, "resolution-disagreement", cause)
        await self._see_markets(changes)
        return await read_book(database), day_pnl_e6

    async def _see_markets(self, changes: list[Change]) -> None:
        """Judge the open windows' books and tape as the collector kept them since the last look."""
        windows = await exposure.current_markets(self._database, time.time())
        self._windows = {one.slug: one.condition_id for one in windows}
        slugs = {one.condition_id: one.slug for one in windows}
        self._markets = {
            one: self._markets.get(one) or MarketWatch(self._board, slug)
            for one, slug in slugs.items()
        }
        for top in await exposure.tops_since(self._database, windows, 2 * LOOK_S):
            if top.ts_ns <= self._seen_ns.get(top.condition_id, 0):
                continue
            self._seen_ns[top.condition_id] = top.ts_ns
            look = Look(
                top.ts_ns, top.bid_e4, top.ask_e4, int(top.bid_e4 is not None),
                int(top.ask_e4 is not None), top.traded_e6,
            )  # fmt: skip
            if change := self._markets[top.condition_id].look(look):
                self._unsaved.add(change.name)
                changes.append(change)
        await self._forget_markets()

    async def _forget_markets(self) -> None:
        """Drop the breakers of windows that are over, and what was remembered of them."""
        self._seen_ns = {one: at for one, at in self._seen_ns.items() if one in self._markets}
        over = [
            name
            for name in self._board.breakers
            if kind_of(name) in OF_MARKET and subject_of(name) not in self._windows
        ]
        for name in over:
            await risk.forget_breaker(self._database, name)
        self._board.drop(over)
        self._unsaved -= set(over)

    async def _take_over(self) -> None:
        """Save what changed while Postgres was away, then take what it has: also resets by hand."""
        for name in sorted(self._unsaved):
            await risk.save_breaker(self._database, name, self._board.row(name))
            self._unsaved.discard(name)
        self._board.load(await risk.breaker_rows(self._database))
        if self._peaks is None:
            self._peaks = Peaks.of(await state.get(self._database, PEAKS))

    async def _stale_cause(self) -> str:
        """Cause when nothing is collected any more; never before anything was, since a halt too."""
        newest_ns, now_ns = await exposure.newest_data_ns(self._database), time.time_ns()
        if await state.halted(self._database) is not None:
            self._halted_ns = now_ns
        if newest_ns <= self._halted_ns:
            return ""
        self._halted_ns = 0
        cause = silent_for("no market data", newest_ns, now_ns, self._board.rules.data.max_s)
        self._fresh_seen = self._fresh_seen or not cause
        return cause if self._fresh_seen else ""

    async def _see_equity(self, changes: list[Change], worth: Sequence[Snapshot]) -> int:
        """Judge every agent's equity and the floor's; returns the floor's result of the day."""
        rules, peaks = self._board.rules, self._peaks
        assert peaks is not None
        before = peaks.row()
        rows = await self._database.fetch("SELECT name, capital FROM agents")
        capitals = {row["name"]: int(row["capital"].scaleb(6)) for row in rows}
        day_pnl_e6 = 0
        for one in worth:
            if one.agent is None:
                mark_ns = self._board.marks.get("floor-drawdown", 0)
                equity, base, day_pnl_e6 = peaks.floor_day(
                    one.equity_e6, sum(capitals.values()), mark_ns, one.ts_ns
                )
                cause = drawdown(equity, base, rules.floor.share, "the day's drawdown")
                self._see(changes, "floor-drawdown", cause)
                continue
            name = f"agent-drawdown:{one.agent}"
            capital_e6 = capitals.get(one.agent, 0)
            mark_ns = self._board.marks.get(name, 0)
            cause = agent_drawdown(peaks, one, capital_e6, mark_ns, rules.drawdown.share)
            self._see(changes, name, cause)
        if peaks.row() != before:
            await state.put(self._database, PEAKS, peaks.row())
        return day_pnl_e6

    # --- acting ---------------------------------------------------------------------------------

    async def _act(self, changes: Sequence[Change]) -> None:
        """Save, tell and record what changed; cancel what a tripped breaker concerns."""
        for change in changes:
            log.warning("breaker", name=change.name, status=change.state.status,
                        reason=change.state.reason)  # fmt: skip
            self._alerts.post("breaker", str(change), breaker=change.name)
            try:
                await risk.save_breaker(self._database, change.name, self._board.row(change.name))
                self._unsaved.discard(change.name)
                detail = {
                    "breaker": change.name, "before": change.before, "after": change.state.status,
                    "reason": change.state.reason, "how": change.how,
                    "positions": change.positions,
                }  # fmt: skip
                await record_event(self._database, "breaker", detail)
            except FloorError as error:
                log.warning("breaker_not_saved", name=change.name, reason=str(error))
            if change.tripped:
                task = asyncio.create_task(self._sweep(change), name=f"sweep {change.name}")
                self._sweeps.add(task)
                task.add_done_callback(self._sweeps.discard)

    async def _sweep(self, change: Change) -> None:
        """Cancel the orders a tripped breaker concerns; their sessions do the same."""
        kind, subject = kind_of(change.name), subject_of(change.name)
        only = subject if kind in OF_AGENT else ""
        market = self._windows.get(subject, subject) if kind in OF_MARKET else ""
        owners: Mapping[str, str] = {}
        try:
            rows = await self._database.fetch(LIVE_ORDERS)
            owners = {
                row["order_id"]: row["agent"] for row in rows if market in ("", row["condition_id"])
            }
        except FloorError as error:
            log.warning("orders_not_known", reason=str(error))
        try:
            async with Sweeper(self._settings) as sweeper:
                sweeper.open([only] if only else {*agent_names(), *owners.values()})
                swept = await sweeper.run(
                    lambda: owners, only=only, known_only=bool(market), patience_s=SWEEP_S
                )
        except Exception as error:
            log.error("sweep_failed", breaker=change.name, reason=repr(error))
            return
        log.info("breaker_swept", breaker=change.name, cancelled=swept.cancelled, left=swept.left)
        if change.positions is Positions.FLATTEN:
            await self._flatten(change, [only] if only else sorted({*agent_names()}))

    async def _flatten(self, change: Change, names: Sequence[str]) -> None:
        """Sell what these agents hold, one after the other, and tell what became of it."""
        for agent in names:
            done = await flatten(self._settings, self._database, agent, f"breaker {change.name}")
            for line in done:
                log.warning("flattened", breaker=change.name, text=line)
                self._alerts.post("breaker", f"breaker {change.name}: {line}", agent=agent)

    async def _publish(self) -> dict[str, Any]:
        """Tell the facts; looks at the kill switch once more, so as never to undo one."""
        stopped = breaker_facts(self._board, self._windows)
        told = {**self._facts, **stopped, "killed": self._killed}
        try:
            await self._reserve.tell_facts(told, FACTS_S)
            if not self._killed and (kill := risk.read_kill_file(self._settings.floor_home)):
                self._killed = str(kill)
                told["killed"] = self._killed
                await self._reserve.tell_facts(told, FACTS_S)
        except StoreUnavailable as error:
            log.warning("facts_not_told", reason=str(error))
        return told

    def _tell_fault(self) -> None:
        """Say once that the policy file is wrong, and once that it is right again."""
        fault = self._policies.fault
        if fault == self._fault_told:
            return
        self._fault_told = fault
        if fault:
            text = f"the risk policies can't be taken up, the last good ones stay: {fault}"
            self._alerts.post("error", text)
