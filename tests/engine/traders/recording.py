"""The recorded 15-minute books, second by second."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.parquet as pq

from models.markets import Side
from models.settings import Settings
from models.units import to_price_e4, to_size_e6

FOLDER = "polymarket_btc_15m_book5_2026-02"
WHOLE = 850
"""Rows of a window that was recorded whole, at one a second."""

Levels = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Second:
    """One row: Up's book, spot and the last trade of Up."""

    ts_ms: int
    spot: float
    bids: Levels
    asks: Levels
    trade: tuple[Side, int, int] | None


@dataclass(frozen=True, slots=True)
class Recording:
    start_s: int
    end_s: int
    strike: float
    """The recorder's own first price, a few seconds late."""
    seconds: tuple[Second, ...]


def recordings() -> list[Recording]:
    """Windows that were recorded whole. Fails where the recorded data are missing."""
    path = Settings(_env_file=None).floor_data_dir / FOLDER / "book5_1hz.parquet"
    assert path.is_file(), f"{path} is missing; set FLOOR_DATA_DIR to the recorded data"
    windows: dict[int, list[dict]] = {}
    for row in pq.read_table(path).to_pylist():
        if row["ts_ms"] < row["window_end_ms"]:
            windows.setdefault(row["window_start_ms"], []).append(row)
    return [
        Recording(
            start // 1000,
            rows[0]["window_end_ms"] // 1000,
            rows[-1]["window_start_price"],
            tuple(map(_second, rows)),
        )
        for start, rows in sorted(windows.items())
        if len(rows) > WHOLE
    ]


def _second(row: dict) -> Second:
    trade = None
    if row["last_trade_px_up"] and row["last_trade_sz_up"] and row["last_trade_side_up"]:
        trade = (
            Side(row["last_trade_side_up"]),
            to_price_e4(round(row["last_trade_px_up"], 4)),
            to_size_e6(round(row["last_trade_sz_up"], 6)),
        )
    return Second(
        row["ts_ms"], row["chainlink_btc"], _levels(row, "bid"), _levels(row, "ask"), trade
    )


def _levels(row: dict, side: str) -> Levels:
    def found() -> Iterator[tuple[int, int]]:
        for depth in range(1, 6):
            price, size = row[f"{side}_px_up_{depth}"], row[f"{side}_sz_up_{depth}"]
            if price and size and price == price:
                yield to_price_e4(round(price, 4)), to_size_e6(round(size, 6))

    return tuple(found())
