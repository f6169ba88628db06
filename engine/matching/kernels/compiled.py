"""How the loops are compiled: numba, cached on disk under a name that covers every kernel file.

numba's own cache notices a change of the file a function stands in, but not of the functions it
calls in other files; with money at stake a stale callee is not acceptable. The cache therefore
lives in a folder named after a digest of all files here.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

_HERE = Path(__file__).resolve().parent
_CONFIG: Any = numba.config
_OPTIONS: dict[str, Any] = {"_nrt": False}
_F = TypeVar("_F", bound=Callable[..., object])


def _digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(_HERE.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> str | None:
    """First writable folder: numba's own setting, beside this file, the user's cache."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trading-floor"
    places = [Path(_CONFIG.CACHE_DIR)] if _CONFIG.CACHE_DIR else []
    for place in [*places, _HERE / "__pycache__", user]:
        folder = place / f"kernels-{_digest()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return None


_CACHE = _cache_folder()


def compiled(function: _F) -> _F:
    """Compile a function at its first call; later processes load it from disk.

    The loops allocate nothing and outlive no array, so they run without numba's reference
    counting, which would cost as much as the matching itself.
    """
    before = _CONFIG.CACHE_DIR
    try:
        if _CACHE is not None:
            _CONFIG.CACHE_DIR = _CACHE
        njit: Any = numba.njit(cache=_CACHE is not None, **_OPTIONS)
        result: _F = njit(function)
    finally:
        _CONFIG.CACHE_DIR = before
    return result
