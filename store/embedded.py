"""The embedded Postgres and Redis of a first run: real servers from wheels, no installation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


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
    """Make a Postgres cluster under `home` ready (once) and say how to run it."""
    raise NotImplementedError


def prepare_redis(home: Path, port: int) -> Program:
    """Write the configuration of a Redis server under `home` and say how to run it."""
    raise NotImplementedError
