"""How often a recording speaks, and so how old its books and prices may grow unnoticed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.runs import RunSpec
from models.tape import Row, Tape
from models.units import SECOND_NS

LIVE_BOOK_S, LIVE_SPOT_S = 30.0, 6.0
"""What a live trader takes for fresh (`engine.trader.TraderSettings`)."""
USUAL = 0.95
"""Part of all silences that are no longer than the usual one."""
LOOKED_AT = 1 << 21
"""Rows that are enough to know a recording's ways."""


@dataclass(frozen=True, slots=True)
class Ages:
    """Seconds after which books and spot prices are too old to trade on."""

    book_s: float
    spot_s: float


def ages_of(spec: RunSpec, tape: Tape) -> Ages:
    """What the run says; else as live, or twice the recording's usual silence if that is longer.

    On a recording that tells a price every 20 seconds, a limit of six would keep every agent
    from trading two thirds of the time, which says something of the recording only.
    """
    rows = min(len(tape), LOOKED_AT)
    kind, market, recv = tape.kind[:rows], tape.market[:rows], tape.recv_ns[:rows]
    book, spot = spec.max_book_age_s, spec.max_spot_age_s
    if book is None:
        books = (kind == Row.CLEAR) | (kind == Row.LEVEL)
        book = max(LIVE_BOOK_S, 2 * _usual_s(market[books], recv[books]))
    if spot is None:
        # Only the first source is what strategies see.
        prices = (kind == Row.SPOT) & (tape.side[:rows] == 0)
        spot = max(LIVE_SPOT_S, 2 * _usual_s(market[prices], recv[prices]))
    return Ages(book, spot)


def _usual_s(of: npt.NDArray[Any], recv_ns: npt.NDArray[np.int64]) -> float:
    """Length that few silences between two messages about the same thing exceed, seconds."""
    order = np.argsort(of, kind="stable")
    gaps = np.diff(recv_ns[order])[np.diff(of[order].astype(np.int64)) == 0]
    gaps = gaps[gaps > 0]
    return float(np.quantile(gaps, USUAL)) / SECOND_NS if len(gaps) else 0.0
