"""A process that holds an agent's lease as a session does: it renews, and its heart beats.

It reads commands from its standard input: ``silent`` ends its heartbeats.
"""

import asyncio
import sys

from models.settings import load_settings
from store import leases
from store.bus import Bus
from store.database import Database
from store.urls import urls
from tasks.holders import process_name

TTL_S = 4.0
BEAT_S = 0.5


async def main(agent: str, run_id: str) -> None:
    settings = load_settings()
    addresses = urls(settings)
    silent = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, lambda: sys.stdin.readline() and silent.set())
    async with Database(addresses.database, max_size=1) as database, Bus(addresses.redis) as bus:
        lease = await leases.acquire(database, agent, process_name(), TTL_S, run_id)
        assert lease is not None
        print(lease.holder, flush=True)
        while True:
            await leases.renew(database, lease)
            if not silent.is_set():
                bus.heartbeat(agent, {"token": lease.token}, ttl_s=3 * BEAT_S)
            await asyncio.sleep(BEAT_S)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
