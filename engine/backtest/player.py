"""Plays a tape to agents: one clock for what happens, what is seen, and what is done about it.

At every moment, in this order: what happened at the venue, what is seen of it by now, what
arrives (orders there, answers here), what the engine's own alarms do, and the windows' turns.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from engine.backtest import layout as on
from engine.backtest.agent import Agent, Purse
from engine.backtest.checking import Check, winners
from engine.backtest.config import BacktestConfig
from engine.backtest.endings import boundary_e8, feed, unresolved
from engine.backtest.pit import Pit
from engine.backtest.recorder import MID_AFTER_S, MIDS, Recorder, RunJournal
from engine.backtest.reel import Reel
from engine.backtest.scouting import Scouting
from engine.backtest.timing import Clock, Loop
from engine.backtest.venue import TapeVenue
from engine.backtest.views import Behind, Now, Shelf
from engine.backtest.window import Stage, TapeWindow
from engine.fills.latency import delay_of
from models.events import (
    MarketResolved,
    SpotTick,
    TickSizeChange,
    TradePrint,
)
from models.markets import Outcome, Side
from models.orders import Fill
from models.settlement import winner
from models.tape import SPOT_SOURCES, Row, Tape
from models.units import PRICE_ONE, SECOND_NS

Ints = npt.NDArray[np.int64]

SHARED = "shared"
MOST_LAG = 1 << 17
"""Rows the venue's books may be behind the view's before they follow."""
LINGER_NS = 120 * SECOND_NS
"""How long a resolved market's book is kept, and how long after the end settling may take."""


