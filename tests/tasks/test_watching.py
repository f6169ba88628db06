"""A watch looks on whatever a look brings, and is opened again if it can't be."""

import asyncio
from typing import Self

from structlog.testing import capture_logs

from tasks.watching import keep_watching


class Stumbling:
    """Opens at the second attempt; every look fails."""

    opened = 0
    looks = 0

    async def __aenter__(self) -> Self:
        self.opened += 1
        if self.opened == 1:
            raise OSError("not yet")
        return self

    async def __aexit__(self, *exc: object) -> None: ...

    async def look(self) -> None:
        self.looks += 1
        raise ValueError("no idea")


async def test_a_watch_goes_on_whatever_a_look_brings() -> None:
    watch = Stumbling()
    with capture_logs() as logs:
        task = asyncio.create_task(keep_watching("stumbling", lambda: watch, 0.01))
        async with asyncio.timeout(30):
            while watch.looks < 2:
                await asyncio.sleep(0.05)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert watch.opened == 2
    assert [(one["event"], one["reason"]) for one in logs[:2]] == [
        ("watch_failed", "OSError('not yet')"),
        ("look_failed", "ValueError('no idea')"),
    ]
    assert all(one["watch"] == "stumbling" for one in logs)
