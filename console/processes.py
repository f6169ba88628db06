"""The table of local processes (deployments/processes.yaml), read and checked."""

import sys
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import ConfigError
from models.settings import ROOT, Settings, TradingMode

TABLE = ROOT / "deployments" / "processes.yaml"


class Stop(BaseModel):
    """How a program is asked to end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signal: Literal["INT", "TERM"] = "TERM"
    seconds: int = Field(10, ge=1, le=120)


class Program(BaseModel):
    """One row of the table; the comments of the file say what each key means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    about: str
    command: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    modes: tuple[TradingMode, ...] = tuple(TradingMode)
    unless: Literal["", "database_url", "redis_url", "prefect_url", "sim_url"] = ""
    port: Literal["", "postgres_port", "redis_port", "sim_port", "prefect_port"] = ""
    ready: str = Field("started", pattern="^(postgres|redis|started|/.*)$")
    needs: tuple[str, ...] = ()
    step: bool = False
    stop: Stop = Stop()

    def wanted(self, settings: Settings) -> bool:
        """Whether these settings need the program here."""
        return settings.trading_mode in self.modes and not self.replaced(settings)

    def replaced(self, settings: Settings) -> bool:
        """Whether a server of your own stands in for it."""
        return bool(self.unless) and getattr(settings, self.unless) is not None

    def port_number(self, settings: Settings) -> int | None:
        return int(getattr(settings, self.port)) if self.port else None

    def argv(self, settings: Settings) -> tuple[str, ...]:
        """Return the command with the project's Python and the settings filled in."""
        values = {
            "prefect_port": settings.prefect_port,
            "listen_host": settings.listen_host,
            "worker": settings.worker_name,
            "traders_pool": settings.traders_pool,
        }
        processes = settings.traders_pool == "process" or not self.containers
        words: list[str] = []
        for word in self.command if processes else self.containers:
            words += _queues(settings) if word == "{queues}" else [word.format(**values)]
        return tuple(sys.executable if word == "python" else word for word in words)


def _queues(settings: Settings) -> list[str]:
    """Return the options that name the queues this host takes work from; none takes all."""
    names = filter(None, settings.work_queues.split(","))
    return [word for name in names for word in ("--work-queue", name)]


@cache
def table(path: Path = TABLE) -> dict[str, Program]:
    """Read the table.

    Raises
    ------
    ConfigError
        The file can't be read, a key is wrong, or a program needs one that comes later.
    """
    try:
        raw: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
        programs = {
            name: Program.model_validate({"name": name, **row}) for name, row in raw.items()
        }
    except (OSError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise ConfigError(f"{path.name}: can't be read: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path.name}: {where}: {first['msg']}") from None
    earlier: set[str] = set()
    for name, program in programs.items():
        if missing := set(program.needs) - earlier:
            raise ConfigError(f"{path.name}: {name} needs {min(missing)!r}, not listed before it")
        earlier.add(name)
    return programs


def wanted_programs(
    settings: Settings, only: Collection[str] = (), *, alone: bool = False
) -> list[Program]:
    """Return the programs these settings need, in the order they start.

    Parameters
    ----------
    only
        Names; just these and what they need are returned. All when empty.
    alone
        Without what they need: that runs on another host.

    Raises
    ------
    ConfigError
        One of `only` is no program.
    """
    if alone:
        chosen = {find_program(name).name for name in only}
    else:
        chosen = set(table()) if not only else _with_needs(only)
    return [
        program for name, program in table().items() if name in chosen and program.wanted(settings)
    ]


def _with_needs(names: Collection[str]) -> set[str]:
    chosen: set[str] = set()
    for name in names:
        chosen |= {name} | _with_needs(find_program(name).needs)
    return chosen


def find_program(name: str) -> Program:
    """Return a program by name. Raises `ConfigError` naming those there are."""
    if name not in table():
        raise ConfigError(f"no program {name!r}; there are: {_list(table())}")
    return table()[name]


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
