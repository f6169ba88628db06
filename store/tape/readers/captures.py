"""Reader of the June 2026 captures: best bid and ask of thousands of markets every two minutes."""

import re
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.markets import TIMEFRAMES, Market, Outcome
from models.tape import Row, Tape
from models.units import PRICE_ONE, SECOND_NS
from store.tape.columns import Columns, filled, joined, picked, tape_of
from store.tape.order import in_order, refuse_leaps, with_gaps
from store.tape.readers import parts
from store.tape.rules import Findings

CAPTURES = "captures_updown.parquet"
MARKETS = "markets.parquet"
SPOT = "spot_prices.parquet"

ASSUMED_SIZE_E6 = 100_000_000
"""Shares at the best bid and ask: the captures hold prices only."""
MOST_STALE_NS = 60 * SECOND_NS
"""The spot price is sampled every 22 s or so; an older one is no strike."""

_NAMES = {
    "bitcoin": "BTC", "ethereum": "ETH", "solana": "SOL",
    "xrp": "XRP", "dogecoin": "DOGE", "bnb": "BNB",
}  # fmt: skip
_HOURLY = re.compile(r"^([a-z]+)-up-or-down-.*-et$")
_DAILY = re.compile(r"^([a-z]+)-up-or-down-on-")
_DAY_S = 86_400


def read_captures(
    path: Path,
    *,
    assets: Collection[str] = ("BTC", "ETH"),
    timeframes: Collection[str] = ("5m", "15m", "1h", "4h"),
    size_e6: int = ASSUMED_SIZE_E6,
    gap_s: float = 600.0,
) -> Tape:
    """Read the folder's up/down markets, their spot prices and outcomes.

    Every capture tells a book of one level a side with `size_e6` shares. There are about three
    captures in a 15-minute window, and they lag the venue's books: good for settlement,
    calibration and portfolios, not for what happens inside a window.

    Raises
    ------
    ConfigError
        A file is missing, can't be read, or goes back in time.
    """
    findings = Findings(str(path))
    spot = _spot(path, assets, findings)
    ids, markets, outcomes = _markets(path, assets, timeframes, spot, findings)
    books, captured = _books(path, ids, markets, size_e6, findings)
    ends = [
        parts.resolved_row(i, market.end_ns, outcomes[i])
        for i, market in enumerate(markets)
        if i in outcomes
    ]
    rows = captured + sum(len(stamps) for stamps, _ in spot.values())
    _notes(findings, markets, outcomes, size_e6)
    columns = in_order(joined([*_spot_rows(spot), books, *ends]), findings)
    columns = with_gaps(columns, round(gap_s * SECOND_NS), findings)
    return tape_of(columns, tuple(markets), tuple(spot), 1, (findings.report(rows),))


Spot = dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]
"""Asset to its times (ns) and prices (e8)."""


def _spot(path: Path, assets: Collection[str], findings: Findings) -> Spot:
    file = parts.find(path, SPOT) if path.is_dir() else parts.find(path.parent, SPOT)
    table = parts.parquet_columns(file, ["timestamp_utc", "asset", "price_usd"])
    result: Spot = {}
    for asset in assets:
        at = np.flatnonzero(table["asset"] == asset)
        price = table["price_usd"][at].astype(np.float64)
        good = np.isfinite(price) & (price > 0)
        findings.add_rows("malformed_row", at[~good], lambda i: f"price in {SPOT}")
        stamps = table["timestamp_utc"][at][good]
        refuse_leaps(stamps, findings, f"{SPOT} {asset} row")
        result[asset] = stamps, np.rint(price[good] * 100_000_000).astype(np.int64)
    return result


def _spot_rows(spot: Spot) -> list[Columns]:
    return [
        filled(len(stamps), ts_ns=stamps, kind=int(Row.SPOT), market=i, size=prices)
        for i, (stamps, prices) in enumerate(spot.values())
    ]


