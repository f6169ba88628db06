"""The whole floor's money, across agents: what reconciliation compares with the venue."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.markets import Outcome
from models.orders import Fill, Order, OrderState
from store.database import Database
from store.portfolio import Snapshot
from store.rows import fill_of, order_of

_CASH_CHANGE = """
    CASE WHEN status = 'FAILED' THEN 0
         WHEN side = 'BUY' THEN -cash - fee
         ELSE cash - fee END
"""


@dataclass(frozen=True, slots=True)
class Holding:
    """Shares of both tokens of one market that are not booked as settled, in e6, all agents."""

    condition_id: str
    up_token: str
    down_token: str
    up_e6: int
    down_e6: int
    end_ns: int
    winner: Outcome | None


async def trading_cash_e6(db: Database) -> int:
    """Return what all fills that did not fail did to the account's cash, in e6."""
    row = await db.fetch_one(
        f"SELECT (coalesce(sum({_CASH_CHANGE}), 0) * 1000000)::bigint AS cash FROM fills"  # noqa: S608
    )
    return int(row["cash"]) if row is not None else 0


async def paid_out_e6(db: Database) -> int:
    """Return what every booked settlement paid, in e6."""
    row = await db.fetch_one(
        "SELECT (coalesce(sum(payout), 0) * 1000000)::bigint AS cash FROM trades"
    )
    return int(row["cash"]) if row is not None else 0


async def unsettled_holdings(db: Database) -> list[Holding]:
    """Return holdings in markets in which some agent's result is not booked yet."""
    rows = await db.fetch(
        """
        SELECT m.condition_id, m.up_token, m.down_token, m.winner,
               (extract(epoch FROM m.ends_at) * 1000000)::bigint * 1000 AS end_ns,
               (sum(p.size) FILTER (WHERE p.outcome = 'Up') * 1000000)::bigint AS up,
               (sum(p.size) FILTER (WHERE p.outcome = 'Down') * 1000000)::bigint AS down
        FROM positions p JOIN markets m USING (condition_id)
        WHERE NOT p.settled
        GROUP BY m.condition_id
        """
    )
    return [
        Holding(
            condition_id=row["condition_id"],
            up_token=row["up_token"],
            down_token=row["down_token"],
            up_e6=int(row["up"] or 0),
            down_e6=int(row["down"] or 0),
            end_ns=int(row["end_ns"]),
            winner=None if row["winner"] is None else Outcome(row["winner"]),
        )
        for row in rows
    ]


async def overdue_windows(db: Database, seconds: float) -> list[tuple[str, str]]:
    """Return agent and slug of windows that ended longer ago and whose result is not booked."""
    rows = await db.fetch(
        """
        SELECT DISTINCT p.agent, m.slug FROM positions p JOIN markets m USING (condition_id)
        WHERE NOT p.settled AND m.ends_at < now() - %s * interval '1 second'
        ORDER BY m.slug, p.agent
        """,
        [seconds],
    )
    return [(row["agent"], row["slug"]) for row in rows]


async def winners_since(db: Database, seconds: float) -> list[str]:
    """Return the winning tokens that paid something in windows closed so recently, latest first."""
    rows = await db.fetch(
        """
        SELECT CASE t.winner WHEN 'Up' THEN m.up_token ELSE m.down_token END AS token
        FROM trades t JOIN markets m USING (condition_id)
        WHERE t.closed_at > now() - %s * interval '1 second' AND t.payout > 0
        GROUP BY token ORDER BY max(t.closed_at) DESC
        """,
        [seconds],
    )
    return [row["token"] for row in rows]


async def orders_of(db: Database, order_ids: Sequence[str]) -> dict[str, Order]:
    """Return those of the orders that are ours, by id."""
    rows = await db.fetch("SELECT * FROM orders WHERE order_id = ANY(%s)", [list(order_ids)])
    return {row["order_id"]: order_of(row) for row in rows}


async def unfinished_orders(db: Database) -> dict[str, Order]:
    """Return every agent's orders that are not terminal, by id."""
    dead = [state.value for state in OrderState if state.terminal]
    rows = await db.fetch("SELECT * FROM orders WHERE state <> ALL(%s)", [dead])
    return {row["order_id"]: order_of(row) for row in rows}


async def fills_of(db: Database, trade_ids: Sequence[str]) -> dict[tuple[str, str], Fill]:
    """Return our fills in the given trades by (trade id, order id)."""
    rows = await db.fetch("SELECT * FROM fills WHERE trade_id = ANY(%s)", [list(trade_ids)])
    return {(row["trade_id"], row["order_id"]): fill_of(row) for row in rows}


async def valuations(db: Database, ts_ns: int) -> list[Snapshot]:
    """Value every agent, then the floor, at the last bid seen for each share it holds.

    A share of a resolved market is worth 1 or 0; one never quoted is worth what it cost.
    """
    rows = await db.fetch(
        f"""
        WITH flows AS (
            SELECT agent, sum({_CASH_CHANGE}) AS cash FROM fills GROUP BY agent
        ), booked AS (
            SELECT agent, sum(payout) AS payout, sum(pnl) AS pnl FROM trades GROUP BY agent
        ), marks AS (
            SELECT p.agent, greatest(p.size, 0) AS size,
                   CASE WHEN p.bought > 0 THEN greatest(p.size, 0) * p.bought_cash / p.bought
                        ELSE 0 END AS cost,
                   CASE WHEN m.winner IS NOT NULL THEN (m.winner = p.outcome)::int::numeric
                        ELSE (SELECT d.bid FROM market_data d
                              WHERE d.token_id = p.token_id AND d.kind = 'top'
                                AND d.ts > now() - interval '15 minutes'
                              ORDER BY d.ts DESC LIMIT 1) END AS bid
            FROM positions p JOIN markets m USING (condition_id)
            WHERE NOT p.settled
        ), held AS (
            SELECT agent, sum(cost) AS cost, sum(coalesce(size * bid, cost)) AS value
            FROM marks GROUP BY agent
        )
        SELECT a.name,
               (round(a.capital + coalesce(f.cash, 0) + coalesce(b.payout, 0), 6)
                   * 1000000)::bigint AS cash,
               (round(coalesce(h.cost, 0), 6) * 1000000)::bigint AS cost,
               (round(coalesce(h.value, 0), 6) * 1000000)::bigint AS value,
               (round(coalesce(b.pnl, 0), 6) * 1000000)::bigint AS realised
        FROM agents a
        LEFT JOIN flows f ON f.agent = a.name
        LEFT JOIN booked b ON b.agent = a.name
        LEFT JOIN held h ON h.agent = a.name
        ORDER BY a.name
        """  # noqa: S608
    )
    agents = [
        Snapshot(
            agent=row["name"],
            ts_ns=ts_ns,
            cash_e6=int(row["cash"]),
            position_cost_e6=int(row["cost"]),
            position_value_e6=int(row["value"]),
            realised_e6=int(row["realised"]),
            unrealised_e6=int(row["value"]) - int(row["cost"]),
        )
        for row in rows
    ]
    floor = Snapshot(
        agent=None,
        ts_ns=ts_ns,
        cash_e6=sum(one.cash_e6 for one in agents),
        position_cost_e6=sum(one.position_cost_e6 for one in agents),
        position_value_e6=sum(one.position_value_e6 for one in agents),
        realised_e6=sum(one.realised_e6 for one in agents),
        unrealised_e6=sum(one.unrealised_e6 for one in agents),
    )
    return [*agents, floor]
