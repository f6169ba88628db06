"""Several agents' desks under one limit, on a real Redis: it is never passed by one base unit.

Orders go at random through the real desk and order manager to the real matching core; sessions
are killed at whatever they were waiting for. What is open is read from the journals, which is
what a rebuilt floor would know.
"""

import random

import pytest
from traders.pit import Pit

from models.markets import Outcome, Side
from models.orders import TimeInForce
from models.units import SHARE, USD
from risk.limits import Limits
from risk.policies import load
from store.leases import Lease
from store.open_books import OpenBooks
from store.reserve import Reserve
from strategies.base import Cancel, Place, Quote
from tasks.floor_line import FloorLine
from tasks.open_costs import costs_of

LIMIT = 60 * USD
POLICIES = load(f"policies:\n- {{type: FloorLimit, max_usd: {LIMIT // USD}}}", "r", 1000 * USD)
LIMITS = Limits(500 * USD, 100 * USD, 400 * USD, 400 * USD, 3)
AGENTS = ("anna", "bob", "carl")


class Crowd:
    """Agents, each with a market and a session of its own; one Redis."""

    def __init__(self, redis_url: str) -> None:
        self.redis_url = redis_url
        self.reserve = Reserve(redis_url)
        self.opened: list[Reserve] = [self.reserve]
        self.pits = {name: Pit(name, self._line_of(name)) for name in AGENTS}

    def _line_of(self, name: str):
        def line(token: int) -> FloorLine:
            reserve = Reserve(self.redis_url)
            self.opened.append(reserve)
            lease = Lease(name, "here", token, 15)
            return FloorLine(
                reserve, self.read, lease, LIMITS, POLICIES, 1000 * USD, lambda *_: None, lambda: 0
            )

        return line

    async def close(self) -> None:
        for reserve in self.opened:
            await reserve.close()

    async def read(self) -> OpenBooks:
        """What the journals hold, as `store.open_books` would read it."""
        stores = [pit.store for pit in self.pits.values()]
        orders = [o for store in stores for o in store.orders.values() if not o.state.terminal]
        fills = [
            f for store in stores for f in store.fills.values()
            if f.condition_id not in store.results
        ]  # fmt: skip
        markets = {cid: market for store in stores for cid, market in store.markets.items()}
        return OpenBooks(tuple(orders), tuple(fills), markets, dict.fromkeys(AGENTS, 1))

    async def sync(self, name: str) -> None:
        pit = self.pits[name]
        clearing, orders = pit.desk.clearing, pit.orders
        await pit.floor.sync(lambda: clearing.open_e6() if orders.written else None)

    async def check(self) -> int:
        """The limit holds by the journals, by the sessions and by Redis; returns what is open."""
        books, held = costs_of(await self.read()), await self.reserve.used()
        live = {name: pit.desk.clearing.open_e6() for name, pit in self.pits.items()}
        assert sum(books.values()) <= LIMIT, books
        assert sum(live.values()) <= LIMIT, live
        assert sum(held.values()) <= LIMIT, held
        for name in AGENTS:
            assert max(books.get(name, 0), live[name]) <= held.get(name, 0), (name, books, held)
        return sum(books.values())

    async def settle(self, name: str) -> None:
        """The market resolves; its result is booked as `engine.settling` does."""
        pit = self.pits[name]
        await pit.settle()
        pit.venue.resolve(pit.market, Outcome.UP)
        result = pit.portfolio.window_result(pit.market, Outcome.UP, pit.clock.now_ns())
        pit.portfolio.settle(result)
        await self.sync(name)
        before = (await self.reserve.used())[name]
        await pit.journal.settled(result)
        pit.portfolio.booked(pit.market.condition_id)
        await self.sync(name)
        assert (await self.reserve.used())[name] == 0
        cost = result.bought_e6 - result.sold_e6
        assert before > 0 or cost <= 0, "what the journal does not know is not given back"