def _markets(
    path: Path,
    assets: Collection[str],
    timeframes: Collection[str],
    spot: Spot,
    findings: Findings,
) -> tuple[dict[str, int], list[Market], dict[int, Outcome]]:
    """Known market ids (-1 for those not asked for), the markets asked for, and their winners."""
    file = parts.find(path if path.is_dir() else path.parent, MARKETS)
    names = ["market_id", "condition_id", "question", "slug", "end_date", "outcome_yes"]
    table = parts.parquet_columns(file, names)
    ids: dict[str, int] = {}
    markets: list[Market] = []
    outcomes: dict[int, Outcome] = {}
    for market_id, condition_id, question, slug, end_ns, won in zip(*table.values(), strict=True):
        ids[market_id] = -1
        kind = series_of(slug)
        if kind is None or kind[0] not in assets or kind[1] not in timeframes:
            continue
        if end_ns < 0:
            findings.add("malformed_row", f"{MARKETS}: {slug} has no end")
            continue
        market = _market(*kind, slug, condition_id, question, int(end_ns))
        ids[market_id] = len(markets)
        if won == won:
            outcomes[len(markets)] = Outcome.UP if won else Outcome.DOWN
        markets.append(replace(market, strike_e8=_strike(market, spot)))
    return ids, markets, outcomes


def series_of(slug: str) -> tuple[str, str] | None:
    """Asset and time frame of an up/down market's slug, None for other markets."""
    words = slug.split("-")
    if len(words) == 4 and words[1] == "updown" and words[2] in TIMEFRAMES:
        return words[0].upper(), words[2]
    for pattern, timeframe in ((_DAILY, "1d"), (_HOURLY, "1h")):
        match = pattern.match(slug)
        if match and match[1] in _NAMES:
            return _NAMES[match[1]], timeframe
    return None


def _market(
    asset: str, timeframe: str, slug: str, condition_id: str, question: str, end_ns: int
) -> Market:
    seconds = TIMEFRAMES.get(timeframe, _DAY_S)
    # The captures do not hold token ids; these name them plainly.
    tokens = (f"{condition_id}:Up", f"{condition_id}:Down")
    return parts.window_market(
        asset, timeframe, end_ns - seconds * SECOND_NS, slug, condition_id, tokens,
        end_ns=end_ns, question=question,
    )  # fmt: skip


def _strike(market: Market, spot: Spot) -> int | None:
    stamps, prices = spot[market.asset]
    i = int(np.searchsorted(stamps, market.start_ns, side="right")) - 1
    if i < 0 or market.start_ns - int(stamps[i]) > MOST_STALE_NS:
        return None
    return int(prices[i])


def _books(
    path: Path, ids: dict[str, int], markets: list[Market], size_e6: int, findings: Findings
) -> tuple[Columns, int]:
    """Rows of every capture, and how many captures of the markets asked for there were."""
    table = parts.parquet_columns(
        parts.find(path, CAPTURES), ["timestamp_utc", "market_id", "best_bid", "best_ask"]
    )
    stamps = table["timestamp_utc"]
    refuse_leaps(stamps, findings, f"{CAPTURES} row")
    market = np.array([ids.get(each, -2) for each in table["market_id"]], np.int64)
    findings.add_rows(
        "unknown_token", np.flatnonzero(market == -2), lambda i: f"market {table['market_id'][i]}"
    )
    asked = market >= 0
    captured = int(asked.sum())
    keep = asked & ~_repeated(stamps, market, asked, findings)
    ends = np.array([each.end_ns for each in markets] or [0], np.int64)
    late = keep & (stamps >= ends[np.maximum(market, 0)])
    findings.add_rows("late_row", np.flatnonzero(late), lambda i: f"{markets[market[i]].slug}")
    at = np.flatnonzero(keep & ~late)
    bid, ask = (parts.prices_e4(table[name][at]) for name in ("best_bid", "best_ask"))
    return quote_rows(stamps[at], market[at], bid, ask, size_e6, at, findings), captured


