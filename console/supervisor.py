"""supervisord, which keeps the local processes up: its configuration, start and remote control."""

import configparser
import hashlib
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen
from typing import Any
from xmlrpc.client import Error, Fault, ServerProxy, Transport

from console.environment import INSTANCE, PROGRAM, SUPERVISED_HOME
from console.launch import WRONG_SETTINGS
from console.processes import Program
from models.errors import ConfigError, NotReady
from models.settings import ROOT, Settings

LONGEST_SOCKET_PATH = 100
"""The kernel allows 107 characters; supervisord appends its process id while it creates it."""
LOG_BYTES = 10 * 2**20
ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One program as supervisord sees it."""

    name: str
    state: str
    """``RUNNING``, ``EXITED``, ``STOPPING``, ``STOPPED``, ``FATAL`` …"""
    pid: int
    """0 while it does not run."""
    exit_status: int


class _Connection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Transport(Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> HTTPConnection:
        connection = _Connection(self._path)
        self._connection = (host, connection)  # what `close` closes
        return connection


class Supervisor:
    """Remote control of the supervisord that listens at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def states(self) -> list[ProcessState]:
        """Return every program. Raises `NotReady` where supervisord does not answer."""
        rows: Any = self._call("getAllProcessInfo")
        return [
            ProcessState(row["name"], row["statename"], row["pid"], row["exitstatus"])
            for row in rows
        ]

    def shutdown(self) -> None:
        self._call("shutdown")

    def stop_program(self, name: str) -> None:
        """Have a program stopped, and left so until `start_program`; does not wait for its end.

        Raises
        ------
        NotReady
            supervisord does not answer, or the program does not run.
        """
        self._call("stopProcess", name, False)

    def start_program(self, name: str) -> None:
        """Have a program started again; does not wait until it serves.

        Raises
        ------
        NotReady
            supervisord does not answer, or the program runs already.
        """
        self._call("startProcess", name, False)

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            with ServerProxy("http://localhost", transport=_Transport(self._path)) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except Fault as error:
            raise NotReady(f"supervisord refuses {method}: {error.faultString}") from None
        except (OSError, Error, HTTPException) as error:
            raise NotReady(f"supervisord does not answer ({type(error).__name__})") from None


def socket_path(home: Path) -> Path:
    """Return where supervisord listens: below `home`, or in a private folder if that is too long.

    Raises
    ------
    ConfigError
        The private folder belongs to somebody else.
    """
    path = home / "supervisor.sock"
    if len(str(path)) <= LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"floor-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or folder.is_symlink():
        raise ConfigError(f"{folder} is not a private folder of yours; remove it")
    return folder / "supervisor.sock"


def render(settings: Settings, programs: Iterable[Program], instance: str) -> str:
    """Return supervisord's configuration for `programs`."""
    home = settings.floor_home
    config = configparser.RawConfigParser()
    config.optionxform = str  # type: ignore[assignment,method-assign]
    config["unix_http_server"] = {"file": _plain(socket_path(home)), "chmod": "0600"}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    config["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": _plain(home / "logs" / "supervisord.log"),
        "logfile_maxbytes": str(LOG_BYTES),
        "logfile_backups": "2",
        "pidfile": _plain(home / "supervisord.pid"),
        "childlogdir": _plain(home / "logs"),
        "directory": _plain(ROOT),
    }
    if os.geteuid() == 0:
        config["supervisord"]["user"] = "root"
    for number, program in enumerate(programs):
        config[f"program:{program.name}"] = _section(settings, program, instance, number)
    lines: list[str] = []
    for name in config.sections():
        lines += [f"[{name}]", *(f"{key}={value}" for key, value in config[name].items()), ""]
    return "\n".join(lines)


def _section(settings: Settings, program: Program, instance: str, number: int) -> dict[str, str]:
    home = settings.floor_home
    marks = {INSTANCE: instance, PROGRAM: program.name, SUPERVISED_HOME: str(home)}
    restarts = {"autorestart": "unexpected", "exitcodes": str(WRONG_SETTINGS)}
    if program.step:
        restarts["exitcodes"] = f"0,{WRONG_SETTINGS}"
    return {
        "command": f'"{_plain(sys.executable)}" -m console.launch {program.name}',
        "directory": _plain(ROOT),
        "environment": ",".join(f'{key}="{_plain(value)}"' for key, value in marks.items()),
        "priority": str(10 * (number + 1)),
        "autostart": "true",
        # The launcher itself paces restarts: supervisord would give up after some.
        "startsecs": "0",
        **restarts,
        "stopsignal": program.stop.signal,
        "stopwaitsecs": str(program.stop.seconds),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": _plain(home / "logs" / f"{program.name}.log"),
        "stdout_logfile_maxbytes": str(LOG_BYTES),
        "stdout_logfile_backups": "2",
    }


def _plain(value: Path | str) -> str:
    """Escape supervisord's expansions; refuse what its format can't express."""
    text = str(value)
    if any(character in text for character in '"\n;'):
        raise ConfigError(f"path {text!r} holds a quote, semicolon or line break; use another")
    return text.replace("%", "%%")


def spawn(
    configuration: Path, log: Path, environment: dict[str, str], before: Callable[[], None] | None
) -> "Popen[bytes]":
    """Start supervisord in a session of its own, so that a terminal's Ctrl-C does not reach it."""
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "ab") as output:
        return Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=DEVNULL,
            stdout=output,
            stderr=STDOUT,
            start_new_session=True,
            umask=0o077,
            preexec_fn=before,
        )
