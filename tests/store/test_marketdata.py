"""Market data rows: exact, each once, none lost while Postgres is away, refused when nonsense."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import Session, create_engine, select

from models.events import SpotSource, SpotTick, TradePrint
from models.markets import Side
from models.tables import MarketDataRow, SpotPriceRow
from store.database import Database
from store.marketdata import MarketDataWriter, TopOfBook

TS = 1_800_000_000_123_456_000


def top(n: int = 0, **fields: Any) -> TopOfBook:
    given = {
        "ts_ns": TS + n * 1_000_000,
        "recv_ns": TS + n * 1_000_000 + 5_000,
        "condition_id": "0xc1",
        "token_id": "101",
        "bid_e4": 5_400,
        "bid_size_e6": 12_340_000,
        "ask_e4": 5_500,
        "ask_size_e6": 1,
        "last_trade_e4": 5_450,
    }
    return TopOfBook(**(given | fields))


def spooled(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def rows(url: str, table: Any) -> list[Any]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with Session(engine) as session:
            return list(session.exec(select(table).order_by(table.ts_ns)))
    finally:
        engine.dispose()


async def test_code_reads_the_integers_that_code_wrote(
    db: Database, clean_postgres_url: str, tmp_path: Path
) -> None:
    async with MarketDataWriter(db, tmp_path) as writer:
        writer.top(top())
        writer.top(top(1, bid_e4=None, bid_size_e6=0, last_trade_e4=None))
        writer.trade(TradePrint(TS + 2_000_000, TS, "0xc1", "101", Side.SELL, 1, 10**13))
        writer.spot(SpotTick(TS, TS + 1_000, "BTC", SpotSource.CHAINLINK, 9_876_543_210_987))
    full, one_sided, print_ = rows(clean_postgres_url, MarketDataRow)
    assert (full.ts_ns, full.recv_ns, full.kind) == (TS, TS + 5_000, "top")
    assert (full.bid_e4, full.bid_size_e6) == (5_400, 12_340_000)
    assert (full.ask_e4, full.ask_size_e6, full.last_e4) == (5_500, 1, 5_450)
    assert (one_sided.bid_e4, one_sided.bid_size_e6, one_sided.last_e4) == (None, None, None)
    assert (print_.kind, print_.side, print_.last_e4, print_.last_size_e6) == (
        "print",
        Side.SELL,
        1,
        10**13,
    )
    (spot,) = rows(clean_postgres_url, SpotPriceRow)
    assert (spot.asset, spot.source, spot.price_e8) == (
        "BTC",
        SpotSource.CHAINLINK,
        9_876_543_210_987,
    )
    exact = await db.fetch_one("SELECT price FROM spot_prices")
    assert exact == {"price": Decimal("98765.43210987")}
    assert (writer.written, writer.dropped, writer.refused) == (4, 0, 0)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    price=st.integers(1, 9_999),
    size=st.integers(1, 10**14 - 1),
    ts_us=st.integers(0, 4_000_000_000_000_000),
)
async def test_every_price_size_and_microsecond_is_kept_exactly(
    db: Database, tmp_path: Path, price: int, size: int, ts_us: int
) -> None:
    await db.execute("TRUNCATE market_data")
    async with MarketDataWriter(db, tmp_path) as writer:
        writer.top(top(ts_ns=ts_us * 1000, bid_e4=price, bid_size_e6=size))
    row = await db.fetch_one(
        "SELECT bid, bid_size, extract(epoch FROM ts) * 1000000 AS us FROM market_data"
    )
    assert row == {
        "bid": Decimal(price).scaleb(-4),
        "bid_size": Decimal(size).scaleb(-6),
        "us": ts_us,
    }


async def test_updates_of_the_same_microsecond_are_all_kept_but_a_spot_tick_once(
    db: Database, tmp_path: Path
) -> None:
    async with MarketDataWriter(db, tmp_path) as writer:
        for _ in range(5):
            writer.top(top())
            writer.spot(SpotTick(TS, TS, "BTC", SpotSource.BINANCE, 1))
        writer.spot(SpotTick(TS, TS, "BTC", SpotSource.TWAP_60, 1))
    counts = await db.fetch_one(
        "SELECT (SELECT count(*) FROM market_data) AS tops,"
        " (SELECT count(*) FROM spot_prices) AS spots"
    )
    assert counts == {"tops": 5, "spots": 2}


async def test_nonsense_is_refused_alone(db: Database, tmp_path: Path) -> None:
    async with MarketDataWriter(db, tmp_path) as writer:
        writer.trade(TradePrint(TS, TS, "0xc1", "101", Side.BUY, 10_000, 1))
        writer.trade(TradePrint(TS, TS, "0xc1", "101", Side.BUY, 5_000, 0))
        writer.spot(SpotTick(TS, TS, "BTC", SpotSource.BINANCE, 0))
        writer.top(top(token_id="10\t1"))
        writer.top(top(token_id="10\\.1"))
        writer.top(top(token_id="10\n1"))
        writer.spot(SpotTick(TS, TS, "BTC", SpotSource.BINANCE, 10**30))
        for n in range(100):
            writer.top(top(n))
    assert writer.refused == 7
    assert await db.fetch_one("SELECT count(*) AS n FROM market_data") == {"n": 100}


async def test_while_postgres_is_away_rows_wait_in_the_spool(
    db: Database, clean_postgres_url: str, tmp_path: Path
) -> None:
    nowhere = clean_postgres_url.rpartition(":")[0] + ":1/floor"
    async with Database(nowhere, timeout_s=0.1) as away:
        async with MarketDataWriter(away, tmp_path) as writer:
            for n in range(5_000):
                writer.top(top(n))
        assert (writer.written, writer.spooled, writer.dropped) == (0, 5_000, 0)
    async with MarketDataWriter(db, tmp_path) as writer:
        writer.top(top(5_000))
    assert writer.written == 5_001
    assert await db.fetch_one("SELECT count(*) AS n FROM market_data") == {"n": 5_001}
    assert spooled(tmp_path) == []


async def test_a_full_buffer_drops_and_says_so(db: Database, tmp_path: Path) -> None:
    writer = MarketDataWriter(db, tmp_path, max_buffer=10)
    for n in range(25):
        writer.top(top(n))
    assert writer.dropped == 15
    await writer.close()
    assert await db.fetch_one("SELECT count(*) AS n FROM market_data") == {"n": 10}
