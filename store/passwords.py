"""Passwords of the embedded servers, made once and kept in ``secrets.json`` (mode 0600)."""

import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from models.errors import ConfigError

FILE = "secrets.json"


@dataclass(frozen=True, slots=True)
class Passwords:
    postgres: str = field(repr=False)
    redis: str = field(repr=False)


def passwords(home: Path) -> Passwords:
    """Return the passwords kept under `home`, making them on the first call.

    Raises
    ------
    ConfigError
        The file is unreadable, or it is gone while a Postgres cluster that knows the old
        password is still there.
    """
    path = home / FILE
    if not path.exists():
        if (home / "postgres" / "data").exists():
            raise ConfigError(
                f"{path} is missing but the database in {home / 'postgres'} was made with it; "
                "put the file back, or remove that folder to start with an empty database"
            )
        home.mkdir(parents=True, exist_ok=True)
        _create(path)
    try:
        found = json.loads(path.read_text())
        return Passwords(postgres=str(found["postgres"]), redis=str(found["redis"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} does not hold the embedded servers' passwords ({type(error).__name__}); "
            "put the file back, or remove it together with the postgres folder beside it"
        ) from None


def _create(path: Path) -> None:
    """Write new passwords; when two processes try at once, the first one's stand."""
    fresh = json.dumps({"postgres": secrets.token_hex(24), "redis": secrets.token_hex(24)})
    draft = path.with_name(f".{FILE}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(fresh)
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
