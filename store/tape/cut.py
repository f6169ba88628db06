"""A part of a tape that can be played by itself: its books begin whole."""

from pathlib import Path
from typing import Any

import numpy as np

from models.errors import BadValue
from models.tape import Row, Tape
from store.tape import ladders
from store.tape.columns import Columns, columns_of, filled, joined, tape_of
from store.tape.file import open_tape
from store.tape.writer import TapeWriter

_BLOCK = 1 << 18


def cut(
    tape: Tape, start_ns: int | None = None, end_ns: int | None = None, out: Path | None = None
) -> Tape:
    """Take the rows received at or after `start_ns` and before `end_ns`.

    What was known at the start is told again there, as received at `start_ns`: the last price of
    every asset and source, the ticks that had changed, and a CLEAR with every level of each book
    that goes on. Markets, assets and reports stay the tape's, so that numbers keep their meaning.

    Parameters
    ----------
    out
        File to write the part to, block by block. None makes it in memory.

    Raises
    ------
    BadValue
        The end is before the start.
    """
    if start_ns is not None and end_ns is not None and end_ns < start_ns:
        raise BadValue(f"cut: end {end_ns} is before start {start_ns}")
    first = 0 if start_ns is None else int(np.searchsorted(tape.recv_ns, start_ns))
    last = len(tape) if end_ns is None else int(np.searchsorted(tape.recv_ns, end_ns))
    head = filled(0) if start_ns is None or not first else _known(tape, first, start_ns)
    if out is None:
        parts = joined([head, columns_of(tape, first, last)])
        return tape_of(parts, tape.markets, tape.assets, tape.depth, tape.reports)
    with TapeWriter(out, tape.markets, tape.assets, tape.depth, tape.reports) as writer:
        writer.append(head)
        for row in range(first, last, _BLOCK):
            writer.append(columns_of(tape, row, min(row + _BLOCK, last)))
            tape.release(row)
    return open_tape(out)


def _known(tape: Tape, first: int, start_ns: int) -> Columns:
    books = ladders.empty_books(tape)
    spots: dict[tuple[int, int], int] = {}
    ticks: dict[int, int] = {}
    resolved: set[int] = set()
    for row in range(0, first, _BLOCK):
        columns = columns_of(tape, row, min(row + _BLOCK, first))
        ladders.play(books, columns)
        _note(columns, spots, ticks, resolved)
        tape.release(row)
    # The head happened before the rows that follow it, and was received at the cut.
    ts_ns = int(tape.ts_ns[first - 1])
    rows: list[tuple[int, int, int, int, int]] = [
        (Row.SPOT, source, asset, 0, price) for (asset, source), price in sorted(spots.items())
    ]
    rows += [(Row.TICK, 0, m, tick, 0) for m, tick in sorted(ticks.items()) if m not in resolved]
    for place, market in enumerate(books.owners.tolist()):
        if market < 0 or not books.known[place] or books.last[market] < first or market in resolved:
            continue
        rows.append((Row.CLEAR, 0, market, 0, 0))
        for side in (0, 1):
            for price, size in ladders.levels_of(books, market, side):
                rows.append((Row.LEVEL, side, market, price, size))
    if not rows:
        return filled(0)
    values: dict[str, Any] = dict(
        zip(("kind", "side", "market", "price", "size"), zip(*rows, strict=True), strict=True)
    )
    return filled(len(rows), ts_ns=ts_ns, recv_ns=start_ns, **values)


def _note(
    columns: Columns,
    spots: dict[tuple[int, int], int],
    ticks: dict[int, int],
    resolved: set[int],
) -> None:
    kind = columns["kind"]
    for i in np.flatnonzero(kind == Row.SPOT).tolist():
        spots[int(columns["market"][i]), int(columns["side"][i])] = int(columns["size"][i])
    for i in np.flatnonzero(kind == Row.TICK).tolist():
        ticks[int(columns["market"][i])] = int(columns["price"][i])
    resolved.update(columns["market"][kind == Row.RESOLVED].tolist())
