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


def calm_collector() -> None:
    """Keep the garbage collector from halting the loop: few full passes, none over the start.

    Orders and trades live long and hold no cycles; a full pass over them only costs time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


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
    try:
        await stop.wait()
    finally:
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
