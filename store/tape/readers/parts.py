"""What the readers of recorded sets share: columns of files, units, markets, endings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from models.errors import ConfigError
from models.history import fee_schedule, settlement_rule
from models.markets import TIMEFRAMES, Market, Outcome
from models.settlement import Tick, settlement_price, winner
from models.tape import Row
from models.units import PRICE_ONE, SECOND_NS
from store.tape.columns import Columns, filled
from store.tape.rules import Findings

TICK_E4 = 100
FINE_TICK_E4 = 10
MIN_SIZE_E6 = 5_000_000
RESOLVES_AFTER_NS = 3 * SECOND_NS
"""Recordings do not say when a market was resolved; live it is seconds after the end."""
MOST_STALE_NS = 3 * SECOND_NS
"""A price older than this at a boundary settles nothing."""


def find(path: Path, name: str) -> Path:
    """Return a file itself, or the file of that name in a folder. Raises `ConfigError`."""
    file = path / name if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"{file}: there is no such file")
    return file


def parquet_columns(path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Read columns of a Parquet file as arrays; missing numbers are NaN, missing text None.

    Raises
    ------
    ConfigError
        The file can't be read, or lacks a column.
    """
    try:
        have = pq.read_schema(path).names
        missing = [name for name in names if name not in have]
        if missing:
            raise ConfigError(f"{path}: column {missing[0]!r} is missing ({len(missing)} in all)")
        table = pq.read_table(path, columns=list(names))
    except (OSError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"{path}: can't be read as Parquet: {reason}") from error
    return {name: array_of(table[name]) for name in names}


def array_of(column: Any) -> npt.NDArray[Any]:
    """One column as an array; times become nanoseconds since the epoch, -1 where missing."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64()).fill_null(-1)
    if pa.types.is_integer(column.type) and column.null_count:
        column = column.cast(pa.float64())
    array: npt.NDArray[Any] = column.to_numpy()
    return array


def prices_e4(dollars: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Prices in e4; -1 for NaN, -2 for what is off the grid of 1/10 000 or not in [0, 1]."""
    values = np.asarray(dollars, np.float64) * PRICE_ONE
    with np.errstate(invalid="ignore"):
        near = np.rint(values)
        good = (np.abs(values - near) < 1e-6) & (near >= 0) & (near <= PRICE_ONE)
    result = np.where(good, np.nan_to_num(near), -2).astype(np.int32)
    result[np.isnan(values)] = -1
    return result


def sizes_e6(shares: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Sizes in e6, rounded; -1 for what is no number above zero or beyond what can be held."""
    values = np.asarray(shares, np.float64) * 1_000_000
    with np.errstate(invalid="ignore"):
        good = (values >= 0.5) & (values < 2**62)
    return np.where(good, np.rint(np.where(good, values, 0)), -1).astype(np.int64)


def spot_e8(dollars: float) -> int:
    return round(dollars * 100_000_000)


def updown_market(
    slug: str, condition_id: str, tokens: tuple[str, str], question: str = ""
) -> Market:
    """Make the market of a slug like ``btc-updown-15m-1771633800``.

    Its fee and its settlement rule are those of its date, its tick and least size the usual ones.

    Raises
    ------
    ConfigError
        The slug is of another form.
    """
    parts = slug.split("-")
    if len(parts) != 4 or parts[1] != "updown" or not parts[3].isdigit():
        raise ConfigError(f"{slug!r} is no slug of an up/down market")
    if parts[2] not in TIMEFRAMES:
        raise ConfigError(f"{slug!r}: no window is {parts[2]!r} long; known: {list(TIMEFRAMES)}")
    start_ns = int(parts[3]) * SECOND_NS
    return window_market(
        parts[0].upper(), parts[2], start_ns, slug, condition_id, tokens, question=question
    )


def window_market(
    asset: str,
    timeframe: str,
    start_ns: int,
    slug: str,
    condition_id: str,
    tokens: tuple[str, str],
    *,
    end_ns: int | None = None,
    question: str = "",
) -> Market:
    """Make a market with the rules of its date; `end_ns` follows from the time frame."""
    if end_ns is None:
        end_ns = start_ns + TIMEFRAMES[timeframe] * SECOND_NS
    return Market(
        condition_id=condition_id,
        slug=slug,
        question=question or f"{asset} Up or Down ({slug})?",
        asset=asset,
        timeframe=timeframe,
        up_token=tokens[0],
        down_token=tokens[1],
        start_ns=start_ns,
        end_ns=end_ns,
        tick_e4=TICK_E4,
        min_size_e6=MIN_SIZE_E6,
        fee=fee_schedule(timeframe, start_ns),
        settlement=settlement_rule(end_ns),
    )


def boundary_e8(
    ticks: Sequence[Tick], at_ns: int, most_stale_ns: int, market: Market
) -> int | None:
    """Settlement price at a boundary, None where the ticks do not come close enough to it."""
    if not any(at_ns - most_stale_ns <= ts <= at_ns for ts, _ in ticks):
        return None
    return settlement_price(ticks, at_ns, market.settlement)


def derived_winner(strike_e8: int | None, closing_e8: int | None) -> Outcome | None:
    if strike_e8 is None or closing_e8 is None:
        return None
    return winner(strike_e8, closing_e8)


def resolved_row(market: int, end_ns: int, outcome: Outcome) -> Columns:
    """The RESOLVED row of a market, some seconds after its end."""
    return filled(
        1,
        ts_ns=end_ns + RESOLVES_AFTER_NS,
        kind=int(Row.RESOLVED),
        side=int(outcome is Outcome.DOWN),
        market=market,
    )


def note_resolution(findings: Findings) -> None:
    findings.note(
        f"resolutions come {RESOLVES_AFTER_NS // SECOND_NS} s after the end: "
        "the recording does not say when"
    )
