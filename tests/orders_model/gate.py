"""A door to Postgres that can be shut: what is connected is cut off, nobody else gets in."""

import select
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class Gate:
    """Passes bytes between 127.0.0.1:`port` and a server, while it is open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listener: socket.socket | None = None
        self._reserved: socket.socket | None = None
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self.port = 0
        self._reserve()
        self.open()
        name = f"{parts.username}:{parts.password}@127.0.0.1:{self.port}"
        self.url = parts._replace(netloc=name).geturl()

    @property
    def shut(self) -> bool:
        return self._listener is None

    def open(self) -> None:
        """Let everybody in."""
        listener, self._reserved = self._reserved, None
        if listener is None:
            return
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._welcome, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Cut everybody off; who comes is refused."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # Wakes the thread that waits in `accept`.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            self._reserve()
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for one in (each for pair in pairs for each in pair):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def remove(self) -> None:
        """Shut it for good."""
        self.close()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    def _reserve(self) -> None:
        """Keep the port: nobody else shall be met there while the gate is shut."""
        reserved = socket.socket()
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", self.port))
        self.port = reserved.getsockname()[1]
        self._reserved = reserved

    def _welcome(self, listener: socket.socket) -> None:
        while True:
            try:
                guest, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:
                guest.close()
                continue
            for one in (guest, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.append((guest, server))
            threading.Thread(target=self._pass_on, args=(guest, server), daemon=True).start()

    def _pass_on(self, guest: socket.socket, server: socket.socket) -> None:
        other = {guest: server, server: guest}
        try:
            while True:
                for one in select.select([guest, server], [], [])[0]:
                    data = one.recv(65_536)
                    if not data:
                        return
                    other[one].sendall(data)
        except (OSError, ValueError):
            return
        finally:
            guest.close()
            server.close()
            with self._lock:
                self._pairs = [pair for pair in self._pairs if pair[0] is not guest]
