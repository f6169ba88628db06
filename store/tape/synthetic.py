"""Synthetic tapes: level changes, trades and spot of made-up markets, as many as one likes.

For benchmarks and tests only. The books follow a fair value that follows a random spot price, so
that strategies have something to do; nothing about them was fitted to a real market.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import BadValue
from models.markets import TIMEFRAMES, Market
from models.tape import DTYPES, Report, Tape
from models.units import SECOND_NS
from store.tape.columns import Columns, picked
from store.tape.file import open_tape
from store.tape.parquet import Progress
from store.tape.readers.parts import updown_market
from store.tape.synthetic_kernel import GRID, fill, open_books, resolve
from store.tape.writer import TapeWriter

BLOCK = 1 << 19
"""Rows made at a time."""
FIRST_SPOT = 60_000.0
RECV_LAG_NS = 5_000_000
_ASSETS = ("BTC", "ETH", "SOL", "XRP")


def synthetic(
    path: Path,
    events: int,
    *,
    seed: int = 7,
    markets: int = 1,
    rate_per_s: float = 2_000.0,
    timeframe: str = "15m",
    start_s: int = 1_780_272_000,
    on_progress: Progress | None = None,
) -> Tape:
    """Write a tape of `events` rows and open it; memory does not grow with the rows.

    Some nine rows in ten are level changes, the others trades (each with the level they took
    from) and spot prices. Windows follow one another for as long as the rows last; each begins
    with a whole book, and ends with its resolution.

    Parameters
    ----------
    markets
        How many assets have a market at the same time: BTC, ETH, SOL, XRP, then made-up names.
    rate_per_s
        Mean number of messages a second, of all markets together.
    start_s
        Start of the first window, a whole multiple of the time frame's seconds.

    Raises
    ------
    BadValue
        A parameter is out of range.
    """
    _refuse_bad(events, markets, rate_per_s, timeframe, start_s)
    assets = tuple(_ASSETS[i] if i < len(_ASSETS) else f"S{i}" for i in range(markets))
    random = np.array([(seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64], np.uint64)
    spot = np.full(markets, FIRST_SPOT) / (1.0 + np.arange(markets) * 20.0)
    report = Report("synthetic", events, notes=(f"made up, seed {seed}: not a real market",))
    length_ns = TIMEFRAMES[timeframe] * SECOND_NS
    block = {name: np.zeros(BLOCK + GRID, dtype) for name, dtype in DTYPES.items()}
    with TapeWriter(path, (), assets, None, (report,)) as writer:
        start_ns = start_s * SECOND_NS
        while writer.rows < events:
            first = len(writer.markets)
            strikes = spot.copy()
            writer.markets += tuple(
                _market(asset, timeframe, start_ns, strike)
                for asset, strike in zip(assets, strikes, strict=True)
            )
            books = np.zeros((markets, 2, 101), np.int64)
            best = np.tile(np.array([0, 100], np.int64), (markets, 1))
            rows = open_books(_arrays(block), random, books, best, first, start_ns)
            _append(writer, block, rows, events)
            at_ns = start_ns
            while at_ns < start_ns + length_ns and writer.rows < events:
                rows, at_ns = fill(
                    _arrays(block), random, books, best, spot, strikes,
                    first, at_ns, start_ns + length_ns, SECOND_NS / rate_per_s, BLOCK,
                )  # fmt: skip
                _append(writer, block, rows, events)
                if on_progress:
                    on_progress(writer.rows, events)
            start_ns += length_ns
            rows = resolve(_arrays(block), spot, strikes, first, start_ns)
            _append(writer, block, rows, events)
    return open_tape(path)


def _append(writer: TapeWriter, block: Columns, rows: int, events: int) -> None:
    rows = min(rows, events - writer.rows)
    block["recv_ns"][:rows] = block["ts_ns"][:rows] + RECV_LAG_NS
    writer.append(picked(block, slice(0, rows)))


def _arrays(block: Columns) -> Any:
    return tuple(block[name] for name in ("ts_ns", "kind", "side", "market", "price", "size"))


def _market(asset: str, timeframe: str, start_ns: int, strike: float) -> Market:
    slug = f"{asset.lower()}-updown-{timeframe}-{start_ns // SECOND_NS}"
    name = f"synthetic:{slug}"
    market = updown_market(slug, name, (f"{name}:Up", f"{name}:Down"))
    return replace(market, strike_e8=round(strike * 100_000_000))


def _refuse_bad(events: int, markets: int, rate_per_s: float, timeframe: str, start_s: int) -> None:
    if timeframe not in TIMEFRAMES:
        raise BadValue(f"timeframe {timeframe!r} is not one of {list(TIMEFRAMES)}")
    if start_s % TIMEFRAMES[timeframe] or start_s < 0:
        raise BadValue(f"start_s={start_s} is no start of a {timeframe} window")
    if events < 1 or not 1 <= markets <= 1_000 or not 0 < rate_per_s <= 1e8:
        raise BadValue(
            f"events={events} must be above zero, markets={markets} 1 to 1000, "
            f"rate_per_s={rate_per_s} above zero and at most 1e8"
        )
