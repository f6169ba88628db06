"""What every engine of the comparison is given and gives back; needs only Python and numpy.

The rule is the same everywhere: as soon as `EVERY_S` simulated seconds have passed since the last
order, and both sides of the book are there, send an order for `SHARES` shares of Up at the best
opposite price, to be filled at once or not at all; a purchase and a sale take turns.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

EVERY_S = 30
SHARES = 10
SECOND_NS = 1_000_000_000

CLEAR, LEVEL, TRADE = 0, 1, 2
"""Kinds of rows, as in models/tape.py."""

COLUMNS = ("ts_ns", "recv_ns", "kind", "side", "price", "size", "bid", "ask")
"""Prices in cents, sizes in hundredths of a share; bid and ask are the best prices once the row
is played, 0 and 100 where a side is empty."""

BARS, WINDOW = 525_600, 15
"""One-minute bars of the sweep, and bars of one market window."""
LOOKBACKS = tuple(range(1, 26))
"""Bars over which the move is measured."""
THRESHOLDS = tuple(0.05 * step for step in range(1, 41))
"""Moves that count, in percent; with `LOOKBACKS` a thousand sets."""


def columns(folder: Path, rows: int) -> dict[str, np.ndarray]:
    """Open the first `rows` of the columns; they are read from the disk as they are used."""
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r")[:rows] for name in COLUMNS}


class Stopwatch:
    """Wall and CPU seconds since it was made, of this process and of those it has waited for."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), cpu_s()

    def read(self) -> dict[str, float]:
        return {"wall_s": time.perf_counter() - self._wall, "cpu_s": cpu_s() - self._cpu}


def cpu_s() -> float:
    whos = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(who) for who in whos]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mb() -> float:
    """Most memory this process ever held, in MB (2**20 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def arguments() -> tuple[str, Path, int]:
    """Case, folder of the data and number of rows, as the runner gives them."""
    return sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])


def tell(times: dict[str, float], **figures: Any) -> None:
    """Print what was measured, as the last line of this process."""
    print(json.dumps({**times, "peak_mb": peak_mb(), **figures}))
