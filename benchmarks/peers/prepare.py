"""Write what all engines play: one synthetic tape, the same as plain columns, and bars of a year.

Shorter tapes of one seed are beginnings of the longest.

Spot prices, which the peers have no channel for, are in the tape only: two rows in a hundred.
"""

import sys
from pathlib import Path
from typing import Any

import feed
import numpy as np
from numba import njit

from models.tape import Row
from store.tape.file import open_tape
from store.tape.synthetic import synthetic

SEED = 7
BLOCK = 1 << 20
TIMEFRAME = "4h"
"""One market as long as the tape, as most peers know nothing of windows that follow each other."""
MINUTE_VOLATILITY = 6e-4


@njit(cache=True)
def best(kind: Any, side: Any, price: Any, size: Any, sizes: Any, bid: Any, ask: Any) -> None:
    """Play rows to a book of cents and note its best prices after each."""
    b = a = 0
    for p in range(1, 100):
        b = p if sizes[0, p] > 0 else b
        a = 100 - p if sizes[1, 100 - p] > 0 else a
    a = a if a > 0 else 100
    for row in range(len(kind)):
        if kind[row] == 0:
            sizes[:] = 0
            b, a = 0, 100
        elif kind[row] == 1:
            p, s = price[row], side[row]
            sizes[s, p] = size[row]
            if s == 0:
                b = max(b, p) if size[row] > 0 else b
                while b > 0 and sizes[0, b] == 0:
                    b -= 1
            else:
                a = min(a, p) if size[row] > 0 else a
                while a < 100 and sizes[1, a] == 0:
                    a += 1
        bid[row], ask[row] = b, a


def write_columns(tape_path: Path, folder: Path) -> None:
    tape = open_tape(tape_path)
    kept = np.flatnonzero(tape.kind <= Row.TRADE)
    sizes = np.zeros((2, 101), np.int64)
    out = {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=np.int64, shape=(len(kept),)
        )
        for name in feed.COLUMNS
    }
    for first in range(0, len(kept), BLOCK):
        rows = kept[first : first + BLOCK]
        part = slice(first, first + len(rows))
        for name in ("ts_ns", "recv_ns", "kind", "side"):
            out[name][part] = getattr(tape, name)[rows]
        out["price"][part] = tape.price[rows] // 100
        out["size"][part] = tape.size[rows] // 10_000
        best(
            out["kind"][part], out["side"][part], out["price"][part], out["size"][part], sizes,
            out["bid"][part], out["ask"][part],
        )  # fmt: skip


def main(folder: Path, rows: list[int]) -> None:
    for count in rows:
        synthetic(folder / f"tape-{count}.arrow", count, seed=SEED, timeframe=TIMEFRAME)
    write_columns(folder / f"tape-{max(rows)}.arrow", folder)
    steps = np.random.default_rng(SEED).normal(0, MINUTE_VOLATILITY, feed.BARS)
    np.save(folder / "spot.npy", np.round(60_000 * np.exp(np.cumsum(steps)), 8))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(count) for count in sys.argv[2:]])
