"""Reader of one day's best bids and asks of twenty thousand markets; for load, not for trading."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from models.errors import ConfigError
from models.history import FEE
from models.markets import Market
from models.tape import Tape
from store.tape.file import open_tape
from store.tape.order import refuse_leaps
from store.tape.parquet import Progress
from store.tape.readers import parts
from store.tape.readers.captures import quote_rows
from store.tape.rules import Findings
from store.tape.writer import TapeWriter

FILE = "quotes_2026-08-01_full_day.parquet"
COLUMNS = ("ts", "slug", "bid", "ask")
ASSUMED_SIZE_E6 = 100_000_000
_BLOCK = 1 << 18


def write_quotes(
    path: Path,
    out: Path,
    *,
    size_e6: int = ASSUMED_SIZE_E6,
    on_progress: Progress | None = None,
) -> Tape:
    """Write the day's quotes to a tape file and open it.

    The file is sorted by market; its times, markets and prices are held in memory (some twenty
    bytes a row) to bring them into order of time. Markets have no spot price, strike or ending,
    and their window is from their first quote to their last.

    Raises
    ------
    ConfigError
        The file can't be read, lacks columns, or a market's quotes go back in time.
    """
    file = parts.find(path, FILE)
    findings = Findings(str(file))
    stamps, market, slugs, bid, ask = _columns(file)
    _refuse_disorder(stamps, market, findings)
    order = np.argsort(stamps, kind="stable")
    findings.note(f"sizes are assumed: {size_e6 // 1_000_000} shares at the best bid and ask")
    findings.note("no spot, strikes, trades or endings: for load tests, not for results")
    with TapeWriter(out, _markets(stamps, market, slugs), (), 1) as writer:
        for start in range(0, len(order), _BLOCK):
            at = order[start : start + _BLOCK]
            quotes = (stamps[at], market[at], bid[at], ask[at])
            writer.append(quote_rows(*quotes, size_e6, at, findings))
            if on_progress:
                on_progress(start + len(at), len(order))
        writer.reports = (findings.report(len(order)),)
    return open_tape(out)


def _columns(file: Path) -> tuple[npt.NDArray[Any], ...]:
    """Times, market numbers, slugs by number, bids and asks, one row group at a time."""
    try:
        source = pq.ParquetFile(file)
        missing = [name for name in COLUMNS if name not in source.schema_arrow.names]
        if missing:
            raise ConfigError(f"{file}: column {missing[0]!r} is missing ({len(missing)} in all)")
        numbers: dict[str, int] = {}
        groups: list[list[npt.NDArray[Any]]] = []
        for batch in source.iter_batches(_BLOCK, columns=list(COLUMNS)):
            slug = batch["slug"].dictionary_encode()
            known = [numbers.setdefault(name, len(numbers)) for name in slug.dictionary.to_pylist()]
            groups.append(
                [
                    parts.array_of(pa.chunked_array([batch["ts"]])),
                    np.array(known, np.uint16)[slug.indices.to_numpy()],
                    parts.prices_e4(parts.array_of(pa.chunked_array([batch["bid"]]))),
                    parts.prices_e4(parts.array_of(pa.chunked_array([batch["ask"]]))),
                ]
            )
    except (OSError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"{file}: can't be read as Parquet: {reason}") from error
    if not groups:
        raise ConfigError(f"{file}: it has no rows")
    stamps, market, bid, ask = (np.concatenate(columns) for columns in zip(*groups, strict=True))
    return stamps, market, np.array(list(numbers)), bid, ask


def _refuse_disorder(
    stamps: npt.NDArray[Any], market: npt.NDArray[Any], findings: Findings
) -> None:
    """The file is sorted by market, then time: only within a market may no row go back."""
    by_market = np.argsort(market, kind="stable")
    falls = np.diff(stamps[by_market])
    within = np.diff(market[by_market].astype(np.int64)) == 0
    for i in np.flatnonzero(within & (falls < 0))[:1]:
        refuse_leaps(stamps[by_market[i : i + 2]], findings, f"row {by_market[i + 1]}, part")


def _markets(
    stamps: npt.NDArray[Any], market: npt.NDArray[Any], slugs: npt.NDArray[Any]
) -> tuple[Market, ...]:
    first = np.full(len(slugs), np.iinfo(np.int64).max)
    last = np.zeros(len(slugs), np.int64)
    np.minimum.at(first, market, stamps)
    np.maximum.at(last, market, stamps)
    return tuple(
        Market(
            condition_id=f"quotes:{slug}", slug=str(slug), question=str(slug), asset="",
            timeframe="", up_token=f"quotes:{slug}:Yes", down_token=f"quotes:{slug}:No",
            start_ns=int(start), end_ns=int(end) + 1, tick_e4=parts.TICK_E4,
            min_size_e6=parts.MIN_SIZE_E6, fee=FEE,
        )
        for slug, start, end in zip(slugs, first, last, strict=True)
    )  # fmt: skip
