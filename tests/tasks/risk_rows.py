"""Rows that tests of the risk watch put into a real database."""

import time
from collections.abc import Sequence
from uuid import uuid4

from models.events import SpotSource
from models.markets import FeeSchedule, Market, Outcome, Settlement
from models.units import SECOND_NS
from store import markets
from store.database import Database


def window(n: int = 1, asset: str = "BTC", left_s: float = 300, **fields: object) -> Market:
    """A market whose window ends in `left_s`."""
    end_ns = time.time_ns() + round(left_s * SECOND_NS)
    given = {
        "condition_id": f"0xc{n}", "slug": f"{asset.lower()}-updown-15m-{n}", "question": "?",
        "asset": asset, "timeframe": "15m", "up_token": f"{n}01", "down_token": f"{n}02",
        "start_ns": end_ns - 900 * SECOND_NS, "end_ns": end_ns, "tick_e4": 100,
        "min_size_e6": 5_000_000, "fee": FeeSchedule(70_000, 1, 200_000),
        "settlement": Settlement.TWAP_60, "strike_e8": 60_000 * 10**8,
    }  # fmt: skip
    return Market(**(given | fields))  # type: ignore[arg-type]


async def add_market(db: Database, market: Market) -> Market:
    await markets.upsert_market(db, market)
    return market


async def add_position(
    db: Database, agent: str, market: Market, outcome: Outcome, shares: float, paid: float
) -> None:
    await db.execute(
        """
        INSERT INTO positions (agent, token_id, condition_id, outcome, size, bought, sold,
            bought_cash, sold_cash, fees, opened_at, updated_at)
        VALUES (%(agent)s, %(token)s, %(market)s, %(outcome)s, %(size)s, %(size)s, 0, %(paid)s, 0,
            0, now(), now())
        """,
        {
            "agent": agent, "token": market.token(outcome), "market": market.condition_id,
            "outcome": outcome.value, "size": shares, "paid": paid,
        },
    )  # fmt: skip


async def add_order(
    db: Database, agent: str, market: Market, outcome: Outcome, price: float, shares: float
) -> str:
    order_id = f"0x{uuid4().hex}{uuid4().hex}"
    await db.execute(
        """
        INSERT INTO orders (order_id, intent_id, agent, condition_id, token_id, outcome, side,
            price, size, tif, post_only, reason, state, filled, note, payload, lease_token,
            created_at, updated_at)
        VALUES (%(id)s, %(id)s, %(agent)s, %(market)s, %(token)s, %(outcome)s, 'BUY', %(price)s,
            %(size)s, 'GTC', true, '', 'live', 0, '', '{}', 1, now(), now())
        """,
        {
            "id": order_id, "agent": agent, "market": market.condition_id,
            "token": market.token(outcome), "outcome": outcome.value, "price": price,
            "size": shares,
        },
    )  # fmt: skip
    return order_id


async def add_result(db: Database, agent: str, market: Market, pnl: float, ago_s: float) -> None:
    """A booked result; it stands for its fills too, so the cash it made is its payout."""
    await db.execute(
        """
        INSERT INTO trades (agent, condition_id, slug, winner, bought, sold, fees, payout, pnl,
            fills, opened_at, closed_at)
        VALUES (%(agent)s, %(market)s, %(slug)s, 'Up', 0, 0, 0, %(pnl)s, %(pnl)s, 1,
            now() - interval '1 hour', now() - %(ago)s * interval '1 second')
        """,
        {
            "agent": agent, "market": market.condition_id, "slug": market.slug, "pnl": pnl,
            "ago": ago_s,
        },
    )  # fmt: skip


async def add_spot(
    db: Database,
    asset: str,
    prices: Sequence[float],
    ending_s: float | None = None,
    source: SpotSource = SpotSource.CHAINLINK,
) -> None:
    """One price a second, the last one now (or at `ending_s`)."""
    ending_s = time.time() if ending_s is None else ending_s
    await db.execute(
        """
        INSERT INTO spot_prices (ts, asset, source, price, recv_at)
        SELECT to_timestamp(%(end)s - (%(count)s - n)), %(asset)s, %(source)s, price,
            to_timestamp(%(end)s - (%(count)s - n))
        FROM unnest(%(prices)s::numeric[]) WITH ORDINALITY AS given (price, n)
        ON CONFLICT DO NOTHING
        """,
        {
            "end": ending_s, "count": len(prices), "asset": asset, "source": source.value,
            "prices": [round(price, 8) for price in prices],
        },
    )  # fmt: skip
