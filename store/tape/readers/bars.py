"""Reader of 1-minute spot bars: real prices with *modelled* books around a digital's fair value.

The bars say what the spot did; that there was a market, and what it quoted, is a model. Nothing
found on such a tape says what the venue would have paid; it says how a strategy behaves on real
price paths. Each window is drawn from its own random stream, so any part of the bars gives the
same windows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import BadValue, ConfigError
from models.markets import TIMEFRAMES, Market
from models.tape import Row, Tape
from models.units import MINUTE_NS, PRICE_ONE, SECOND_NS
from store.tape.columns import Columns, filled, joined, picked, rows_in, tape_of
from store.tape.file import open_tape
from store.tape.order import in_order
from store.tape.parquet import Progress
from store.tape.readers import parts
from store.tape.rules import Findings
from store.tape.writer import TapeWriter

Floats = npt.NDArray[np.float64]
FairValue = Callable[[Floats, float, float, Floats], Floats]
"""Probability of Up for spots, strike, volatility per root second and seconds left."""

_AT_S = (0.0, 20.0, 40.0, 59.0)
"""When within its minute a bar's open, two extremes and close are told."""


@dataclass(frozen=True, slots=True)
class ModelBook:
    """How the modelled market quotes.

    Parameters
    ----------
    spread_e4
        From best bid to best ask, before both are rounded outwards to the tick.
    depth
        Levels a side, a tick apart.
    level_e6
        Mean shares of a level; drawn from an exponential distribution for each.
    every_s
        Seconds between two books, each told whole.
    noise_e4
        Standard deviation of the quotes' middle around the fair value.
    prints_per_minute
        Mean number of trades; each takes part of the best bid or ask, either equally likely.
    volatility_minutes
        The fair value's volatility is the realised one of so many bars before the window.
    seed
        Of everything drawn.
    """

    spread_e4: int = 200
    depth: int = 5
    level_e6: int = 200_000_000
    every_s: float = 1.0
    noise_e4: float = 50.0
    prints_per_minute: float = 6.0
    volatility_minutes: int = 60
    seed: int = 7

    def __post_init__(self) -> None:
        for name in ("spread_e4", "depth", "level_e6", "every_s", "volatility_minutes"):
            if not getattr(self, name) > 0:
                raise BadValue(f"model book: {name}={getattr(self, name)!r} must be above zero")
        for name in ("noise_e4", "prints_per_minute", "seed"):
            if not getattr(self, name) >= 0:
                raise BadValue(f"model book: {name}={getattr(self, name)!r} must not be negative")


@dataclass(frozen=True, slots=True)
class Bars:
    """Consecutive minutes: start in ns, and open, high, low, close in US dollars."""

    asset: str
    start_ns: npt.NDArray[np.int64]
    prices: Floats
    """One row per bar: open, high, low, close."""


def read_bars(
    path: Path,
    value: FairValue,
    *,
    timeframe: str = "15m",
    model: ModelBook | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
) -> Tape:
    """Make a tape of the windows between two times (all of the bars where left out).

    Parameters
    ----------
    value
        `risk.digital.up_probabilities`, or another model of the fair value.

    Raises
    ------
    ConfigError
        The file can't be read, goes back in time, or holds no whole window.
    """
    findings = Findings(str(path))
    bars = load_bars(path, findings)
    model = model or ModelBook()
    markets: list[Market] = []
    blocks: list[Columns] = []
    for market, columns in model_windows(bars, value, timeframe, model, start_ns, end_ns):
        markets.append(market)
        blocks.append(columns)
    if not markets:
        raise ConfigError(f"{path}: there is no whole {timeframe} window in that time")
    note_model(findings, model)
    table = in_order(joined(blocks), findings)
    report = findings.report(rows_in(table))
    return tape_of(table, tuple(markets), (bars.asset,), None, (report,))


def write_bars(
    path: Path,
    out: Path,
    value: FairValue,
    *,
    timeframe: str = "15m",
    model: ModelBook | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
    on_progress: Progress | None = None,
) -> Tape:
    """Write what `read_bars` would make to a file, one window at a time, and open it."""
    findings = Findings(str(path))
    bars = load_bars(path, findings)
    model = model or ModelBook()
    late = filled(0)
    with TapeWriter(out, (), (bars.asset,)) as writer:
        for market, columns in model_windows(bars, value, timeframe, model, start_ns, end_ns):
            writer.markets += (market,)
            # The resolution comes after the end, so after rows of the next window.
            ready = in_order(joined([late, columns]), findings)
            now = ready["ts_ns"] < market.end_ns
            writer.append(picked(ready, now))
            late = picked(ready, ~now)
            if on_progress:
                done = np.searchsorted(bars.start_ns, market.end_ns)
                on_progress(int(done), len(bars.start_ns))
        if not writer.markets:
            raise ConfigError(f"{path}: there is no whole {timeframe} window in that time")
        writer.append(late)
        note_model(findings, model)
        writer.reports = (findings.report(writer.rows),)
    return open_tape(out)


