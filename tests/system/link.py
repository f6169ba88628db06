"""The wire between a host and the floor's servers, which a test can cut.

Outside it listens where the host's end of the wire reaches it, and passes on to the servers. In a
network namespace of its own a host has no other way out; a Unix socket is the hole in the wall.
"""

import asyncio
import contextlib
import socket
import threading
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

CHUNK = 65_536


class Link:
    """Passes connections on to servers of this machine; use ``with``.

    Parameters
    ----------
    folder
        Where a Unix socket per server is made, called by its port. None listens on free ports.
    ports
        Of the servers. Each may have more behind it that do the same: a connection goes to one
        that takes it, each time another first, as a load balancer has it.
    """

    def __init__(self, folder: Path | None, ports: Mapping[int, Sequence[int]]) -> None:
        self.outer: dict[int, int] = {}
        """Where each server is reached when there is no folder: a port by the server's."""
        self._folder = folder
        self._targets = {port: deque(behind) for port, behind in ports.items()}
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._whole.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)

    def __enter__(self) -> "Link":
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *exc: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Let nothing through any more, in silence, as a pulled cable does."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        """Let everything through again, what was said meanwhile first."""
        self._loop.call_soon_threadsafe(self._whole.set)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.Task[None]] = set()
        for port in self._targets:

            async def accept(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int = port
            ) -> None:
                task = asyncio.current_task()
                assert task is not None
                self._open.add(task)
                try:
                    await self._pass_on(reader, writer, port)
                finally:
                    self._open.discard(task)

            if self._folder is None:
                server = await asyncio.start_server(accept, "127.0.0.1", 0)
                self.outer[port] = server.sockets[0].getsockname()[1]
            else:
                path = self._folder / str(port)
                server = await asyncio.start_unix_server(accept, str(path))
            self._servers.append(server)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._whole.wait()
            theirs, ours = await self._connect(self._targets[port])
            await join(reader, writer, theirs, ours, self._whole)
        writer.close()

    async def _connect(
        self, targets: deque[int]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        targets.rotate(-1)
        for port in list(targets):
            with contextlib.suppress(ConnectionError):
                return await asyncio.open_connection("127.0.0.1", port)
        raise ConnectionRefusedError

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


async def join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    theirs: asyncio.StreamReader,
    ours: asyncio.StreamWriter,
    whole: asyncio.Event,
) -> None:
    """Pass bytes both ways until either side ends; nothing passes while `whole` is clear."""

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK):
                await whole.wait()
                target.write(data)
                await target.drain()

    pumps = [
        asyncio.create_task(pump(reader, ours)),
        asyncio.create_task(pump(theirs, writer)),
    ]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        ours.close()


async def inner(sockets: list[Path], listening: Path) -> None:
    """Be the host's end of the wire: in its namespace, listen where the servers seem to be.

    Makes the file `listening` once it does.
    """
    whole = asyncio.Event()
    whole.set()

    async def serve(path: Path) -> asyncio.Server:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                theirs, ours = await asyncio.open_unix_connection(str(path))
                await join(reader, writer, theirs, ours, whole)
            writer.close()

        return await asyncio.start_server(accept, "127.0.0.1", int(path.name))

    servers = [await serve(path) for path in sockets]
    await asyncio.to_thread(listening.touch)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def bring_loopback_up() -> None:
    """A new network namespace has a loopback device that is down."""
    import fcntl
    import struct

    up, running, set_flags = 0x1, 0x40, 0x8914
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, set_flags, struct.pack("16sh14x", b"lo", up | running))


if __name__ == "__main__":
    import sys

    folder = Path(sys.argv[1])
    bring_loopback_up()
    asyncio.run(inner([path for path in folder.iterdir() if path.name.isdigit()], folder / "up"))