def wish(rng: random.Random):
    outcome = rng.choice(tuple(Outcome))
    match rng.randrange(5):
        case 0:
            return Place(outcome, Side.BUY, 100 * rng.randint(20, 47), rng.randint(5, 60) * SHARE,
                         tif=TimeInForce.GTC, post_only=True)  # fmt: skip
        case 1:
            return Place(outcome, Side.BUY, budget_e6=rng.randint(2, 30) * USD,
                         tif=TimeInForce.FAK, slippage_ticks=2)  # fmt: skip
        case 2:
            size = rng.randint(5, 40) * SHARE
            return Quote(100 * rng.randint(30, 47), size, 100 * rng.randint(53, 70), size)
        case 3:
            return Place(outcome, Side.SELL, size_e6=rng.randint(5, 20) * SHARE,
                         tif=TimeInForce.FAK, slippage_ticks=2)  # fmt: skip
        case _:
            return Cancel()


@pytest.mark.parametrize("seed", range(3))
async def test_desks_that_race_and_die_never_pass_the_limit_or_lose_room(
    redis_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def uptime_s(self: Reserve) -> int:
        return 60

    monkeypatch.setattr(Reserve, "uptime_s", uptime_s)
    rng = random.Random(seed)
    crowd = Crowd(redis_url)
    most = kills = 0
    try:
        for name in AGENTS:
            await crowd.sync(name)
        for _ in range(60):
            name = rng.choice(AGENTS)
            pit = crowd.pits[name]
            mid = 100 * rng.randint(45, 55)
            pit.quote(mid - 100, mid + 100)
            died = await pit.dies(pit.wish(wish(rng)), rng.choice((0, 0, rng.randint(1, 14))))
            if died:
                kills += 1
                await pit.restart(arrives=rng.random() < 0.5)
            await pit.pass_time(rng.choice((0.1, 3)))
            await pit.turn()
            if died or rng.random() < 0.5:
                await crowd.sync(name)
            most = max(most, await crowd.check())
        assert most > LIMIT * 0.8, "the limit was never near; the test would prove nothing"
        assert kills > 3
        # Everything open is cancelled, then resolved: all room comes back, to the last unit.
        for name, pit in crowd.pits.items():
            await pit.wish(Cancel())
            await pit.settle()
            await crowd.sync(name)
        await crowd.check()
        books, held = costs_of(await crowd.read()), await crowd.reserve.used()
        assert {name: books.get(name, 0) for name in AGENTS} == held
        for name in AGENTS:
            await crowd.settle(name)
        assert await crowd.pits["anna"].floor.take(LIMIT + 1) != ""
        assert await crowd.pits["anna"].floor.take(LIMIT) == ""
    finally:
        await crowd.close()


async def test_a_thrown_switch_in_the_answer_stops_the_very_order(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def uptime_s(self: Reserve) -> int:
        return 60

    monkeypatch.setattr(Reserve, "uptime_s", uptime_s)
    crowd = Crowd(redis_url)
    try:
        pit = crowd.pits["anna"]
        await crowd.sync("anna")
        pit.quote(4900, 5100)
        rest = Place(Outcome.UP, Side.BUY, 4500, 10 * SHARE, tif=TimeInForce.GTC, post_only=True)
        await pit.wish(rest)
        assert len(pit.venue.submitted) == 1
        await crowd.reserve.tell_facts({"killed": "by hand"}, 30)
        await pit.wish(rest)
        assert len(pit.venue.submitted) == 1, "the session had not heard of it before"
        refused = [detail for _, kind, detail in pit.store.signals if kind == "refused"]
        assert refused[-1]["violated_policies"] == ["KillSwitch"]
        assert "by hand" in refused[-1]["reasons"][0]
        # What was asked for it goes back with the next word.
        await crowd.sync("anna")
        assert (await crowd.reserve.used())["anna"] == 4_500_000
    finally:
        await crowd.close()