def load_bars(path: Path, findings: Findings) -> Bars:
    """Read a file of bars whose name begins with the asset, as in ``BTCUSDT_1m_….parquet``."""
    table = parts.parquet_columns(path, ["date", "open", "high", "low", "close"])
    prices = np.stack([table[name] for name in ("open", "high", "low", "close")], axis=1)
    prices = prices.astype(np.float64)
    low, high = prices[:, 2], prices[:, 1]
    with np.errstate(invalid="ignore"):
        good = np.isfinite(prices).all(axis=1) & (low > 0)
        good &= (prices.min(axis=1) == low) & (prices.max(axis=1) == high)
    findings.add_rows("malformed_row", np.flatnonzero(~good), lambda i: f"bar {prices[i]}")
    stamps = table["date"][good]
    parts_leap = np.flatnonzero(np.diff(stamps) <= 0)
    if len(parts_leap):
        raise ConfigError(f"{path}: bar {parts_leap[0] + 1} does not come after the one before")
    findings.add_rows(
        "gap", np.flatnonzero(np.diff(stamps) > MINUTE_NS), lambda i: "a minute is missing after it"
    )
    asset = path.name.split("USD")[0].upper()
    return Bars(asset, stamps, prices[good])


def model_windows(
    bars: Bars,
    value: FairValue,
    timeframe: str,
    model: ModelBook,
    start_ns: int | None = None,
    end_ns: int | None = None,
) -> Iterator[tuple[Market, Columns]]:
    """Yield each whole window with its rows; numbers of markets count from zero.

    A window with a missing minute, in it or in the time its volatility is measured over, is left
    out.
    """
    if timeframe not in TIMEFRAMES:
        raise BadValue(f"timeframe {timeframe!r} is not one of {list(TIMEFRAMES)}")
    length_ns = TIMEFRAMES[timeframe] * SECOND_NS
    minutes, before = length_ns // MINUTE_NS, model.volatility_minutes
    first = max(int(bars.start_ns[0]), start_ns or 0) if len(bars.start_ns) else 0
    last = int(bars.start_ns[-1]) + MINUTE_NS if len(bars.start_ns) else 0
    number = 0
    for start in range(-(-first // length_ns) * length_ns, min(last, end_ns or last), length_ns):
        i = int(np.searchsorted(bars.start_ns, start))
        span = bars.start_ns[max(0, i - before) : i + minutes]
        if len(span) != before + minutes or (np.diff(span) != MINUTE_NS).any():
            continue
        if start + length_ns > (end_ns or last):
            break
        yield _window(bars, i, i + minutes, timeframe, value, model, number)
        number += 1


def _window(
    bars: Bars, i: int, j: int, timeframe: str, value: FairValue, model: ModelBook, number: int
) -> tuple[Market, Columns]:
    start_ns = int(bars.start_ns[i])
    # The strike, the price at the boundary, is the first bar's open: its tick is at the start.
    strike, closing = float(bars.prices[i, 0]), float(bars.prices[j - 1, 3])
    slug = f"{bars.asset.lower()}-updown-{timeframe}-{start_ns // SECOND_NS}"
    name = f"model:{slug}"
    market = replace(
        parts.updown_market(slug, name, (f"{name}:Up", f"{name}:Down")),
        question=f"{bars.asset} Up or Down, modelled on recorded spot ({slug})?",
        strike_e8=parts.spot_e8(strike),
    )
    random = np.random.default_rng([model.seed, start_ns // SECOND_NS])
    stamps, spots = _path(bars, i, j, random)
    moves = np.diff(np.log(bars.prices[i - model.volatility_minutes : i, 3]))
    volatility = float(np.sqrt(np.mean(moves**2) / 60.0)) if len(moves) else 0.0
    books = _books(market, value, volatility, stamps, spots, model, random, number)
    closing_e8 = parts.spot_e8(closing)
    outcome = parts.derived_winner(market.strike_e8, closing_e8)
    assert outcome is not None
    spot_rows = filled(
        len(stamps), ts_ns=stamps, kind=int(Row.SPOT),
        size=np.rint(spots * 100_000_000).astype(np.int64),
    )  # fmt: skip
    end = parts.resolved_row(number, market.end_ns, outcome)
    return market, joined([spot_rows, books, end])


def _path(
    bars: Bars, i: int, j: int, random: np.random.Generator
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Times and prices of a window's ticks.

    Which of high and low came first is not recorded. It is drawn, whatever the close was: an
    order chosen by the close would tell the close before its time.
    """
    prices = bars.prices[i:j][:, [0, 1, 2, 3]].copy()
    swap = random.random(j - i) < 0.5
    prices[swap, 1], prices[swap, 2] = prices[swap, 2], prices[swap, 1]
    offsets = (np.array(_AT_S) * SECOND_NS).astype(np.int64)
    stamps = bars.start_ns[i:j, None] + offsets
    return stamps.ravel(), prices.ravel()


def _books(
    market: Market,
    value: FairValue,
    volatility: float,
    stamps: npt.NDArray[np.int64],
    spots: Floats,
    model: ModelBook,
    random: np.random.Generator,
    number: int,
) -> Columns:
    times = np.arange(market.start_ns, market.end_ns, round(model.every_s * SECOND_NS))
    spot = spots[np.searchsorted(stamps, times, side="right") - 1]
    left = (market.end_ns - times) / SECOND_NS
    strike = (market.strike_e8 or 0) / 100_000_000
    fair = value(spot, strike, volatility, left) * PRICE_ONE
    middle = fair + random.normal(0.0, 1.0, len(times)) * model.noise_e4
    tick, steps = market.tick_e4, np.arange(model.depth) * market.tick_e4
    half = model.spread_e4 / 2
    bids = (np.floor((middle - half) / tick) * tick)[:, None] - steps
    asks = (np.ceil((middle + half) / tick) * tick)[:, None] + steps
    prices = np.stack([bids, asks], axis=1).astype(np.int64)
    sizes = random.exponential(model.level_e6, prices.shape)
    sizes = np.maximum(10_000, sizes // 10_000 * 10_000).astype(np.int64)
    shown = (prices > 0) & (prices < PRICE_ONE)
    trades = _prints(times, prices, sizes, shown, model, random)
    return _book_rows(times, prices, sizes, shown, trades, number)


def _prints(
    times: npt.NDArray[Any],
    prices: npt.NDArray[Any],
    sizes: npt.NDArray[Any],
    shown: npt.NDArray[Any],
    model: ModelBook,
    random: np.random.Generator,
) -> tuple[npt.NDArray[Any], ...]:
    """Trades that take part of the best level of the book shown before: (book, side, price, size).

    The print stands before the next book, which tells what is left.
    """
    chance = min(1.0, model.prints_per_minute / 60.0 * model.every_s)
    happens = random.random(len(times)) < chance
    side = random.integers(0, 2, len(times))
    part = random.random(len(times))
    at = np.flatnonzero(happens[1:]) + 1
    hit = 1 - side[at]  # a buyer of Up takes an ask
    there = shown[at - 1, hit, 0]
    at, hit = at[there], hit[there]
    size = np.maximum(10_000, sizes[at - 1, hit, 0] * part[at] // 10_000 * 10_000)
    return at, 1 - hit, prices[at - 1, hit, 0], size.astype(np.int64)


def _book_rows(
    times: npt.NDArray[Any],
    prices: npt.NDArray[Any],
    sizes: npt.NDArray[Any],
    shown: npt.NDArray[Any],
    trades: tuple[npt.NDArray[Any], ...],
    number: int,
) -> Columns:
    book, side, level = np.nonzero(shown)
    depth = prices.shape[2]
    clear = filled(len(times), ts_ns=times, kind=int(Row.CLEAR), market=number)
    levels = filled(
        len(book), ts_ns=times[book], kind=int(Row.LEVEL), side=side, market=number,
        price=prices[book, side, level], size=sizes[book, side, level],
    )  # fmt: skip
    at, taker, price, size = trades
    prints = filled(
        len(at), ts_ns=times[at], kind=int(Row.TRADE), side=taker, market=number,
        price=price, size=size,
    )  # fmt: skip
    width = 2 * depth + 2
    order = np.concatenate(
        [
            np.arange(len(times)) * width + 1,
            book * width + 2 + side * depth + level,
            at * width,
        ]
    )
    return picked(joined([clear, levels, prints]), np.argsort(order, kind="stable"))


def note_model(findings: Findings, model: ModelBook) -> None:
    findings.note(f"books and trades are MODELLED, only spot is recorded: {model}")
    findings.note(
        "a bar's open, extremes and close are told at 0, 20, 40 and 59 s of its minute; "
        "which extreme came first is drawn"
    )
    findings.note(
        "the price that settles is the spot exchange's, not the venue's feed: near ties may differ"
    )
    parts.note_resolution(findings)
