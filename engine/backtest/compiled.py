"""How this folder's loops are compiled; `engine.compiling` says how they are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine.compiling import Loops

_F = TypeVar("_F", bound=Callable[..., object])
_SOURCES = ("compiled.py", "kernels.py", "ladders.py", "layout.py")
LOOPS = Loops("backtest", (Path(__file__).resolve().with_name(name) for name in _SOURCES))


def compiled(function: _F) -> _F:
    """Compile a function at its first call; later processes load it from disk.

    The loops allocate nothing and outlive no array, so they need no reference counting.
    """
    return LOOPS.compile(function, nogil=True, _nrt=False)


def inlined(function: _F) -> _F:
    """As `compiled`, written out wherever it is called."""
    return LOOPS.compile(function, inline="always", _nrt=False)
