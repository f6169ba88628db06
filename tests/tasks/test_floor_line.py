"""A session's line to the floor on real Redis and Postgres: room, outages, rebuilding."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import redis

from models.agents import AgentSpec, MarketSelector
from models.errors import LeaseLost
from models.units import USD
from risk.limits import Limits
from risk.policies import load
from store import agents
from store.database import Database
from store.journal import SIGN_PATIENCE_S
from store.leases import Lease
from store.open_books import read_open_books
from store.reserve import Reserve
from tasks import floor_line
from tasks.floor_line import COMMIT_S, FloorLine

LIMITS = Limits(500 * USD, 20 * USD, 100 * USD, 200 * USD, 3)
NO_REDIS = "redis://:x@127.0.0.1:1/0"


def policies(usd: int = 100, extra: str = ""):
    return load(f"policies:\n- {{type: FloorLimit, max_usd: {usd}}}\n{extra}", "r", 1000 * USD)


@dataclass
class Stage:
    """Lines of several agents; time is the test's."""

    redis_url: str
    database: Database
    now: float = 0.0
    open_e6: dict[str, int | None] = field(default_factory=dict)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    reserves: list[Reserve] = field(default_factory=list)

    def line(self, agent: str, token: int = 1, url: str = "", file=None) -> FloorLine:
        reserve = Reserve(url or self.redis_url)
        self.reserves.append(reserve)
        lease = Lease(agent, "here", token, 15)
        return FloorLine(
            reserve, partial(read_open_books, self.database), lease, LIMITS,
            file or policies(), 1000 * USD,
            lambda kind, detail: self.told.append((kind, dict(detail))), lambda: self.now,
        )  # fmt: skip

    async def sync(self, line: FloorLine) -> None:
        await line.sync(lambda: self.open_e6.get(line._lease.agent, 0))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]

    def cut(self, line: FloorLine) -> Reserve:
        """Take the line's Redis away; returns it."""
        before, line._reserve = line._reserve, Reserve(NO_REDIS)
        self.reserves.append(line._reserve)
        return before


