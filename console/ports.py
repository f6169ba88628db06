"""Whether the ports the floor needs are free, and who has one that is not."""

import errno
import socket
from collections.abc import Iterable
from typing import Any

import psutil

from console.processes import Program
from models.errors import ConfigError
from models.settings import Settings

HOST = "127.0.0.1"


def check_ports(settings: Settings, programs: Iterable[Program]) -> None:
    """Make sure that every program's port can be listened on.

    Raises
    ------
    ConfigError
        One line per port that can't: its number, who has it, which variable moves it.
    """
    lines = []
    for program in programs:
        port = program.port_number(settings)
        if port is not None and (reason := why_taken(port)):
            lines.append(
                f"port {port} for the {program.about} {reason}; "
                f"free it or set {program.port.upper()} to another"
            )
    if lines:
        raise ConfigError("\n".join(lines))


def why_taken(port: int, host: str = HOST) -> str:
    """Say why `port` can't be listened on; empty when it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do, so that connections of the last run in TIME_WAIT don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"is taken by {holder(port)}"
            return f"can't be used ({error.strerror})"
    return ""


def holder(port: int) -> str:
    """Say who listens on `port`, as far as this user may see."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        local: tuple[Any, ...] = connection.laddr
        if connection.status == psutil.CONN_LISTEN and local and local[1] == port:
            if connection.pid is None:
                break
            try:
                return f"pid {connection.pid} ({psutil.Process(connection.pid).name()})"
            except psutil.Error:
                return f"pid {connection.pid}"
    return "a process that can't be seen from here"


def accepts(host: str, port: int, timeout_s: float = 0.5) -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False
