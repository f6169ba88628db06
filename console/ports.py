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
    """Say who has `port`, as far as this user may see."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        connections = []
    users = [each for each in connections if _local_port(each) == port and each.pid is not None]
    listeners = [each for each in users if each.status == psutil.CONN_LISTEN]
    if not users:
        return "a process that can't be seen from here"
    chosen = (listeners or users)[0]
    how = "" if listeners else " as its end of a connection, so only for now"
    try:
        return f"pid {chosen.pid} ({psutil.Process(chosen.pid).name()}){how}"
    except psutil.Error:
        return f"pid {chosen.pid}{how}"


def _local_port(connection: Any) -> int | None:
    return connection.laddr[1] if connection.laddr else None


def accepts(host: str, port: int, timeout_s: float = 0.5) -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False