def up_for(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let Redis say how long it has been up: that of the tests was started just now, or not."""

    async def uptime_s(self: Reserve) -> float:
        return seconds

    monkeypatch.setattr(Reserve, "uptime_s", uptime_s)


@pytest.fixture
async def stage(
    clean_postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    up_for(monkeypatch, 60)
    async with Database(clean_postgres_url, max_size=2) as database:
        market = (MarketSelector(asset="BTC", timeframe="15m"),)
        specs = [
            AgentSpec(name=name, strategy="momentum", markets=market, capital_usd=capital)
            for name, capital in (("anna", 300), ("bob", 100))
        ]
        await agents.sync_agents(database, specs)
        opened = Stage(redis_url, database)
        yield opened
        for reserve in opened.reserves:
            await reserve.close()


async def test_an_empty_redis_is_rebuilt_and_room_is_shared_to_the_last_unit(stage: Stage) -> None:
    anna, bob = stage.line("anna"), stage.line("bob")
    assert "not known yet" in await anna.take(1), "nothing before the numbers are there"
    await stage.sync(anna)
    assert stage.kinds() == ["reservations_away", "reservations_rebuilt", "reservations_back"]
    assert await anna.take(70 * USD) == ""
    assert await bob.take(30 * USD + 1) == "the floor at cost $100.00, limit $100.00"
    assert bob.others_e6 == 70 * USD
    assert await bob.take(30 * USD) == ""
    # Given back from the books only, and never while the journal is behind.
    stage.open_e6["anna"] = None
    await stage.sync(anna)
    assert await anna.take(60 * USD) == ""
    assert "limit" in await bob.take(40 * USD)
    stage.open_e6["anna"] = 50 * USD
    await stage.sync(anna)
    assert await bob.take(50 * USD) == ""


async def test_what_is_open_already_is_told_whatever_the_limit(stage: Stage) -> None:
    anna, bob = stage.line("anna"), stage.line("bob")
    await stage.sync(anna)
    await bob.take(90 * USD)
    stage.open_e6["anna"] = 60 * USD
    await stage.sync(anna)
    assert await stage.reserves[0].used() == {"anna": 60 * USD, "bob": 90 * USD}
    assert "limit" in await bob.take(90 * USD + 1)


async def test_a_newer_session_ends_this_one(stage: Stage) -> None:
    old, new = stage.line("anna", 1), stage.line("anna", 2)
    await stage.sync(new)
    with pytest.raises(LeaseLost):
        await old.take(1)
    with pytest.raises(LeaseLost):
        await stage.sync(old)
    # A database begun anew grants lower tokens than this Redis has seen.
    await stage.reserves[0].adopt("anna", 1)
    await stage.sync(old)


async def test_facts_come_with_every_answer_and_a_trial_makes_orders_smaller(stage: Stage) -> None:
    anna = stage.line("anna")
    await stage.sync(anna)
    told = {"var_e6": 5, "killed": "", "trials": {"api-errors": 0.25}}
    await stage.reserves[0].tell_facts(told, 30)
    await anna.take(1)
    assert (anna.facts.var_e6, anna.gate.trade_e6) == (5, 5 * USD)
    await stage.reserves[0].tell_facts({"killed": "by hand"}, 30)
    await stage.sync(anna)
    assert (anna.facts.killed, anna.gate.trade_e6) == ("by hand", 20 * USD)
    stage.cut(anna)
    await stage.sync(anna)
    assert anna.facts.killed == "by hand", "it outlives Redis"


async def test_without_redis_it_goes_on_within_its_share_and_comes_back(stage: Stage) -> None:
    """Bob's capital is a quarter of all: $25 of $100, unless others have more open already."""
    anna, bob = stage.line("anna"), stage.line("bob")
    await stage.sync(anna)
    assert await bob.take(20 * USD) == ""
    redis_of = {line: stage.cut(line) for line in (anna, bob)}
    stage.told.clear()
    for line in (anna, bob):
        assert "not known yet" in await line.take(1)
        await stage.sync(line)
        assert "not known yet" in await line.take(1), "orders under way may not be in the books"
    stage.now += COMMIT_S
    for line in (anna, bob):
        await stage.sync(line)
        await stage.sync(line)
    # Each said once that Redis is away and what it goes on with.
    assert (
        sorted(stage.kinds())
        == ["own_share_until_reservations_are_back"] * 2 + ["reservations_away"] * 2
    )
    assert await anna.take(75 * USD) == "" and await bob.take(25 * USD) == ""
    assert "$75.00" in await anna.take(75 * USD + 1)
    assert "$25.00" in await bob.take(25 * USD + 1)
    # Redis was only silent: its numbers are those of before until everybody has told again.
    stage.open_e6 = {"anna": 75 * USD, "bob": 25 * USD}
    for line, reserve in redis_of.items():
        line._reserve = reserve
    await stage.sync(bob)
    assert "limit of its own" in await bob.take(26 * USD)
    await stage.sync(anna)
    assert await redis_of[anna].used() == {"anna": 75 * USD, "bob": 25 * USD}
    stage.now += COMMIT_S
    assert "the floor at cost" in await bob.take(26 * USD)
    stage.open_e6["anna"] = 10 * USD
    await stage.sync(anna)
    assert await bob.take(90 * USD) == ""
    assert stage.kinds().count("reservations_back") == 2


async def test_without_a_limit_to_share_nothing_is_held_back(stage: Stage) -> None:
    anna = stage.line("anna", file=load("policies: []", "r", 1000 * USD))
    stage.cut(anna)
    assert await anna.take(499 * USD) == ""
    stage.now += COMMIT_S
    await stage.sync(anna)
    await stage.sync(anna)
    assert stage.kinds() == ["reservations_away"]


async def test_a_redis_that_started_anew_waits_for_orders_under_way(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = stage.line("anna")
    await stage.sync(anna)
    await anna.take(40 * USD)
    stage.open_e6["anna"] = 40 * USD
    with redis.Redis.from_url(stage.redis_url) as client:
        client.flushall()
    up_for(monkeypatch, COMMIT_S - 1)
    await stage.sync(anna)
    assert "not known yet" in await anna.take(41 * USD)
    up_for(monkeypatch, COMMIT_S)
    await stage.sync(anna)
    assert await stage.reserves[0].used() == {"anna": 40 * USD}
    assert await anna.take(41 * USD) == ""


async def test_changed_policies_hold_at_once(stage: Stage) -> None:
    anna = stage.line("anna")
    await stage.sync(anna)
    assert await anna.take(60 * USD) == ""
    anna.adopt(policies(50, "- {type: TradeLimit, max_usd: 7}"))
    assert anna.gate.trade_e6 == 7 * USD
    assert "limit $50.00" in await anna.take(61 * USD)
    assert await anna.take(45 * USD) == ""


def test_the_patience_covers_a_commit_and_a_round() -> None:
    assert floor_line.COMMIT_S >= SIGN_PATIENCE_S + 2 * floor_line.SYNC_S + 1.0
