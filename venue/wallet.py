"""Which key signs: the one the settings name, or one made here for simulated trading."""

import os
import re
import secrets
from pathlib import Path

from pydantic import SecretStr

from models.errors import ConfigError
from models.settings import Settings

_HEX_KEY = re.compile("(0x)?[0-9a-fA-F]{64}")
_CURVE_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


def credentials_dir(settings: Settings) -> Path:
    """Folder of keys and credentials, created on first use, readable by its owner alone."""
    folder = settings.floor_home / "credentials"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def signing_key(settings: Settings) -> SecretStr:
    """Private key of the floor's wallet, 0x and 64 hexadecimal digits.

    Live trading uses ``POLYMARKET_PRIVATE_KEY``. Simulated trading never touches that key: it
    uses ``SIM_WALLET_KEY``, or makes one of its own, once, and keeps it under the floor's home.

    Raises
    ------
    ConfigError
        The key is missing or is not a valid private key; the message never shows it.
    """
    if settings.simulated:
        if settings.sim_wallet_key is not None:
            return _checked(settings.sim_wallet_key.get_secret_value(), "SIM_WALLET_KEY")
        return _kept_key(credentials_dir(settings) / "simulated-wallet.key")
    if settings.polymarket_private_key is None:
        raise ConfigError("POLYMARKET_PRIVATE_KEY is not set; TRADING_MODE=live needs it")
    return _checked(settings.polymarket_private_key.get_secret_value(), "POLYMARKET_PRIVATE_KEY")


def _kept_key(path: Path) -> SecretStr:
    """Read the kept key; the first process to come makes it, also when several come at once."""
    if not path.exists():
        write_private(path, _new_key(), overwrite=False)
    return _checked(path.read_text().strip(), str(path))


def _new_key() -> str:
    return f"0x{secrets.randbelow(_CURVE_ORDER - 1) + 1:064x}"


def _checked(text: str, where: str) -> SecretStr:
    if not _HEX_KEY.fullmatch(text) or not 0 < int(text, 16) < _CURVE_ORDER:
        raise ConfigError(
            f"{where} (not shown) is not a private key; it must be 0x and 64 hexadecimal digits"
        )
    return SecretStr("0x" + text.removeprefix("0x").lower())


def write_private(path: Path, text: str, *, overwrite: bool = True) -> None:
    """Write a file only its owner can read, whole or not at all.

    Without `overwrite` a file that is already there stays, also when two processes race.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        if overwrite:
            draft.replace(path)
        else:
            _link_once(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _link_once(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return
