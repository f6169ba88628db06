"""One WebSocket that is always being kept open: connect, ping, read, reconnect with back-off."""

import asyncio
import random
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from engine.steady import STEADY

log = structlog.get_logger(__name__)

Frame = bytes
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_FRAME = 1 << 25
LATE_S = 0.25
"""A timer this late means that our own event loop was held up."""


@dataclass(frozen=True, slots=True)
class LinkTiming:
    """How a link is kept alive. Seconds."""

    ping_s: float = 10.0
    pong_s: float | None = 30.0
    """A connection without a PONG for this long is dead; None where the venue sends none."""
    open_s: float = 10.0
    backoff_least_s: float = 0.25
    backoff_most_s: float = 30.0


class Backoff:
    """Pauses that double from the least to the most, each shortened by up to half at random."""

    def __init__(self, least_s: float, most_s: float) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._next_s = least_s

    def pause(self) -> float:
        pause = self._next_s * random.uniform(0.5, 1.0)
        self._next_s = min(self._most_s, self._next_s * 2)
        return pause

    def reset(self) -> None:
        self._next_s = self._least_s


async def nap(seconds: float) -> bool:
    """Sleep; False when we woke late, so that what came meanwhile is still waiting to be read.

    A process that was held up must not blame the venue for a silence of its own making.
    """
    due = time.monotonic() + seconds
    await asyncio.sleep(seconds)
    return time.monotonic() - due < LATE_S


class Link:
    """Keeps one WebSocket open from `start` to `close`.

    Parameters
    ----------
    on_open
        Awaited after every connect, before anything is read; sends the first frames.
    on_frame
        Given every frame but PONGs, with its time of receipt (ns). Its exceptions are logged.
    on_down
        Told why a connection ended or could not be made.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        on_open: Callable[[], Awaitable[None]],
        on_frame: Callable[[Frame, int], None],
        on_down: Callable[[str], None],
        timing: LinkTiming,
    ) -> None:
        self._name = name
        self._url = url
        self._on_open = on_open
        self._on_frame = on_frame
        self._on_down = on_down
        self._timing = timing
        self._backoff = Backoff(timing.backoff_least_s, timing.backoff_most_s)
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._restart_reason = ""
        self._pong_at = 0.0
        self.data_at = 0.0
        """When the last frame that was not a PONG came (monotonic seconds)."""
        self.ponged = asyncio.Event()
        """Set by the first PONG of a connection."""
        self.failures = 0
        """Frames whose handling raised."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection, and it is not being given up."""
        return self._socket is not None and not self._restart_reason

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"link-{self._name}")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def send(self, frame: bytes) -> bool:
        """Send text; False when the connection is gone (what was to be said is said on open)."""
        socket = self._socket
        if socket is None:
            return False
        try:
            await socket.send(frame, text=True)
        except ConnectionClosed:
            return False
        return True

    def healthy(self) -> None:
        """Data flows again: the next break starts with a short pause."""
        self._backoff.reset()

    def restart(self, reason: str) -> None:
        """Give up this connection and make a new one."""
        socket = self._socket
        if socket is not None and not self._restart_reason:
            self._restart_reason = reason
            # Abort: a frozen peer would not answer a closing handshake.
            socket.transport.abort()

    async def _run(self) -> None:
        while True:
            reason = await self._connection()
            log.info("link_down", link=self._name, reason=reason)
            self._on_down(reason)
            await asyncio.sleep(self._backoff.pause())

    async def _connection(self) -> str:
        """One connection from beginning to end; returns why it ended."""
        local = urlsplit(self._url).hostname in _LOOPBACK
        self._restart_reason = ""
        try:
            async with connect(
                self._url,
                compression=None,
                open_timeout=self._timing.open_s,
                close_timeout=0.5,
                ping_interval=None,
                max_size=MAX_FRAME,
                max_queue=1024,
                proxy=None if local else True,
            ) as socket:
                return await self._converse(socket)
        except (OSError, TimeoutError, WebSocketException) as error:
            return self._restart_reason or f"{type(error).__name__}: {error}"
        finally:
            self._socket = None

    async def _converse(self, socket: ClientConnection) -> str:
        now = time.monotonic()
        self._pong_at = self.data_at = now
        self.ponged.clear()
        self._socket = socket
        pinging: asyncio.Task[None] | None = None
        try:
            await self._on_open()
            pinging = asyncio.create_task(self._ping(socket))
            while True:
                frame = await socket.recv(decode=False)
                self._take(frame, STEADY.now_ns())
        except ConnectionClosed as closed:
            return self._restart_reason or f"closed: {closed}"
        finally:
            if pinging is not None:
                pinging.cancel()

    def _take(self, frame: Frame, recv_ns: int) -> None:
        if self._restart_reason:
            return  # what is still buffered of a connection given up is not to be believed
        now = time.monotonic()
        if frame == b"PONG":
            self._pong_at = now
            self.ponged.set()
            return
        self.data_at = now
        try:
            self._on_frame(frame, recv_ns)
        except Exception:
            self.failures += 1
            log.error("frame_failed", link=self._name, trace=traceback.format_exc(limit=-4))

    async def _ping(self, socket: ClientConnection) -> None:
        """Ask for signs of life, at once and then regularly; end a connection that gives none."""
        pong_s = self._timing.pong_s
        with suppress(ConnectionClosed):
            while True:
                await socket.send("PING")
                punctual = await nap(self._timing.ping_s)
                silent = time.monotonic() - self._pong_at
                if pong_s is not None and silent > pong_s and punctual:
                    self.restart(f"no PONG for {silent:.0f} s")
                    return
