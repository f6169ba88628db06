"""How this folder's loops are compiled: numba, cached under a name that covers every file here.

numba's own cache does not notice a changed constant or callee of another file; a stale loop would
give wrong money, so the cache lives in a folder named after a digest of the files they come from.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

_HERE = Path(__file__).resolve().parent
_CONFIG: Any = numba.config
_SOURCES = ("compiled.py", "kernels.py", "ladders.py", "layout.py")
_F = TypeVar("_F", bound=Callable[..., object])


def _cache_folder() -> str | None:
    """First writable folder: numba's own setting, beside this file, the user's cache."""
    digest = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in _SOURCES))
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trading-floor"
    places = [Path(_CONFIG.CACHE_DIR)] if _CONFIG.CACHE_DIR else []
    for place in [*places, _HERE / "__pycache__", user]:
        folder = place / f"backtest-{digest.hexdigest()[:16]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return None


_CACHE = _cache_folder()


def _compile(function: _F, **options: Any) -> _F:
    before = _CONFIG.CACHE_DIR
    try:
        if _CACHE is not None:
            _CONFIG.CACHE_DIR = _CACHE
        njit: Any = numba.njit(cache=_CACHE is not None, **options)
        result: _F = njit(function)
    finally:
        _CONFIG.CACHE_DIR = before
    return result


def compiled(function: _F) -> _F:
    """Compile a function at its first call; later processes load it from disk.

    The loops allocate nothing and outlive no array, so they need no reference counting.
    """
    return _compile(function, nogil=True, _nrt=False)


def inlined(function: _F) -> _F:
    """As `compiled`, written out wherever it is called."""
    return _compile(function, inline="always", _nrt=False)
