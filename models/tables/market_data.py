"""The hot tables: top of book, the tape and spot prices. Time leads their keys; no foreign keys."""

from sqlalchemy import Integer, Text

from models.events import SpotSource
from models.markets import Side
from models.tables.columns import (
    PriceE4,
    SizeE6,
    SpotE8,
    Table,
    TimeNs,
    Word,
    check,
    column,
    one_of,
)


class MarketDataRow(Table, table=True):
    """A `top` row holds the best levels of one token, a `print` row one public trade.

    ``seq`` tells apart rows received in the same microsecond.
    """

    __tablename__ = "market_data"
    __table_args__ = (
        one_of("kind", ("top", "print")),
        one_of("side", Side),
        check("bid", "bid > 0 AND bid < 1 AND bid_size > 0"),
        check("ask", "ask > 0 AND ask < 1 AND ask_size > 0"),
        check("last", "last_price > 0 AND last_price < 1"),
        check(
            "print_whole",
            "kind <> 'print' OR (last_price IS NOT NULL AND last_size > 0 AND side IS NOT NULL)",
        ),
    )

    ts_ns: int = column("ts", TimeNs, primary_key=True)
    token_id: str = column("token_id", Text, primary_key=True)
    recv_ns: int = column("recv_at", TimeNs, primary_key=True)
    seq: int = column("seq", Integer, primary_key=True, autoincrement=False)
    condition_id: str = column("condition_id", Text)
    kind: str = column("kind", Text)
    bid_e4: int | None = column("bid", PriceE4, nullable=True)
    bid_size_e6: int | None = column("bid_size", SizeE6, nullable=True)
    ask_e4: int | None = column("ask", PriceE4, nullable=True)
    ask_size_e6: int | None = column("ask_size", SizeE6, nullable=True)
    last_e4: int | None = column("last_price", PriceE4, nullable=True)
    last_size_e6: int | None = column("last_size", SizeE6, nullable=True)
    side: Side | None = column("side", Word(Side), nullable=True)


class SpotPriceRow(Table, table=True):
    __tablename__ = "spot_prices"
    __table_args__ = (
        one_of("source", SpotSource),
        check("price", "price > 0"),
    )

    ts_ns: int = column("ts", TimeNs, primary_key=True)
    asset: str = column("asset", Text, primary_key=True)
    source: SpotSource = column("source", Word(SpotSource), primary_key=True)
    price_e8: int = column("price", SpotE8)
    recv_ns: int = column("recv_at", TimeNs)
