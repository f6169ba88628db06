"""How the core's loops are compiled; `engine.compiling` says how they are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine.compiling import Loops

_F = TypeVar("_F", bound=Callable[..., object])
LOOPS = Loops("kernels", Path(__file__).resolve().parent.glob("*.py"))


def compiled(function: _F) -> _F:
    """Compile a function at its first call; later processes load it from disk.

    The loops allocate nothing and outlive no array, so they run without numba's reference
    counting, which would cost as much as the matching itself.
    """
    return LOOPS.compile(function, _nrt=False)
