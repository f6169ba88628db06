"""A recorded market as columns: what happened at the venue, and when we could have seen it.

One row is one event. Levels and prints are in Up-price space (Down's book is its exact mirror),
so a market needs one set of rows. Rows are in order of `ts_ns`; `recv_ns` never falls either and
is never before `ts_ns` of the same row.

Neighbouring CLEAR and LEVEL rows of one market with the same `ts_ns` and `recv_ns` are one
message: between them the book is neither old nor new and may look crossed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from models.errors import BadValue
from models.events import SpotSource
from models.markets import Market, Outcome


class Row(IntEnum):
    """What a row says; `side` is 0 for bids and buyers of Up, 1 for asks and sellers of Up."""

    CLEAR = 0
    """The market's book is told anew: it is empty but for the levels of the same message."""
    LEVEL = 1
    """New absolute `size` (e6 shares) at `price` (e4); zero removes the level."""
    TRADE = 2
    """A print: `side` is the taker's in Up-price space, `price` e4, `size` e6 shares."""
    SPOT = 3
    """A spot price: `market` is an index into `Tape.assets`, `side` one into `SPOT_SOURCES`,
    `size` the price in e8."""
    TICK = 4
    """The market's tick size becomes `price` (e4)."""
    RESOLVED = 5
    """The market is resolved: `side` 0 means Up won, 1 Down."""
    DARK = 6
    """The feed went dark; nothing is known of any book until its next CLEAR."""


SPOT_SOURCES = (SpotSource.CHAINLINK, SpotSource.BINANCE, SpotSource.TWAP_60)
"""What `side` of a SPOT row points into; 0 is the price feed that views and strategies see."""

DTYPES: Mapping[str, npt.DTypeLike] = {
    "ts_ns": np.int64,
    "recv_ns": np.int64,
    "kind": np.uint8,
    "side": np.uint8,
    "market": np.uint16,
    "price": np.int32,
    "size": np.int64,
}
"""Columns of a tape and their types; 32 bytes a row."""


@dataclass(frozen=True, slots=True)
class Report:
    """What reading a recording found: counts by named rule, and the first rows of each."""

    source: str
    rows: int
    counts: Mapping[str, int] = field(default_factory=dict)
    """Rule's name to the number of rows it skipped or repaired."""
    samples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Rule's name to its first few findings: file, line or row, and what was wrong."""
    notes: tuple[str, ...] = ()
    """What the recording does not say and the reader assumed or derived, a sentence each."""


def _keep(row: int) -> None:
    """Release nothing: arrays that are not views of a file stay as they are."""


@dataclass(frozen=True, slots=True)
class Tape:
    """Columns of equal length, with the markets and assets their `market` column points into.

    The arrays may be views of memory-mapped files: never write to them.
    """

    ts_ns: npt.NDArray[np.int64]
    recv_ns: npt.NDArray[np.int64]
    kind: npt.NDArray[np.uint8]
    side: npt.NDArray[np.uint8]
    market: npt.NDArray[np.uint16]
    price: npt.NDArray[np.int32]
    size: npt.NDArray[np.int64]
    markets: tuple[Market, ...]
    assets: tuple[str, ...]
    depth: int | None = None
    """Levels a side its feed shows at most; None when it shows the whole book."""
    reports: tuple[Report, ...] = ()
    """What reading its sources found."""
    release: Callable[[int], None] = field(default=_keep, repr=False, compare=False)
    """Say that rows before this index are not needed soon: a mapped tape gives their memory
    back, so that a pass over it stays flat; reading them again reads the file again."""

    def __post_init__(self) -> None:
        for name in DTYPES:
            if len(getattr(self, name)) != len(self.ts_ns):
                raise BadValue(
                    f"tape: column {name} has {len(getattr(self, name))} rows, "
                    f"ts_ns has {len(self.ts_ns)}"
                )

    def __len__(self) -> int:
        return len(self.ts_ns)

    def winners(self) -> dict[str, Outcome]:
        """Winner by condition id, of the markets the tape saw resolved."""
        at = np.flatnonzero(self.kind == Row.RESOLVED)
        return {
            self.markets[self.market[i]].condition_id: Outcome.DOWN if self.side[i] else Outcome.UP
            for i in at
        }
