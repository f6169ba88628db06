"""Writes market data and spot prices in COPY batches, and loses none while Postgres is away."""

from pathlib import Path
from typing import Self

import msgspec

from models.events import SpotTick, TradePrint
from store.database import Database


class TopOfBook(msgspec.Struct, frozen=True, gc=False):
    """Best levels of one token; None and 0 where a side is empty."""

    ts_ns: int
    recv_ns: int
    condition_id: str
    token_id: str
    bid_e4: int | None
    bid_size_e6: int
    ask_e4: int | None
    ask_size_e6: int
    last_trade_e4: int | None = None


class MarketDataWriter:
    """``async with MarketDataWriter(db, spool)``; the sync methods never wait and never raise."""

    written: int
    """Rows committed so far."""
    dropped: int
    """Rows lost because buffer and spool were full."""

    def __init__(
        self,
        database: Database,
        spool_dir: Path,
        *,
        flush_s: float = 0.5,
        max_buffer: int = 50_000,
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *exc: object) -> None: ...

    def top(self, row: TopOfBook) -> None: ...

    def trade(self, print_: TradePrint) -> None: ...

    def spot(self, tick: SpotTick) -> None: ...

    async def flush(self) -> None:
        """Write what is buffered now."""
