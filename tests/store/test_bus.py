"""The bus on a real Redis, and without one."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from models.errors import StoreUnavailable
from models.events import (
    BookChange,
    BookSnapshot,
    Channel,
    FeedEvent,
    FeedState,
    FeedStatus,
    MarketResolved,
    SpotSource,
    SpotTick,
    TickSizeChange,
    TradePrint,
)
from models.markets import Outcome, Side
from models.settings import Settings
from store.bus import Bus
from store.embedded import prepare_redis
from store.urls import urls

MARKET_EVENTS: list[FeedEvent] = [
    BookSnapshot(1, 2, "0xc1", "101", ((5_400, 10), (5_300, 20)), ()),
    BookChange(3, 4, "0xc1", "101", ((Side.BUY, 5_400, 0), (Side.SELL, 5_600, 7))),
    TradePrint(5, 6, "0xc1", "101", Side.SELL, 5_400, 10**13),
    TickSizeChange(7, 8, "0xc1", "101", 10),
    MarketResolved(9, 10, "0xc1", Outcome.DOWN),
]


async def take(stream: Any, count: int) -> list[Any]:
    got: list[Any] = []
    async with asyncio.timeout(20):
        async for item in stream:
            got.append(item)
            if len(got) == count:
                break
    await stream.aclose()
    return got


async def test_a_market_s_events_reach_its_followers_whole_and_in_order(redis_url: str) -> None:
    async with Bus(redis_url) as bus:
        for event in MARKET_EVENTS:
            bus.publish(event)
        assert await take(bus.follow("0xc1", "0"), 5) == MARKET_EVENTS
    assert (bus.sent, bus.dropped) == (5, 0)


async def test_a_new_follower_begins_with_what_comes_next(redis_url: str) -> None:
    async with Bus(redis_url) as bus:
        bus.publish(MARKET_EVENTS[0])
        await take(bus.follow("0xc1", "0"), 1)
        following = asyncio.create_task(take(bus.follow("0xc1"), 2))
        await asyncio.sleep(0.2)
        for event in MARKET_EVENTS[1:3]:
            bus.publish(event)
        assert await following == MARKET_EVENTS[1:3]


async def test_spot_goes_by_asset_and_our_own_affairs_nowhere(redis_url: str) -> None:
    tick = SpotTick(1, 2, "BTC", SpotSource.CHAINLINK, 3)
    async with Bus(redis_url) as bus:
        bus.publish(FeedStatus(1, 2, Channel.USER, FeedState.UP))
        bus.publish(tick)
        assert await take(bus.follow("BTC", "0"), 1) == [tick]
    assert bus.sent == 1


async def test_streams_are_capped_and_forgotten(redis_url: str) -> None:
    async with Bus(redis_url, stream_length=100) as bus:
        for n in range(2_000):
            bus.publish(TradePrint(n, n, "0xc1", "101", Side.BUY, 1, 1))
    with redis.Redis.from_url(redis_url) as client:
        assert 100 <= client.xlen("md:0xc1") <= 300
        assert 0 < client.ttl("md:0xc1") <= 7_200


async def test_messages_are_json_with_their_kind(redis_url: str) -> None:
    async with Bus(redis_url) as bus:
        hearing = asyncio.create_task(take(bus.messages(), 2))
        with redis.Redis.from_url(redis_url) as client:
            while dict(client.pubsub_numsub("trading_floor")).get(b"trading_floor") != 1:
                await asyncio.sleep(0.02)
        bus.message("agent_started", "alpha started", agent="alpha", odd={1, 2})
        bus.message("trade_executed")
        first, second = await hearing
    assert (first["kind"], first["text"], first["agent"]) == (
        "agent_started",
        "alpha started",
        "alpha",
    )
    assert abs(first["ts_ns"] - time.time_ns()) < 60 * 10**9
    assert second["kind"] == "trade_executed"


async def test_heartbeats_vanish_by_themselves(redis_url: str) -> None:
    async with Bus(redis_url) as bus:
        bus.heartbeat("alpha", {"window": "w1", "token": 3}, ttl_s=30)
        bus.heartbeat("beta", {}, ttl_s=0.05)
        async with asyncio.timeout(10):
            while set(await bus.heartbeats()) != {"alpha"} or bus.sent < 2:
                await asyncio.sleep(0.02)
        beat = (await bus.heartbeats())["alpha"]
        assert (beat["window"], beat["token"]) == ("w1", 3)


async def test_without_redis_nothing_raises_and_every_message_is_counted() -> None:
    async with Bus("redis://:hunter2@127.0.0.1:1/0") as bus:
        for event in MARKET_EVENTS:
            bus.publish(event)
        bus.message("error", "x")
        bus.heartbeat("alpha", {}, 1)
        async with asyncio.timeout(10):
            while bus.dropped < 7:
                await asyncio.sleep(0.02)
        with pytest.raises(StoreUnavailable) as caught:
            await bus.heartbeats()
        assert "hunter2" not in str(caught.value)
    assert (bus.sent, bus.dropped) == (0, 7)


async def test_a_full_queue_drops_the_oldest(redis_url: str) -> None:
    bus = Bus(redis_url, max_queue=3)
    for n in range(10):
        bus.publish(TradePrint(n, n, "0xc1", "101", Side.BUY, 1, 1))
    assert bus.dropped == 7
    await bus.start()
    got = await take(bus.follow("0xc1", "0"), 3)
    await bus.close()
    assert [event.ts_ns for event in got] == [7, 8, 9]


async def test_a_killed_redis_is_found_again(tmp_path: Path, programs: SimpleNamespace) -> None:
    port = programs.free_port()
    program = prepare_redis(tmp_path, port)
    address = urls(
        Settings(
            _env_file=None,  # type: ignore[call-arg]
            redis_url=None,
            floor_home=tmp_path,
            redis_port=port,
        )
    ).redis
    log = tmp_path / "log"

    def start() -> Any:
        process = programs.run(program, log)
        with redis.Redis.from_url(address) as client:
            programs.wait_for("Redis", client.ping, log)
        return process

    process = await asyncio.to_thread(start)
    try:
        async with Bus(address) as bus:
            bus.publish(MARKET_EVENTS[0])
            following = bus.follow("0xc1", "0")
            assert await anext(following) == MARKET_EVENTS[0]
            process.kill()
            await asyncio.to_thread(process.wait)
            bus.publish(MARKET_EVENTS[1])
            async with asyncio.timeout(20):
                while bus.dropped == 0:
                    await asyncio.sleep(0.02)
            process = await asyncio.to_thread(start)
            heard = asyncio.create_task(anext(following))  # type: ignore[arg-type]
            async with asyncio.timeout(20):
                while not heard.done():
                    bus.publish(MARKET_EVENTS[2])
                    await asyncio.sleep(0.1)
            assert heard.result() == MARKET_EVENTS[2]
            await following.aclose()  # type: ignore[attr-defined]
    finally:
        await asyncio.to_thread(programs.stop, process, program)
