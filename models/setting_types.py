"""What a setting's value may look like. No message here repeats a value: some are secrets."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, SecretStr

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Order of secp256k1: a private key is a whole number from 1 to below it."""

DATABASE_FORM = "postgresql://user:password@host:5432/database"
REDIS_FORM = "redis://:password@host:6379/0 or rediss://…"


def lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def upper(value: Any) -> Any:
    return value.strip().upper() if isinstance(value, str) else value


def rooted(root: Path) -> Callable[[Path], Path]:
    """Make a function that reads a relative path as one below `root`, and ``~`` as the home."""

    def resolve(path: Path) -> Path:
        return Path(os.path.normpath(root / path.expanduser()))

    return resolve


def _split(value: str, schemes: tuple[str, ...], form: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        complete = parts.scheme in schemes and bool(parts.hostname)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        complete = False
    if not complete or any(character.isspace() for character in value):
        raise ValueError(f"must look like {form}")
    return parts


def _database_url(secret: SecretStr) -> SecretStr:
    parts = _split(secret.get_secret_value(), ("postgresql", "postgres"), DATABASE_FORM)
    if len(parts.path) < 2:
        raise ValueError(f"names no database; it must look like {DATABASE_FORM}")
    return secret


def _redis_url(secret: SecretStr) -> SecretStr:
    _split(secret.get_secret_value(), ("redis", "rediss"), REDIS_FORM)
    return secret


def _webhook_url(secret: SecretStr) -> SecretStr:
    _split(secret.get_secret_value(), ("http", "https"), "https://host/path")
    return secret


def _http_url(value: str) -> str:
    _split(value, ("http", "https"), "https://host")
    return value.rstrip("/")


def _websocket_url(value: str) -> str:
    _split(value, ("ws", "wss"), "wss://host/path")
    return value


def _private_key(secret: SecretStr) -> SecretStr:
    digits = secret.get_secret_value().strip().removeprefix("0x")
    try:
        number = int(digits, 16) if len(digits) == 64 and digits.isalnum() else 0
    except ValueError:
        number = 0
    if not 0 < number < CURVE_ORDER:
        raise ValueError("must be 0x and 64 hexadecimal digits, a key of secp256k1")
    return SecretStr(f"0x{digits}")


DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
WebhookUrl = Annotated[SecretStr, AfterValidator(_webhook_url)]
PrivateKey = Annotated[SecretStr, AfterValidator(_private_key)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
WebSocketUrl = Annotated[str, AfterValidator(_websocket_url)]
