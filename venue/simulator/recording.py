"""The recorded 15-minute books: read once, checked whole, held as plain integers.

The file holds one row per second of several windows: five levels a side of the Up book (the
Down book mirrors it exactly), the Chainlink price, and each token's last trade.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from models.errors import ConfigError
from models.markets import Outcome, Side
from models.units import PRICE_ONE, to_price_e4, to_spot_e8

LENGTH_MS = 900_000
LEVELS = range(1, 6)
Levels = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Taker:
    """A trade as the recording last saw it on one token: someone took `size_e6` there."""

    outcome: Outcome
    side: Side
    price_e4: int
    size_e6: int

    def mirrored(self) -> "Taker":
        return Taker(self.outcome.other, self.side, self.price_e4, self.size_e6)


@dataclass(frozen=True, slots=True)
class Row:
    """One second: milliseconds since the window's start, Up's levels best first, new trades."""

    at_ms: int
    bids: Levels
    asks: Levels
    takers: tuple[Taker, ...]

    def mirrored(self) -> "Row":
        """The same second with Up and Down exchanged."""
        return Row(
            self.at_ms,
            tuple((PRICE_ONE - price, size) for price, size in self.asks),
            tuple((PRICE_ONE - price, size) for price, size in self.bids),
            tuple(taker.mirrored() for taker in self.takers),
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """Consecutive whole windows and the spot price beside them.

    ``spot`` is (milliseconds since the first window's start, price e8), rising in time and
    covering all windows; before its first tick the price is the first tick's.
    """

    windows: tuple[tuple[Row, ...], ...]
    spot_ms: tuple[int, ...]
    spot_e8: tuple[int, ...]

    @property
    def span_ms(self) -> int:
        return len(self.windows) * LENGTH_MS

    def price_e8(self, at_ms: int) -> int:
        """Last price at or before `at_ms`."""
        return self.spot_e8[max(0, bisect_right(self.spot_ms, at_ms) - 1)]


def load_recording(path: Path) -> Recording:
    """Read and check a recording; partial windows at the end are left out.

    Raises
    ------
    ConfigError
        One line with the file and its defect.
    """
    try:
        columns = _columns(path)
        rows = _rows(columns)
        return _assemble(columns, rows)
    except (OSError, pa.ArrowException) as error:
        detail = str(error).splitlines()[0]
        raise ConfigError(f"recording {path}: can't be read as Parquet: {detail}") from error
    except (ConfigError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"recording {path}: {error}") from error


def _columns(path: Path) -> dict[str, list[Any]]:
    names = ["ts_ms", "window_start_ms", "window_end_ms", "chainlink_btc", "window_start_price"]
    for side in ("bid", "ask"):
        for level in LEVELS:
            names += [f"{side}_px_up_{level}", f"{side}_sz_up_{level}"]
    for token in ("up", "down"):
        names += [f"last_trade_{field}_{token}" for field in ("px", "sz", "side")]
    schema = pq.read_schema(path)
    missing = [name for name in names if name not in schema.names]
    if missing:
        raise ConfigError(f"column {missing[0]!r} is missing ({len(missing)} in all)")
    columns: dict[str, list[Any]] = pq.read_table(path, columns=names).to_pydict()
    return columns


@dataclass(frozen=True, slots=True)
class _Raw:
    index: int
    start_ms: int
    row: Row


def _rows(columns: dict[str, list[Any]]) -> list[_Raw]:
    stamps, starts, ends = columns["ts_ms"], columns["window_start_ms"], columns["window_end_ms"]
    if not stamps:
        raise ConfigError("it has no rows")
    rows: list[_Raw] = []
    last_trade: dict[str, tuple[Any, ...]] = {}
    for i, stamp in enumerate(stamps):
        if i and stamp <= stamps[i - 1]:
            raise ConfigError(f"row {i}: ts_ms {stamp} does not rise")
        if ends[i] - starts[i] != LENGTH_MS:
            raise ConfigError(f"row {i}: its window lasts {ends[i] - starts[i]} ms, not 900000")
        if i and starts[i] != starts[i - 1]:
            last_trade.clear()
        bids, asks = _levels(columns, "bid", i), _levels(columns, "ask", i)
        if bids and asks and bids[0][0] >= asks[0][0]:
            raise ConfigError(f"row {i}: crossed book, bid {bids[0][0]} ask {asks[0][0]} (e4)")
        takers = _new_trades(columns, i, last_trade)
        rows.append(_Raw(i, starts[i], Row(stamp - starts[i], bids, asks, takers)))
    return rows


def _levels(columns: dict[str, list[Any]], side: str, i: int) -> Levels:
    levels: list[tuple[int, int]] = []
    for level in LEVELS:
        price, size = columns[f"{side}_px_up_{level}"][i], columns[f"{side}_sz_up_{level}"][i]
        if price is None or price != price:
            continue
        price_e4, size_e6 = to_price_e4(price), round(size * 1_000_000)
        if not 0 < price_e4 < PRICE_ONE or size_e6 <= 0:
            raise ConfigError(f"row {i}: {side} level {level} is {price} x {size}")
        if levels and (price_e4 < levels[-1][0]) != (side == "bid"):
            raise ConfigError(f"row {i}: {side} level {level} at {price} is out of order")
        levels.append((price_e4, size_e6))
    return tuple(levels)


def _new_trades(
    columns: dict[str, list[Any]], i: int, last: dict[str, tuple[Any, ...]]
) -> tuple[Taker, ...]:
    takers: list[Taker] = []
    for outcome, token in ((Outcome.UP, "up"), (Outcome.DOWN, "down")):
        now = tuple(columns[f"last_trade_{field}_{token}"][i] for field in ("px", "sz", "side"))
        before = last.get(token)
        last[token] = now
        if now[0] is None or before is None or before == now:
            continue
        price_e4, size_e6 = to_price_e4(now[0]), round(now[1] * 1_000_000)
        if not 0 < price_e4 < PRICE_ONE or size_e6 <= 0:
            raise ConfigError(f"row {i}: last trade of {token} is {now[0]} x {now[1]}")
        takers.append(Taker(outcome, Side(now[2]), price_e4, size_e6))
    return tuple(takers)


def _assemble(columns: dict[str, list[Any]], rows: list[_Raw]) -> Recording:
    windows: dict[int, list[Row]] = {}
    for raw in rows:
        windows.setdefault(raw.start_ms, []).append(raw.row)
    whole = [start for start, of in windows.items() if _whole(of)]
    if not whole:
        raise ConfigError("it holds no whole window (from 15 s after its start to its end)")
    for earlier, later in pairwise(whole):
        if later - earlier != LENGTH_MS:
            raise ConfigError(f"windows {earlier} and {later} are not consecutive")
    first, last = whole[0], whole[-1] + LENGTH_MS
    spot: list[tuple[int, int]] = []
    for raw in rows:
        at_ms = raw.start_ms + raw.row.at_ms - first
        price = columns["chainlink_btc"][raw.index]
        # Before the recorder had the window's own first tick it repeated a price that was
        # up to minutes old; such rows say nothing about the spot.
        if price is None or columns["window_start_price"][raw.index] is None:
            continue
        if price <= 0:
            raise ConfigError(f"row {raw.index}: chainlink_btc is {price}")
        if 0 <= at_ms < last - first:
            spot.append((at_ms, to_spot_e8(price)))
    if not spot:
        raise ConfigError("chainlink_btc is empty")
    return Recording(
        windows=tuple(
            tuple(row for row in windows[start] if 0 <= row.at_ms < LENGTH_MS) for start in whole
        ),
        spot_ms=tuple(at for at, _ in spot),
        spot_e8=tuple(price for _, price in spot),
    )


def _whole(rows: list[Row]) -> bool:
    return rows[0].at_ms <= 15_000 and rows[-1].at_ms >= LENGTH_MS - 5_000
