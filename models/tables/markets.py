"""The markets table."""

from sqlalchemy import Boolean, Index, Integer, SmallInteger, Text, UniqueConstraint, text

from models.markets import Outcome, Settlement
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


class MarketRow(Table, table=True):
    __tablename__ = "markets"
    __table_args__ = (
        UniqueConstraint("up_token"),
        UniqueConstraint("down_token"),
        Index(None, "slug"),
        Index(None, "asset", "timeframe", "starts_at"),
        one_of("settlement", Settlement),
        one_of("winner", Outcome),
        check("two_tokens", "up_token <> down_token"),
        check("window", "starts_at < ends_at"),
        check("tick", "tick > 0 AND tick < 1"),
        check("min_size", "min_size >= 0"),
        check("fee_rate_ppm", "fee_rate_ppm BETWEEN 0 AND 1000000"),
        check("fee_exponent", "fee_exponent BETWEEN 0 AND 10"),
        check("rebate_ppm", "rebate_ppm BETWEEN 0 AND 1000000"),
        check("strike", "strike > 0"),
        check("resolution", "(winner IS NULL) = (resolved_at IS NULL)"),
    )

    condition_id: str = column("condition_id", Text, primary_key=True)
    slug: str = column("slug", Text)
    question: str = column("question", Text)
    asset: str = column("asset", Text)
    timeframe: str = column("timeframe", Text)
    up_token: str = column("up_token", Text)
    down_token: str = column("down_token", Text)
    start_ns: int = column("starts_at", TimeNs)
    end_ns: int = column("ends_at", TimeNs)
    tick_e4: int = column("tick", PriceE4)
    min_size_e6: int = column("min_size", SizeE6)
    fee_rate_ppm: int = column("fee_rate_ppm", Integer)
    fee_exponent: int = column("fee_exponent", SmallInteger)
    rebate_ppm: int = column("rebate_ppm", Integer)
    fee_of_notional: bool = column("fee_of_notional", Boolean)
    settlement: Settlement = column("settlement", Word(Settlement))
    neg_risk: bool = column("neg_risk", Boolean)
    strike_e8: int | None = column("strike", SpotE8, nullable=True)
    winner: Outcome | None = column("winner", Word(Outcome), nullable=True)
    resolved_ns: int | None = column("resolved_at", TimeNs, nullable=True)
    updated_ns: int = column("updated_at", TimeNs, server_default=text("now()"))
