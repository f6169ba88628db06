"""Several tapes as one, in the order their rows were received."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from models.errors import BadValue
from models.markets import Market
from models.tape import Row, Tape
from store.tape.columns import Columns, columns_of, joined, picked
from store.tape.file import open_tape
from store.tape.writer import TapeWriter

_BLOCK = 1 << 18


def merge(tapes: Sequence[Tape], out: Path) -> Tape:
    """Write the rows of all tapes to one file, sorted by receipt, in little memory.

    Rows received at the same time keep their order within a tape, and the order of the tapes. A
    row that happened before one received earlier is brought up to that one's time. A market or
    asset of several tapes is one market; its rows are theirs together, so give each market's
    book from one tape only.

    Raises
    ------
    BadValue
        A market is described differently by two tapes, or there is no tape.
    """
    if not tapes:
        raise BadValue("merge: there is no tape")
    markets, assets = _markets(tapes), tuple(dict.fromkeys(a for t in tapes for a in t.assets))
    depths = {tape.depth for tape in tapes if len(tape.markets)}
    if len(depths) > 1:
        raise BadValue(f"merge: the tapes show {depths} levels a side; they must agree")
    reports = tuple(report for tape in tapes for report in tape.reports)
    renumbered = [_Renumbered(tape, markets, assets) for tape in tapes]
    newest_ns = 0
    with TapeWriter(
        out, tuple(markets.values()), assets, next(iter(depths), None), reports
    ) as writer:
        for columns in _blocks(renumbered):
            ts = np.maximum.accumulate(np.maximum(columns["ts_ns"], newest_ns))
            newest_ns = int(ts[-1])
            writer.append({**columns, "ts_ns": ts})
    return open_tape(out)


def _markets(tapes: Sequence[Tape]) -> dict[str, Market]:
    markets: dict[str, Market] = {}
    for tape in tapes:
        for market in tape.markets:
            known = markets.setdefault(market.condition_id, market)
            if known != market:
                raise BadValue(
                    f"merge: {market.slug} ({market.condition_id}) is described in two ways"
                )
    return markets


class _Renumbered:
    """A tape with another's numbers of markets and assets."""

    def __init__(self, tape: Tape, markets: dict[str, Market], assets: tuple[str, ...]) -> None:
        self.tape = tape
        places = {condition_id: i for i, condition_id in enumerate(markets)}
        self._markets = np.array([places[m.condition_id] for m in tape.markets] or [0])
        self._assets = np.array([assets.index(asset) for asset in tape.assets] or [0])

    def rows(self, start: int, stop: int) -> Columns:
        columns = columns_of(self.tape, start, stop)
        market = columns["market"]
        spot, dark = columns["kind"] == Row.SPOT, columns["kind"] == Row.DARK
        new = np.zeros(len(market), np.uint16)
        new[spot] = self._assets[market[spot]]
        told = ~spot & ~dark
        new[told] = self._markets[market[told]]
        self.tape.release(start)
        return {**columns, "market": new}


def _blocks(tapes: Sequence[_Renumbered]) -> Iterator[Columns]:
    """Yield sorted blocks: all rows up to the time at which the first tape runs out of look-ahead.

    Every tape contributes at most `_BLOCK` rows and all its rows of one time stay together.
    """
    at = [0] * len(tapes)
    while True:
        ends = [
            int(each.tape.recv_ns[min(row + _BLOCK, len(each.tape)) - 1])
            for each, row in zip(tapes, at, strict=True)
            if row < len(each.tape)
        ]
        if not ends:
            return
        until_ns = min(ends)
        parts = []
        for i, each in enumerate(tapes):
            stop = at[i] + int(np.searchsorted(each.tape.recv_ns[at[i] :], until_ns, side="right"))
            parts.append(each.rows(at[i], stop))
            at[i] = stop
        block = joined(parts)
        yield picked(block, np.argsort(block["recv_ns"], kind="stable"))