def _repeated(
    stamps: npt.NDArray[Any], market: npt.NDArray[Any], asked: npt.NDArray[Any], findings: Findings
) -> npt.NDArray[np.bool_]:
    pairs = np.stack([stamps, market])
    _, first = np.unique(pairs, axis=1, return_index=True)
    again = np.ones(len(stamps), np.bool_)
    again[first] = False
    again &= asked
    findings.add_rows("duplicate_row", np.flatnonzero(again), lambda i: "captured twice")
    return again


def quote_rows(
    stamps: npt.NDArray[Any],
    market: npt.NDArray[Any],
    bid: npt.NDArray[np.int32],
    ask: npt.NDArray[np.int32],
    size_e6: int,
    numbers: npt.NDArray[Any],
    findings: Findings,
) -> Columns:
    """Make books of one level a side, and the tick changes that their prices imply.

    Parameters
    ----------
    bid, ask
        Best prices in e4 as `parts.prices_e4` gives them; a bid of 0 and an ask of 1 pUSD stand
        for an empty side.
    numbers
        Row numbers in the source, for the findings.
    """
    off = (bid == -2) | (ask == -2)
    findings.add_rows("off_grid_price", numbers[off], lambda i: "bid or ask")
    has_bid, has_ask = (bid > 0) & ~off, (ask > 0) & (ask < PRICE_ONE) & ~off
    crossed = has_bid & has_ask & (bid >= ask)
    findings.add_rows("crossed_book", numbers[crossed], lambda i: "bid at or above ask")
    has_bid, has_ask = has_bid & ~crossed, has_ask & ~crossed
    fine = _first_fine(market, bid, ask, has_bid, has_ask)
    findings.add_rows("finer_tick", numbers[fine], lambda i: "its tick becomes 0.001")
    count = len(stamps)
    order = np.arange(count) * 4
    ticks, bids, asks = np.flatnonzero(fine), np.flatnonzero(has_bid), np.flatnonzero(has_ask)

    def rows(at: npt.NDArray[Any], kind: Row, **values: Any) -> Columns:
        return filled(len(at), ts_ns=stamps[at], market=market[at], kind=int(kind), **values)

    every = joined(
        [
            rows(ticks, Row.TICK, price=parts.FINE_TICK_E4),
            rows(np.arange(count), Row.CLEAR),
            rows(bids, Row.LEVEL, price=bid[bids], size=size_e6),
            rows(asks, Row.LEVEL, side=1, price=ask[asks], size=size_e6),
        ]
    )
    at = np.concatenate([order[ticks], order + 1, order[bids] + 2, order[asks] + 3])
    return picked(every, np.argsort(at, kind="stable"))


def _first_fine(
    market: npt.NDArray[Any],
    bid: npt.NDArray[Any],
    ask: npt.NDArray[Any],
    has_bid: npt.NDArray[Any],
    has_ask: npt.NDArray[Any],
) -> npt.NDArray[np.bool_]:
    """Mark each market's first row with a price between whole cents."""
    between = (has_bid & (bid % parts.TICK_E4 != 0)) | (has_ask & (ask % parts.TICK_E4 != 0))
    at = np.flatnonzero(between)
    _, first = np.unique(market[at], return_index=True)
    result = np.zeros(len(market), np.bool_)
    result[at[first]] = True
    return result


def _notes(
    findings: Findings, markets: list[Market], outcomes: dict[int, Outcome], size_e6: int
) -> None:
    days = {datetime.fromtimestamp(m.end_ns / 1e9, UTC).date().isoformat() for m in markets}
    findings.note(
        f"{len(markets)} markets of {min(days, default='')} to {max(days, default='')}, "
        f"{len(outcomes)} with an official outcome; the others stay unresolved"
    )
    findings.note(f"sizes are assumed: {size_e6 // 1_000_000} shares at the best bid and ask")
    findings.note("captured prices lag the venue's books and could not all have been traded at")
    findings.note(
        "strikes are the last sampled spot price within 60 s before the start: near, not official"
    )
    findings.note("token ids are made up: the captures do not hold them")
    findings.note("last trade prices are left out: they have neither a size nor a time")
    parts.note_resolution(findings)
