"""What the whole floor has open, and the prices it is worth something by; read in a few queries."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.events import SpotSource
from models.markets import Market, Outcome
from models.orders import Order
from models.tables.columns import to_ns
from store.database import Database
from store.rows import e4, e6, e8, market_of, order_of


@dataclass(frozen=True, slots=True)
class Held:
    """All agents' shares in one market whose result is not booked, in e6; cash with fees."""

    market: Market
    up_e6: int
    down_e6: int
    paid_e6: int
    """What was paid less what sales brought."""


@dataclass(frozen=True, slots=True)
class OpenOrder:
    order: Order
    market: Market


@dataclass(frozen=True, slots=True)
class SpotPoint:
    ts_ns: int
    price: float
    """In dollars."""


async def held(db: Database) -> list[Held]:
    """Markets with unsettled positions of any agent, the earliest end first."""
    rows = await db.fetch(
        """
        SELECT m.*, p.up, p.down, p.paid FROM markets m JOIN (
            SELECT condition_id,
                sum(greatest(size, 0)) FILTER (WHERE outcome = 'Up') AS up,
                sum(greatest(size, 0)) FILTER (WHERE outcome = 'Down') AS down,
                sum(bought_cash - sold_cash + fees) AS paid
            FROM positions WHERE NOT settled GROUP BY condition_id
        ) p USING (condition_id) WHERE p.up > 0 OR p.down > 0 ORDER BY m.ends_at, m.condition_id
        """
    )
    return [Held(market_of(row), e6(row["up"]), e6(row["down"]), e6(row["paid"])) for row in rows]


async def open_orders(db: Database) -> list[OpenOrder]:
    """Every agent's orders that are not terminal, with their markets."""
    orders = await db.fetch(
        "SELECT * FROM orders WHERE state NOT IN ('filled', 'cancelled', 'rejected', 'expired')"
        " ORDER BY created_at, order_id"
    )
    wanted = sorted({row["condition_id"] for row in orders})
    rows = await db.fetch("SELECT * FROM markets WHERE condition_id = ANY(%s)", [wanted])
    markets = {row["condition_id"]: market_of(row) for row in rows}
    return [
        OpenOrder(order_of(row), markets[row["condition_id"]])
        for row in orders
        if row["condition_id"] in markets
    ]


async def current_markets(db: Database, now_s: float) -> list[Market]:
    """Markets whose window is open now."""
    rows = await db.fetch(
        "SELECT * FROM markets WHERE starts_at <= to_timestamp(%(now)s)"
        " AND ends_at > to_timestamp(%(now)s) AND winner IS NULL ORDER BY slug",
        {"now": now_s},
    )
    return [market_of(row) for row in rows]


async def costs_by_agent(db: Database) -> dict[str, int]:
    """What each agent's unsettled shares cost, fees included and rounded up, in e6."""
    rows = await db.fetch(
        """
        SELECT agent, ceil(sum(size * bought_cash / bought + fees) * 1000000)::bigint AS cost
        FROM positions WHERE NOT settled AND size > 0 AND bought > 0 GROUP BY agent
        """
    )
    return {row["agent"]: int(row["cost"]) for row in rows}


async def spot_series(
    db: Database, asset: str, from_s: float, to_s: float, step_s: float = 1.0
) -> list[SpotPoint]:
    """An asset's last price of every `step_s`, by the settlement feed where it spoke at all."""
    rows = await db.fetch(
        """
        SELECT DISTINCT ON (floor(extract(epoch FROM ts) / %(step)s)) ts, price FROM spot_prices
        WHERE asset = %(asset)s AND ts BETWEEN to_timestamp(%(from)s) AND to_timestamp(%(to)s)
          AND source = (
            SELECT source FROM spot_prices WHERE asset = %(asset)s AND source = ANY(%(sources)s)
              AND ts BETWEEN to_timestamp(%(from)s) AND to_timestamp(%(to)s)
            ORDER BY source DESC LIMIT 1)
        ORDER BY floor(extract(epoch FROM ts) / %(step)s), ts DESC
        """,
        {
            "asset": asset, "from": from_s, "to": to_s, "step": step_s,
            "sources": [SpotSource.CHAINLINK.value, SpotSource.BINANCE.value],
        },
    )  # fmt: skip
    return [SpotPoint(to_ns(row["ts"]), e8(row["price"]) / 1e8) for row in rows]


async def newest_data_ns(db: Database) -> int:
    """When the newest spot price or book was received; 0 where nothing is kept."""
    row = await db.fetch_one(
        """
        SELECT greatest(
            (SELECT max(recv_at) FROM spot_prices WHERE ts > now() - interval '1 hour'),
            (SELECT max(recv_at) FROM market_data WHERE ts > now() - interval '1 hour')
        ) AS newest
        """
    )
    return 0 if row is None or row["newest"] is None else to_ns(row["newest"])


@dataclass(frozen=True, slots=True)
class Ended:
    """A market the venue resolved, with the price that settles it as we kept it."""

    market: Market
    winner: Outcome
    price_e8: int | None