class Player:
    """One run in progress.

    Parameters
    ----------
    first, last
        Rows of the tape that are played.
    begin_ns, end_ns
        When agents may trade.
    on_progress
        Told how many rows were played.
    """

    def __init__(
        self,
        tape: Tape,
        config: BacktestConfig,
        first: int,
        last: int,
        begin_ns: int,
        end_ns: int,
        on_progress: Callable[[int], None],
    ) -> None:
        self.tape = tape
        self.config = config
        self.begin_ns = begin_ns
        self.end_ns = end_ns
        self.clock = Clock(begin_ns)
        """Alarms of the agents' own: what their coroutines wait for."""
        self.world = Clock(begin_ns)
        """Alarms of everything outside: arrivals, answers, samples, markets' beginnings."""
        self.loop = Loop(self.clock)  # type: ignore[abstract]
        self.now = Now()
        feed_seed, *seeds = config.seeds(1 + 2 * len(config.agents))
        scouting = all(one.build().cadence_ms == 0 for one in config.agents)
        self.reel = Reel(
            tape, first, last, delay_of(config.feed, feed_seed), self._wanted, self._seated,
            scouting, Check(tape, last),
        )  # fmt: skip
        self.pit = Pit(
            self.reel, self.world, config.fill_model, config.grace_ns,
            round(config.mined_s * SECOND_NS), round(config.confirmed_s * SECOND_NS),
            config.taker_delay,
        )  # fmt: skip
        self._by_market: dict[int, list[TapeWindow]] = {}
        self.recorder = Recorder({m.condition_id: i for i, m in enumerate(tape.markets)})
        self.shelf = Shelf(self.reel.view, self.reel.slot_of, self.recorder.index, self.now)
        self.agents = [self._agent(i, seeds) for i in range(len(config.agents))]
        if config.shared_account:
            purse = Purse()
            for agent in self.agents:
                agent.share(purse)
        self.scouting = Scouting(self.reel) if scouting else None
        self.behind = Behind(self.now, self._deepen)
        self._winners = winners(tape, last)
        self._hears_spot = any(one.data.indicators.hears_spot for one in self.agents)
        self.won: dict[int, int] = {}
        """Who won, by market index: 0 Up, 1 Down."""
        self._open: list[tuple[Agent, TapeWindow]] = []
        self._progress = on_progress
        self._told = first
        self._step = max(1, (last - first) // 200)
        self._schedule(begin_ns)

    # --- setting up -----------------------------------------------------------------------------

    def _agent(self, number: int, seeds: list[int]) -> Agent:
        config = self.config
        asked = config.agents[number]
        account = SHARED if config.shared_account else asked.spec.name
        purse = self.pit.fund(account, asked.spec.capital_e6)
        venue = TapeVenue(asked.spec.name, account, purse)
        self.pit.join(
            venue,
            delay_of(config.order, seeds[2 * number]),
            delay_of(config.feed, seeds[2 * number + 1]),
        )
        journal = RunJournal(number, self.recorder, self.clock.now_ns)
        return Agent(number, asked, config, self.clock, venue, journal, self.shelf, self.loop.start)

    def _wanted(self, index: int) -> bool:
        """Whether anybody will trade a market whose first row has come."""
        market = self.tape.markets[index]
        return market.end_ns > self.world.now and any(one.wants(market) for one in self.agents)

    def _schedule(self, begin_ns: int) -> None:
        for index, market in enumerate(self.tape.markets):
            wanted = any(one.wants(market) for one in self.agents)
            if wanted and market.end_ns > begin_ns and market.start_ns < self.end_ns:
                at_ns = max(market.start_ns, begin_ns)
                self.world.call_at(at_ns, partial(self._begin_market, index))
        every_ns = round(self.config.sample_s * SECOND_NS)
        self.world.call_at(begin_ns // every_ns * every_ns + every_ns, self._sample_on)
        self._sample()

    # --- playing --------------------------------------------------------------------------------

    def play(self) -> None:
        """Play to the end; then let everything under way come to rest."""
        self._look_back()
        while self.clock.now < self.end_ns or self._next_ns() <= self.end_ns:
            self._move(min(self._next_ns(), self.end_ns))
            self.reel.followed = bool(self.pit.engaged)
            if self.reel.followed and not self.pit.resting and self.reel.lag > MOST_LAG:
                self.pit.catch_up(self.clock.now)
            if self.reel.done - self._told >= self._step:
                self._told = self.reel.done
                self._progress(self._told)
        self.reel.checked(on.NEVER)
        self._wind_up()

    def _look_back(self) -> None:
        """See what was to be seen before the first moment, as a session that has been watching."""
        while (code := self.reel.run(self.begin_ns, False)) != on.LIMIT:
            if code == on.SPECIAL and self.tape.kind[self.reel.row] == Row.SPOT:
                self._special(self.reel.row)
        self._arrive_at(self.begin_ns)

    def _next_ns(self) -> int:
        """When something is due that no row brings."""
        next_ns = min(self.clock.next_ns(), self.world.next_ns())
        for _, window in self._open:
            next_ns = min(next_ns, window.wake_ns())
            touch_ns = window.pace.touch_ns
            if touch_ns is not None and touch_ns > self.clock.now:
                next_ns = min(next_ns, touch_ns)
        return max(next_ns, self.clock.now)

    def _move(self, limit_ns: int) -> None:
        """Go on to the next moment at which something is to be done."""
        if self.scouting is not None and not self.pit.resting and self._scouted(limit_ns):
            return
        self._arm()
        while True:
            code = self.reel.run(limit_ns, bool(self.pit.resting))
            if code == on.OURS:
                self._set_time(self.reel.happened_ns)
                self.pit.moment(self.reel.happened_ns)
                limit_ns = min(limit_ns, self.world.next_ns())
            elif code == on.SPECIAL:
                limit_ns = self.reel.seen_ns
                self._set_time(limit_ns)
                self._special(self.reel.row)
            else:
                break
        self._arrive_at(self.reel.seen_ns if code == on.TOUCHED else limit_ns)

    def _set_time(self, now_ns: int) -> None:
        self.world.now = self.clock.now = max(now_ns, self.clock.now)
        self.now.version += 1

    def _arm(self) -> None:
        """Tell the loops from when on a change is to stop them, market by market."""
        meta = self.reel.view.meta
        every_spot = self._hears_spot
        for index, windows in self._by_market.items():
            slot = self.reel.slot(index)
            if slot is None:
                every_spot = every_spot or bool(windows)
                continue
            from_ns = on.NEVER
            for window in windows:
                if window.state.hears:
                    from_ns = 0
                elif not window.busy:
                    touch_ns = 0 if window.watchful else window.pace.touch_ns
                    from_ns = from_ns if touch_ns is None else min(from_ns, touch_ns)
            meta[slot, on.ARMED] = from_ns
            meta[slot, on.TELL] = any(one.hears_trades or one.watchful for one in windows)
        self.reel.at[on.EVERY_SPOT] = every_spot

    def _arrive_at(self, now_ns: int) -> None:
        """Do all that is due at this moment."""
        self._set_time(now_ns)
        self._touch()
        while self._step_now():
            pass

    def _touch(self) -> None:
        """Tell the windows what changed in view."""
        self._hear_spots()
        meta = self.reel.view.meta
        for index, windows in self._by_market.items():
            slot = self.reel.slot(index)
            if slot is None or not meta[slot, on.CHANGED]:
                continue
            meta[slot, on.CHANGED] = 0
            for window in windows:
                if window.state.hears:
                    feed(window.state)
                window.touch()

    def _step_now(self) -> bool:
        """Take one step of this moment; False when nothing more is due."""
        did = self.world.ring()
        if not did:
            did = any(agent.hear() for agent in self.agents) or self.clock.ring()
        if not did:
            now = self.clock.now
            for one in list(self._open):
                if one[1].wake_ns() <= now:
                    did = True
                    self._turn(*one)
        if did:
            self._send_off()
        return did

    def _send_off(self) -> None:
        """Let what was begun go on as far as it can; put what it sends on its way."""
        self.loop.settle()
        for agent in self.agents:
            if agent.venue.out:
                self.pit.collect(agent.venue)
            if agent.moved:
                self._moved(agent)

    def _turn(self, agent: Agent, window: TapeWindow) -> None:
        window.turn(self.clock.now)
        if window.failed is not None and agent.failure is None:
            agent.fail(window.failed, window.state.market)
        if window.over:
            self._open.remove((agent, window))
            self._by_market[self.recorder.index[window.state.market.condition_id]].remove(window)
            agent.closed(window)

    # --- every event ----------------------------------------------------------------------------

    def _scouted(self, limit_ns: int) -> bool:
        """Wake windows at every coming change, one after the other; False when none comes.

        Only best prices are handed out on the way (`Behind`); what else there is to know has not
        changed, or the scout has stopped before it.
        """
        assert self.scouting is not None
        awake: dict[int, list[TapeWindow]] = {}
        for _, window in self._open:
            ready = window.stage is Stage.TRADING and not window.busy and not window.watchful
            if not ready or window.pace.touch_ns is None or window.state.hears:
                return False
            slot = self.reel.slot(self.recorder.index[window.state.market.condition_id])
            if slot is not None:
                awake.setdefault(slot, []).append(window)
        woken = self.scouting.wake(awake, limit_ns) if awake else None
        if woken is None:
            return False
        self._deepen()
        for slot in awake:
            self.reel.view.meta[slot, on.CHANGED] = 0
        self._set_time(woken.at_ns)
        for answer in woken.answers:
            answer()
        if woken.answers:
            self._send_off()
            self._arrive_at(woken.at_ns)
        return True

    def _deepen(self) -> None:
        """Let the ladders follow to where strategies have been woken."""
        if self.scouting is not None and self.scouting.row > self.reel.at[on.VIEW]:
            self.reel.see_until(self.scouting.row)

    # --- markets --------------------------------------------------------------------------------

    def _begin_market(self, index: int) -> None:
        market = self.tape.markets[index]
        now = self.world.now
        windows = self._by_market.setdefault(index, [])
        for agent in self.agents:
            if agent.wants(market) and agent.failure is None:
                window = agent.open(market)
                windows.append(window)
                self._open.append((agent, window))
        if not windows:
            return
        self.pit.list_market(market, index)
        slot = self.reel.slot(index)
        if slot is not None:
            self._seated(index, slot)
        known_ns = max(now, market.start_ns + round(self.config.strike_after_s * SECOND_NS))
        self.world.call_at(known_ns, lambda: self._publish(index))
        if self._winners[index] < 0:
            after_ns = round(self.config.resolution_after_s * SECOND_NS)
            self.world.call_at(market.end_ns + after_ns, lambda: self._rule(index))

    def _seated(self, index: int, slot: int) -> None:
        """A market has a slot: have its ladders read there, and its prints told who hears them."""
        self.shelf.seat(index, slot)
        self.pit.seated(self.tape.markets[index].condition_id)
        hears = any(window.hears_trades for window in self._by_market.get(index, ()))
        for books in (self.reel.view, self.reel.scout):
            if books is not None:
                books.meta[slot, on.TELL] = hears

    def _publish(self, index: int) -> None:
        """The venue publishes the strike."""
        market = self.tape.markets[index]
        strike = market.strike_e8 or boundary_e8(self.agents[0].data, market, market.start_ns)
        if strike is not None:
            for agent in self.agents:
                agent.discovery.publish(replace(market, strike_e8=strike))

    def _rule(self, index: int) -> None:
        """Resolve a market of which the tape shows no resolution, by the rule of its date."""
        market = self.tape.markets[index]
        strikes = [
            state.market.strike_e8
            for agent in self.agents
            if (state := agent.data.states.get(market.condition_id)) is not None
        ]
        strike = market.strike_e8 or next((one for one in strikes if one is not None), None)
        closing = boundary_e8(self.agents[0].data, market, market.end_ns)
        if strike is not None and closing is not None:
            self._resolve(index, winner(strike, closing))

    def _resolve(self, index: int, won: Outcome) -> None:
        market, now = self.tape.markets[index], self.clock.now
        if index not in self._by_market:
            return
        self.won[index] = 0 if won is Outcome.UP else 1
        self.pit.settle(market, won)
        for agent in self.agents:
            agent.hearing.hear(MarketResolved(now, now, market.condition_id, won))
        self.world.call_at(now + LINGER_NS, lambda: self._dismiss(index))

    def _dismiss(self, index: int) -> None:
        """Give a resolved market's slot back, once nobody trades or marks by it any more."""
        if self._by_market[index]:
            self.world.call_at(self.world.now + LINGER_NS, lambda: self._dismiss(index))
            return
        del self._by_market[index]
        self.shelf.clear(index)
        self.reel.dismiss(index)

    def _hear_spots(self) -> None:
        """Tell everybody the spot prices that were seen since the last stop."""
        if not self.reel.at[on.SPOTS]:
            return
        rows = self.reel.take_spots()
        feeds = rows[:, 2] * len(SPOT_SOURCES) + rows[:, 3]
        alone = bool((feeds == feeds[0]).all())
        for one in [int(feeds[0])] if alone else sorted(set(feeds.tolist())):
            asset, source = divmod(one, len(SPOT_SOURCES))
            of_feed = rows if alone else rows[feeds == one]
            for agent in self.agents:
                agent.data.take_spots(self.tape.assets[asset], SPOT_SOURCES[source], of_feed)
        for agent in self.agents:
            for state in agent.data.states.values():
                if state.market.strike_e8 is None:
                    agent.hearing.observe_strike(state)

    def _special(self, row: int) -> None:
        """Tell everybody about a row that is more than a level."""
        self._hear_spots()
        tape, now = self.tape, self.clock.now
        kind, ts = int(tape.kind[row]), int(tape.ts_ns[row])
        what, side = int(tape.market[row]), int(tape.side[row])
        price, size = int(tape.price[row]), int(tape.size[row])
        if kind == Row.SPOT:
            tick = SpotTick(ts, now, tape.assets[what], SPOT_SOURCES[side], size)
            for agent in self.agents:
                agent.hearing.hear(tick)
            return
        if kind == Row.DARK:
            self._darken()
            return
        market = tape.markets[what]
        if kind == Row.RESOLVED:
            self._resolve(what, Outcome.DOWN if side else Outcome.UP)
        for agent in self.agents:
            if kind == Row.TRADE:
                taker = Side.SELL if side else Side.BUY
                agent.hearing.hear(
                    TradePrint(ts, now, market.condition_id, market.up_token, taker, price, size)
                )
            elif kind == Row.TICK:
                agent.hearing.hear(
                    TickSizeChange(ts, now, market.condition_id, market.up_token, price)
                )

    def _darken(self) -> None:
        """The feed went dark: no book is known until it is told anew."""
        for agent in self.agents:
            for state in agent.data.states.values():
                state.view.features.on_dark()
                if state.window is not None:
                    state.window.touch()

    # --- noting ---------------------------------------------------------------------------------

    def _sample_on(self) -> None:
        self._sample()
        next_ns = self.world.now + round(self.config.sample_s * SECOND_NS)
        if next_ns <= self.end_ns:
            self.world.call_at(next_ns, self._sample_on)

    def _sample(self) -> None:
        for agent in self.agents:
            self._note(agent)

    def _note(self, agent: Agent) -> None:
        self.recorder.equity(
            self.clock.now, agent.number, agent.portfolio.cash_e6, agent.equity_e6(),
            agent.exposure_e6(),
        )  # fmt: skip

    def _moved(self, agent: Agent) -> None:
        """Note where an agent stands after fills or a settlement."""
        agent.moved = False
        self._note(agent)
        for fill in agent.filled:
            self._look_on(agent, fill)
        agent.filled.clear()

    def _look_on(self, agent: Agent, fill: Fill) -> None:
        """Note the mid at a fill and later."""
        state = agent.data.states.get(fill.condition_id)
        if state is None:
            return
        mids = self.recorder.mids.setdefault((fill.trade_id, fill.order_id), [-1] * len(MIDS))

        def look(place: int) -> None:
            mid = state.ladder.mid
            mids[place] = -1 if mid is None else round(mid * PRICE_ONE)

        look(0)
        for place, after_s in enumerate(MID_AFTER_S):
            if place:
                self.world.call_at(self.world.now + after_s * SECOND_NS, partial(look, place))

    # --- the end --------------------------------------------------------------------------------

    def _wind_up(self) -> None:
        """Stop what is open, settle what can be, and value the rest without calling it won."""
        for _, window in self._open:
            window.stop()
        horizon_ns = self.end_ns + LINGER_NS
        while (next_ns := self._next_ns()) <= horizon_ns:
            self._arrive_at(next_ns)
        for agent in self.agents:
            for task in agent.settling.values():
                task.cancel()
        self.loop.settle()
        for agent in self.agents:
            for condition_id in agent.portfolio.markets():
                market = self.tape.markets[self.recorder.index[condition_id]]
                self.recorder.window(agent.number, *unresolved(agent, market, self.clock.now))
        self._sample()
        for agent in self.agents:
            for task in agent.settling.values():
                if not task.cancelled():
                    task.result()
