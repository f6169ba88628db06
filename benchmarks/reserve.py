"""A reservation's round trip to a local Redis, beside a bare PING over the same client."""

import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from redis.asyncio import Redis

from models.settings import Settings
from store.embedded import prepare_redis
from store.reserve import Reserve
from store.urls import urls

PORT = 26_479
CALLS, ROUNDS = 2_000, 5
LIMIT_E6 = 400_000_000


async def measure(url: str) -> None:
    async with Reserve(url) as reserve, Redis.from_url(url) as plain:
        await _ready(plain)
        await reserve.rebuild({f"agent-{number}": 1_000_000 for number in range(8)})
        await reserve.tell_facts({"killed": "", "var_e6": 1, "greeks": {"BTC": [1, 2, 3]}}, 600)
        number = 0

        async def take() -> None:
            nonlocal number
            number += 1
            await reserve.take("agent-0", 1, 1_000_000 + number % 1_000, LIMIT_E6)

        reserved, pinged = await _micros(take), await _micros(plain.ping)
    print(f"reserve: one script call among 8 agents, median of {ROUNDS} x {CALLS:,}")
    print(f"  take, with the floor's facts {reserved:8.0f} us")
    print(f"  bare PING                    {pinged:8.0f} us   {reserved / pinged:5.2f} x")


async def _ready(client: Redis) -> None:
    for _ in range(100):
        try:
            await client.ping()
        except Exception:
            await asyncio.sleep(0.05)
        else:
            return
    raise SystemExit("error: the Redis of this benchmark does not answer")


async def _micros(work: Callable[[], Awaitable[object]]) -> float:
    """Median over rounds of the mean time of a call, in microseconds."""
    means = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            await work()
        means.append((time.perf_counter() - start) / CALLS * 1e6)
    return statistics.median(means)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        program = prepare_redis(home, PORT)
        where = urls(Settings(redis_url=None, floor_home=home, redis_port=PORT))
        process = subprocess.Popen(
            program.argv, env=dict(program.env), cwd=program.cwd, stdout=subprocess.DEVNULL
        )
        try:
            asyncio.run(measure(where.redis))
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    main()
