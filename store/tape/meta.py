"""A tape's description, as the schema metadata of its file: markets, assets, depth, reports."""

from typing import Any

import msgspec

from models.errors import ConfigError
from models.markets import Market
from models.tape import DTYPES, Report

KEY = b"trading-floor-tape"
VERSION = 1


class Meta(msgspec.Struct, frozen=True):
    """Everything about a tape but its rows."""

    markets: tuple[Market, ...]
    assets: tuple[str, ...]
    depth: int | None
    reports: tuple[Report, ...]
    rows: int
    checksums: dict[str, int]
    """CRC-32 of each column's bytes."""
    version: int = VERSION


class _Version(msgspec.Struct):
    version: int


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Meta)


def encode(meta: Meta) -> dict[bytes, bytes]:
    return {KEY: _ENCODER.encode(meta)}


def decode(metadata: Any, source: str) -> Meta:
    """Read the description. Raises `ConfigError` for a foreign or a newer file."""
    text = (metadata or {}).get(KEY)
    if text is None:
        raise ConfigError(f"{source}: is no tape of this floor; `floor data convert` makes one")
    try:
        version = msgspec.json.decode(text, type=_Version).version
        if version != VERSION:
            raise ConfigError(
                f"{source}: is a tape of version {version}, this floor reads {VERSION}; "
                "convert its source again"
            )
        meta = _DECODER.decode(text)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{source}: its description is spoilt: {error}") from error
    if set(meta.checksums) != set(DTYPES):
        raise ConfigError(f"{source}: its description names columns {sorted(meta.checksums)}")
    return meta
