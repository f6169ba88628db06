"""Whether a part of the floor is ready to be used."""

from pathlib import Path
from urllib.parse import urlsplit

import httpx
from psycopg import pq

from console.ports import HOST, accepts
from console.processes import Program
from console.records import read_launch
from models.settings import Settings
from store.urls import urls


def is_ready(program: Program, settings: Settings, instance: str) -> bool:
    """Whether `program` serves: ours of this `instance`, or your own server in its stead."""
    if program.ready == "postgres":
        return postgres_ready(urls(settings).database)
    if program.ready == "redis":
        address = urlsplit(urls(settings).redis)
        return accepts(address.hostname or HOST, address.port or 6379)
    if not program.wanted(settings):
        return True
    if program.ready.startswith("/"):
        port = program.port_number(settings)
        return serves(f"http://{HOST}:{port}{program.ready}")
    return has_started(settings.floor_home, program, instance)


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
