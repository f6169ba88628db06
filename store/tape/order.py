"""Bringing rows into a tape's order: as we received them, never happening after that."""

import numpy as np

from models.errors import ConfigError
from models.tape import Row
from models.units import SECOND_NS
from store.tape.columns import Columns, filled, joined, picked, rows_in
from store.tape.rules import Findings

MOST_BACK_NS = 5 * SECOND_NS
"""A recording that goes back by more than this was put together wrongly and is refused."""


def refuse_leaps(stamps: np.ndarray, findings: Findings, what: str = "row") -> None:
    """Count rows earlier than one before them (`time_backwards`).

    Raises
    ------
    ConfigError
        One of them is more than `MOST_BACK_NS` early.
    """
    if not len(stamps):
        return
    back = np.maximum.accumulate(stamps) - stamps
    worst = int(np.argmax(back))
    if back[worst] > MOST_BACK_NS:
        raise ConfigError(
            f"{findings.source}: {what} {worst} goes back in time by "
            f"{back[worst] / SECOND_NS:.3f} s; sort the recording, or read its parts apart"
        )
    findings.add_rows(
        "time_backwards",
        np.flatnonzero(back),
        lambda i: f"{back[i] / SECOND_NS:.6f} s before an earlier row",
    )


def in_order(columns: Columns, findings: Findings) -> Columns:
    """Sort rows by receipt (rows of one time keep their order) and mend `ts_ns`.

    What we saw first comes first: a strategy replayed over the tape sees what it saw live. Where
    the venue's times disagree with that they are brought up to the row before (`time_backwards`),
    and never lie after the receipt (`clock_skew`). What was received does not change.
    """
    recv = columns["recv_ns"]
    if (recv[1:] < recv[:-1]).any():
        columns = picked(columns, np.argsort(recv, kind="stable"))
        recv = columns["recv_ns"]
    ts = columns["ts_ns"]
    late = np.flatnonzero(ts > recv)
    findings.add_rows("clock_skew", late, lambda i: f"received {ts[i] - recv[i]} ns too early")
    lowered = np.minimum(ts, recv)
    raised = np.maximum.accumulate(lowered) if len(ts) else lowered
    findings.add_rows(
        "time_backwards",
        np.flatnonzero(raised > lowered),
        lambda i: f"{raised[i] - lowered[i]} ns before the row before it",
    )
    return {**columns, "ts_ns": raised}


def with_gaps(columns: Columns, gap_ns: int, findings: Findings) -> Columns:
    """Insert a DARK row wherever no row comes for `gap_ns`, that long after the last one."""
    recv = columns["recv_ns"]
    if rows_in(columns) < 2:
        return columns
    before = np.flatnonzero(np.diff(recv) > gap_ns)
    if not len(before):
        return columns
    findings.add_rows(
        "gap", before, lambda i: f"nothing for {(recv[i + 1] - recv[i]) / SECOND_NS:.1f} s after it"
    )
    dark = filled(len(before), ts_ns=recv[before] + gap_ns, kind=int(Row.DARK))
    # A row that happened in the gap but came after it would happen before the darkness.
    following = columns["ts_ns"][before + 1]
    dark = {**dark, "ts_ns": np.minimum(dark["ts_ns"], following)}
    at = np.concatenate([np.arange(len(recv)), before + 0.5])
    return picked(joined([columns, dark]), np.argsort(at, kind="stable"))
