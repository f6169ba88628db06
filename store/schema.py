"""Bring the database's tables to the version of the code, and prove that they are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import CheckConstraint, Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from models.errors import BadValue, FloorError, StoreUnavailable
from models.tables import metadata
from store.urls import without_password

MIGRATIONS = Path(__file__).parent / "migrations"

TRIGGERS = frozenset({("audit_log", "audit_log_seal"), ("audit_log", "audit_log_keep")})
"""Triggers of the migrations; the models can't say them."""

_LOCK = 0x666C6F6F72  # any number, the same for everybody who migrates


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate up to `revision`. Safe to call from several processes at once.

    Raises
    ------
    StoreUnavailable
        Postgres does not answer.
    BadValue
        There is no such revision.
    """
    _migrate(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Migrate down to `revision` (``base`` removes every table and all their rows)."""
    _migrate(url, lambda config: command.downgrade(config, revision))


def check(url: str) -> list[str]:
    """List what differs between the database and the models; empty when they agree.

    Compared are the migrations' head, tables, columns, types, defaults, indexes, unique and
    foreign keys (by alembic), and the names of CHECK constraints and triggers (by us).
    """
    head = head_revision()
    with _connected(url) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        current = context.get_current_revision()
        if current != head:
            return [
                f"the database is at migration {current or 'none'}, the code at {head}; "
                "run `floor db upgrade`"
            ]
        drift = [line for item in compare_metadata(context, metadata) for line in _readable(item)]
        return drift + _checks(connection) + _triggers(connection)


def current_revision(url: str) -> str | None:
    """Return the migration the database is at, None before the first."""
    with _connected(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str | None:
    """Return the newest migration of this code."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _migrate(url: str, run: Callable[[Config], None]) -> None:
    config = _config()
    with _connected(url) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        connection.commit()
        config.attributes["connection"] = connection
        try:
            run(config)
            connection.commit()
        except CommandError as error:
            raise BadValue(f"no such migration: {error}") from None


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=NullPool
    )
    try:
        with engine.connect() as connection:
            yield connection
    except OperationalError as error:
        raise StoreUnavailable(
            f"Postgres at {without_password(url)} does not answer "
            f"({type(error.orig).__name__}); is it running?"
        ) from None
    except DBAPIError as error:
        raise FloorError(f"Postgres at {without_password(url)}: {error.orig}") from None
    finally:
        engine.dispose()


_VERBS = {"add": "missing in the database", "remove": "not in the models"}


def _readable(item: Any) -> list[str]:
    """Put one of alembic's differences into words; changes of a column come as a list."""
    if isinstance(item, list):
        return [line for part in item for line in _readable(part)]
    action = str(item[0])
    if action.startswith("modify_"):
        _, _, table, name, _, database, model = item
        what = action.removeprefix("modify_").replace("_", " ")
        return [f"column {table}.{name}: {what} is {database!r}, the models say {model!r}"]
    verb, _, kind = action.partition("_")
    if kind == "column":
        return [f"column {item[2]}.{item[3].name}: {_VERBS[verb]}"]
    thing = item[1]
    table = getattr(thing, "table", None)
    name = thing.name if table is None else f"{table.name}.{thing.name}"
    return [f"{kind.replace('_', ' ')} {name}: {_VERBS.get(verb, verb)}"]


def _checks(connection: Connection) -> list[str]:
    rows = connection.execute(
        text(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint "
            "WHERE contype = 'c' AND connamespace = current_schema()::regnamespace"
        )
    )
    wanted = {
        (table.name, str(constraint.name))
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    return _compare("check constraint", {(str(t), str(n)) for t, n in rows}, wanted)


def _triggers(connection: Connection) -> list[str]:
    rows = connection.execute(
        text(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger "
            "WHERE NOT tgisinternal AND tgenabled <> 'D'"
        )
    )
    return _compare("trigger", {(str(t), str(n)) for t, n in rows}, set(TRIGGERS))


def _compare(what: str, found: set[tuple[str, str]], wanted: set[tuple[str, str]]) -> list[str]:
    missing = [f"{what} {t}.{n}: missing in the database" for t, n in sorted(wanted - found)]
    return missing + [f"{what} {t}.{n}: not in the models" for t, n in sorted(found - wanted)]
