"""The markets table."""

from dataclasses import dataclass

from models.markets import Market, Outcome
from store.database import Database


@dataclass(frozen=True, slots=True)
class MarketRecord:
    """A market with what became of it."""

    market: Market
    winner: Outcome | None
    resolved_ns: int | None


async def upsert_market(db: Database, market: Market) -> None:
    """Insert a market, or update its tick, fee and strike; identity and window never change."""
    raise NotImplementedError


async def set_strike(db: Database, condition_id: str, strike_e8: int) -> None: ...


async def set_resolution(db: Database, condition_id: str, winner: Outcome, at_ns: int) -> None:
    """Record the winner. Raises `BadValue` where another one is recorded already."""
    raise NotImplementedError


async def load_market(db: Database, condition_id: str) -> MarketRecord | None:
    raise NotImplementedError


async def load_market_by_slug(db: Database, slug: str) -> MarketRecord | None:
    raise NotImplementedError
