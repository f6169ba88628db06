"""Writes market data and spot prices in COPY batches, and loses none while Postgres is away."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from models.events import SpotTick, TradePrint
from models.units import PRICE_ONE
from store.batches import BatchWriter
from store.database import Database
from store.spool import Spool


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


# Rows travel as integers in text COPY into a staging table and become NUMERIC and timestamptz
# there: that costs Python least. Every line is one record; its first letter says which table.
_STAGE = """
    CREATE TEMP TABLE IF NOT EXISTS stage_market_data (
        ts_us bigint, recv_us bigint, seq int, token_id text, condition_id text, kind text,
        bid bigint, bid_size bigint, ask bigint, ask_size bigint, last_price bigint,
        last_size bigint, side text
    ) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE IF NOT EXISTS stage_spot_prices (
        ts_us bigint, recv_us bigint, asset text, source text, price bigint
    ) ON COMMIT DELETE ROWS;
"""

_STORE_MARKET_DATA = """
    INSERT INTO market_data (
        ts, token_id, recv_at, seq, condition_id, kind, bid, bid_size, ask, ask_size, last_price,
        last_size, side
    )
    SELECT timestamptz 'epoch' + ts_us * interval '1 microsecond', token_id,
        timestamptz 'epoch' + recv_us * interval '1 microsecond', seq, condition_id, kind,
        bid * 0.0001, bid_size * 0.000001, ask * 0.0001, ask_size * 0.000001,
        last_price * 0.0001, last_size * 0.000001, side
    FROM stage_market_data
    ON CONFLICT DO NOTHING
"""

_STORE_SPOT_PRICES = """
    INSERT INTO spot_prices (ts, asset, source, price, recv_at)
    SELECT timestamptz 'epoch' + ts_us * interval '1 microsecond', asset, source,
        price * 0.00000001, timestamptz 'epoch' + recv_us * interval '1 microsecond'
    FROM stage_spot_prices
    ON CONFLICT DO NOTHING
"""

_MARKET, _SPOT = b"m", b"s"
_SEQ_END = 1 << 31
_ANSWER_S = 30.0
"""A batch that takes longer goes to the spool: a hung server must not fill the memory."""


class MarketDataWriter:
    """``async with MarketDataWriter(db, spool)``; the sync methods never wait and never raise.

    What no table can hold (a price off 0 to 1, a text with a control character) is dropped and
    counted in `refused`.
    """

    def __init__(
        self,
        database: Database,
        spool_dir: Path,
        *,
        flush_s: float = 0.5,
        max_buffer: int = 50_000,
    ) -> None:
        self._database = database
        self._seq = itertools.cycle(range(_SEQ_END))
        self._bad = 0
        self._batches = BatchWriter(
            "market data",
            self._write,
            Spool(spool_dir, "market-data"),
            flush_s=flush_s,
            max_buffer=max_buffer,
        )

    @property
    def written(self) -> int:
        """Rows committed so far, spooled ones included."""
        return self._batches.written

    @property
    def spooled(self) -> int:
        """Rows that went through the spool."""
        return self._batches.spooled

    @property
    def dropped(self) -> int:
        """Rows lost because buffer and spool were full."""
        return self._batches.dropped

    @property
    def refused(self) -> int:
        return self._bad + self._batches.refused

    @property
    def damaged(self) -> list[str]:
        """Names of spool files that were damaged and set aside; people should hear of them."""
        return self._batches.damaged

    async def start(self) -> None:
        await self._batches.start()

    async def close(self) -> None:
        await self._batches.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def top(self, row: TopOfBook) -> None:
        """Keep the best levels of one token."""
        bid, bid_size = _level(row.bid_e4, row.bid_size_e6)
        ask, ask_size = _level(row.ask_e4, row.ask_size_e6)
        last, _ = _level(row.last_trade_e4, 1)
        self._put(
            f"{row.ts_ns // 1000}\t{row.recv_ns // 1000}\t{next(self._seq)}\t{row.token_id}\t"
            f"{row.condition_id}\ttop\t{bid}\t{bid_size}\t{ask}\t{ask_size}\t{last}\t\\N\t\\N\n",
            tabs=12,
        )

    def trade(self, print_: TradePrint) -> None:
        """Keep one public trade."""
        price, size = _level(print_.price_e4, print_.size_e6)
        if price == "\\N":
            self._bad += 1
            return
        self._put(
            f"{print_.ts_ns // 1000}\t{print_.recv_ns // 1000}\t{next(self._seq)}\t"
            f"{print_.token_id}\t{print_.condition_id}\tprint\t\\N\t\\N\t\\N\t\\N\t{price}\t"
            f"{size}\t{print_.side.value}\n",
            tabs=12,
        )

    def spot(self, tick: SpotTick) -> None:
        """Keep one spot price; the same tick heard twice is kept once."""
        if tick.price_e8 <= 0:
            self._bad += 1
            return
        self._put(
            f"{tick.ts_ns // 1000}\t{tick.recv_ns // 1000}\t{tick.asset}\t{tick.source.value}\t"
            f"{tick.price_e8}\n",
            tabs=4,
        )

    async def flush(self) -> None:
        """Write what is buffered now."""
        await self._batches.flush()

    def _put(self, line: str, tabs: int) -> None:
        """Hand over one COPY line, unless a text in it broke its shape."""
        clean = line.count("\t") == tabs and line.count("\n") == 1 and "\0" not in line
        if not clean or line.replace("\\N", "").count("\\"):
            self._bad += 1
            return
        self._batches.put((_MARKET if tabs == 12 else _SPOT) + line.encode())

    async def _write(self, records: Sequence[bytes]) -> None:
        async with self._database.transaction(_ANSWER_S) as connection:
            await connection.execute(_STAGE)
            await _copy(connection, "stage_market_data", _STORE_MARKET_DATA, records, _MARKET)
            await _copy(connection, "stage_spot_prices", _STORE_SPOT_PRICES, records, _SPOT)


async def _copy(
    connection: AsyncConnection[DictRow],
    stage: str,
    store: str,
    records: Sequence[bytes],
    kind: bytes,
) -> None:
    lines = b"".join(record[1:] for record in records if record[:1] == kind)
    if not lines:
        return
    async with connection.cursor() as cursor, cursor.copy(f"COPY {stage} FROM STDIN") as copy:
        await copy.write(lines)
    await connection.execute(store)


def _level(price_e4: int | None, size_e6: int) -> tuple[str, str]:
    """Return a level as COPY text, empty where there is none."""
    if price_e4 is None or not 0 < price_e4 < PRICE_ONE or size_e6 <= 0:
        return "\\N", "\\N"
    return str(price_e4), str(size_e6)
