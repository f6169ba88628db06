"""The markets table."""

from dataclasses import dataclass

from psycopg.rows import DictRow

from models.errors import BadValue
from models.markets import Market, Outcome
from models.tables.columns import from_ns
from models.units import spot_decimal
from store.database import Database
from store.journal_sql import MARKET_COLUMNS, MARKET_VALUES
from store.rows import market_of, market_params, optional_ns


@dataclass(frozen=True, slots=True)
class MarketRecord:
    """A market with what became of it."""

    market: Market
    winner: Outcome | None
    resolved_ns: int | None


_UPSERT = f"""
    INSERT INTO markets AS known ({MARKET_COLUMNS}) VALUES ({MARKET_VALUES})
    ON CONFLICT (condition_id) DO UPDATE SET
        tick = excluded.tick, min_size = excluded.min_size, fee_rate_ppm = excluded.fee_rate_ppm,
        fee_exponent = excluded.fee_exponent, rebate_ppm = excluded.rebate_ppm,
        fee_of_notional = excluded.fee_of_notional,
        strike = coalesce(excluded.strike, known.strike), updated_at = now()
    WHERE (known.up_token, known.down_token, known.starts_at, known.ends_at)
        = (excluded.up_token, excluded.down_token, excluded.starts_at, excluded.ends_at)
"""  # noqa: S608


async def upsert_market(db: Database, market: Market) -> None:
    """Insert a market, or update its tick, fee and strike; identity and window never change.

    Raises
    ------
    BadValue
        The condition id is known with other tokens or another window.
    """
    if await db.execute(_UPSERT, market_params(market)) == 0:
        raise BadValue(
            f"market {market.slug}: {market.condition_id} is known with other tokens or another "
            "window; one of the two is wrong"
        )


async def set_strike(db: Database, condition_id: str, strike_e8: int) -> None:
    """Set the price to beat. Raises `BadValue` for an unknown market or a price of 0 or less."""
    changed = await db.execute(
        "UPDATE markets SET strike = %s, updated_at = now() WHERE condition_id = %s",
        (spot_decimal(strike_e8), condition_id),
    )
    if changed == 0:
        raise BadValue(f"no market {condition_id} in the books to set a strike of")


async def set_resolution(db: Database, condition_id: str, winner: Outcome, at_ns: int) -> None:
    """Record the winner; the first time stays.

    Raises
    ------
    BadValue
        Another winner is recorded already, or the market is unknown.
    """
    row = await db.fetch_one(
        """
        UPDATE markets SET winner = coalesce(winner, %s), resolved_at = coalesce(resolved_at, %s),
            updated_at = now()
        WHERE condition_id = %s RETURNING winner
        """,
        (winner.value, from_ns(at_ns), condition_id),
    )
    if row is None:
        raise BadValue(f"no market {condition_id} in the books to resolve")
    if row["winner"] != winner.value:
        raise BadValue(f"market {condition_id} was won by {row['winner']}, not {winner.value}")


async def load_market(db: Database, condition_id: str) -> MarketRecord | None:
    return _record(
        await db.fetch_one("SELECT * FROM markets WHERE condition_id = %s", (condition_id,))
    )


async def load_market_by_slug(db: Database, slug: str) -> MarketRecord | None:
    """Return the market of this name; of several (a simulator begun anew) the latest."""
    return _record(
        await db.fetch_one(
            "SELECT * FROM markets WHERE slug = %s ORDER BY starts_at DESC, updated_at DESC",
            (slug,),
        )
    )


def _record(row: DictRow | None) -> MarketRecord | None:
    if row is None:
        return None
    winner = None if row["winner"] is None else Outcome(row["winner"])
    return MarketRecord(market_of(row), winner, optional_ns(row["resolved_at"]))
