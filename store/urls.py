"""Addresses of Postgres and Redis: from the settings, or of the embedded servers."""

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import psycopg
from psycopg import sql

from models.errors import ConfigError, FloorError, NotReady
from models.settings import Settings
from store.embedded import USER
from store.passwords import passwords

DATABASE = "floor"
PREFECT_DATABASE = "prefect"


@dataclass(frozen=True, slots=True, repr=False)
class Urls:
    """Addresses with their passwords; `repr` hides these."""

    database: str
    """The floor's own database, ``postgresql://…``."""
    prefect_database: str
    """Prefect's database on the same server, ``postgresql+asyncpg://…``."""
    admin: str
    """A database that always exists, for creating the others."""
    redis: str

    def __repr__(self) -> str:
        names = ("database", "prefect_database", "admin", "redis")
        shown = (f"{name}={without_password(getattr(self, name))!r}" for name in names)
        return f"Urls({', '.join(shown)})"


def urls(settings: Settings) -> Urls:
    """Return the addresses the settings mean; creates the embedded servers' secrets if missing.

    With ``DATABASE_URL`` set, Prefect's database is `prefect` on the same server.
    """
    if settings.database_url is not None:
        given = urlsplit(settings.database_url.get_secret_value())
        database = given._replace(scheme="postgresql").geturl()
    else:
        secret = passwords(settings.floor_home).postgres
        database = f"postgresql://{USER}:{secret}@127.0.0.1:{settings.postgres_port}/{DATABASE}"
    if settings.redis_url is not None:
        redis = settings.redis_url.get_secret_value()
    else:
        secret = passwords(settings.floor_home).redis
        redis = f"redis://:{secret}@127.0.0.1:{settings.redis_port}/0"
    prefect = at_database(database, PREFECT_DATABASE).replace("postgresql", "postgresql+asyncpg", 1)
    return Urls(database, prefect, at_database(database, "postgres"), redis)


def at_database(url: str, name: str) -> str:
    """Return the address of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def without_password(url: str) -> str:
    """Return an address fit for logs: ``postgresql://floor:***@127.0.0.1:5432/floor``."""
    parts: SplitResult = urlsplit(url)
    if not parts.password:
        return parts._replace(query="").geturl()
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username or ''}:***@{place}", query="").geturl()


def ensure_databases(addresses: Urls) -> None:
    """Create the floor's and Prefect's database where missing (Prefect's with pg_trgm).

    Raises
    ------
    NotReady
        The server does not answer yet.
    ConfigError
        It answers but refuses: wrong password, or no right to create a database.
    """
    prefect = addresses.prefect_database.replace("+asyncpg", "", 1)
    for url in (addresses.database, prefect):
        if not _exists(url):
            _create(addresses.admin, urlsplit(url).path.lstrip("/"))
    with _connected(prefect) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")


def _exists(url: str) -> bool:
    try:
        _connected(url).close()
    except _NoSuchDatabase:
        return False
    return True


def _create(admin: str, name: str) -> None:
    with _connected(admin) as connection:
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return  # somebody else was quicker
        except psycopg.errors.InsufficientPrivilege:
            raise ConfigError(
                f"the user of DATABASE_URL may not create database {name!r}; create it by hand "
                "(Prefect's needs the pg_trgm extension) or grant CREATEDB"
            ) from None


class _NoSuchDatabase(FloorError):
    pass


def _connected(url: str) -> psycopg.Connection[tuple[object, ...]]:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        # libpq tells why a login failed in the message's text only.
        text = str(error)
        if "does not exist" in text and "database" in text:
            raise _NoSuchDatabase(without_password(url)) from None
        if "authentication failed" in text or "no pg_hba.conf entry" in text:
            raise ConfigError(
                f"Postgres at {without_password(url)} refuses the login; check DATABASE_URL"
            ) from None
        raise NotReady(f"Postgres at {without_password(url)} does not answer yet") from None