async def resolved_since(db: Database, seconds: float) -> list[Ended]:
    """Markets resolved so recently; the price only where it was seen at the very end's second."""
    rows = await db.fetch(
        """
        SELECT m.*, (
            SELECT s.price FROM spot_prices s
            WHERE s.asset = m.asset AND s.ts BETWEEN m.ends_at - interval '1 second' AND m.ends_at
              AND s.source = CASE m.settlement WHEN 'twap60' THEN 'twap60' ELSE 'chainlink' END
            ORDER BY s.ts DESC LIMIT 1
        ) AS seen
        FROM markets m
        WHERE m.winner IS NOT NULL AND m.strike IS NOT NULL
          AND m.resolved_at > now() - %s * interval '1 second'
        """,
        [seconds],
    )
    return [
        Ended(
            market_of(row), Outcome(row["winner"]), None if row["seen"] is None else e8(row["seen"])
        )
        for row in rows
    ]


async def results_by_agent(db: Database, limit: int = 50) -> dict[str, list[tuple[int, int]]]:
    """Each agent's newest results, oldest first: when the window was closed, and what it made."""
    rows = await db.fetch(
        """
        SELECT agent, closed_at, pnl FROM (
            SELECT agent, closed_at, pnl, row_number() OVER (
                PARTITION BY agent ORDER BY closed_at DESC, condition_id) AS number
            FROM trades WHERE fills > 0
        ) newest WHERE number <= %s ORDER BY agent, closed_at
        """,
        [limit],
    )
    found: dict[str, list[tuple[int, int]]] = {}
    for row in rows:
        found.setdefault(row["agent"], []).append((to_ns(row["closed_at"]), e6(row["pnl"])))
    return found


async def floor_results(db: Database, limit: int = 5_000) -> tuple[Sequence[str], list[list[int]]]:
    """What each agent made in windows that ended together: the agents, and a row per end in e6."""
    rows = await db.fetch(
        """
        SELECT m.ends_at, t.agent, sum(t.pnl) AS pnl
        FROM trades t JOIN markets m USING (condition_id)
        WHERE t.fills > 0 GROUP BY m.ends_at, t.agent ORDER BY m.ends_at DESC LIMIT %s
        """,
        [limit],
    )
    agents = sorted({row["agent"] for row in rows})
    by_end: dict[int, dict[str, int]] = {}
    for row in rows:
        by_end.setdefault(to_ns(row["ends_at"]), {})[row["agent"]] = e6(row["pnl"])
    return agents, [[by_end[end].get(agent, 0) for agent in agents] for end in sorted(by_end)]


@dataclass(frozen=True, slots=True)
class Offer:
    """The best ask of a token: dollars a share, and how many shares there are in e6."""

    price: float
    size_e6: int


async def best_asks(db: Database, token_ids: Sequence[str], seconds: float) -> dict[str, Offer]:
    """The newest best asks, of tokens quoted within so many seconds."""
    rows = await db.fetch(
        """
        SELECT DISTINCT ON (token_id) token_id, ask, ask_size FROM market_data
        WHERE token_id = ANY(%s) AND kind = 'top' AND ts > now() - %s * interval '1 second'
        ORDER BY token_id, ts DESC, seq DESC
        """,
        [list(token_ids), seconds],
    )
    return {
        row["token_id"]: Offer(float(row["ask"]), e6(row["ask_size"]))
        for row in rows
        if row["ask"] is not None
    }


async def assets(db: Database) -> list[str]:
    """Assets of which prices were kept within the last day."""
    rows = await db.fetch(
        "SELECT DISTINCT asset FROM spot_prices WHERE ts > now() - interval '1 day' ORDER BY asset"
    )
    return [row["asset"] for row in rows]


@dataclass(frozen=True, slots=True)
class Top:
    """The best prices of a market's Up token at one moment, and the shares traded in its second."""

    condition_id: str
    ts_ns: int
    bid_e4: int | None
    ask_e4: int | None
    traded_e6: int


async def tops_since(db: Database, markets: Sequence[Market], seconds: float) -> list[Top]:
    """What the collector kept of these markets lately, oldest first."""
    rows = await db.fetch(
        """
        WITH prints AS (
            SELECT condition_id, date_trunc('second', ts) AS second, sum(last_size) AS traded
            FROM market_data
            WHERE kind = 'print' AND condition_id = ANY(%(markets)s)
              AND ts > now() - %(seconds)s * interval '1 second'
            GROUP BY 1, 2
        )
        SELECT d.condition_id, d.ts, d.bid, d.ask, coalesce(p.traded, 0) AS traded
        FROM market_data d LEFT JOIN prints p
            ON p.condition_id = d.condition_id AND p.second = date_trunc('second', d.ts)
        WHERE d.kind = 'top' AND d.token_id = ANY(%(tokens)s)
          AND d.ts > now() - %(seconds)s * interval '1 second'
        ORDER BY d.ts, d.seq
        """,
        {
            "markets": [one.condition_id for one in markets],
            "tokens": [one.up_token for one in markets],
            "seconds": seconds,
        },
    )
    return [
        Top(
            row["condition_id"],
            to_ns(row["ts"]),
            None if row["bid"] is None else e4(row["bid"]),
            None if row["ask"] is None else e4(row["ask"]),
            e6(row["traded"]),
        )
        for row in rows
    ]
