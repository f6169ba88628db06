"""Killed at any event and restored from its checkpoint, a trader decides as if it had lived on.

Equal means: from the kill to the end the same orders in the same sequence, field for field, intent
ids and times of sending included, the same fills and the same money. What is not compared is the
orders' ids at the venue, in which there is chance.
"""

import asyncio
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traders.recording import Recording, recordings
from traders.world import START_S, World, make_market

from models.execution import Algo
from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.units import MILLISECOND_NS, SECOND_NS, SHARE, SPOT_USD, USD
from strategies import library
from strategies.base import Execute, Place, Protect, Strategy

SECONDS = 90
STEPS = 4
"""What can happen within a recorded second: time, a price, a trade, a book."""

AGENTS: dict[str, dict[str, Any]] = {
    "market-maker": {"size_shares": 20, "max_inventory_shares": 60, "requote_ticks": 2},
    "momentum": {
        "threshold_pct": 0.002, "lookback_s": 20, "entries_per_window": 9, "cooldown_s": 7,
        "max_spread": 0.2, "budget_usd": 5,
    },
    "mean-reversion": {
        "window_s": 12, "entry_z": 0.6, "exit_z": 0.2, "min_edge": 0.0, "volatility_s": 30,
        "max_spread": 0.2, "budget_usd": 5, "entries_per_window": 20, "most_held_s": 9,
    },
    "busy": {},
}  # fmt: skip


class Busy(Strategy):
    """Has something of everything under way: guards, a trail, slices that follow the tape."""

    name = "busy"

    def __init__(self) -> None:
        super().__init__(self.Params())
        self.turn = 0

    def on_tick(self, view):
        self.turn += 1
        if not view.fresh:
            return
        turn = self.turn % 15
        if turn == 2:
            yield Place(Outcome.UP, Side.BUY, budget_e6=4 * USD, stop_loss_e4=view.up.bid_e4 - 200)
        elif turn == 4:
            yield Protect(Outcome.UP, trail_bps=150, exit_after_s=20.0)
        elif turn == 6:
            yield Execute(
                Algo.VWAP, Outcome.DOWN, Side.BUY, 20 * SHARE, participation=0.5, duration_s=15.0
            )
        elif turn in (8, 9, 10, 11, 12):
            # Refused by the venue each time: after some in a row the market is held.
            yield Place(
                Outcome.UP, Side.BUY, view.up.ask_e4, 5 * SHARE, tif=TimeInForce.GTC,
                post_only=True,
            )  # fmt: skip

    def snapshot(self):
        return {"turn": self.turn}

    def restore(self, state):
        self.turn = state["turn"]


@dataclass
class Course:
    """What was sent, when, and what it brought."""

    orders: list[tuple[int, Any]]
    fills: list[tuple[Any, ...]]
    cash_e6: int
    checkpoint: dict[str, Any]


@cache
def recorded() -> Recording:
    return max(recordings(), key=lambda one: sum(s.trade is not None for s in one.seconds))


