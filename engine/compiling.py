"""How compiled loops are kept on disk: under a name that covers every file they come from.

numba's own cache notices a change of the file a function stands in, but not of the constants and
functions it takes from other files; with money at stake a stale loop is not acceptable. A family
of loops therefore has a cache folder named after a digest of all its files.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numba

_CONFIG: Any = numba.config
_F = TypeVar("_F", bound=Callable[..., object])


class Loops:
    """A family of loops that call each other.

    Parameters
    ----------
    name
        Begins the name of its cache folder.
    sources
        Every file its loops and their constants come from, all in one folder.

    Attributes
    ----------
    folder
        Where they are kept; None where no folder can be written to.
    """

    def __init__(self, name: str, sources: Iterable[Path]) -> None:
        self.folder = _cache_folder(name, sorted(sources))

    def compile(self, function: _F, **options: Any) -> _F:
        """Compile a function at its first call, with numba's options; later processes load it
        from disk."""
        before = _CONFIG.CACHE_DIR
        try:
            if self.folder is not None:
                _CONFIG.CACHE_DIR = self.folder
            njit: Any = numba.njit(cache=self.folder is not None, **options)
            result: _F = njit(function)
        finally:
            _CONFIG.CACHE_DIR = before
        return result


def _cache_folder(name: str, sources: list[Path]) -> str | None:
    """First writable folder: numba's own setting, beside the files, the user's cache."""
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trading-floor"
    places = [Path(_CONFIG.CACHE_DIR)] if _CONFIG.CACHE_DIR else []
    for place in [*places, sources[0].parent / "__pycache__", user]:
        folder = place / f"{name}-{digest.hexdigest()[:16]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return None
