"""Watches that look at the floor every few seconds, and never stop."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import NoReturn, Protocol

import structlog

log = structlog.get_logger(__name__)

LEAST_PAUSE_S = 0.5
"""Between two looks, however long the first one took."""


class Watch(Protocol):
    """Something that looks at the floor and acts on what it sees."""

    async def look(self) -> object: ...


async def keep_watching(
    name: str, open_watch: Callable[[], AbstractAsyncContextManager[Watch]], every_s: float
) -> NoReturn:
    """Have a watch look every `every_s` seconds until cancelled.

    A look that fails is logged and followed by the next; a watch that can't even be opened is
    tried again.
    """
    while True:
        try:
            async with open_watch() as watch:
                await _look_on(name, watch, every_s)
        except Exception as error:
            log.error("watch_failed", watch=name, reason=repr(error))
        await asyncio.sleep(every_s)


async def _look_on(name: str, watch: Watch, every_s: float) -> NoReturn:
    while True:
        began = time.monotonic()
        try:
            await watch.look()
        except Exception as error:
            log.error("look_failed", watch=name, reason=repr(error))
        await asyncio.sleep(max(LEAST_PAUSE_S, every_s - (time.monotonic() - began)))
