"""Leases: one holder at a time, tokens that only grow, expiry by the database's clock."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from models.errors import BadValue, LeaseLost
from store import agents, leases
from store.database import Database


@pytest.fixture
async def wide(postgres_url: str, make: Any) -> AsyncIterator[Database]:
    async with Database(postgres_url, max_size=12, timeout_s=30) as database:
        await agents.sync_agents(database, [make.spec()])
        yield database


async def test_second_caller_gets_none_until_release(db: Database) -> None:
    first = await leases.acquire(db, "alpha", "one", 30, "run-1")
    assert first is not None
    assert first.token == 1
    assert await leases.acquire(db, "alpha", "two", 30) is None
    assert await leases.release(db, first)
    second = await leases.acquire(db, "alpha", "two", 30)
    assert second is not None
    assert second.token == 2
    assert not await leases.release(db, first)
    status = await leases.holder(db, "alpha")
    assert status is not None
    assert (status.holder, status.live, status.token) == ("two", True, 2)


async def test_expired_lease_is_taken_over_and_the_old_holder_is_told(db: Database) -> None:
    first = await leases.acquire(db, "alpha", "one", 0.05)
    assert first is not None
    await asyncio.sleep(0.08)
    status = await leases.holder(db, "alpha")
    assert status is not None
    assert (status.holder, status.live) == ("one", False)
    assert status.expires_in_s < 0
    second = await leases.acquire(db, "alpha", "two", 30)
    assert second is not None
    assert second.token == first.token + 1
    with pytest.raises(LeaseLost, match="token 1"):
        await leases.renew(db, first)


async def test_renewal_extends_and_carries_the_heartbeat(db: Database) -> None:
    lease = await leases.acquire(db, "alpha", "one", 0.2)
    assert lease is not None
    for _ in range(6):
        await asyncio.sleep(0.05)
        await leases.renew(db, lease, "btc-updown-15m-1")
    status = await leases.holder(db, "alpha")
    assert status is not None
    assert status.live
    assert status.window_slug == "btc-updown-15m-1"
    assert status.heartbeat_age_s is not None
    assert 0 <= status.heartbeat_age_s < 5
    await leases.renew(db, lease)
    kept = await leases.holder(db, "alpha")
    assert kept is not None
    assert kept.window_slug == "btc-updown-15m-1"


async def test_expired_but_untaken_lease_can_be_renewed(db: Database) -> None:
    lease = await leases.acquire(db, "alpha", "one", 0.01)
    assert lease is not None
    await asyncio.sleep(0.03)
    await leases.renew(db, leases.Lease(lease.agent, lease.holder, lease.token, 30))
    assert await leases.acquire(db, "alpha", "two", 30) is None


async def test_grant_of_a_dead_holder_can_be_ended_only_by_its_own_token(db: Database) -> None:
    lease = await leases.acquire(db, "alpha", "one", 30)
    assert lease is not None
    assert not await leases.expire(db, "alpha", lease.token - 1)
    assert await leases.expire(db, "alpha", lease.token)
    assert not await leases.expire(db, "alpha", lease.token)
    with pytest.raises(LeaseLost):
        await leases.renew(db, lease)


async def test_leases_of_agents_are_independent(db: Database) -> None:
    assert await leases.acquire(db, "alpha", "one", 30)
    assert await leases.acquire(db, "beta", "one", 30)
    assert [status.agent for status in await leases.all(db)] == ["alpha", "beta"]
    assert await leases.holder(db, "gamma") is None


@pytest.mark.parametrize(
    ("agent", "holder", "ttl_s"),
    [("nobody-here", "one", 5.0), ("alpha", "", 5.0), ("alpha", "one", 0.0)],
)
async def test_impossible_leases_are_refused(
    db: Database, agent: str, holder: str, ttl_s: float
) -> None:
    with pytest.raises(BadValue):
        await leases.acquire(db, agent, holder, ttl_s)


async def test_of_many_callers_at_once_exactly_one_gets_it(wide: Database) -> None:
    for round_ in range(1, 6):
        got = await asyncio.gather(
            *(leases.acquire(wide, "alpha", f"holder-{n}", 30) for n in range(40))
        )
        winners = [lease for lease in got if lease is not None]
        assert [lease.token for lease in winners] == [round_]
        assert await leases.release(wide, winners[0])


async def test_racing_holders_never_overlap(wide: Database) -> None:
    """Ten contenders, some stalling past expiry, write under their tokens, three at most each.

    A write under a token below an earlier one would be two traders at once.
    """
    await wide.execute("CREATE TABLE writes (n serial, token bigint)")
    chance = random.Random(7)
    wrote = 0

    async def contend(name: str) -> None:
        nonlocal wrote
        while wrote < 40:
            lease = await leases.acquire(wide, "alpha", name, 0.03)
            if lease is None:
                await asyncio.sleep(chance.uniform(0, 0.02))
                continue
            for _ in range(3):
                await asyncio.sleep(chance.choice((0.0, 0.01, 0.05)))
                wrote += await wide.execute(
                    "INSERT INTO writes (token) SELECT token FROM agent_leases"
                    " WHERE agent = 'alpha' AND token = %s AND holder = %s FOR SHARE",
                    (lease.token, name),
                )
            if chance.random() < 0.5:
                await leases.release(wide, lease)

    await asyncio.gather(*(contend(f"contender-{n}") for n in range(10)))
    rows = await wide.fetch("SELECT token FROM writes ORDER BY n")
    tokens = [row["token"] for row in rows]
    assert tokens == sorted(tokens)
    assert len(set(tokens)) >= 13


async def test_a_prepared_successor_is_heard_of_at_the_next_renewal(db: Database) -> None:
    assert not await leases.announce(db, "alpha", "run-2"), "nobody has held it yet"
    lease = await leases.acquire(db, "alpha", "one", 30, "run-1")
    assert lease is not None
    assert await leases.renew(db, lease) == ""
    assert await leases.announce(db, "alpha", "run-2")
    assert await leases.renew(db, lease, "btc-updown-15m-1") == "run-2"
    status = await leases.holder(db, "alpha")
    assert status is not None
    assert (status.successor, status.flow_run_id) == ("run-2", "run-1")
    await leases.announce(db, "alpha", "run-3")
    assert await leases.renew(db, lease) == "run-3"


async def test_a_successor_that_fell_silent_counts_as_gone(db: Database) -> None:
    lease = await leases.acquire(db, "alpha", "one", 30)
    assert lease is not None
    await leases.announce(db, "alpha", "run-2")
    await db.execute("UPDATE agent_leases SET successor_at = successor_at - interval '11 seconds'")
    assert await leases.renew(db, lease) == ""
    assert [status.successor for status in await leases.all(db)] == [""]


async def test_whoever_takes_the_lease_has_no_successor_yet(db: Database) -> None:
    first = await leases.acquire(db, "alpha", "one", 30)
    assert first is not None
    await leases.announce(db, "alpha", "run-2")
    await leases.release(db, first)
    second = await leases.acquire(db, "alpha", "two", 30, "run-2")
    assert second is not None
    assert await leases.renew(db, second) == ""
