"""Looking through a finished tape for what its format allows, and mending crossed books."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from models.markets import Market
from models.tape import Report, Row, Tape
from models.units import PRICE_ONE, SECOND_NS
from store.tape import ladders
from store.tape.columns import Columns, columns_of, filled, joined, picked
from store.tape.file import open_tape, verify
from store.tape.rules import Findings
from store.tape.writer import TapeWriter

_BLOCK = 1 << 18

Progress = Callable[[int, int], None]


def check_tape(path: Path, gap_s: float = 60.0, on_progress: Progress | None = None) -> Report:
    """Read a tape file whole and count what is suspicious by rule. Nothing is changed.

    Its checksums and its order are compared first; what is counted beyond that: crossed books,
    prices off the grid, prints and levels of no size, the same row twice, silence longer than
    `gap_s` that no DARK row follows, and books and prints after their window's end.

    Raises
    ------
    ConfigError, BadValue
        As `store.tape.file.verify`.
    """
    verify(path)
    tape = open_tape(path)
    findings = Findings(str(path))
    books = ladders.empty_books(tape)
    ends = np.array([market.end_ns for market in tape.markets] or [0], np.int64)
    for start, columns in _messages(tape):
        crossed = ladders.play(books, columns) + start
        findings.add_rows("crossed_book", crossed, lambda i: _slug(tape, i))
        _check_rows(tape, columns, start, ends, findings)
        _check_gaps(tape, columns, start, round(gap_s * SECOND_NS), findings)
        if on_progress:
            on_progress(start + len(columns["ts_ns"]), len(tape))
        tape.release(start)
    return findings.report(len(tape))


def uncross(tape: Tape, out: Path) -> Tape:
    """Write a tape whose books are never crossed: rule ``crossed_book``.

    After a message that leaves bid at or above ask, the side it did not touch last loses its
    levels in the way: they must have been taken or cancelled without our hearing of it.
    """
    findings = Findings("uncross")
    books = ladders.empty_books(tape)
    with TapeWriter(out, tape.markets, tape.assets, tape.depth, tape.reports) as writer:
        for start, columns in _messages(tape):
            writer.append(_uncrossed(books, columns, start, findings))
            tape.release(start)
        writer.reports = (*tape.reports, findings.report(writer.rows))
    return open_tape(out)


def _uncrossed(books: ladders.Books, columns: Columns, start: int, findings: Findings) -> Columns:
    parts: list[Columns] = []
    done, count = 0, len(columns["ts_ns"])
    while done < count:
        rest = picked(columns, slice(done, count))
        crossed = ladders.play(books, rest, first_only=True)
        if not len(crossed):
            parts.append(rest)
            break
        stop = int(crossed[0]) + 1
        head = picked(rest, slice(0, stop))
        mend = _mend(books, head)
        ladders.play(books, mend)
        findings.add("crossed_book", f"row {start + done + stop - 1}")
        parts += [head, mend]
        done += stop
    return joined(parts)


def _mend(books: ladders.Books, head: Columns) -> Columns:
    """Rows that remove what stands in the way of the last message's side."""
    market, newer = int(head["market"][-1]), int(head["side"][-1])
    older = 1 - newer
    best = ladders.levels_of(books, market, newer)[0][0]
    prices = [
        price
        for price, _ in ladders.levels_of(books, market, older)
        if (price >= best if newer else price <= best)
    ]
    return filled(
        len(prices), ts_ns=head["ts_ns"][-1], recv_ns=head["recv_ns"][-1], kind=int(Row.LEVEL),
        side=older, market=market, price=prices,
    )  # fmt: skip


def _messages(tape: Tape) -> Iterator[tuple[int, Columns]]:
    """Yield blocks of rows with the first one's number; no message is cut in two."""
    start = 0
    while start < len(tape):
        stop = min(start + _BLOCK, len(tape))
        stop = int(np.searchsorted(tape.recv_ns, tape.recv_ns[stop - 1], side="right"))
        yield start, columns_of(tape, start, stop)
        start = stop


def _check_rows(
    tape: Tape, columns: Columns, start: int, ends: np.ndarray, findings: Findings
) -> None:
    kind, price, size = columns["kind"], columns["price"], columns["size"]
    quoted = (kind == Row.LEVEL) | (kind == Row.TRADE)
    off = np.flatnonzero(quoted & ((price <= 0) | (price >= PRICE_ONE))) + start
    findings.add_rows("off_grid_price", off, lambda i: f"{_slug(tape, i)} at {tape.price[i]} e4")
    nothing = ((kind == Row.TRADE) | (kind == Row.SPOT)) & (size == 0)
    findings.add_rows(
        "negative_size", np.flatnonzero(nothing) + start, lambda i: Row(int(tape.kind[i])).name
    )
    market = np.where(quoted, columns["market"], 0)
    late = quoted & (columns["ts_ns"] >= ends[market])
    findings.add_rows("late_row", np.flatnonzero(late) + start, lambda i: _slug(tape, i))
    same = quoted[1:].copy()
    for column in columns.values():
        same &= column[1:] == column[:-1]
    again = np.flatnonzero(same & (kind[1:] == Row.LEVEL)) + 1 + start
    findings.add_rows("duplicate_row", again, lambda i: _slug(tape, i))


def _check_gaps(tape: Tape, columns: Columns, start: int, gap_ns: int, findings: Findings) -> None:
    # With the row before the block, so that a gap between two blocks counts.
    recv = tape.recv_ns[max(0, start - 1) : start + len(columns["ts_ns"])]
    long = np.flatnonzero(np.diff(recv) > gap_ns) + max(0, start - 1)
    silent = long[tape.kind[long] != Row.DARK]
    findings.add_rows(
        "gap",
        silent,
        lambda i: f"nothing for {(tape.recv_ns[i + 1] - tape.recv_ns[i]) / SECOND_NS:.1f} s",
    )


def _slug(tape: Tape, row: int) -> str:
    market: Market = tape.markets[int(tape.market[row])]
    return market.slug
