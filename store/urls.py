"""Addresses of Postgres and Redis: from the settings, or of the embedded servers."""

from dataclasses import dataclass

from models.settings import Settings


@dataclass(frozen=True, slots=True)
class Urls:
    """Addresses with their passwords; `repr` hides these."""

    database: str
    """The floor's own database, ``postgresql://…``."""
    prefect_database: str
    """Prefect's database on the same server, ``postgresql+asyncpg://…``."""
    admin: str
    """A database that always exists, for creating the others."""
    redis: str


def urls(settings: Settings) -> Urls:
    """Return the addresses the settings mean; creates the embedded servers' secrets if missing."""
    raise NotImplementedError


def ensure_databases(addresses: Urls) -> None:
    """Create the floor's and Prefect's database where missing (Prefect's with pg_trgm)."""
    raise NotImplementedError
