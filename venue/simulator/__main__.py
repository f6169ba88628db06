"""``python -m venue.simulator``: run the simulator in the foreground, by the floor's settings."""

import asyncio
import gc
import logging
import signal
import sys

import structlog

from models.errors import FloorError
from models.settings import load_settings
from venue.simulator.config import config_from_settings
from venue.simulator.server import start_simulator

NEVER = 2**31 - 1
COLLECT_S = 3600.0


def calm_collector() -> None:
    """Keep the garbage collector from halting the loop: short passes over what is young only.

    Orders and trades live long and hold no cycles; a full pass over them only costs time. What
    little garbage grows old waits for `collect_seldom`.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, NEVER)


async def collect_seldom() -> None:
    """Look for old garbage, without end: the one pass that may take long."""
    while True:
        await asyncio.sleep(COLLECT_S)
        gc.collect()


async def run() -> None:
    """Serve until SIGINT or SIGTERM."""
    settings = load_settings()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level]
        )
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    simulator = await start_simulator(config_from_settings(settings))
    calm_collector()
    collector = asyncio.create_task(collect_seldom(), name="simulator-collector")
    try:
        await stop.wait()
    finally:
        collector.cancel()
        await simulator.close()


def main() -> int:
    try:
        asyncio.run(run())
    except FloorError as error:
        print(f"simulator: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
