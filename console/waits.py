"""Whether a part of the floor is ready to be used."""

from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from psycopg import pq

from console.environment import prefect_login, prefect_ui_url
from console.ports import HOST, accepts
from console.processes import Program
from console.records import read_launch
from models.errors import FloorError
from models.settings import Settings
from store.urls import urls


def is_ready(
    program: Program, settings: Settings, instance: str, here: Collection[str] | None = None
) -> bool:
    """Whether `program` serves: ours of this `instance`, or your own server in its stead.

    Parameters
    ----------
    here
        Names of the programs that run on this host; the others run elsewhere. None means all.
    """
    if program.ready == "postgres":
        return postgres_ready(urls(settings).database)
    if program.ready == "redis":
        address = urlsplit(urls(settings).redis)
        return accepts(address.hostname or HOST, address.port or 6379)
    elsewhere = program.replaced(settings) or (here is not None and program.name not in here)
    if settings.trading_mode not in program.modes:
        return True
    if elsewhere and program.step:
        return step_done(program.name, settings)
    if program.ready.startswith("/"):
        return serves(f"{address_of(program.name, settings)}{program.ready}")
    return elsewhere or has_started(settings.floor_home, program, instance)


def address_of(name: str, settings: Settings) -> str:
    """Return where a program that speaks HTTP is asked, here or elsewhere."""
    return settings.simulator_url if name == "simulator" else prefect_ui_url(settings)


def step_done(name: str, settings: Settings) -> bool:
    """Whether a step that another host takes has been taken, by what it leaves behind."""
    try:
        if name == "database":
            # The migrations take most of a second to import; this question is a rare one.
            from store import schema

            return schema.current_revision(urls(settings).database) == schema.head_revision()
        return pool_type(settings) is not None
    except (FloorError, httpx.HTTPError):
        return False


def pool_type(settings: Settings, pool: str = "traders") -> str | None:
    """Return the type of a work pool at the floor's Prefect server, None without such a pool.

    Raises
    ------
    httpx.HTTPError
        The server does not answer, or refuses.
    """
    address = f"{prefect_ui_url(settings)}/api/work_pools/{pool}"
    answer = httpx.get(address, timeout=5.0, trust_env=False, auth=prefect_login(settings))
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    return str(answer.raise_for_status().json()["type"])


def postgres_ready(url: str) -> bool:
    """Whether the server takes connections; needs no password for the question."""
    address = urlsplit(url)
    words = f"host={address.hostname} port={address.port or 5432} connect_timeout=2"
    return pq.PGconn.ping(words.encode()) == pq.Ping.OK


def serves(url: str, timeout_s: float = 2.0) -> bool:
    try:
        return httpx.get(url, timeout=timeout_s, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def has_started(home: Path, program: Program, instance: str) -> bool:
    """Whether the launcher handed over to the program; for a step, whether it ended well."""
    record = read_launch(home, program.name)
    if record is None or record.instance != instance:
        return False
    if program.step:
        return record.state == "done"
    return record.state == "running" and record.identity.process() is not None