class Play:
    """One recorded minute and a half; may be killed after any step."""

    def __init__(
        self, name: str, kill_at: int | None, brought: bool = True, in_order: bool = False
    ) -> None:
        recording = recorded()
        self.seconds = recording.seconds[20 : 20 + SECONDS]
        self.name, self.kill_at = name, kill_at
        self.brought, self.in_order = brought, in_order
        start_ns = recording.start_s * SECOND_NS
        # When the venue tells the strike depends on when it is asked: here it is known before.
        self.market = make_market(
            0, start_ns=start_ns, end_ns=recording.end_s * SECOND_NS,
            strike_e8=round(recording.strike * SPOT_USD),
        )  # fmt: skip
        at_s = self.seconds[0].ts_ms / 1000 - START_S - 1
        self.world = World(self.strategy(), self.market, at_s=at_s, drain_turns=25)
        self.sent: list[tuple[int, Any]] = []
        submit = self.world.venue.submit

        async def noting(order: Any) -> Any:
            self.sent.append((self.world.clock.now_ns(), order.request))
            return await submit(order)

        self.world.venue.submit = noting  # type: ignore[method-assign]

    def strategy(self):
        return Busy() if self.name == "busy" else library.create(self.name, AGENTS[self.name])

    async def run(self) -> Course:
        world = self.world
        await world.start()
        self.window = world.spawn(world.trader.run_window(self.market))
        step = 0
        for second in self.seconds:
            for happen in self.steps(second):
                await happen
                await world.clock.drain()
                if step == self.kill_at:
                    await self.kill()
                step += 1
        assert not self.window.done()
        world.assert_books_agree()
        course = Course(
            self.sent,
            [
                (f.matched_ns, f.outcome, f.side, f.size_e6, f.cash_e6, f.fee_e6)
                for f in world.store.fills.values()
            ],
            world.trader.portfolio.cash_e6,
            json.loads(json.dumps(world.trader.checkpoint())),
        )
        await world.close()
        return course

    def steps(self, second):
        world, market = self.world, self.market

        async def price():
            if second.spot == second.spot:
                world.venue.spot(second.spot)

        async def trade():
            if second.trade is not None:
                side, price_e4, size_e6 = second.trade
                world.venue.take(market, market.up_token, side, price_e4, size_e6)

        async def book():
            world.venue.impose(market, second.bids, second.asks)

        return (
            world.clock.advance_to(second.ts_ms * MILLISECOND_NS), price(), trade(), book()
        )  # fmt: skip

    async def kill(self) -> None:
        """Let the process be gone, as far as anybody outside can tell, and start the next one."""
        world, before = self.world, self.world.trader
        if self.in_order:
            await before.stop("handed over", keep_orders=True)
            await self.go_on()
            return
        world.store.checkpoint = json.loads(json.dumps(before.checkpoint()))
        if not self.brought:
            world.store.checkpoint = None
        world.venue._sink = None
        before.wind_down(keep_orders=True)
        self.window.cancel()
        await asyncio.gather(self.window, return_exceptions=True)
        await before._end_tasks()
        await self.go_on()

    async def go_on(self) -> None:
        world = self.world
        world.store.checkpoint = json.loads(json.dumps(world.store.checkpoint))
        world.boot(self.strategy())
        await world.trader.start(keep_orders=True)
        self.window = world.spawn(world.trader.run_window(self.market))
        await world.clock.drain()


@cache
def undisturbed(name: str) -> Course:
    return asyncio.run(Play(name, None).run())


@pytest.mark.parametrize("name", AGENTS)
@settings(max_examples=7, deadline=None)
@given(kill_at=st.integers(0, SECONDS * STEPS - 2))
def test_a_restored_trader_goes_on_as_if_nothing_had_happened(name, kill_at):
    whole = undisturbed(name)
    killed = asyncio.run(Play(name, kill_at).run())
    assert killed.orders == whole.orders
    assert killed.fills == whole.fills
    assert killed.cash_e6 == whole.cash_e6
    for part in ("strategy", "indicators", "prices", "windows", "desk"):
        assert killed.checkpoint.get(part) == whole.checkpoint.get(part), part


@pytest.mark.parametrize("name", AGENTS)
def test_a_session_that_hands_over_is_followed_by_the_same_decisions(name):
    for at in (37, 142, 254):
        whole, handed = undisturbed(name), asyncio.run(Play(name, at, in_order=True).run())
        assert (handed.orders, handed.fills) == (whole.orders, whole.fills), at


@pytest.mark.parametrize(
    ("name", "least"), [("market-maker", 10), ("momentum", 4), ("mean-reversion", 4), ("busy", 20)]
)
def test_the_replay_asks_something_of_every_strategy(name, least):
    assert len(undisturbed(name).orders) >= least
    assert undisturbed(name).fills


@pytest.mark.parametrize("name", AGENTS)
def test_without_its_checkpoint_a_trader_goes_on_differently(name):
    """What the checkpoint carries is needed: the test above could fail."""
    killed = [asyncio.run(Play(name, at, brought=False).run()) for at in (150, 221)]
    assert any(one.orders != undisturbed(name).orders for one in killed)
